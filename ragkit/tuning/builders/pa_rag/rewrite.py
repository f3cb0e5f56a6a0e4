"""Citation rewrite: verify, construct, simplify."""

from collections.abc import Sequence

from ragkit.evaluation.marked import MarkedText
from ragkit.stages.recite import MOST_CITATIONS, Supports, asked_once, best_citations


async def rewrite(text: str, passages: int, supports: Supports) -> str | None:
    """Return an answer whose every sentence cites a minimal set of passages that supports it; None if that cannot be.

    A sentence whose citations support it and are all needed stays as it is. One with needless citations loses them,
    the last passage first. One without support gets the smallest set of at most three passages that supports it, of
    sets of one size the best ranked. Text outside of markers never changes, and rewriting twice changes nothing more.

    Args:
        text: the answer, with markers.
        passages: how many the prompt has.
        supports: who says whether passages support a sentence; never asked twice about the same.
    """
    supports = asked_once(supports)
    marked = MarkedText.parse(text)
    sentences = marked.sentences()
    for sentence in sentences:
        cited = _citable(sentence.numbers, passages)
        best = await best_citations(cited, sentence.text, passages, supports)
        if best is None:
            return None
        if best != sentence.numbers:
            marked = marked.cite(sentence, best)
    return str(marked) if sentences else None


async def is_supported(text: str, passages: int, supports: Supports) -> bool:
    """Say whether what every sentence cites supports it, of each the first three passages; none may be out of range."""
    sentences = MarkedText.parse(text).sentences()
    for sentence in sentences:
        cited = _citable(sentence.numbers, passages)
        out_of_range = len(cited) < len(sentence.numbers[:MOST_CITATIONS])
        if out_of_range or not cited or not await supports(cited, sentence.text):
            return False
    return bool(sentences)


def _citable(numbers: Sequence[int], passages: int) -> tuple[int, ...]:
    return tuple(number for number in numbers[:MOST_CITATIONS] if 1 <= number <= passages)
