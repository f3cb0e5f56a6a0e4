"""What an index was built from and how: the file that decides whether it can be used."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from ragkit.engine.state import Passage
from ragkit.errors import InputError

FORMAT = 1
"""Version of the files of an index folder; an index of another version is built anew."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChunkingRecord(_Record):
    """How documents were cut."""

    by: str
    size: int
    overlap: int
    parent: dict[str, Any] | None


class DenseRecord(_Record):
    """How vectors were made and are compared; `cosine` is the inner product of vectors of unit length."""

    encoder: dict[str, Any]
    factory: str
    metric: Literal["cosine"] = "cosine"


class SparseRecord(_Record):
    """How terms are made and scored."""

    method: str
    k1: float
    b: float
    delta: float
    stemmer: str | None
    stopwords: str | None
    token_pattern: str
    normalisation: Literal["NFKC, lower case"] = "NFKC, lower case"


class IndexSettings(_Record):
    """The part of the manifest that must be the same in the settings in hand."""

    format: int = FORMAT
    chunking: ChunkingRecord
    dense: DenseRecord | None
    sparse: SparseRecord | None


class Difference(NamedTuple):
    """A setting in which an index and the settings in hand differ."""

    field: str
    index: Any
    settings: Any

    def __str__(self) -> str:
        return f"{self.field}: the index has {_shown(self.index)}, the settings say {_shown(self.settings)}"


class Manifest(_Record):
    """What an index folder holds.

    Attributes:
        ragkit: version of the package that built it.
        settings: what was asked for.
        documents: SHA-256 of every file, by document id.
        passages: number of passages, which is also the number of vectors.
        dimension: of the vectors; None without a dense part.
        corpus: SHA-256 over ids and texts of all passages in order.
    """

    ragkit: str
    settings: IndexSettings
    documents: dict[str, str]
    passages: int
    dimension: int | None
    corpus: str

    def fingerprint(self) -> str:
        """Return a hash of everything in the manifest."""
        return hashlib.sha256(self._canonical().encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the manifest as JSON."""
        path.write_text(self._canonical(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Read a manifest.

        Raises:
            InputError: there is none, it is damaged, or it belongs to another version of the format.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found = data["settings"]["format"]
            if found != FORMAT:
                raise InputError(f"{path}: the index has format {found}, this version of ragkit reads {FORMAT}")
            return cls.model_validate(data)
        except FileNotFoundError:
            raise InputError(f"{path.parent} holds no index") from None
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise InputError(f"{path}: the manifest is damaged ({type(error).__name__})") from None

    def _canonical(self, indent: int | None = None) -> str:
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, indent=indent)


def corpus_hash(passages: Iterable[Passage]) -> str:
    """Return a hash over ids and texts, in order."""
    digest = hashlib.sha256()
    for passage in passages:
        digest.update(json.dumps([passage.id, passage.page_content]).encode())
    return digest.hexdigest()


def differences(index: IndexSettings, settings: IndexSettings) -> list[Difference]:
    """Return the settings in which an index and the settings in hand differ, by their path in the YAML."""
    return list(_differences("index", _json(index), _json(settings)))


def _json(settings: IndexSettings) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(settings.model_dump_json())
    return found


def _differences(path: str, index: Any, settings: Any) -> Iterator[Difference]:
    if isinstance(index, dict) and isinstance(settings, dict):
        for key in sorted(index.keys() | settings.keys()):
            yield from _differences(f"{path}.{key}", index.get(key), settings.get(key))
    elif index != settings:
        yield Difference(path, index, settings)


def _shown(value: Any) -> str:
    return "none" if value is None else "one" if isinstance(value, dict) else repr(value)
