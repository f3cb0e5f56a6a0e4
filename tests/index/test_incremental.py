"""Indexes that follow their documents without being built anew."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from encoders_of_lists import FakeMultiVector, FakeSparse
from index_fakes import CountingEncoder, FakeEncoder
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from ragkit.documents import Chunking
from ragkit.documents.loaders import DocumentLoader
from ragkit.errors import InputError
from ragkit.index import DenseSettings, LearnedSparseSettings, LocalIndex, MultiVectorSettings, SparseSettings
from ragkit.index.build import MOST_HOLES
from ragkit.index.dense import shards

WORDS = ["wheat", "maize", "soil", "rust", "silo", "water", "yield", "grain", "root", "leaf", "seed", "field", "frost"]
QUERIES = ["wheat in the field", "rust of leaf and root", "rain frost sun", "silo"]


def prepared(index):
    index.prepare(lambda *step: None)
    return index


def text(rng):
    return " ".join(rng.choices(WORDS, k=rng.randint(3, 12)))


def rankings(index):
    """Return the whole rankings of both parts; which of equal scores comes first is left open."""

    async def search():
        return [await index.search(part, query, 1000) for part in index.parts for query in QUERIES]

    found = asyncio.run(search())
    for ranking in found:
        assert [passage.score for passage in ranking] == sorted((p.score for p in ranking), reverse=True)
    return [sorted((passage.score, passage.id, passage.page_content) for passage in ranking) for ranking in found]


@pytest.fixture
def counted():
    CountingEncoder.seen.clear()
    return CountingEncoder.seen


@pytest.mark.parametrize("seed", range(6))
def test_files_and_rows_that_come_change_and_go(tmp_path, write_rows, seed, counted):
    rng = random.Random(seed)
    files = {f"{name}.jsonl": {f"{name}{n}": text(rng) for n in range(20)} for name in "abc"}
    for name, rows in files.items():
        write_rows(rows, name)

    def make(path):
        return LocalIndex(
            documents=("*.jsonl",),
            base=tmp_path,
            path=tmp_path / path,
            dense=DenseSettings(encoder=CountingEncoder()),
            sparse=SparseSettings(),
            learned_sparse=LearnedSparseSettings(encoder=FakeSparse()),
            multi_vector=MultiVectorSettings(encoder=FakeMultiVector()),
        )

    index = prepared(make("index"))
    for step in range(5):
        before = {line for rows in files.values() for line in rows.values()}
        changed = rng.choice(sorted(files))
        action = rng.choice(["rows", "new file", "no file"])
        if action == "no file" and len(files) > 1:
            del files[changed]
            (tmp_path / changed).unlink()
        elif action == "new file":
            files[f"n{step}.jsonl"] = {f"n{step}-{n}": text(rng) for n in range(3)}
            write_rows(files[f"n{step}.jsonl"], f"n{step}.jsonl")
        else:
            rows = files[changed]
            for key in rng.sample(sorted(rows), min(len(rows) - 1, 4)):
                if rng.random() < 0.5:
                    del rows[key]
                else:
                    rows[key] = text(rng)
            rows[f"{changed}-{step}"] = text(rng)
            write_rows(rows, changed)
        counted.clear()
        prepared(index)
        assert not before & set(counted)
        assert rankings(index) == rankings(prepared(make(f"rebuilt{step}")))
        manifest = index.manifest()
        assert manifest.corpus == make(f"rebuilt{step}").manifest().corpus
        assert manifest.passages == sum(map(len, files.values()))
        assert manifest.positions - manifest.passages <= MOST_HOLES * manifest.positions
        assert index.report.ingest.documents == manifest.passages


def test_an_index_with_many_holes_is_packed_without_embedding_again(make, write_rows, counted):
    rng = random.Random(1)
    rows = {f"r{n}": f"{n} {text(rng)}" for n in range(100)}
    settings = {"dense": DenseSettings(encoder=CountingEncoder())}
    write_rows(rows)
    index = prepared(make(**settings))
    kept = {key: rows[key] for n, key in enumerate(rows) if n % 2} | {"new": "a new row"}
    write_rows(kept)
    counted.clear()
    report = prepared(index).report
    assert report.passages == 51 and report.holes == 0 and index.manifest().positions == 51
    assert set(counted) == {"a new row"}
    assert rankings(index) == rankings(prepared(make(path=make().folder / "other", **settings)))


def test_other_factories_are_packed_too(make, write_rows):
    settings = {"dense": DenseSettings(encoder=FakeEncoder(), factory="HNSW8"), "sparse": None}
    write_rows({f"r{n}": f"row number {n}" for n in range(60)})
    index = prepared(make(**settings))
    write_rows({f"r{n}": f"row number {n}" for n in range(20)})
    assert prepared(index).report.holes == 0
    assert len(asyncio.run(index.search("dense", "row", 100))) == 20


def test_a_part_whose_settings_have_not_changed_is_taken_over(ready, make, counted):
    before = ready.report.folder
    changed = prepared(make(dense=DenseSettings(encoder=CountingEncoder(name="fake")), sparse=SparseSettings(k1=1.2)))
    assert changed.report.continued and not counted
    assert changed.report.folder != before
    file = "dense/vectors.faiss"
    assert (changed.report.folder / file).samefile(before / file)
    assert [row[1] for row in rankings(changed)[0]] == [
        row[1] for row in rankings(prepared(make(path=before / "x")))[0]
    ]


def test_the_earliest_file_keeps_an_id_as_files_come_and_go(tmp_path, write_rows, make):
    def found(name):
        index = prepared(make(documents=("*.jsonl",), path=tmp_path / name, dense=None))
        return index, {passage.page_content for passage in asyncio.run(index.search("sparse", "row", 9))}

    write_rows({"x": "row of b", "y": "row y"}, "b.jsonl")
    write_rows({"x": "row of rows"})
    index, texts = found("index")
    assert texts == {"row of b", "row y"} and "belongs to an earlier document" in str(index.report)
    write_rows({"x": "row of a"}, "a.jsonl")
    assert found("index")[1] == found("1")[1] == {"row of a", "row y"}
    (tmp_path / "a.jsonl").unlink()
    assert found("index")[1] == found("2")[1] == {"row of b", "row y"}
    (tmp_path / "b.jsonl").unlink()
    index, texts = found("index")
    assert texts == found("3")[1] == {"row of rows"} and "earlier document" not in str(index.report)


def test_an_open_reader_keeps_its_build_whatever_is_published(ready, make, write_rows):
    old = rankings(ready)
    for number in range(3):
        write_rows({"one": f"wheat and rust {number}", "two": f"silo {number}"})
        prepared(make())
        assert rankings(ready) == old
    assert not ready.report.folder.exists()
    ready.close()
    assert {row[1:] for row in rankings(ready)[0]} == {("one", "wheat and rust 2"), ("two", "silo 2")}


class Loader(BaseLoader):
    """Hands out what `texts` holds now."""

    def __init__(self):
        self.texts, self.asked = {"a": "wheat", "b": "rust"}, 0

    def lazy_load(self):
        self.asked += 1
        yield from (Document(id=name, page_content=text) for name, text in self.texts.items())


def test_loaders_are_asked_once_and_when_told(tmp_path, write_rows, counted):
    loader = Loader()
    write_rows({"c": "a silo", "b": "of a file"})

    def make(name="mine"):
        return LocalIndex(
            documents=("*.jsonl",),
            base=tmp_path,
            loaders=(DocumentLoader.wrap(loader, name),),
            path=tmp_path / "index",
            dense=DenseSettings(encoder=CountingEncoder()),
        )

    index = prepared(make())
    assert index.report.passages == 3 and "'b' belongs to an earlier document" in str(index.report)
    loader.texts = {"a": "wheat", "d": "frost"}
    write_rows({"c": "another silo"})
    counted.clear()
    assert prepared(index).report.passages == 3  # the loader had to be asked for the `b` that the file no longer has
    assert counted == ["another silo", "frost"] and loader.asked == 2
    loader.texts["e"] = "leaf"
    assert not prepared(make()).report.built and loader.asked == 2
    index.prepare(lambda *step: None, reload=True)
    assert index.report.reasons == ("loaders are asked again",) and index.report.passages == 4
    assert prepared(make("another name")).report.continued and loader.asked == 4


SCRIPT = Path(__file__).with_name("index_fakes.py")


@pytest.mark.parametrize("continued", [False, True])
def test_a_killed_build_goes_on(tmp_path, write_rows, make, counted, monkeypatch, continued):
    monkeypatch.setattr(shards, "SHARD", 8)
    rng = random.Random(3)
    rows = {f"r{n}": f"{n} {text(rng)}" for n in range(32)}
    settings = {"dense": DenseSettings(encoder=CountingEncoder())}
    first = 5 if continued else 0
    for folder in ("index", "whole"):
        if continued:
            write_rows(dict(list(rows.items())[:first]))
            prepared(make(path=tmp_path / folder, **settings))
    write_rows(rows)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(SCRIPT), str(tmp_path / "index"), str(tmp_path / "rows.jsonl"), "0.5", "8"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    for _ in range(3):
        assert process.stdout.readline() == "embedding\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if continued:
        assert prepared_reader(make, settings).manifest().passages == first
    counted.clear()
    index = prepared(make(**settings))
    assert set(counted) == set(list(rows.values())[first + 16 :])
    whole = prepared(make(path=tmp_path / "whole", **settings))
    assert index.manifest() == whole.manifest()
    for path in (path for path in whole.report.folder.rglob("*") if path.is_file()):
        same = index.report.folder / path.relative_to(whole.report.folder)
        assert path.name == "ingest.json" or same.read_bytes() == path.read_bytes(), path
    assert not (tmp_path / "index" / "work").exists()


def prepared_reader(make, settings):
    index = make(**settings)
    index.manifest()
    return index


def test_what_a_killed_build_left_of_other_documents_is_not_used(tmp_path, write_rows, make, counted, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 4)
    write_rows({f"r{n}": f"old {n}" for n in range(8)})

    class Stopped(CountingEncoder):
        def execute(self, op, batch):
            if any("7" in request.args["text"] for request in batch):
                raise KeyboardInterrupt
            return super().execute(op, batch)

    with pytest.raises(KeyboardInterrupt):
        prepared(make(dense=DenseSettings(encoder=Stopped())))
    write_rows({f"r{n}": f"new {n}" for n in range(8)})
    index = prepared(make(dense=DenseSettings(encoder=CountingEncoder())))
    assert {passage.page_content for passage in asyncio.run(index.search("dense", "old new", 9))} == {
        f"new {n}" for n in range(8)
    }


def test_a_killed_build_goes_on_with_other_settings_of_another_part(make, write_rows, counted, monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 4)
    rows = {f"r{n}": f"passage {n}" for n in range(10)}
    write_rows(rows)

    class Stopped(CountingEncoder):
        def execute(self, op, batch):
            if any("9" in request.args["text"] for request in batch):
                raise KeyboardInterrupt
            return super().execute(op, batch)

    with pytest.raises(KeyboardInterrupt):
        prepared(make(dense=DenseSettings(encoder=Stopped())))
    counted.clear()
    write_rows(rows | {"r10": "passage 10"})
    index = prepared(make(dense=DenseSettings(encoder=CountingEncoder()), sparse=SparseSettings(k1=2)))
    assert sorted(counted) == ["passage 10", "passage 8", "passage 9"] and index.report.passages == 11


def filled(tmp_path):
    return LocalIndex(
        documents=(), path=tmp_path / "index", dense=DenseSettings(encoder=FakeEncoder()), sparse=SparseSettings()
    )


def of(name, content, **metadata):
    return Document(id=name, page_content=content, metadata=metadata)


def test_documents_of_python(tmp_path):
    index = filled(tmp_path)
    with pytest.raises(InputError, match="holds no index"):
        prepared(index)
    index.add([of("a", "wheat and rust", year=2020), of("b", "silo"), of("c", "frost")])
    assert index.report.reasons == ("3 documents added",) and not index.report.continued
    index.replace([of("b", "a silo of wheat", year=2024)])
    index.delete(["c"])
    assert index.report.continued and index.report.passages == 2
    found = asyncio.run(index.search("sparse", "wheat silo frost", 9))
    assert [passage.id for passage in found] == ["b", "a"] and found[0].metadata["year"] == 2024
    assert len(asyncio.run(index.search("dense", "frost", 9))) == 2
    again = prepared(filled(tmp_path))
    assert not again.report.built and rankings(again) == rankings(index)


def test_changes_that_cannot_be_made_change_nothing(tmp_path):
    index = filled(tmp_path)
    index.add([of("a", "wheat")])
    before = index.fingerprint()
    for change, message in (
        (lambda: index.add([of("b", "new"), of("a", "again")]), "'a'.*belongs to an earlier document; replace"),
        (lambda: index.add([of("b", " ")]), "document 'b' holds no text"),
        (lambda: index.add(["text"]), "document 1 of 1 is a str, not a langchain Document"),
        (lambda: index.add([Document(page_content="x")]), "document 1 of 1 has no id"),
        (lambda: index.add([of("b", "x", bad=object())]), "'b': .*cannot be stored"),
        (lambda: index.replace([of("b", "x")]), "no document 'b'"),
        (lambda: index.delete(["b", "c"]), "no document 'b' and 1 more"),
        (lambda: index.delete(["a"]), "keeps one document at least"),
        (lambda: index.delete("a"), r"takes a list of ids: delete\(\['a'\]\)"),
        (lambda: index.add([of("b", " ")]), "document 'b' holds no text"),
        (lambda: index.replace([of("a", "")]), "document 'a' holds no text"),
    ):
        with pytest.raises(InputError, match=message):
            change()
        assert index.fingerprint() == before
    other = LocalIndex(documents=(), path=tmp_path / "index", sparse=SparseSettings(k1=2))
    with pytest.raises(InputError, match=r"index.dense: the index has one, .* none; index.sparse.k1: .* 1.5, .* 2"):
        prepared(other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chunking": Chunking(size=99)}, "size: the index has 200"),
        ({"sparse": SparseSettings(k1=2)}, "k1: .* has 1.5"),
    ],
)
def test_documents_are_not_added_to_an_index_of_other_settings(tmp_path, settings, message):
    filled(tmp_path).add([of("a", "wheat")])
    other = filled(tmp_path).model_copy(update=settings)
    with pytest.raises(InputError, match=f"other settings: .*{message}"):
        other.add([of("b", "silo")])
    assert filled(tmp_path).manifest().passages == 1


def test_an_index_of_files_is_not_changed_by_hand(ready):
    with pytest.raises(InputError, match="come from files"):
        ready.add([of("x", "y")])
