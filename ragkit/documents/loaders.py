"""Documents from any loader of langchain."""

import json
from collections.abc import Iterator
from typing import Any

from ragkit.documents.document import Block, IngestReport, Page, SourceDocument
from ragkit.documents.text import clean
from ragkit.errors import InputError, MissingPackageError, RagkitError
from ragkit.models.langchain_classes import LangChainClass, load_class

_REASON = 300


class DocumentLoader(LangChainClass):
    """A `BaseLoader` of an installed langchain package; in Python, `DocumentLoader.wrap(loader, name)`."""

    @classmethod
    def base(cls) -> type:
        from langchain_core.document_loaders import BaseLoader

        return BaseLoader

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
        cls = load_class(self.class_, self.base())
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
