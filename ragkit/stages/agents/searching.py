"""Searches of one question that never show a passage twice."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from ragkit.engine.state import Documents, Passage
from ragkit.stages.agents.actions import one_line

Ranking = Callable[[str, int], Awaitable[Documents]]
"""Returns the first so many passages of the ranking for a query; fewer where the corpus holds no more."""


class Found(NamedTuple):
    """What a search brought: passages that were not there before, and how many of its own first k that were."""

    passages: Documents
    new: int


def passage_key(passage: Passage) -> str:
    """Return the same key for passages with the same title and text, whatever their ids, case and spacing."""
    text = one_line(f"{passage.metadata.get('title') or ''}\n{passage.page_content}").casefold()
    return hashlib.sha256(text.encode()).hexdigest()


def normalised_query(query: str) -> str:
    """Return a query without what makes no difference: case, spacing, marks at its ends."""
    return one_line(query).casefold().strip(" .?!\"'")


async def search_unseen(ranking: Ranking, query: str, k: int, seen: Iterable[str], depth: int) -> Found:
    """Return the first k passages for a query that were not seen yet, as long as the corpus holds such.

    Args:
        ranking: what is searched.
        query: the query.
        k: passages to return.
        seen: keys of passages that were seen.
        depth: how much is asked for at first; the same for all searches, so that equal queries are one call. It is
            doubled while there are fewer than k new passages and the ranking goes on.
    """
    known = set(seen)
    while True:
        ranked = await ranking(query, depth)
        fresh: dict[str, Passage] = {}
        for passage in ranked:
            key = passage_key(passage)
            if key not in known:
                fresh.setdefault(key, passage)
        if len(fresh) >= k or len(ranked) < depth:
            new = sum(passage_key(passage) not in known for passage in ranked[:k])
            return Found(tuple(fresh.values())[:k], new)
        depth *= 2
