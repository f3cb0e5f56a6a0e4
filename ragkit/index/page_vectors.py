"""Vectors of pages: of their pieces (text, tables, figures, and crops of both), or of the patches of their picture.

Both are lists of vectors, searched by MaxSim. A query of one vector makes that the best piece of a page:
s(q, P) = max over the pieces x of P of cos(e(q), e(x)).

Source: Chia et al. 2025, M-LongDoc, arXiv 2411.06176, section 3.3 (piecewise CLIP; ColPali on full renders); Faysse et
al. 2024, ColPali: efficient document retrieval with vision language models, arXiv 2407.01449.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from ragkit.documents.chunking.length import estimate_tokens
from ragkit.documents.chunking.tables import split_table
from ragkit.documents.chunking.tokens import split
from ragkit.documents.page_image import PageImage
from ragkit.documents.pages import Page, PageObject, Pictures
from ragkit.engine.batching import Outcome, execute_in_batches
from ragkit.engine.calls import LocalResource, Request
from ragkit.errors import RagkitError
from ragkit.index.fields import DEFAULT_FIELDS, Passages
from ragkit.index.list_shards import kept_lists
from ragkit.index.multi_vector import VectorListSettings, Vectors, packer, pooled, write_vectors
from ragkit.index.part import Growth, Texts
from ragkit.models.base import Encoder, ImageEncoder, PageEncoder

_SHARD = 64
"""Pages whose vectors are kept together: what a killed build may lose."""


class _PageSettings(VectorListSettings):
    @model_validator(mode="after")
    def _fields_are_not_chosen(self) -> Self:
        if self.fields != DEFAULT_FIELDS:
            raise ValueError("'fields' is for parts that search texts; here the pieces of a page are searched")
        return self

    def texts(self, passages: Passages) -> Texts:
        """Return what describes a page, as JSON."""
        return _Descriptions(passages)


class PieceSettings(_PageSettings):
    """The pieces of pages, each with a vector; a page scores what its best piece scores."""

    encoder: Encoder = Field(
        description="The model of texts; one of texts and pictures sees the crops of tables and figures too."
    )
    size: int = Field(200, ge=16, le=100_000, description="The most tokens in a piece of text (estimated).")

    def built_with(self) -> dict[str, Any]:
        return {"encoder": self.encoder.describe(), "size": self.size, "precision": self.precision, "cut": 2}

    def searched_with(self) -> dict[str, Any]:
        return {"encoder": self.encoder.fingerprint()}

    async def query(self, text: str) -> Vectors:
        """Return the vector of a query, as the only row."""
        return _unit(await self.encoder.embed(text))[None]


class VisualSettings(_PageSettings):
    """The patches of the pictures of pages, each with a vector (late interaction)."""

    encoder: PageEncoder = Field(description="The model that turns pictures and queries into vectors.")
    pool: int = Field(1, ge=1, le=64, description="How many patches become one vector on average, by their likeness.")

    def built_with(self) -> dict[str, Any]:
        return {"encoder": self.encoder.describe(), "pool": self.pool, "precision": self.precision}

    def searched_with(self) -> dict[str, Any]:
        return {"encoder": self.encoder.fingerprint()}

    async def query(self, text: str) -> Vectors:
        """Return the vectors of the tokens of a query."""
        return await self.encoder.embed_tokens(text)


class _Descriptions:
    """Pages as JSON; '' where there is none any more."""

    def __init__(self, passages: Passages) -> None:
        self._passages = passages

    def __len__(self) -> int:
        return len(self._passages)

    def read(self, start: int, stop: int) -> list[str]:
        """Return the descriptions at positions start, ..., stop - 1."""
        found = self._passages.read_with_metadata(start, stop)
        return [_description(text, metadata) if metadata else "" for text, metadata in found]


def _description(text: str, metadata: Any) -> str:
    """Return all that the vectors of a page depend on; what is no page of a PDF is a text without pictures."""
    if "objects" not in metadata:
        return json.dumps({"text": text})
    known = {name: metadata[name] for name in ("document", "page", "pages", "box", "objects")}
    return json.dumps({"text": text} | known)


def _page(description: str, growth: Growth) -> tuple[Page | None, str]:
    """Return a page, if it is one, and its text."""
    data = json.loads(description)
    if "objects" not in data:
        return None, data["text"]
    pictures = Pictures.load(growth.pages / data["pages"]) if growth.pages is not None else None
    row = {"document": data["document"], "number": data["page"], "text": data["text"], "objects": data["objects"]}
    return Page.from_dict(row | {"width": data["box"][2], "height": data["box"][3]}, pictures), data["text"]


def pieces_of(page: Page, size: int) -> list[str]:
    """Return the texts of a page that are searched by themselves: its body, and each table and figure, cut to size.

    Each piece of a table begins with its caption and head, and a table has one more piece: what it is about, which is
    its caption and the cells that are no numbers. An encoder of texts loses that among the numbers.
    """
    pieces = [piece.text for piece in split(page.body, 0, len(page.body), size, 0, estimate_tokens)]
    for one in page.objects:
        text = page.text_of(one)
        if one.rows:
            pieces += [piece for _, _, piece in split_table(text, size, estimate_tokens)]
            about = _about(one)
            pieces += [piece.text for piece in split(about, 0, len(about), size, 0, estimate_tokens)]
        else:
            pieces += [piece.text for piece in split(text, 0, len(text), size, 0, estimate_tokens)]
    return pieces


def _about(table: PageObject) -> str:
    """Return the caption of a table and its cells with more letters than other signs, each once."""
    cells = dict.fromkeys(cell for row in table.rows for cell in row if 2 * sum(map(str.isalpha, cell)) > len(cell))
    return "\n".join(part for part in (table.caption, ", ".join(cells)) if part)


def build_pieces(settings: PieceSettings, growth: Growth, folder: Path) -> dict[str, Any]:
    """Embed the pieces of the pages that `growth` adds and write the vectors of all; returns facts and raises as
    `build_multi_vector`."""

    def requests(description: str) -> Iterator[Request]:
        page, text = _page(description, growth)
        texts = pieces_of(page, settings.size) if page else [text]
        yield from (Request("embed", {"text": piece, "kind": "passage"}) for piece in texts if piece.strip())
        if page and isinstance(settings.encoder, ImageEncoder):
            yield from (_look("embed_image", one.image) for one in page.objects if one.image)

    def make(first: int, descriptions: list[str]) -> Any:
        asked = [list(requests(each)) if each else [] for each in descriptions]
        flat = [request for each in asked for request in each]
        vectors = iter([_unit(vector) for vector in _answer(settings.encoder, flat, first)])
        return pack([np.array([next(vectors) for _ in each]) if each else None for each in asked])

    pack = packer(settings.precision)
    described = ["pieces", settings.built_with()]
    return write_vectors(kept_lists(growth, _SHARD, described, make), settings.precision, growth, folder)


def build_visual(settings: VisualSettings, growth: Growth, folder: Path) -> dict[str, Any]:
    """Embed the pictures of the pages that `growth` adds and write the vectors of all; returns facts and raises as
    `build_multi_vector`."""

    def make(first: int, descriptions: list[str]) -> Any:
        pages = [_page(each, growth)[0] if each else None for each in descriptions]
        asked = [_look("embed_patches", page.image) for page in pages if page and page.image]
        vectors = iter(_answer(settings.encoder, asked, first))
        seen = [pooled(np.asarray(next(vectors)), settings.pool) if page and page.image else None for page in pages]
        return pack(seen)

    pack = packer(settings.precision)
    described = ["visual", settings.built_with()]
    return write_vectors(kept_lists(growth, _SHARD, described, make), settings.precision, growth, folder)


def _look(op: str, image: PageImage) -> Request:
    return Request(op, {"image": image.key}, payload=image)


def _answer(encoder: Encoder | PageEncoder, requests: Sequence[Request], first: int) -> list[Any]:
    """Return the encoder's vectors for all requests, texts and pictures in batches of their own.

    Raises:
        RagkitError: the encoder failed, or does not run in this process.
    """
    if not isinstance(encoder, LocalResource):
        raise RagkitError(f"{type(encoder).__name__} is no LocalResource, which is what this kind of index takes")
    values: list[Any] = [None] * len(requests)
    for op in dict.fromkeys(request.op for request in requests):
        places = [place for place, request in enumerate(requests) if request.op == op]

        def collect(numbers: Sequence[int], outcomes: Sequence[Outcome], places: Sequence[int] = places) -> None:
            for number, outcome in zip(numbers, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    asked = requests[places[number]].args
                    what = asked.get("image") or repr(asked["text"][:60])
                    place = f"{what} (pages from {first + 1} on)"
                    raise RagkitError(f"the encoder failed on {place}: {outcome}") from outcome
                values[places[number]] = outcome.value

        execute_in_batches(encoder, [requests[place] for place in places], collect)
    return values


def _unit(vector: Any) -> Vectors:
    """Return a vector of length 1; the zero vector stays as it is."""
    made: Vectors = np.asarray(vector, np.float32)
    length = float(np.linalg.norm(made))
    return made / length if length > 0 else made
