"""What the benches of RARG share: its reward on given models, and measures of responses that no reward knows."""

import re
from collections.abc import Sequence

from ragkit.models.base import Encoder, LanguageModel
from ragkit.models.classifier import ClassifierModel
from ragkit.stages.refuting.response import ResponseSentence, read_response, words
from ragkit.tuning.rewards.rarg import RargReward

MINILM = "embedded:all-minilm-l6-v2"
_LITTLE = frozenset(
    [
        "a", "an", "the", "and", "or", "but", "of", "in", "on", "at", "to", "for", "from", "by", "with", "as", "is", "are",
        "was", "were", "be", "been", "it", "its", "this", "that", "these", "those", "not", "no", "do", "does", "did", "has",
        "have", "had", "which", "who", "they", "there", "their", "than", "so", "also",
    ]
)  # fmt: skip
_RUDE = re.compile(
    r"\b(?:stupid|idiots?|idiotic|morons?|fools?|foolish|dumb|liars?|lies|crap|rubbish|garbage|shut up|shame|ignorant|"
    r"ridiculous|nonsense|pathetic|disgusting|clowns?|brainless|hate)\b",
    re.IGNORECASE,
)
_REFUTING = re.compile(
    r"\b(?:false|untrue|incorrect|inaccurate|wrong|myth|misleading|mistaken|not true|not correct|not right|no evidence|"
    r"does not|do not|did not|cannot|is not|are not|was not|were not|has not|have not|never)\b|n['’]t\b",
    re.IGNORECASE,
)
_COVERED = 0.6


def classifier(adapter: str) -> ClassifierModel:
    """Return a trained head on the embedded encoder."""
    return ClassifierModel(model=MINILM, adapter=adapter)


def rarg_reward(stance: str, tone: str, polite: str, encoder: Encoder, model: LanguageModel) -> RargReward:
    """Return the reward with trained classifiers."""
    return RargReward(nli=classifier(stance), politeness=classifier(tone), polite=polite, encoder=encoder, model=model)


def lexical(text: str, claim: str, passages: Sequence[str]) -> dict[str, float]:
    """Return measures of a response by its words alone, which no classifier of the reward has a part in.

    `refuting`: it denies something; `polite`: no rude word; `evidence`: the share of its factual sentences most of whose
    words stand in one passage; `valid`: it cites, and only what there is; `about`: the share of the claim's words in it.
    """
    sentences = [sentence for sentence in read_response(text) if sentence.text]
    cited = {number for sentence in sentences for number in sentence.cited}
    wanted = _content(claim)
    return {
        "refuting": float(bool(_REFUTING.search(text))),
        "polite": float(bool(sentences) and not _RUDE.search(text)),
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


def distinct(texts: Sequence[str], size: int) -> float:
    """Return the different n-grams of texts as a share of their words.

    Source: the definition of MisinfoCorrect, with words as the denominator.
    """
    grams: set[tuple[str, ...]] = set()
    number = 0
    for text in texts:
        found = words(text)
        number += len(found)
        grams |= set(zip(*(found[start:] for start in range(size)), strict=False))
    return len(grams) / number if number else 0.0


def _content(text: str) -> set[str]:
    return {word for word in words(text) if word not in _LITTLE}
