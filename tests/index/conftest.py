import json

import pytest
from index_fakes import TEXTS, FakeEncoder

from ragkit.index import DenseSettings, LocalIndex, SparseSettings


@pytest.fixture
def write_rows(tmp_path):
    def write(texts, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in texts.items()))
        return path

    return write


@pytest.fixture
def make(tmp_path, write_rows):
    """Make a LocalIndex over rows.jsonl, with both parts unless the arguments say otherwise."""
    write_rows(TEXTS)

    def make_index(**settings):
        settings.setdefault("dense", DenseSettings(encoder=FakeEncoder()))
        settings.setdefault("sparse", SparseSettings())
        return LocalIndex(**{"documents": ("rows.jsonl",), "base": tmp_path, "path": tmp_path / "index"} | settings)

    return make_index


@pytest.fixture
def ready(make):
    """A built index."""
    index = make()
    index.prepare(lambda *step: None)
    return index
