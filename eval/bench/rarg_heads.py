"""Judges on frozen vectors: logistic regressions that take a minute, as evaluators beside trained classifiers.

They are of another make than the classifiers of `ragkit tune` (no weight of the encoder is changed), and each seed
learns from another half of the claims, so that what one seed rewards another can judge.

Stance is learned from (passage, claim) pairs of healthver, covidfact and scifact, and from replies: corrections of
covid_posts and of covidfact's counter-claims contradict, a claim told again entails. Tone is learned from the sentences
of corpora/rarg/tone.jsonl, which are about everyday things and not about health.
"""

import functools
import gzip
import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import PrivateAttr
from rarg_common import DEMO, MINILM, classifier
from sklearn.linear_model import LogisticRegression

from ragkit.engine.calls import LocalResource, Reply, Request
from ragkit.evaluation.split import part_of
from ragkit.models.base import ENTAILMENT, EntailmentModel, TextClassifier
from ragkit.models.devices import resolve_dtype
from ragkit.models.embedded import locate
from ragkit.stages.refuting.response import words

Pair = tuple[str, str, int]
"""Premise, hypothesis, and the position of the label among `ENTAILMENT`."""

_LABELS = {"Supports": 0, "SUPPORTED": 0, "SUPPORT": 0, "Neutral": 1, "Refutes": 2, "REFUTED": 2, "CONTRADICT": 2}
_DENIALS = frozenset(["no", "not", "never", "cannot", "without", "none", "n't", "nothing", "neither"])
_VERDICTS = frozenset(["false", "untrue", "wrong", "incorrect", "inaccurate", "myth", "misleading", "mistaken"])
_VERDICT_TEXTS = ("This is not true.", "This is not correct.", "That is wrong.", "This is a false claim.", "")
_MOST = 150
_KNOWN: dict[str, Any] = {}


def rows_of(data: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def in_half(identifier: str, seed: int) -> bool:
    """Say whether a claim is one that a seed learns from: never one of the test part, and of the rest a half."""
    own = hashlib.sha256(f"half {identifier}".encode()).digest()[0] % 2 == seed % 2
    return own and part_of(identifier) != "test"


def stance_pairs(data: Path, seed: int) -> list[Pair]:
    """Return the pairs that a seed learns stance from."""
    draw = random.Random(seed)
    pairs: list[Pair] = []
    corpus = {row["id"]: row["text"] for row in rows_of(data, "healthver/corpus")}
    for row in rows_of(data, "healthver/queries.dev"):
        if in_half(row["id"], seed):
            pairs += [(corpus[e["id"]], row["question"], _LABELS[e["label"]]) for e in row["evidence"][:6]]
    for row in rows_of(data, "scifact/queries.dev"):
        if in_half(row["id"], seed):
            pairs += [(" ".join(e["text"]), row["question"], _LABELS[e["label"]]) for e in row["evidence"]]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(data, "covidfact/queries.dev"):
        if in_half(row["group"], seed):
            groups.setdefault(row["group"], []).append(row)
    corpus = {row["id"]: row["text"] for row in rows_of(data, "covidfact/corpus")}
    others = list(corpus.values())
    for rows in list(groups.values())[:_MOST]:
        true = [row["question"] for row in rows if row["label"] == "SUPPORTED"]
        for row in rows[:3]:
            claim, label = row["question"], _LABELS[row["label"]]
            pairs += [(corpus[name], claim, label) for name in row["supporting_ids"][:1] if name in corpus]
            pairs += [(draw.choice(others), claim, 1), (claim, claim, 0)]
            if label == 2 and true:
                pairs.append((f"{draw.choice(_VERDICT_TEXTS)} {true[0]}".strip(), claim, 2))
    replies = [row for row in rows_of(data, "covid_posts/counter_pairs") if in_half(row["id"], seed)]
    for row in replies:
        pairs += [(row["response"], row["post"], 2), (row["post"], row["post"], 0)]
        pairs.append((draw.choice(replies)["response"], draw.choice(replies)["post"], 1))
    return pairs


def tone_texts(seed: int) -> list[tuple[str, int]]:
    """Return the texts that a seed learns tone from, with 1 for polite ones and 0 for rude ones."""
    rows = [json.loads(line) for line in (DEMO / "tone.jsonl").read_text(encoding="utf-8").splitlines()]
    own = [row for row in rows if hashlib.sha256(row["id"].encode()).digest()[0] % 2 == seed % 2]
    return [(row["question"], int(row["label"] == "polite")) for row in own]


class FrozenStance(EntailmentModel, LocalResource):
    """Tells entailment from the vectors of a pair and from what each of its texts denies."""

    data: Path
    seed: int = 0

    _head: Any = PrivateAttr(default=None)

    def fingerprint(self) -> str:
        return f"frozen stance, seed {self.seed}, version 1"

    def open(self) -> None:
        pairs = stance_pairs(self.data, self.seed)
        head = LogisticRegression(C=0.3, max_iter=400, class_weight="balanced")
        self._head = head.fit(features(pairs), [label for *_, label in pairs])

    def execute(self, op: Literal["entail"], batch: Sequence[Request]) -> list[Reply | Exception]:
        pairs = [(request.args["premise"], request.args["hypothesis"], 0) for request in batch]
        logs = self._head.predict_log_proba(features(pairs))
        return [_reply(dict(zip(ENTAILMENT, row, strict=True))) for row in logs.tolist()]


class FrozenTone(TextClassifier, LocalResource):
    """Tells polite texts from rude ones by their vectors."""

    seed: int = 0

    _head: Any = PrivateAttr(default=None)

    def fingerprint(self) -> str:
        return f"frozen tone, seed {self.seed}, version 1"

    def open(self) -> None:
        texts = tone_texts(self.seed)
        head = LogisticRegression(C=1.0, max_iter=400, class_weight="balanced")
        self._head = head.fit(_vectors([text for text, _ in texts]), [label for _, label in texts])

    def execute(self, op: Literal["classify"], batch: Sequence[Request]) -> list[Reply | Exception]:
        logs = self._head.predict_log_proba(_vectors([request.args["text"] for request in batch]))
        return [_reply({"rude": row[0], "polite": row[1]}) for row in logs.tolist()]


def judges(
    data: Path, seed: int, stance: str | None = None, tone: str | None = None
) -> tuple[EntailmentModel, TextClassifier]:
    """Return judges of stance and tone: trained classifiers where an adapter is named, else frozen heads of a seed."""
    return (
        classifier(stance) if stance else FrozenStance(data=data, seed=seed),
        classifier(tone) if tone else FrozenTone(seed=seed),
    )


def features(pairs: Sequence[Pair]) -> Any:
    """Return the features of pairs: what the vectors share and differ in, and counts of words that deny."""
    u, v = _vectors([premise for premise, *_ in pairs]), _vectors([hypothesis for _, hypothesis, _ in pairs])
    extra = np.array([_counts(premise, hypothesis) for premise, hypothesis, _ in pairs])
    return np.concatenate([np.abs(u - v), u * v, extra], axis=1)


def _counts(premise: str, hypothesis: str) -> list[float]:
    one, other = words(premise), words(hypothesis)
    denied = [sum(word in _DENIALS or word.endswith(("n't", "n’t")) for word in text) for text in (one, other)]
    shared = len(set(one) & set(other)) / max(1, len(set(other)))
    verdict = float(any(word in _VERDICTS for word in one)) - float(any(word in _VERDICTS for word in other))
    clash = float(bool(denied[0]) != bool(denied[1]))
    return [shared, clash, clash * shared, verdict, verdict * shared, min(denied[0], 3) / 3]


def _vectors(texts: Sequence[str]) -> Any:
    """Return vectors of length 10, so that a penalty on weights is not one on the vectors' small numbers."""
    new = [text for text in dict.fromkeys(texts) if text not in _KNOWN]
    if new:
        _KNOWN.update(zip(new, _encoder().encode(new, batch_size=32, normalize_embeddings=True), strict=True))
    return 10 * np.stack([_KNOWN[text] for text in texts]).astype(np.float64)


@functools.cache
def _encoder() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(locate(MINILM)[0], device="cpu", model_kwargs={"dtype": resolve_dtype("auto", "cpu")})


def _reply(logprobs: dict[str, float]) -> Reply:
    return Reply({"label": max(logprobs, key=logprobs.__getitem__), "logprobs": logprobs})
