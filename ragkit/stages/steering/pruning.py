"""What is handed on of judged passages."""

from collections.abc import Collection
from typing import Literal

from ragkit.engine.calls import flag
from ragkit.engine.state import Documents, Passage

OnNothing = Literal["abstain", "all"]


def kept(passages: Documents, reliable: Collection[str], on_nothing: OnNothing, *, once: bool, stage: str) -> Documents:
    """Return the passages with reliable ids, in their order.

    Args:
        passages: what was judged.
        reliable: ids of those to rely on.
        on_nothing: what is handed on if there are none; either way the question is flagged `<stage>:nothing_reliable`.
        once: whether of passages with one text only the first is handed on.
        stage: whose flag it is.
    """
    chosen = tuple(passage for passage in passages if passage.id in reliable)
    if passages and not chosen:
        flag(f"{stage}:nothing_reliable")
        chosen = passages if on_nothing == "all" else ()
    return without_repeats(chosen) if once else chosen


def without_repeats(passages: Documents) -> Documents:
    """Return the passages without those whose text, but for white space, an earlier one has."""
    first: dict[str, Passage] = {}
    for passage in passages:
        first.setdefault(" ".join(passage.page_content.split()), passage)
    return tuple(first.values())
