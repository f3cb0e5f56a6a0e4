"""Prompts taken apart into what the template said and the passages that stand in it, so that texts are kept once."""

from collections.abc import Iterable, Mapping
from typing import Any

from ragkit.evaluation.report.replies import as_text

Piece = str | tuple[str, bool]
"""A text, or a passage by its id; then whether its line ends were made spaces."""

Turn = tuple[str, list[Piece]]
"""The role of a chat's turn (empty for a prompt that is plain text) and its pieces."""

# A passage shorter than its own reference saves nothing, and may stand in a prompt by chance.
_SHORTEST = 40


def turns(prompt: Any, texts: Mapping[str, str]) -> list[Turn]:
    """Return a prompt (text, or chat turns) with the passages among `texts` (id to text) as references."""
    return [(role, pieces(content, texts)) for role, content in _contents(prompt)]


def _contents(prompt: Any) -> list[tuple[str, str]]:
    """Return role and text of each turn; a prompt of a form that ragkit's models do not take is one text."""
    if isinstance(prompt, list) and all(isinstance(turn, Mapping) and "content" in turn for turn in prompt):
        return [(as_text(turn.get("role", "")), as_text(turn["content"])) for turn in prompt]
    return [("", as_text(prompt))]


def pieces(text: str, texts: Mapping[str, str]) -> list[Piece]:
    """Return a text cut where known passages stand in it."""
    spots = sorted(_spots(text, texts))
    parts: list[Piece] = []
    end = 0
    for start, stop, identifier, flat in spots:
        if start < end:
            continue  # inside a passage that was taken already
        if start > end:
            parts.append(text[end:start])
        parts.append((identifier, flat))
        end = stop
    if end < len(text) or not parts:
        parts.append(text[end:])
    return parts


def _spots(text: str, texts: Mapping[str, str]) -> Iterable[tuple[int, int, str, bool]]:
    for identifier, passage in texts.items():
        if len(passage) < _SHORTEST:
            continue
        flattened = passage.replace("\n", " ")
        for form in (passage, flattened) if flattened != passage else (passage,):
            start = text.find(form)
            while start >= 0:
                yield start, start + len(form), identifier, form != passage
                start = text.find(form, start + len(form))


def joined(parts: Iterable[Piece], texts: Mapping[str, str]) -> str:
    """Return the text that `pieces` took apart."""
    return "".join(
        part if isinstance(part, str) else texts[part[0]].replace("\n", " ") if part[1] else texts[part[0]]
        for part in parts
    )


def standing_in(prompt: Any, texts: Mapping[str, str]) -> list[str]:
    """Return the ids of the passages that stand in a prompt or a text, in the order of `texts`."""
    contents = [content for _, content in _contents(prompt)]
    return [
        identifier
        for identifier, passage in texts.items()
        if passage and any(passage in content or passage.replace("\n", " ") in content for content in contents)
    ]
