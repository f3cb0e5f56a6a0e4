import json
from datetime import date

import pytest
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from pydantic import ValidationError

from ragkit.documents import Chunking, IngestReport, PdfSettings
from ragkit.documents.ingest import ingest
from ragkit.documents.loaders import DocumentLoader
from ragkit.engine.policy import allow_code
from ragkit.errors import InputError


class ListLoader(BaseLoader):
    """Hands out what it was given; an exception among it is raised."""

    def __init__(self, *documents):
        self.documents = documents
        self.handed_out = 0

    def lazy_load(self):
        for document in self.documents:
            if isinstance(document, Exception):
                raise document
            self.handed_out += 1
            yield document


@pytest.fixture
def code_is_allowed():
    allow_code()
    yield
    allow_code(False)


def load(*loaders, work):
    report = IngestReport()
    wrapped = [DocumentLoader.wrap(loader, "test") for loader in loaders]
    found = ingest([], PdfSettings(), Chunking(), work, report, loaders=wrapped)
    return [passage for document in found for passage in document.passages], report


def test_documents_keep_their_id_or_get_one_from_their_source(tmp_path):
    passages, report = load(
        ListLoader(
            Document("One.", id="own"),
            Document("Two.", metadata={"source": "a.csv", "day": date(2020, 1, 2)}),
            Document("Three.", metadata={"source": "a.csv", "row": 7}),
            Document("Four."),
        ),
        work=tmp_path,
    )
    assert [passage.id for passage in passages] == ["own", "a.csv:1", "a.csv:2", "ListLoader:2"]
    assert passages[1].metadata == {"source": "a.csv", "document": "a.csv:1", "day": "2020-01-02"}
    assert json.dumps(passages[1].metadata)
    assert (report.documents, report.passages, report.skipped) == (4, 4, [])


def test_pages_are_counted_from_one(tmp_path):
    (passage,), _ = load(ListLoader(Document("Text.", metadata={"source": "a.pdf", "page": 0})), work=tmp_path)
    assert (passage.id, passage.metadata["page"], passage.place) == ("a.pdf:1#p1.c0", 1, "a.pdf, page 1")


def test_a_loader_that_fails_is_noted_and_the_others_are_asked(tmp_path):
    failing = ListLoader(Document("One.", id="1"), ValueError("no\nconnection"))
    passages, report = load(failing, ListLoader(Document("Two.", id="2"), Document(" ", id="3")), work=tmp_path)
    assert [passage.id for passage in passages] == ["1", "2"]
    assert report.skipped == [
        ("ListLoader", "the loader failed (ValueError: no connection)"),
        ("3", "it holds no text"),
    ]


def test_ids_occur_once(tmp_path):
    passages, report = load(ListLoader(Document("One.", id="1")), ListLoader(Document("Two.", id="1")), work=tmp_path)
    assert [passage.page_content for passage in passages] == ["One."]
    assert "belongs to an earlier document" in report.skipped[0][1]


def test_documents_are_loaded_as_they_are_needed(tmp_path):
    loader = ListLoader(*[Document("Text.", id=str(number)) for number in range(100)])
    documents = DocumentLoader.wrap(loader, "test").documents(IngestReport())
    next(documents)
    assert loader.handed_out == 1


@pytest.mark.parametrize("path", ["os.system", "langchainevil.X", "subprocess.Popen"])
def test_other_packages_need_permission(path):
    with pytest.raises(ValidationError, match="--allow-code"):
        DocumentLoader.model_validate({"class": path})


def test_a_class_is_made_with_its_arguments(code_is_allowed):
    path = "langchain_core.document_loaders.LangSmithLoader"
    loader = DocumentLoader.model_validate({"class": path, "kwargs": {"api_key": "secret", "nonsense": 1}})
    assert loader.describe() == {"class": path, "kwargs": {"nonsense": 1}}
    with pytest.raises(InputError, match=r"refuses its settings \['api_key', 'nonsense'\]"):
        list(loader.documents(IngestReport()))


def test_another_class_is_refused(code_is_allowed):
    with pytest.raises(InputError, match="is not a BaseLoader"):
        list(DocumentLoader.model_validate({"class": "langchain_core.documents.Document"}).documents(IngestReport()))
    with pytest.raises(InputError, match="not a langchain BaseLoader"):
        DocumentLoader.wrap(object(), "x")
