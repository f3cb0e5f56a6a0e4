"""Which of a question's passages are evidence: an encoder with a small trained head that judges them together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from ragkit.engine.calls import Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError
from ragkit.models.base import ENTAILMENT, JointEntailmentModel, Premise
from ragkit.models.embedded import identify
from ragkit.models.evidence_features import Candidates, WordWeights, whole
from ragkit.models.evidence_head import EvidenceHead, evidence_folder
from ragkit.models.sentence_transformers_models import NOT_NUMBERS, SentenceTransformersResource

_ENCODED_AT_ONCE = 32


@models.register("evidence")
class EvidenceModel(JointEntailmentModel, SentenceTransformersResource):
    """An encoder of sentence-transformers with a head that says which of a question's passages are evidence.

    The head reads similarities, shared words and links between the passages (`ragkit.models.evidence_features`), so a
    passage of a second hop is found through the one of the first. It knows entailment and neutral. Without a head,
    the probability of entailment is the cosine of passage and question, 0 if it is negative.

    Attributes:
        adapter: folder of a head that `ragkit tune` trained, or `embedded:<name>` for one that ragkit ships.
        language: of the passages (ISO 639-1), to split them into sentences.
    """

    adapter: str | None = None
    language: str = Field("en", min_length=2)

    _head: EvidenceHead | None = PrivateAttr(default=None)

    def fingerprint(self) -> str:
        head = self.adapter and identify(str(evidence_folder(self.adapter)))
        return self._fingerprint(self._weights_and_limits(adapted=False) | {"head": head, "language": self.language})

    def open(self) -> None:
        if self.adapter is not None:
            self._head = EvidenceHead.load(evidence_folder(self.adapter), self.adapter)
            if self._head.encoder != self.encoder_id:
                raise InputError(
                    f"evidence head '{self.adapter}' was trained on similarities of '{self._head.encoder}', not of "
                    f"'{self.encoder_id}': tune a head for this encoder"
                )
        self._weights = self._load("SentenceTransformer", adapted=False)
        if self.max_length:
            self._weights.max_seq_length = self.max_length

    def close(self) -> None:
        super().close()
        self._head = None

    @property
    def encoder_id(self) -> str:
        """What a head is trained for: the encoder's weights, in any number format."""
        return identify(self.model, self.revision)

    def measure(self, batch: Sequence[Request]) -> None:
        for request in batch:
            texts = [text for premise in _premises(request) for text in premise]
            # Passages are read twice: as a whole, and sentence by sentence.
            request.size = 2 * sum(map(len, texts)) // 4 + 1

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        lists = [self.candidates(request.args["hypothesis"], _premises(request)) for request in batch]
        outcomes: list[Reply | Exception] = []
        for request, logprobs in zip(batch, self._judge(lists), strict=True):
            choices = [self._choice(row) for row in logprobs]
            good = all(np.isfinite(list(choice["logprobs"].values())).all() for choice in choices)
            value = choices[0] if op == "entail" else choices
            outcomes.append(Reply(value, prompt_tokens=request.size) if good else RagkitError(NOT_NUMBERS))
        return outcomes

    def candidates(self, question: str, premises: Sequence[Premise]) -> Candidates:
        """Return a question's passages, split into sentences."""
        from sentencex import segment

        split = [[sentence for piece in segment(self.language, premise.text) if (sentence := piece.strip())]
                 for premise in premises]  # fmt: skip
        sentences = tuple(tuple(own or [premise.text]) for own, premise in zip(split, premises, strict=True))
        return Candidates(question, tuple(premises), sentences)

    def features(self, lists: Sequence[Candidates], weights: WordWeights) -> list[NDArray[np.float32]]:
        """Return the features of the passages of each question, encoding each different text once."""
        known: dict[str, NDArray[np.float32]] = {}
        asked = [candidates for candidates in lists if candidates.premises]
        self._encode([text for candidates in asked for text in candidates.texts()], known)
        further = [text for candidates in asked for text in candidates.follow_ups(known.__getitem__, weights)]
        self._encode(further, known)
        nothing = np.zeros((0, 1), np.float32)
        return [
            candidates.features(known.__getitem__, weights) if candidates.premises else nothing for candidates in lists
        ]

    def _encode(self, texts: Sequence[str], known: dict[str, NDArray[np.float32]]) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            vectors = self._weights.encode(
                new,
                prompt="",
                batch_size=_ENCODED_AT_ONCE,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            known.update(zip(new, vectors.astype(np.float32), strict=True))

    def _judge(self, lists: Sequence[Candidates]) -> list[NDArray[np.float64]]:
        """Return for each question the log-probabilities of its passages, shape (passages, 2)."""
        if self._head is None:
            return self._cosines(lists)
        found = self.features(lists, self._head.words)
        return [self._head.logprobs(features) if len(features) else np.zeros((0, 2)) for features in found]

    def _cosines(self, lists: Sequence[Candidates]) -> list[NDArray[np.float64]]:
        known: dict[str, NDArray[np.float32]] = {}
        texts = [(candidates.question, [whole(premise) for premise in candidates.premises]) for candidates in lists]
        self._encode([text for question, passages in texts for text in (question, *passages)], known)
        found = []
        for question, passages in texts:
            cosines = np.array([float(known[passage] @ known[question]) for passage in passages])
            likely = np.clip(cosines, 1e-6, 1 - 1e-6)
            found.append(np.log(np.stack([likely, 1 - likely], axis=1)))
        return found

    def _choice(self, logprobs: NDArray[np.float64]) -> dict[str, Any]:
        named = dict(zip(ENTAILMENT[:2], logprobs.tolist(), strict=True))
        return {"label": max(named, key=named.__getitem__), "logprobs": named}


def _premises(request: Request) -> list[Premise]:
    if request.op == "entail":
        return [Premise("", request.args["premise"])]
    return [Premise(title, text) for title, text in request.args["premises"]]
