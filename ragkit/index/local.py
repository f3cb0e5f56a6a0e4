"""ragkit's own index: a folder with passages and the parts that find them."""

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr, model_validator

from ragkit.documents import Chunking, PdfSettings, discover
from ragkit.documents.document import counted
from ragkit.documents.ingest import IngestSettings, reading_record
from ragkit.documents.loaders import DocumentLoader
from ragkit.documents.page_settings import PageSettings
from ragkit.engine.calls import LocalResource, OnProgress, Reply, Request
from ragkit.engine.registry import indexes, models
from ragkit.engine.state import Documents, Hit, Passage
from ragkit.errors import InputError
from ragkit.index.base import HYBRID_DEPTH, Index
from ragkit.index.build import Write, prepare, update
from ragkit.index.build_report import BuildReport, report_of
from ragkit.index.changes import adding, deleting
from ragkit.index.dense import DenseSettings
from ragkit.index.filters import Filter
from ragkit.index.folder import PAGES, PASSAGES
from ragkit.index.fusion import Scored, fuse, reciprocal_rank_fusion
from ragkit.index.learned_sparse import LearnedSparseSettings
from ragkit.index.manifest import FORMAT, Manifest
from ragkit.index.multi_vector import MultiVectorSettings
from ragkit.index.page_vectors import PieceSettings, VisualSettings
from ragkit.index.part import OnDevice, OpenPart, PartSettings, Selection
from ragkit.index.parts import PARTS
from ragkit.index.plan import Plan, usable
from ragkit.index.settings import FusionSettings
from ragkit.index.sparse import SparseSettings
from ragkit.index.store import PassageStore
from ragkit.paths import project_dir

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore

_LOG = logging.getLogger(__name__)

_KEPT_FILTERS = 16


@models.register("local-index")  # a further index of a pipeline, for agents
@indexes.register("local")
class LocalIndex(Index, LocalResource):
    """An index of documents on disk, searched by one or several parts: by meaning, by words, or both.

    `prepare` builds it where that is needed and continues the build that is there where only documents have changed;
    the searches go through the call layer.
    """

    documents: tuple[str, ...] = Field((), description="Files or globs (PDF, text, Markdown, HTML, JSONL).")
    base: Path = Field(Path(), description="The folder that relative patterns start from.")
    loaders: tuple[DocumentLoader, ...] = Field(
        (), description="Loaders of langchain; asked when they are new or changed, or by `ragkit index build --reload`."
    )
    pdf: PdfSettings = Field(default_factory=PdfSettings, description="What is read from PDFs.")
    chunking: Chunking = Field(default_factory=Chunking, description="How documents are cut into passages.")
    ingest: IngestSettings = Field(default_factory=IngestSettings, description="What reading documents may cost.")
    pages: PageSettings | None = Field(
        None, description="Make each page of a PDF a passage that knows its tables, figures and pictures."
    )
    dense: DenseSettings | None = Field(None, description="Search by vectors.")
    sparse: SparseSettings | None = Field(None, description="Search by BM25.")
    learned_sparse: LearnedSparseSettings | None = Field(None, description="Search by terms that a model weights.")
    multi_vector: MultiVectorSettings | None = Field(None, description="Search by a vector for each token.")
    pieces: PieceSettings | None = Field(
        None, description="Search pages by the best of their pieces: text, tables, figures, and pictures of them."
    )
    visual: VisualSettings | None = Field(None, description="Search pages by a vector for each patch of their picture.")
    fusion: FusionSettings = Field(default_factory=FusionSettings, description="How rankings are merged.")
    path: Path | None = Field(
        None, description="Where the index is kept; default .ragkit/indexes/<hash of documents and settings>."
    )

    _build: Path | None = PrivateAttr(default=None)
    _manifest: Manifest | None = PrivateAttr(default=None)
    _report: BuildReport | None = PrivateAttr(default=None)
    _store: PassageStore | None = PrivateAttr(default=None)
    _open: dict[str, OpenPart] = PrivateAttr(default_factory=dict)
    _live: Selection | None = PrivateAttr(default=None)
    _matching: Callable[[str], Selection] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        if not self.parts:
            raise ValueError(f"an index needs at least one part: {', '.join(PARTS)}")
        if not self.has_sources and self.path is None:
            raise ValueError("name 'documents' or 'loaders', or a 'path' for an index that is filled in Python")
        for name in ("pieces", "visual"):
            if getattr(self, name) is not None and self.pages is None:
                raise ValueError(f"'{name}' looks at pages: add 'pages: {{}}' to the index")
        for name in self.fusion.weights:
            if name not in self.parts:
                raise ValueError(f"'fusion.weights' names '{name}', which is no part of the index ({self._listed()})")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self._settings)

    @property
    def has_sources(self) -> bool:
        """Whether the documents come from files or loaders; if not, they are added in Python."""
        return bool(self.documents or self.loaders)

    @property
    def _settings(self) -> dict[str, PartSettings]:
        """The settings of the parts that the index has."""
        found = {name: getattr(self, name) for name in PARTS}
        return {name: settings for name, settings in found.items() if settings is not None}

    @property
    def folder(self) -> Path:
        """Where the index is kept."""
        if self.path is not None:
            return self.path
        base = os.path.relpath(self.base)
        loaders = [loader.describe() for loader in self.loaders]
        key = "\n".join([*self.documents, base, json.dumps([loaders, self.record()], sort_keys=True)])
        return project_dir() / "indexes" / hashlib.sha256(key.encode()).hexdigest()[:16]

    @property
    def report(self) -> BuildReport | None:
        """What the last `prepare` or change found or did; None before it."""
        return self._report

    @property
    def devices(self) -> dict[str, str]:
        """Where the open parts that use a device are searched, and in which precision, by the part's name."""
        return {
            name: f"{part.device_used}, {part.precision_used}"
            for name, part in self._open.items()
            if isinstance(part, OnDevice)
        }

    def record(self) -> dict[str, Any]:
        """Return the settings as the manifest keeps them."""
        parts = {
            name: {"fields": list(settings.fields)} | settings.built_with() for name, settings in self._settings.items()
        }
        return {"format": FORMAT} | reading_record(self.pdf, self.chunking, self.pages) | parts

    def prepare(self, on_progress: OnProgress, *, reload: bool = False) -> None:
        """Build the index if the folder does not hold it, or documents or settings have changed; see `report`.

        Args:
            on_progress: told of every long step.
            reload: ask all loaders again.

        Raises:
            InputError: a pattern matches nothing, the documents hold no text, or a setting does not fit them.
            RagkitError: the encoder failed.
        """
        if self.has_sources:
            self._built(prepare(self._plan(reload), on_progress))
        else:
            self.manifest()
            self._built(report_of(self.folder))

    def add(self, documents: "Sequence[Document]") -> BuildReport:
        """Add langchain documents, each with an id, to an index without files.

        Raises:
            InputError: an id is missing or there already, metadata are no JSON, the index has files or other settings.
            RagkitError: the encoder failed.
        """
        return self._change(adding(documents, self.chunking), f"{counted(len(documents), 'document')} added")

    def replace(self, documents: "Sequence[Document]") -> BuildReport:
        """Replace documents of an index without files by documents with the same ids; raises as `add` does."""
        return self._change(
            adding(documents, self.chunking, replace=True), f"{counted(len(documents), 'document')} replaced"
        )

    def delete(self, ids: Sequence[str]) -> BuildReport:
        """Delete documents of an index without files; raises InputError for an id that is not there.

        A text alone is refused, because its letters could be ids.
        """
        if isinstance(ids, str):
            raise InputError(f"delete() takes a list of ids: delete(['{ids}'])")
        return self._change(deleting(ids), f"{counted(len(ids), 'document')} deleted")

    def manifest(self) -> Manifest:
        """Return the manifest of the build in use; the first call settles which build that is.

        Raises:
            InputError: nothing is built, or the index was built with other settings.
        """
        if self._manifest is None:
            self._build, self._manifest = usable(self.folder, self.record())
        return self._manifest

    def part_folder(self, part: str) -> Path:
        """Return where the files of a part are, in the build in use."""
        return self._folder_of_build() / part

    def deleted(self) -> NDArray[np.int64]:
        """Return the positions of deleted passages that still take up room, ascending."""
        return self._passages_of_build().holes()

    def fingerprint(self) -> str:
        """Return the hash of the manifest and of what else rankings depend on."""
        searched = {name: settings.searched_with() for name, settings in self._settings.items()}
        key = [self.manifest().fingerprint(), searched]
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()

    def open(self) -> None:
        """Open the parts by memory map.

        Raises:
            InputError: nothing is built, the settings differ, the files are damaged, or the device does not exist.
        """
        try:
            for name, settings in self._settings.items():
                self._open[name] = PARTS[name].open(self.part_folder(name), settings)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"the index in {self._build} is damaged ({error}); delete the folder and rebuild"
            ) from None
        for name, used in self.devices.items():
            _LOG.info("%s is searched on %s", name, used)
        if len(holes := self.deleted()):
            self._live = np.ones(self.manifest().positions, np.bool_)
            self._live[holes] = False

    def close(self) -> None:
        """Close the files; the next use takes the build that is current then."""
        if self._store is not None:
            self._store.close()
        self._open = {}
        self._build = self._manifest = self._store = self._live = self._matching = None
        self._opened = False

    async def search(self, part: str, query: str, k: int, where: Filter | None = None) -> Documents:
        return self._documents({part: await self._rank(part, query, k, where)}, query)

    async def search_hybrid(
        self,
        query: str,
        k: int,
        depth: int = HYBRID_DEPTH,
        parts: Sequence[str] | None = None,
        where: Filter | None = None,
    ) -> Documents:
        names = self.parts if parts is None else parts
        found = await asyncio.gather(*(self._rank(name, query, max(depth, k), where) for name in names))
        rankings = dict(zip(names, found, strict=True))
        return self._documents(rankings, query, fuse(rankings, self.fusion, k))

    def fuse(self, rankings: Sequence[Documents], k: int) -> Documents:
        """Merge rankings by reciprocal rank fusion and return the best k."""
        return reciprocal_rank_fusion(rankings, self.fusion.k, k)

    def count(self, where: Filter) -> int:
        """Return how many passages a filter lets through."""
        return int(self._passages_of_build().matching(where).sum())

    def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        """Return passages by id; unknown ids are left out."""
        found = self._passages_of_build().get(ids)
        return found if self.pages is None else {name: self._placed(passage) for name, passage in found.items()}

    def select(self, where: Filter, count: int) -> Documents:
        store = self._passages_of_build()
        names = store.ids(np.flatnonzero(store.matching(where))[:count].tolist())
        found = self.passages(list(names.values()))
        return tuple(found[names[position]] for position in sorted(names))

    def parents(self, ids: Sequence[str]) -> dict[str, Passage]:
        return self._passages_of_build().parents(ids)

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        """Answer the searches of one part (`op`) with lists of [passage id, score]."""
        # Requests of one k go into one search: FAISS may choose among equals otherwise when it is asked for more.
        groups: dict[tuple[int, str], list[int]] = {}
        for position, request in enumerate(batch):
            where = json.dumps(request.args.get("where"), sort_keys=True)
            groups.setdefault((request.args["k"], where), []).append(position)
        store, replies = self._passages_of_build(), {}
        for (k, where), positions in sorted(groups.items()):
            allowed = self._allowed(where)
            queries = [batch[position].payload for position in positions]
            nothing = allowed is not None and not allowed.any()
            rankings = [[] for _ in queries] if nothing else self._open[op].search(queries, k, allowed)
            names = store.ids({passage for ranking in rankings for passage, _ in ranking})
            for position, ranking in zip(positions, rankings, strict=True):
                replies[position] = Reply([[names[passage], score] for passage, score in ranking])
        return [replies[position] for position in range(len(batch))]

    def as_retriever(self, mode: str = "hybrid", k: int = 5, where: Filter | None = None) -> "BaseRetriever":
        """Return the index as a langchain retriever; `mode` is `hybrid` or the name of a part."""
        from ragkit.index.retriever import IndexRetriever

        return IndexRetriever(index=self, mode=mode, k=k, where=where)

    def as_vectorstore(self, mode: str = "hybrid") -> "VectorStore":
        """Return the index as a langchain vector store; `mode` is `hybrid` or the name of a part."""
        from ragkit.index.vectorstore import IndexVectorStore

        return IndexVectorStore(self, mode)

    def _plan(self, reload: bool = False) -> Plan:
        return Plan(
            folder=self.folder,
            files=discover(self.documents, self.base) if self.documents else (),
            loaders={f"loader {n}: {loader.class_}": loader for n, loader in enumerate(self.loaders, 1)},
            reload=reload,
            pdf=self.pdf,
            chunking=self.chunking,
            ingest=self.ingest,
            parts=self._settings,
            settings=self.record(),
            pages=self.pages,
        )

    def _change(self, write: Write, reason: str) -> BuildReport:
        if self.has_sources:
            raise InputError("the documents of this index come from files or loaders: change those, and it follows")
        report = update(self._plan(), write, reason)
        self._built(report)
        return report

    def _built(self, report: BuildReport) -> None:
        """Take over what a build found or did."""
        known, self._report = self._report, report
        if known is None or report.built:
            _LOG.log(logging.WARNING if report.ingest.skipped else logging.INFO, "%s", report)
        if self._build != report.folder:
            self.close()

    def _allowed(self, where: str) -> Selection | None:
        """Return which positions a filter, as JSON text, lets through; None for all."""
        if where == "null":
            return self._live
        if self._matching is None:
            store = self._passages_of_build()
            self._matching = lru_cache(_KEPT_FILTERS)(lambda text: store.matching(Filter.model_validate_json(text)))
        return self._matching(where)

    async def _rank(self, part: str, query: str, k: int, where: Filter | None) -> Scored:
        self.check_parts([part])
        payload = await self._settings[part].query(query)
        args = {"query": query, "k": k} | ({} if where is None else {"where": where.data()})
        ranking: Scored = (await self.call(part, args, payload=payload)).value
        return ranking

    def _documents(self, rankings: Mapping[str, Scored], query: str, best: Scored | None = None) -> Documents:
        """Return passages with a hit for each ranking that holds them: the best ones, or those of the only ranking."""
        hits: dict[str, list[Hit]] = {}
        for stage, ranking in rankings.items():
            for rank, (name, score) in enumerate(ranking, start=1):
                hits.setdefault(name, []).append(Hit(stage, query, rank, score))
        chosen = best if best is not None else next(iter(rankings.values()))
        found = self.passages([name for name, _ in chosen])
        return tuple(
            found[name].model_copy(update={"score": score, "hits": tuple(hits[name])}) for name, score in chosen
        )

    def _placed(self, passage: Passage) -> Passage:
        """Return a passage that says where the pages of its document are; an index may be moved."""
        if "pages" not in passage.metadata:
            return passage
        place = str((self.folder / PAGES / passage.metadata["pages"]).absolute())
        return passage.model_copy(update={"metadata": passage.metadata | {"pages": place}})

    def _passages_of_build(self) -> PassageStore:
        if self._store is None:
            self._store = PassageStore(self._folder_of_build() / PASSAGES)
        return self._store

    def _folder_of_build(self) -> Path:
        self.manifest()
        assert self._build is not None  # noqa: S101 - set by manifest()
        return self._build
