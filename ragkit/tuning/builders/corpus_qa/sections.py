"""Which sections of a corpus questions are made from."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ragkit.engine.calls import Resource
from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.evaluation.split import Part, part_of
from ragkit.index.folder import PASSAGES, current_build
from ragkit.index.local import LocalIndex
from ragkit.index.store import PassageStore

_PASSAGES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document: a parent, if the index makes parents, otherwise a passage.

    Attributes:
        id: of the parent or passage.
        document: id of the document.
        heading: the titles that it stands under, from the document's to its own.
        evidence: its page, or the document if that has no pages: what a question about it has as gold evidence.
    """

    id: str
    document: str
    heading: str
    text: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Sections:
    """The sections that were chosen.

    Attributes:
        chosen: the sections, one of each document before the second of any.
        documents: documents of the part.
        long_enough: their sections that could have been chosen.
        too_short: their sections that could not.
    """

    chosen: tuple[Section, ...]
    documents: int
    long_enough: int
    too_short: int


def choose_sections(index: Resource | None, part: Part, *, most: int, min_words: int, seed: int) -> Sections:
    """Choose sections from the documents of a part; the same index and seed give the same.

    Documents belong to parts by their ids, as questions do, so that nothing is asked about a document of the test part
    while the model is trained.

    Args:
        index: of the corpus.
        part: whose documents.
        most: how many sections.
        min_words: shorter ones are left out.
        seed: of the choice.

    Raises:
        InputError: the index cannot be looked into.
    """
    if not isinstance(index, LocalIndex):
        raise InputError("questions are made from the passages of an index of type 'local'; the pipeline has another")
    store = PassageStore(current_build(index.folder) / PASSAGES)
    try:
        ranked: dict[str, list[tuple[str, str]]] = {}
        documents: set[str] = set()
        too_short = 0
        for section in _sections(store):
            document = _document(section)
            if part_of(document) != part:
                continue
            documents.add(document)
            if len(section.page_content.split()) < min_words:
                too_short += 1
            else:
                order = hashlib.sha256(f"{seed} {section.id}".encode()).hexdigest()
                ranked.setdefault(document, []).append((order, section.id))
        # The first of each document come before the second of any, in an order that the seed decides.
        turns = sorted((turn, *entry) for entries in ranked.values() for turn, entry in enumerate(sorted(entries)))
        names = [name for _, _, name in turns[:most]]
        texts = store.get(names) | store.parents(names)
        chosen = tuple(_section(texts[name]) for name in names)
    finally:
        store.close()
    return Sections(chosen, len(documents), sum(map(len, ranked.values())), too_short)


def _sections(store: PassageStore) -> Iterator[Passage]:
    """Yield parents, and passages without a parent, in the order of the corpus, each once."""
    seen: set[str] = set()
    for start in range(0, len(store), _PASSAGES_AT_ONCE):
        names = store.ids(range(start, min(start + _PASSAGES_AT_ONCE, len(store))))
        passages = store.get(list(names.values()))
        parents = store.parents(list({p.metadata["parent"] for p in passages.values() if "parent" in p.metadata}))
        for position in sorted(names):
            passage = passages[names[position]]
            section = parents.get(passage.metadata.get("parent", ""), passage)
            if section.id not in seen:
                seen.add(section.id)
                yield section


def evidence_of(passage: Passage) -> str:
    """Return the id of a passage's page, or of its document if that has no pages."""
    page = passage.metadata.get("page")
    return f"{_document(passage)}#p{page}" if page else _document(passage)


def _document(section: Passage) -> str:
    return str(section.metadata.get("document", section.id))


def _section(passage: Passage) -> Section:
    return Section(
        id=passage.id,
        document=_document(passage),
        heading=" > ".join(_titles(passage.metadata)) or passage.place,
        text=passage.page_content,
        evidence=evidence_of(passage),
    )


def _titles(metadata: Mapping[str, Any]) -> list[str]:
    titles = [metadata.get("title"), *metadata.get("section", ())]
    return [str(title) for title in titles if title]
