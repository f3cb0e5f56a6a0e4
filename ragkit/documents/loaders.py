"""Documents from any loader of langchain."""

import json
from collections.abc import Iterator
from typing import Any, Self

from pydantic import ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator

from ragkit.documents.document import Block, IngestReport, Page, SourceDocument
from ragkit.documents.text import clean
from ragkit.engine.component import Component
from ragkit.errors import InputError, MissingPackageError, RagkitError
from ragkit.models.langchain_classes import check_class_path, load_class, without_secrets

# The policy on class names is for files: what `wrap` gets is imported already.
_WRAPPING = "wrap"
_REASON = 300


class DocumentLoader(Component):
    """A `BaseLoader` of an installed langchain package; in Python, `DocumentLoader.wrap(loader, name)`.

    Attributes:
        class_: dotted path of the class, e.g. `langchain_community.document_loaders.CSVLoader`; the key in a file is
            `class`.
        kwargs: arguments of its constructor.
    """

    model_config = ConfigDict(populate_by_name=True)

    class_: str = Field(alias="class", description="The class, such as langchain_community.document_loaders.CSVLoader.")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="Arguments of its constructor.")

    _wrapped: Any = PrivateAttr(default=None)

    @field_validator("class_")
    @classmethod
    def _check_class(cls, path: str, info: ValidationInfo) -> str:
        return path if info.context == _WRAPPING else check_class_path(path)

    @classmethod
    def wrap(cls, loader: Any, name: str) -> Self:
        """Use a loader that exists already; `name` says in the index's manifest which documents it gives.

        Raises:
            InputError: it is not a langchain loader.
        """
        from langchain_core.document_loaders import BaseLoader

        if not isinstance(loader, BaseLoader):
            raise InputError(f"{type(loader).__name__} is not a langchain BaseLoader")
        path = f"{type(loader).__module__}.{type(loader).__qualname__}"
        wrapped = cls.model_validate({"class": path, "kwargs": {"name": name}}, context=_WRAPPING)
        wrapped._wrapped = loader
        return wrapped

    def describe(self) -> dict[str, Any]:
        """Return what decides which documents come, without secrets: for manifests."""
        return {"class": self.class_, "kwargs": without_secrets(self.kwargs)}

    def documents(self, report: IngestReport) -> Iterator[SourceDocument]:
        """Load documents one after the other.

        A document keeps its own id, or gets `<source>:<number>`, counted from 1 within the source. `page` in the
        metadata is counted from 0 by langchain's loaders, and from 1 afterwards. A loader that fails is noted in the
        report; what came before is kept.

        Raises:
            InputError: the class does not exist, is no loader, or refuses its arguments.
            MissingPackageError: it needs a package that is not installed.
        """
        loader = self._loader()
        name = self.class_.rpartition(".")[2]
        numbers: dict[str, int] = {}
        try:
            for document in loader.lazy_load():
                source = str(document.metadata.get("source") or name)
                numbers[source] = numbers.get(source, 0) + 1
                identifier = document.id or f"{source}:{numbers[source]}"
                if document.page_content.strip():
                    yield _document(document, clean(identifier), clean(source))
                else:
                    report.skip(identifier, "it holds no text")
        except (RagkitError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - other people's code; the other documents are read all the same
            text = " ".join(str(error).split())[:_REASON]
            report.skip(name, f"the loader failed ({type(error).__name__}{': ' if text else ''}{text})")

    def _loader(self) -> Any:
        if self._wrapped is not None:
            return self._wrapped
        from langchain_core.document_loaders import BaseLoader

        cls = load_class(self.class_, BaseLoader)
        try:
            return cls(**self.kwargs)
        except ImportError as error:
            raise MissingPackageError(f"{self.class_} needs a package that is not installed: {error}") from error
        except Exception as error:
            # The text of the error may show a secret argument.
            raise InputError(
                f"{self.class_} refuses its settings {sorted(self.kwargs)} ({type(error).__name__})"
            ) from error


def _document(document: Any, name: str, source: str) -> SourceDocument:
    # Loaders put dates, paths and the like into metadata; an index keeps JSON.
    metadata = json.loads(json.dumps(document.metadata, default=str, skipkeys=True))
    page = metadata.pop("page", None)
    number = page + 1 if isinstance(page, int) and not isinstance(page, bool) and page >= 0 else None
    block = Block(clean(document.page_content))
    return SourceDocument(name, (Page(number, (block,)),), metadata | {"source": source, "document": name})
