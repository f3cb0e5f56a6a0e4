import sqlite3

import pytest

from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.index.store import PassageStore, write_store


def test_round_trip(tmp_path):
    path = tmp_path / "a folder # with % marks.sqlite"
    passages = [
        Passage(id=f"döc#{n}", page_content=f"土壤 '{n}'", metadata={"box": [1.5, 2.0, 3.0, 4.0], "n": n})
        for n in range(1200)
    ]
    write_store(path, passages)
    store = PassageStore(path)
    assert store.ids([0, 1199, 5000]) == {0: "döc#0", 1199: "döc#1199"}
    found = store.get([passage.id for passage in passages] + ["unknown"])
    assert list(found) and found == {passage.id: passage for passage in passages}
    with pytest.raises(sqlite3.OperationalError):
        store._connection.execute("DELETE FROM passages")
    store.close()


def test_ids_are_unique(tmp_path):
    twice = [Passage(id="a", page_content="1"), Passage(id="a", page_content="2")]
    with pytest.raises(InputError, match="two passages have the id 'a'"):
        write_store(tmp_path / "x.sqlite", twice)


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 1000])
def test_missing_or_damaged_files(tmp_path, content):
    path = tmp_path / "x.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        PassageStore(path)
