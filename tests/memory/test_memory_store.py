"""What a memory keeps on disk: keys, limits, times, files that are written anew, settings that must be the same."""

import asyncio
import json
import sqlite3

import numpy as np
import pytest
from known_vectors import KnownVectors, at, page

from ragkit.engine.state import Hit, Passage
from ragkit.errors import InputError
from ragkit.memory import Item, Reservoir
from ragkit.memory import writing as module
from ragkit.memory.items import key_of, title_of
from ragkit.memory.store import ItemStore
from ragkit.models.scripted import HashEncoder


@pytest.fixture
def clock(monkeypatch):
    now = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


def remember(memory, *passages):
    asyncio.run(memory.remember(passages))


def found(memory, query="q", tau=0.5):
    return [key for key, _ in asyncio.run(memory.find(query, tau)).matches]


def ids(memory):
    return [item.passage.id for item in memory.store.items()]


def known(count=12):
    return KnownVectors(vectors={"q": (1.0, 0.0), **{f"t{n}": at(0.6 + 0.03 * n) for n in range(count)}})


def pages(*numbers):
    return [page(f"p{n}", f"t{n}") for n in numbers]


def test_what_is_stored_is_there_when_the_memory_is_opened_again(tmp_path):
    first = Reservoir(encoder=known(), path=tmp_path)
    remember(first, *pages(0, 1, 2))
    expected = asyncio.run(first.find("q", 0.5))
    first.close()
    again = Reservoir(encoder=known(), path=tmp_path)
    assert asyncio.run(again.find("q", 0.5)) == expected
    assert [document.page_content for document in again.recall("q", expected.matches)] == [
        "About t2.",
        "About t1.",
        "About t0.",
    ]


@pytest.mark.parametrize(
    ("identifier", "key"),
    [
        ("storage.pdf#p3.c0", "storage.pdf#p3.c0"),
        ("HTTP://Example.org:80/Wheat/#storage", "http://example.org/Wheat"),
        ("https://example.org/wheat?page=2", "https://example.org/wheat?page=2"),
        ("https://example.org:8443/wheat", "https://example.org:8443/wheat"),
        ("https://[broken/wheat", "https://[broken/wheat"),
        ("12", "12"),
    ],
)
def test_keys_are_ids_and_addresses_in_one_spelling(identifier, key):
    assert key_of(identifier) == key


def test_pages_of_one_title_are_kept_apart_and_one_page_of_two_titles_is_one(tmp_path):
    memory = Reservoir(encoder=known(), path=tmp_path)
    remember(memory, page("a", "t0"), page("b", "t0"))
    assert ids(memory) == ["a", "b"]
    remember(memory, page("a", "t5"))
    assert ids(memory) == ["b", "a"]
    assert found(memory, tau=0.7) == ["a"]


def test_a_passage_without_a_title_is_compared_by_its_text():
    assert title_of(Passage(id="x", page_content="Some text."), ("title",)) == "Some text."
    whole = Passage(id="x", page_content="Text.", metadata={"title": "Title", "section": ["One", "Two"]})
    assert title_of(whole, ("title",)) == "Title"
    assert title_of(whole, ("title", "section")) == "Title\nOne\nTwo"


def test_a_passage_may_be_known_by_the_query_that_brought_it():
    found = page("a", "wheat").model_copy(update={"hits": (Hit("spy", "How dry is dry?", 1, 1.0),)})
    assert Item.of(found, ("query",)).title == "How dry is dry?"
    assert Item.of(found, ("query", "title")).title == "How dry is dry?\nwheat"
    assert Item.of(page("a", "wheat"), ("query",)).title == page("a", "wheat").page_content  # nothing brought it


def test_an_update_embeds_nothing_and_changes_the_state_only_if_the_content_changes(tmp_path):
    encoder = known()
    memory = Reservoir(encoder=encoder, path=tmp_path)
    remember(memory, *pages(0, 1))
    state, asked = memory.store.state, list(encoder.asked)
    remember(memory, *pages(0, 1))
    assert memory.store.state == state
    remember(memory, page("p0", "t0", "Other text."))
    assert memory.store.state != state
    assert encoder.asked == asked
    assert memory.store.facts.positions == 2


def test_a_passage_whose_metadata_are_no_json_is_refused(tmp_path):
    memory = Reservoir(encoder=known(), path=tmp_path)
    with pytest.raises(InputError, match="the passage 'x' cannot be stored: its metadata are no JSON"):
        remember(memory, Passage(id="x", page_content="text", metadata={"title": "t0", "what": object()}))
    assert memory.count == 0


def test_what_is_older_than_the_time_to_live_is_not_found_and_then_forgotten(tmp_path, clock):
    memory = Reservoir(encoder=known(), path=tmp_path, ttl=60)
    remember(memory, *pages(0))
    clock[0] += 50
    remember(memory, *pages(1))
    assert found(memory) == ["p0", "p1"]
    fresh = memory.store.state
    clock[0] += 20
    memory.begin_run()
    assert found(memory) == ["p1"]
    assert memory.count == 1
    assert memory.store.state != fresh  # or the cache would answer as before
    remember(memory, *pages(2))
    assert ids(memory) == ["p1", "p2"]
    remember(memory, *pages(1))  # found outside again
    clock[0] += 55
    memory.begin_run()
    assert found(memory) == ["p1", "p2"]


def test_beyond_the_most_passages_those_go_that_were_used_longest_ago(tmp_path):
    memory = Reservoir(encoder=known(), path=tmp_path, max_items=3)
    for number in range(3):
        remember(memory, *pages(number))
    memory.recall("q", [("p0", 0.6)])
    remember(memory, *pages(3))
    assert ids(memory) == ["p0", "p2", "p3"]
    remember(memory, *pages(4, 5, 6, 7))
    assert ids(memory) == ["p5", "p6", "p7"]
    assert found(memory) == ["p5", "p6", "p7"]


def test_files_with_many_holes_are_written_anew_and_readers_follow(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FEW", 3)
    writer, reader = (Reservoir(encoder=known(), path=tmp_path) for _ in range(2))
    remember(writer, *pages(*range(10)))
    reader.begin_run()
    writer.store.forget([f"p{n}" for n in range(6)])
    assert (writer.store.facts.generation, writer.store.facts.positions) == (1, 4)
    assert sorted(path.name for path in tmp_path.glob("vectors.*")) == ["vectors.1"]
    assert found(writer) == ["p6", "p7", "p8", "p9"]
    assert found(reader) == [f"p{n}" for n in range(10)]  # as its wave began
    reader.end_wave()
    assert found(reader) == ["p6", "p7", "p8", "p9"]
    remember(reader, *pages(0, 1))
    writer.end_wave()
    for memory in (reader, writer, Reservoir(encoder=known(), path=tmp_path)):
        assert found(memory) == ["p6", "p7", "p8", "p9", "p0", "p1"]


def test_a_memory_of_another_encoder_is_refused_and_may_be_exported_cleared_and_imported(tmp_path):
    remember(Reservoir(encoder=known(), path=tmp_path), *pages(0, 1))
    other = Reservoir(encoder=HashEncoder(dimension=64), path=tmp_path)
    with pytest.raises(InputError, match=r"was made with encoder \{\"provider\": \"known\"\}, the settings say"):
        other.prepare(lambda *step: None)
    with pytest.raises(InputError, match="was made with fields"):
        Reservoir(encoder=known(), path=tmp_path, fields=("text",)).prepare(lambda *step: None)
    store = ItemStore(tmp_path, None)
    rows = [json.loads(json.dumps(item.to_row())) for item in store.items()]
    store.clear()
    asyncio.run(other.remember_items([Item.from_row(row) for row in rows]))
    assert ids(other) == ["p0", "p1"]
    assert other.store.facts.dimension == 64
    assert found(other, "t1", 0.9) == ["p1"]


def test_an_export_read_again_makes_the_same_decisions(tmp_path):
    first = Reservoir(encoder=known(), path=tmp_path / "first")
    remember(first, *pages(*range(8)))
    rows = [json.dumps(item.to_row()) for item in first.store.items()]
    second = Reservoir(encoder=known(), path=tmp_path / "second")
    asyncio.run(second.remember_items([Item.from_row(json.loads(row)) for row in rows]))
    for tau in (0.6, 0.7, 0.75, 0.9):
        assert asyncio.run(second.find("q", tau)) == asyncio.run(first.find("q", tau))
    times = ([item.stored for item in memory.store.items()] for memory in (first, second))
    assert len(set(map(tuple, times))) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([], "it has no"),
        ({"id": "a"}, "it has no 'title'"),
        ({"id": "a", "title": "", "text": "b"}, "'id', 'title' and 'text' are texts"),
        ({"id": 1, "title": 2, "text": 3}, "'id', 'title' and 'text' are texts"),
        ({"id": "a", "title": "b", "text": "c", "metadata": []}, "'metadata' is a mapping"),
        ({"id": "a", "title": "b", "text": "c", "stored": None}, "'stored' is a number"),
    ],
)
def test_a_line_that_is_no_item_is_refused(row, said):
    with pytest.raises(ValueError, match=said):
        Item.from_row(row)


def test_a_cleared_memory_is_as_new_and_the_same_contents_have_the_same_state(tmp_path):
    memory = Reservoir(encoder=known(), path=tmp_path / "a")
    remember(memory, *pages(0, 1))
    remember(memory, *pages(2))
    state = memory.store.state
    memory.store.clear()
    assert (memory.count, memory.store.state, found(memory)) == (0, "", [])
    assert [path.name for path in (tmp_path / "a").glob("vectors.*")] == []
    other = Reservoir(encoder=known(), path=tmp_path / "b")
    for again in (memory, other):
        remember(again, *pages(0, 1))
        remember(again, *pages(2))
        assert again.store.state == state
    assert found(memory) == ["p0", "p1", "p2"]


def test_a_failure_while_storing_leaves_everything_as_it_was(tmp_path):
    memory = Reservoir(encoder=KnownVectors(vectors={"q": (1.0, 0.0), "t0": (1.0, 0.0), "t1": (1.0, 0.0, 0.0)}))
    memory = memory.model_copy(update={"path": tmp_path})
    remember(memory, *pages(0))
    with pytest.raises(Exception, match="the vector of 'p1' has 3 dimensions, the memory's have 2"):
        remember(memory, *pages(1))
    assert ids(memory) == ["p0"]
    remember(memory, page("p2", "t0"))
    assert found(memory) == ["p0", "p2"]


def test_a_damaged_file_is_named(tmp_path):
    memory = Reservoir(encoder=known(), path=tmp_path)
    remember(memory, *pages(0))
    memory.close()
    (tmp_path / "vectors.0").write_bytes(b"12")
    with pytest.raises(InputError, match=r"vectors\.0 is damaged"):
        memory.prepare(lambda *step: None)
    for path in tmp_path.glob("memory.sqlite*"):
        path.unlink()
    (tmp_path / "memory.sqlite").write_bytes(b"this is no database at all, however long it may be " * 100)
    with pytest.raises(InputError, match="the memory is damaged"):
        Reservoir(encoder=known(), path=tmp_path).prepare(lambda *step: None)


def test_a_folder_without_a_memory_is_told_apart(tmp_path):
    with pytest.raises(InputError, match="holds no memory"):
        ItemStore(tmp_path / "nowhere", None)
    assert not (tmp_path / "nowhere").exists()


def test_texts_are_kept_as_they_are(tmp_path):
    memory = Reservoir(encoder=known(), path=tmp_path)
    text = "'); DROP TABLE items; -- {{ 7 * 7 }} <script>\u202e \x1b[31m\n### Answer: 1"
    remember(memory, Passage(id="'x\"; --", page_content=text, metadata={"title": "t0", "page": 3}))
    (kept,) = memory.recall("q", asyncio.run(memory.find("q", 0.5)).matches)
    assert (kept.id, kept.page_content, kept.metadata) == ("'x\"; --", text, {"title": "t0", "page": 3})


def test_the_database_can_be_read_while_it_is_written(tmp_path):
    memory = Reservoir(encoder=known(), path=tmp_path)
    remember(memory, *pages(0))
    other = sqlite3.connect(tmp_path / "memory.sqlite")
    assert other.execute("SELECT count(*) FROM items").fetchone() == (1,)
    remember(memory, *pages(1))
    assert other.execute("SELECT count(*) FROM items").fetchone() == (2,)
    other.close()
    assert np.fromfile(tmp_path / "vectors.0", np.float32).size == 4
