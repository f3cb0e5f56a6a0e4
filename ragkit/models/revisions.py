"""Which exact weights a model name stands for: a commit on the hub, or a hash of a folder's files."""

import hashlib
import json
import re
import tempfile
from functools import cache
from pathlib import Path

from ragkit.errors import InputError
from ragkit.paths import models_dir

CARD = "ragkit_card.json"
"""What `ragkit tune` writes beside weights about how they were made."""

_ABOUT_WEIGHTS = {"README.md", CARD}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def folder_hash(folder: Path) -> str:
    """Return a hash of the names, sizes and contents of all files below a folder.

    Hidden files are left out, and so is what is written about the weights (`README.md`, ragkit's card): a model does
    not become another one when its evaluation is noted.

    A file's hash is kept beside the converted models and reused while the file's size and time of change are the same.
    """
    known_at = models_dir() / "hashes" / f"{_digest(str(folder.resolve()).encode())[:16]}.json"
    known = _read_known(known_at)
    found: dict[str, list[int | str]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name in _ABOUT_WEIGHTS or any(part.startswith(".") for part in Path(name).parts):
            continue
        stat = path.stat()
        before = known.get(name)
        if before and before[:2] == [stat.st_size, stat.st_mtime_ns]:
            found[name] = before
        else:
            with path.open("rb") as file:
                found[name] = [stat.st_size, stat.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()]
    if found != known:
        _write_known(known_at, found)
    return _digest(json.dumps([[name, size, digest] for name, (size, _, digest) in found.items()]).encode())


@cache
def hub_commit(model: str, revision: str | None) -> str:
    """Return the commit that a revision of a hub model stands for: from the local hub cache, else from the hub.

    Raises:
        InputError: no hub id, or neither the cache nor the hub knows it.
    """
    if not _HUB_ID.fullmatch(model):
        raise InputError(f"model '{model}' is neither a folder, a hub id (owner/name) nor embedded:<name>")
    if revision and _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    reference = Path(HF_HUB_CACHE) / f"models--{model.replace('/', '--')}" / "refs" / (revision or "main")
    if reference.is_file():
        return reference.read_text(encoding="utf-8").strip()
    try:
        return str(HfApi().model_info(model, revision=revision, timeout=30).sha)
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        raise InputError(
            f"model '{model}' is not in the local hub cache, and the hub could not be asked for it "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'})"
        ) from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_known(path: Path) -> dict[str, list[int | str]]:
    try:
        known: dict[str, list[int | str]] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return known


def _write_known(path: Path, found: dict[str, list[int | str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        json.dump(found, file)
    Path(file.name).replace(path)
