"""What the benches of RARG share: its demo, its reward, and judges of responses that are not the reward."""

import json
import re
from collections.abc import Sequence
from typing import Any

from common import ROOT

from ragkit.engine.cache import project_cache
from ragkit.engine.state import Passage
from ragkit.engine.tasks import Task, run_tasks
from ragkit.errors import RagkitError
from ragkit.models import SentenceTransformerEncoder, TransformersModel
from ragkit.models.base import EntailmentModel, TextClassifier
from ragkit.models.classifier import ClassifierModel
from ragkit.stages.refuting.response import ResponseSentence, read_response, words
from ragkit.tuning.rewards.rarg import RargReward

MINILM, WRITER = "embedded:all-minilm-l6-v2", "embedded:smollm2-135m-instruct"
DEMO = ROOT / "corpora" / "rarg"
RUDE = re.compile(
    r"\b(?:stupid|idiots?|idiotic|morons?|moronic|fools?|foolish|dumb|liars?|crap|rubbish|garbage|shut up|shame|"
    r"ignorant|ridiculous|pathetic|disgusting|clowns?|brainless|hate|scum|trash|bullshit|fuck\w*|shit\w*)\b",
    re.IGNORECASE,
)
_REFUTING = re.compile(
    r"\b(?:false|untrue|incorrect|inaccurate|wrong|myth|misleading|mistaken|no evidence|no trial|cannot|"
    r"(?:is|are|was|were|do|does|did|has|have) not|never|not (?:true|correct|right))\b|n['’]t\b",
    re.IGNORECASE,
)
_LITTLE_WORDS = (
    "a an the and or but of in on at to for from by with as is are was were be been it its this that these those not "
    "no do does did has have had which who they there their than so also"
)
_LITTLE = frozenset(_LITTLE_WORDS.split())
_COVERED = 0.6


def demo() -> list[dict[str, Any]]:
    """Return the claims of the demo: `id`, `claim`, `passages` (the refuting one first), and the five responses."""
    texts = {row["id"]: row for row in _rows("evidence")}
    return [
        row
        | {
            "passages": tuple(
                Passage(id=name, page_content=texts[name]["text"], metadata={"title": texts[name]["title"]})
                for name in row["evidence"]
            )
        }
        for row in _rows("responses")
    ]


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DEMO / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def classifier(adapter: str) -> ClassifierModel:
    """Return a trained head on the embedded encoder."""
    return ClassifierModel(model=MINILM, adapter=adapter)


def rarg_reward(nli: EntailmentModel, tone: TextClassifier, polite: str = "polite") -> RargReward:
    """Return the reward with given judges of stance and tone."""
    encoder = SentenceTransformerEncoder(model=MINILM)
    return RargReward(nli=nli, politeness=tone, polite=polite, encoder=encoder, model=TransformersModel(model=WRITER))


def answered(tasks: Sequence[Task], name: str) -> list[Any]:
    """Run tasks as one batch, with the call cache, and return what they found.

    Raises:
        RagkitError: one of them failed.
    """
    with project_cache() as cache:
        outcomes = run_tasks(tasks, name=name, cache=cache)
    for outcome in outcomes:
        if outcome.error is not None:
            raise RagkitError(f"{name}: {outcome.error}")
    return [outcome.value for outcome in outcomes]


def lexical(text: str, claim: str, passages: Sequence[str]) -> dict[str, float]:
    """Return measures of a response by its words alone, in which no model of the reward has a part.

    `refuting`: it denies something. `polite`: no rude word. `evidence`: the share of its factual sentences most of
    whose words stand in one passage. `valid`: it cites, and only what there is. `about`: the share of the claim's words
    that are in it.
    """
    sentences = [sentence for sentence in read_response(text) if sentence.text]
    cited = {number for sentence in sentences for number in sentence.cited}
    wanted = _content(claim)
    return {
        "refuting": float(bool(_REFUTING.search(text))),
        "polite": float(bool(sentences) and not RUDE.search(text)),
        "evidence": covered(sentences, passages),
        "valid": float(bool(cited) and all(1 <= number <= len(passages) for number in cited)),
        "about": len(wanted & _content(text)) / max(1, len(wanted)),
    }


def covered(sentences: Sequence[ResponseSentence], passages: Sequence[str]) -> float:
    """Return the share of factual sentences that have most of their words in one passage; 0 without such sentences."""
    sources = [_content(passage) for passage in passages]
    factual = [_content(sentence.text) for sentence in sentences if sentence.is_factual]
    held = [any(len(own & source) >= _COVERED * len(own) for source in sources) for own in factual if own]
    return sum(held) / len(held) if held else 0.0


def _content(text: str) -> set[str]:
    return {word for word in words(text) if word not in _LITTLE}
