import hashlib
import itertools
import random
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.documents import ChunkedDocument, IngestReport, Unreadable
from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.index.store import PassageStore
from ragkit.index.store_writer import StoreWriter, pack


def passage(name, text="text", **metadata):
    return Passage(id=name, page_content=text, metadata=metadata)


def document(name, *texts, parents=()):
    children = tuple(passage(f"{name}.c{n}", text, document=name) for n, text in enumerate(texts))
    return ChunkedDocument(children, tuple(passage(f"{name}.s{n}", text) for n, text in enumerate(parents)))


def write(path, documents, previous=None, order=None, expire=(), ids=()):
    """Write (file, name, document) triples."""
    with StoreWriter(path, previous, order) as writer:
        writer.expire_files(expire)
        missing = writer.expire_documents(ids)
        skipped = []
        for file, name, chunked in documents:
            try:
                writer.put(file, name, chunked)
            except Unreadable as reason:
                skipped.append((file, str(reason)))
        writer.finish()
    return PassageStore(path), skipped, missing


def contents(store):
    """Return what a store holds, by id, without positions."""
    rows = store._connection.execute("SELECT id, text, metadata FROM passages").fetchall()
    parents = store._connection.execute("SELECT id, text, metadata FROM parents").fetchall()
    documents = store._connection.execute("SELECT id, file, hash, stop - first FROM documents").fetchall()
    return sorted(rows), sorted(parents), sorted(documents)


def test_round_trip(tmp_path):
    path = tmp_path / "a folder # with % marks.sqlite"
    passages = tuple(
        Passage(id=f"döc#{n}", page_content=f"土壤 '{n}'", metadata={"box": [1.5, 2.0, 3.0, 4.0], "n": n})
        for n in range(1200)
    )
    store, _, _ = write(path, [("f", "döc", ChunkedDocument(passages, (passage("p", "parent"),)))])
    assert store.ids([0, 1199, 5000]) == {0: "döc#0", 1199: "döc#1199"}
    found = store.get([passage.id for passage in passages] + ["unknown"])
    assert list(found) and found == {passage.id: passage for passage in passages}
    assert store.parents(["p", "döc#0"]) == {"p": passage("p", "parent")}
    assert store.read(1198, 1200) == ["土壤 '1198'", "土壤 '1199'"] and len(store) == store.passages == 1200
    with pytest.raises(sqlite3.OperationalError):
        store._connection.execute("DELETE FROM passages")
    store.close()


def test_passage_ids_are_unique(tmp_path):
    two = [("f", "a", document("a", "1", "2")), ("f", "a.c0", ChunkedDocument((passage("a.c0"),)))]
    with pytest.raises(InputError, match=r"two passages have the id 'a.c0'"):
        write(tmp_path / "x.sqlite", two)


def test_an_id_may_pass_from_one_document_to_another(tmp_path):
    write(tmp_path / "a", [("f", "a.c0", ChunkedDocument((passage("a.c0"),)))])
    store, _, _ = write(tmp_path / "b", [("f", "a", document("a", "1", "2"))], tmp_path / "a", expire=["f"])
    assert list(store.get(["a.c0", "a.c1"])) == ["a.c0", "a.c1"] and store.holes().tolist() == [0]


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 1000])
def test_missing_or_damaged_files(tmp_path, content):
    path = tmp_path / "x.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        PassageStore(path)


def test_what_cannot_be_stored_is_left_out(tmp_path):
    bad = [{"x": float("nan")}, {"x": object()}]
    documents = [("f", f"d{n}", ChunkedDocument((passage(f"d{n}", **metadata),))) for n, metadata in enumerate(bad)]
    documents += [("f", "s", document("s", "lone \ud800")), ("f", "ok", document("ok", "1"))]
    store, skipped, _ = write(tmp_path / "x", documents)
    assert store.passages == 1 and len(skipped) == 3
    assert all("cannot be stored" in reason for _, reason in skipped)


def test_unchanged_documents_keep_their_places(tmp_path):
    first = [("f", "a", document("a", "1", "2")), ("f", "b", document("b", "3")), ("f", "c", document("c", "4"))]
    old, _, _ = write(tmp_path / "a", first)
    again = [first[0], ("f", "b", document("b", "3", "new")), ("f", "d", document("d", "5"))]
    new, _, _ = write(tmp_path / "b", again, tmp_path / "a", expire=["f"])
    assert new.read(0, len(new)) == ["1", "2", "", "", "3", "new", "5"]
    assert new.holes().tolist() == [2, 3] and new.passages == 5
    assert old.layout != new.layout and old.read(0, 4) == ["1", "2", "3", "4"]
    same, _, _ = write(tmp_path / "c", again, tmp_path / "b", expire=["f"])
    assert (same.layout, same.corpus) == (new.layout, new.corpus)


def test_of_equal_ids_the_earliest_file_wins_whatever_comes_first(tmp_path):
    order = {"a": 0, "b": 1, "c": 2}
    of = {file: (file, "x", document("x", f"of {file}")) for file in order}
    store, skipped, _ = write(tmp_path / "1", [of["b"], of["c"]], order=order)
    assert store.read(0, 1) == ["of b"] and skipped == [("c", "the id 'x' belongs to an earlier document")]
    store, skipped, _ = write(tmp_path / "2", [of["a"]], tmp_path / "1", order)
    assert store.get(["x.c0"])["x.c0"].page_content == "of a" and not skipped
    with StoreWriter(tmp_path / "3", tmp_path / "2", order) as writer:
        assert writer.clashing_files() == ["b", "c"]
    rest, _, _ = write(tmp_path / "3", [of["b"], of["c"]], tmp_path / "2", order, expire=["a", "b", "c"])
    assert rest.get(["x.c0"])["x.c0"].page_content == "of b"


def test_reports_add_up_in_the_order_of_the_corpus(tmp_path):
    with StoreWriter(tmp_path / "x", order={"z": 0, "a": 1}) as writer:
        for file in ("a", "z"):
            writer.put_report(file, IngestReport(files=1, documents=2, skipped=[(file, "why")]))
        total = writer.report()
    assert (total.files, total.documents, total.skipped) == (2, 4, [("z", "why"), ("a", "why")])


CHANGES = st.lists(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from(["x", "y", "z"]), max_size=3), max_size=4),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(changes=CHANGES, seed=st.integers(0, 9))
def test_changes_in_any_order_give_the_same_as_writing_at_once(tmp_path_factory, changes, seed):
    """Each change maps documents to their texts; a document of no texts is deleted."""
    folder = tmp_path_factory.mktemp("store")
    current, path = {}, None
    for number, change in enumerate(changes):
        gone = [name for name in change if name in current]
        current = {name: texts for name, texts in (current | change).items() if texts}
        put = [("f", name, document(name, *texts, parents=texts[:1])) for name, texts in change.items() if texts]
        random.Random(seed).shuffle(put)
        target = folder / f"{number}"
        store, _, missing = write(target, put, path, ids=gone)
        assert not missing
        path = target
    at_once = [("f", name, document(name, *texts, parents=texts[:1])) for name, texts in sorted(current.items())]
    whole, _, _ = write(folder / "whole", at_once)
    assert contents(store) == contents(whole) and store.corpus == whole.corpus
    kept = pack(path, folder / "packed")
    packed = PassageStore(folder / "packed")
    assert contents(packed) == contents(whole) and packed.corpus == whole.corpus
    assert len(packed) == packed.passages == len(whole) and not len(packed.holes())
    texts = store.read(0, len(store))
    assert packed.read(0, len(packed)) == [texts[position] for position in kept]
    again, _, _ = write(folder / "again", at_once, folder / "packed", ids=current)
    assert again.layout == packed.layout and contents(again) == contents(whole)
    empty, _, _ = write(folder / "empty", [], folder / "packed", ids=current)
    assert empty.passages == 0 and contents(empty) == ([], [], [])


def test_the_corpus_hash_is_that_of_the_documents(tmp_path):
    documents = [("f", name, document(name, name * 3)) for name in "cab"]
    hashes = {write(tmp_path / str(n), order)[0].corpus for n, order in enumerate(itertools.permutations(documents))}
    assert len(hashes) == 1
    rows = sqlite3.connect(tmp_path / "0").execute("SELECT hash FROM documents ORDER BY id")
    assert hashes == {hashlib.sha256(b"".join(row[0] for row in rows)).hexdigest()}
