"""What an index was built from and how: the file that decides whether it can be used."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from ragkit.errors import InputError

FORMAT = 2
"""Version of the files of an index folder; an index of another version is built anew."""

IndexSettings = Mapping[str, Any]
"""What an index was asked for, as JSON data by the keys of the YAML: `format`, how documents are read and cut, and the
parts. It must be the same in an index and in the settings in hand."""


class Difference(NamedTuple):
    """A setting in which an index and the settings in hand differ."""

    field: str
    index: Any
    settings: Any

    def __str__(self) -> str:
        return f"{self.field}: the index has {_shown(self.index)}, the settings say {_shown(self.settings)}"


class Manifest(BaseModel):
    """What an index folder holds.

    Attributes:
        ragkit: version of the package that built it.
        settings: what was asked for.
        files: SHA-256 of every file, by its id.
        passages: number of passages.
        positions: number of places in the parts; more than passages where some were deleted since the last full build.
        parts: what the parts say of themselves (the dimension of vectors ...), by name.
        corpus: SHA-256 over the hashes of all documents; the same for the same documents.
        layout: SHA-256 over the documents in the order in which they came and went; equal scores are ordered by it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ragkit: str
    settings: dict[str, Any]
    files: dict[str, str]
    passages: int
    positions: int
    parts: dict[str, dict[str, Any]]
    corpus: str
    layout: str

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


def differences(index: IndexSettings, settings: IndexSettings) -> list[Difference]:
    """Return the settings in which an index and the settings in hand differ, by their path in the YAML."""
    return list(_differences("index", dict(index), json.loads(json.dumps(settings))))


def _differences(path: str, index: Any, settings: Any) -> Iterator[Difference]:
    if isinstance(index, dict) and isinstance(settings, dict):
        for key in sorted(index.keys() | settings.keys()):
            yield from _differences(f"{path}.{key}", index.get(key), settings.get(key))
    elif index != settings:
        yield Difference(path, index, settings)


def _shown(value: Any) -> str:
    return "none" if value is None else "one" if isinstance(value, dict) else repr(value)
