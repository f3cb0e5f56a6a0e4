"""Classes of langchain packages, named in a pipeline file: which may be named, and what of them is secret."""

import asyncio
import importlib
import re
from abc import abstractmethod
from importlib.metadata import packages_distributions
from typing import Any, Self

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator

from ragkit.engine.component import Component
from ragkit.engine.policy import code_allowed
from ragkit.errors import InputError, MissingPackageError
from ragkit.models.secrets import is_secret, mask_url_secrets

CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")

# The policy on class names is for files: what `wrap` gets is imported already.
_WRAPPING = "wrap"


class LangChainClass(Component):
    """A class of an installed langchain package by its name, or an object of Python: what models, indexes and loaders
    that are made from one have in common.
    """

    class_: str = Field(alias="class", description="Dotted path of the class, in an installed langchain package.")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="Arguments of its constructor.")

    _wrapped: Any = PrivateAttr(default=None)

    @classmethod
    @abstractmethod
    def base(cls) -> type:
        """Return the class of langchain that it has to be."""

    @field_validator("class_")
    @classmethod
    def _check_class(cls, path: str, info: ValidationInfo) -> str:
        return path if info.context == _WRAPPING else check_class_path(path)

    @classmethod
    def wrap(cls, made: Any, name: str, **settings: Any) -> Self:
        """Use an object that exists already; its own retries stay as they are.

        Args:
            made: the object.
            name: says for caches and manifests which one it is: its settings may be no plain data.
            settings: as in a file.

        Raises:
            InputError: it is not of the class that is needed.
        """
        base = cls.base()
        if not isinstance(made, base):
            raise InputError(f"{type(made).__name__} is not a langchain {base.__name__}")
        path = f"{type(made).__module__}.{type(made).__qualname__}"
        wrapped = cls.model_validate({**settings, "class": path, "kwargs": {"name": name}}, context=_WRAPPING)
        wrapped._wrapped = made
        return wrapped

    def describe(self) -> dict[str, Any]:
        """Return what tells it from others, without secrets: for caches and manifests."""
        return {"class": self.class_, "kwargs": without_secrets(self.kwargs)}


class LangChainClient(LangChainClass):
    """A class of langchain whose objects hold network connections."""

    # Connections belong to the event loop in which they were opened, and each run has a loop of its own.
    _opened_in: tuple[asyncio.AbstractEventLoop, Any] | None = PrivateAttr(default=None)

    def client(self) -> Any:
        """Return the wrapped object, or the one of the running event loop."""
        if self._wrapped is not None:
            return self._wrapped
        loop = asyncio.get_running_loop()
        if self._opened_in is None or self._opened_in[0] is not loop:
            self._opened_in = (loop, make_client(load_class(self.class_, self.base()), self.arguments(), self.class_))
        return self._opened_in[1]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return self.kwargs

    def close(self) -> None:
        """Let the connections go."""
        self._opened_in = None


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


def make_client(cls: type[Any], kwargs: dict[str, Any], name: str) -> Any:
    """Construct a langchain class with its retries off and, where it lets us, connections of its own.

    Raises:
        InputError: the constructor refuses the arguments, or misses one (a key in the environment, say).
        MissingPackageError: the class needs a package that is not installed.
    """
    fields = cls.model_fields if hasattr(cls, "model_fields") else {}
    settings = dict(kwargs)
    if "max_retries" in fields:
        settings.setdefault("max_retries", 0)
    if "http_async_client" in fields and "http_async_client" not in settings and "openai_proxy" not in settings:
        import httpx

        # By default langchain-openai shares one pool of connections, also with event loops that are closed.
        settings["http_async_client"] = httpx.AsyncClient(timeout=None)  # noqa: S113 - RemoteResource has the deadline
    try:
        return cls(**settings)
    except ImportError as error:
        raise MissingPackageError(f"{name} needs a package that is not installed: {error}") from error
    except Exception as error:
        raise InputError(f"{name} refuses its settings {sorted(kwargs)}: {_first_lines(error)}") from error


def _first_lines(error: Exception) -> str:
    # pydantic shows input values, which may be secret, on the lines that follow a problem's name.
    return str(error).split("[type=")[0].strip()


def without_secrets(value: Any) -> Any:
    """Return settings as JSON data without what looks secret (keys, tokens, headers) or is no JSON data."""
    if isinstance(value, dict):
        return {str(k): without_secrets(v) for k, v in value.items() if not is_secret(str(k)) and _is_data(v)}
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value if _is_data(item)]
    return mask_url_secrets(value) if isinstance(value, str) else value


def _is_data(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool, dict, list, tuple))
