"""ragkit's own index: a folder with vectors, BM25 postings and passages."""

import asyncio
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from ragkit.documents import Chunking, discover
from ragkit.engine.calls import LocalResource, OnProgress, Reply, Request
from ragkit.engine.registry import indexes
from ragkit.engine.state import Documents, Hit
from ragkit.errors import InputError
from ragkit.index.base import HYBRID_DEPTH, Index
from ragkit.index.build import MANIFEST, PASSAGES, POSTINGS, VECTORS, BuildReport, Plan, prepare
from ragkit.index.dense import DenseIndex, DenseSettings
from ragkit.index.folder import current_build
from ragkit.index.fusion import fuse_ranks, reciprocal_rank_fusion
from ragkit.index.manifest import (
    ChunkingRecord,
    DenseRecord,
    IndexSettings,
    Manifest,
    SparseRecord,
    differences,
)
from ragkit.index.part import Ranking
from ragkit.index.settings import FusionSettings, SparseSettings
from ragkit.index.sparse import TOKEN_PATTERN, SparseIndex
from ragkit.index.store import PassageStore
from ragkit.paths import project_dir

if TYPE_CHECKING:
    from langchain_core.retrievers import BaseRetriever

_LOG = logging.getLogger(__name__)

Mode = Literal["dense", "sparse", "hybrid"]
Scored = Sequence[tuple[str, float]]
"""Passage ids with their scores, best first."""


@indexes.register("local")
class LocalIndex(Index, LocalResource):
    """An index of documents on disk, searched by meaning (`dense`), by words (`sparse`), or both.

    `prepare` builds it where that is needed; the searches go through the call layer.
    """

    documents: tuple[str, ...] = Field(min_length=1, description="Files or globs (PDF, text, Markdown, HTML, JSONL).")
    base: Path = Field(Path(), description="The folder that relative patterns start from.")
    chunking: Chunking = Field(default_factory=Chunking, description="How documents are cut into passages.")
    dense: DenseSettings | None = Field(None, description="Search by vectors.")
    sparse: SparseSettings | None = Field(None, description="Search by BM25.")
    fusion: FusionSettings = Field(default_factory=FusionSettings, description="How rankings are merged.")
    path: Path | None = Field(
        None, description="Where the index is kept; default .ragkit/indexes/<hash of documents and settings>."
    )

    _build: Path | None = PrivateAttr(default=None)
    _manifest: Manifest | None = PrivateAttr(default=None)
    _report: BuildReport | None = PrivateAttr(default=None)
    _store: PassageStore | None = PrivateAttr(default=None)
    _dense: DenseIndex | None = PrivateAttr(default=None)
    _sparse: SparseIndex | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _has_a_part(self) -> Self:
        if self.dense is None and self.sparse is None:
            raise ValueError("an index needs a 'dense' or a 'sparse' part, or both")
        return self

    @property
    def folder(self) -> Path:
        """Where the index is kept."""
        if self.path is not None:
            return self.path
        base = os.path.relpath(self.base)
        key = "\n".join([*self.documents, base, self.record().model_dump_json()])
        return project_dir() / "indexes" / hashlib.sha256(key.encode()).hexdigest()[:16]

    @property
    def report(self) -> BuildReport | None:
        """What the last `prepare` found or did; None before it."""
        return self._report

    @property
    def device_used(self) -> str | None:
        """Where FAISS searches, `cpu` or `cuda`; None before the index is open or without a dense part."""
        return self._dense.device_used if self._dense else None

    def record(self) -> IndexSettings:
        """Return the settings as the manifest keeps them."""
        return IndexSettings(
            chunking=ChunkingRecord(**self.chunking.model_dump()),
            dense=self.dense and DenseRecord(**self.dense.built_with()),
            sparse=self.sparse and SparseRecord(**self.sparse.model_dump(), token_pattern=TOKEN_PATTERN),
        )

    def prepare(self, on_progress: OnProgress) -> None:
        """Build the index if the folder does not hold it, or documents or settings have changed; see `report`.

        Raises:
            InputError: a pattern matches nothing, the documents hold no text, or a setting does not fit them.
            RagkitError: the encoder failed.
        """
        files = discover(self.documents, self.base)
        plan = Plan(self.folder, files, self.chunking, self.dense, self.sparse, self.record())
        known, self._report = self._report, prepare(plan, on_progress)
        if known is None or self._report.built:
            _LOG.log(logging.WARNING if self._report.ingest.skipped else logging.INFO, "%s", self._report)
        if self._build != self._report.folder:
            self.close()

    def manifest(self) -> Manifest:
        """Return the manifest of the build in use; the first call settles which build that is.

        Raises:
            InputError: nothing is built, or the index was built with other settings.
        """
        if self._manifest is None:
            build = current_build(self.folder)
            manifest = Manifest.load(build / MANIFEST)
            found = differences(manifest.settings, self.record())
            if found:
                listed = "; ".join(map(str, found))
                raise InputError(f"the index in {self.folder} was built with other settings: {listed}. Rebuild it")
            self._build, self._manifest = build, manifest
        return self._manifest

    def fingerprint(self) -> str:
        """Return the hash of the manifest."""
        return self.manifest().fingerprint()

    def open(self) -> None:
        """Open vectors and postings by memory map.

        Raises:
            InputError: nothing is built, the settings differ, the files are damaged, or the device does not exist.
        """
        self.manifest()
        assert self._build is not None  # noqa: S101 - set by manifest()
        try:
            if self.dense is not None:
                self._dense = DenseIndex(self._build / VECTORS, self.dense)
            if self.sparse is not None:
                self._sparse = SparseIndex(self._build / POSTINGS, self.sparse)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"the index in {self._build} is damaged ({error}); delete the folder and rebuild"
            ) from None

    def close(self) -> None:
        """Close the files; the next use takes the build that is current then."""
        if self._store is not None:
            self._store.close()
        self._build = self._manifest = self._store = self._dense = self._sparse = None
        self._opened = False

    async def search_dense(self, query: str, k: int) -> Documents:
        """Return the k passages nearest to a query by cosine, best first.

        Raises:
            InputError: the index has no dense part.
        """
        return self._passages({"dense": await self._rank_dense(query, k)}, query)

    async def search_sparse(self, query: str, k: int) -> Documents:
        """Return the k best passages by BM25, best first; only passages that share a word with the query.

        Raises:
            InputError: the index has no sparse part.
        """
        return self._passages({"sparse": await self._rank_sparse(query, k)}, query)

    async def search_hybrid(self, query: str, k: int, depth: int = HYBRID_DEPTH) -> Documents:
        """Return the best k passages of the first `depth` (at least k) of both rankings, fused by reciprocal rank.

        Raises:
            InputError: the index lacks one of the two parts.
        """
        depth = max(depth, k)
        dense, sparse = await asyncio.gather(self._rank_dense(query, depth), self._rank_sparse(query, depth))
        best = fuse_ranks([[name for name, _ in ranking] for ranking in (dense, sparse)], self.fusion.k, k)
        return self._passages({"dense": dense, "sparse": sparse}, query, best)

    def fuse(self, rankings: Sequence[Documents], k: int) -> Documents:
        """Merge rankings by reciprocal rank fusion and return the best k."""
        return reciprocal_rank_fusion(rankings, self.fusion.k, k)

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        """Answer `dense` or `sparse` searches with lists of [passage id, score]."""
        # Requests of one k go into one search: FAISS may choose among equals otherwise when it is asked for more.
        replies: dict[int, Reply | Exception] = {}
        for k in sorted({request.args["k"] for request in batch}):
            positions = [position for position, request in enumerate(batch) if request.args["k"] == k]
            rankings = self._search(op, [batch[position] for position in positions], k)
            names = self._passage_store().ids({passage for ranking in rankings for passage, _ in ranking})
            for position, ranking in zip(positions, rankings, strict=True):
                replies[position] = Reply([[names[passage], score] for passage, score in ranking])
        return [replies[position] for position in range(len(batch))]

    def as_retriever(self, mode: Mode = "hybrid", k: int = 5) -> "BaseRetriever":
        """Return the index as a langchain retriever."""
        from ragkit.index.retriever import IndexRetriever

        return IndexRetriever(index=self, mode=mode, k=k)

    def _search(self, op: str, batch: Sequence[Request], k: int) -> list[Ranking]:
        if op == "dense" and self._dense is not None:
            return self._dense.search([request.payload for request in batch], k)
        if op == "sparse" and self._sparse is not None:
            return self._sparse.search([request.args["query"] for request in batch], k)
        raise InputError(f"the index cannot answer '{op}'")

    async def _rank_dense(self, query: str, k: int) -> Scored:
        if self.dense is None:
            raise InputError("the index has no dense part: add 'dense' to 'index'")
        vector = await self.dense.encoder.embed(query)
        ranking: Scored = (await self.call("dense", {"query": query, "k": k}, payload=vector)).value
        return ranking

    async def _rank_sparse(self, query: str, k: int) -> Scored:
        if self.sparse is None:
            raise InputError("the index has no sparse part: add 'sparse' to 'index'")
        ranking: Scored = (await self.call("sparse", {"query": query, "k": k})).value
        return ranking

    def _passages(self, rankings: Mapping[str, Scored], query: str, best: Scored | None = None) -> Documents:
        """Return passages with a hit for each ranking that holds them: the best ones, or those of the only ranking."""
        hits: dict[str, list[Hit]] = {}
        for stage, ranking in rankings.items():
            for rank, (name, score) in enumerate(ranking, start=1):
                hits.setdefault(name, []).append(Hit(stage, query, rank, score))
        chosen = best if best is not None else next(iter(rankings.values()))
        found = self._passage_store().get([name for name, _ in chosen])
        return tuple(
            found[name].model_copy(update={"score": score, "hits": tuple(hits[name])}) for name, score in chosen
        )

    def _passage_store(self) -> PassageStore:
        if self._store is None:
            self.manifest()
            assert self._build is not None  # noqa: S101 - set by manifest()
            self._store = PassageStore(self._build / PASSAGES)
        return self._store
