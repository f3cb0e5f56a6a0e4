"""Classes of langchain packages, named in a pipeline file: which may be named, and what of them is secret."""

import importlib
import re
from importlib.metadata import packages_distributions
from typing import Any

from ragkit.engine.policy import code_allowed
from ragkit.errors import InputError, MissingPackageError
from ragkit.models.secrets import is_secret, mask_url_secrets

CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def check_class_path(path: str) -> str:
    """Return a dotted class path that a pipeline may name, without importing anything.

    Raises:
        ValueError: it is no class path, or names code outside the installed langchain packages without
            `--allow-code`.
    """
    if not CLASS_PATH.fullmatch(path):
        raise ValueError(f"'{path}' is not a class path such as langchain_ollama.ChatOllama")
    package = path.split(".")[0]
    if code_allowed():
        return path
    if not package.startswith("langchain_"):
        raise ValueError(f"'{path}' is not in a langchain_... package: pass --allow-code to import it all the same")
    if package not in packages_distributions():
        raise ValueError(f"the package '{package}' is not installed: pip install {package.replace('_', '-')}")
    return path


def load_class(path: str, base: type) -> type[Any]:
    """Import a class and check what it is.

    Raises:
        MissingPackageError: its package, or one that it needs, is not installed.
        InputError: there is no such class, or it is not of the kind wanted.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"'{path}' cannot be imported ({error}): pip install {str(error.name).split('.')[0].replace('_', '-')}"
        ) from error
    if not isinstance(found, type):
        raise InputError(f"there is no class '{name}' in {module}")
    if not issubclass(found, base):
        raise InputError(f"'{path}' is not a {base.__name__}")
    return found


def without_secrets(value: Any) -> Any:
    """Return settings as JSON data without what looks secret (keys, tokens, headers) or is no JSON data."""
    if isinstance(value, dict):
        return {str(k): without_secrets(v) for k, v in value.items() if not is_secret(str(k)) and _is_data(v)}
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value if _is_data(item)]
    return mask_url_secrets(value) if isinstance(value, str) else value


def _is_data(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool, dict, list, tuple))
