import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from index_fakes import TEXTS, FakeEncoder

from ragkit.documents import Chunking
from ragkit.errors import InputError
from ragkit.index import DenseSettings, FusionSettings, LocalIndex, SparseSettings
from ragkit.index.folder import locked

SCRIPT = Path(__file__).with_name("index_fakes.py")


def prepare(index):
    index.prepare(lambda *step: None)
    return index.report


def start(tmp_path, pause):
    command = [sys.executable, str(SCRIPT), str(tmp_path / "index"), str(tmp_path / "rows.jsonl"), str(pause)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_it_is_built_once(make):
    report = prepare(make())
    assert report.built and report.reasons == ("new",) and report.passages == len(TEXTS)
    again = prepare(make())
    assert not again.built and again.folder == report.folder and again.ingest.documents == len(TEXTS)
    assert "up to date: 5 passages" in str(again)


def test_progress(make):
    steps = []
    make().prepare(lambda *step: steps.append(step))
    assert steps[0] == ("read", 0, 1) and ("read", 1, 1) in steps
    assert ("dense", 0, 5) in steps and ("dense", 5, 5) in steps and steps[-1] == ("sparse", 5, 5)
    assert all(done <= total for _, done, total in steps)


@pytest.mark.parametrize(
    ("change", "field", "old", "new"),
    [
        ({"chunking": Chunking(size=50)}, "chunking.size", "200", "50"),
        ({"dense": DenseSettings(encoder=FakeEncoder(name="b"))}, "dense.encoder.id", "'fake'", "'b'"),
        ({"dense": DenseSettings(encoder=FakeEncoder(), factory="HNSW8")}, "dense.factory", "'Flat'", "'HNSW8'"),
        ({"dense": None}, "dense", "one", "none"),
        ({"sparse": SparseSettings(k1=1.2)}, "sparse.k1", "1.5", "1.2"),
        ({"sparse": SparseSettings(stemmer=None)}, "sparse.stemmer", "'english'", "none"),
    ],
)
def test_other_settings_are_an_error_for_readers_and_a_rebuild_for_builders(ready, make, change, field, old, new):
    reason = f"index.{field}: the index has {old}, the settings say {new}"
    other = make(**change)
    with pytest.raises(InputError, match="was built with other settings") as error:
        other.fingerprint()
    assert reason in str(error.value)
    with pytest.raises(InputError, match="other settings"):
        other.ensure_open()
    assert prepare(other).reasons == (reason,)
    assert not prepare(make(**change)).built


def test_what_matters_to_queries_only_needs_no_rebuild(ready, make):
    assert not prepare(make(fusion=FusionSettings(k=60))).built
    assert not prepare(make(dense=DenseSettings(encoder=FakeEncoder(), device="cpu"))).built


def test_changed_new_and_gone_files(make, write_rows, tmp_path):
    prepare(make(documents=("*.jsonl",)))
    write_rows(TEXTS | {"new": "Something else."})
    assert prepare(make(documents=("*.jsonl",))).reasons == ("1 file changed",)
    write_rows({"more": "Yet another row."}, "more.jsonl")
    assert prepare(make(documents=("*.jsonl",))).reasons == ("1 file new",)
    (tmp_path / "more.jsonl").unlink()
    assert prepare(make(documents=("*.jsonl",))).reasons == ("1 file gone",)


def test_a_touched_file_is_no_change(make, tmp_path):
    prepare(make())
    for seconds in (1_000_000, 2_000_000):
        os.utime(tmp_path / "rows.jsonl", (seconds, seconds))
        assert not prepare(make()).built
    memo = json.loads((tmp_path / "index/files.json").read_text())
    assert memo[str(tmp_path / "rows.jsonl")][1] == 2_000_000 * 10**9


@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 1}', '{"x": [1, 2]}'])
def test_a_damaged_memo_costs_only_time(ready, make, tmp_path, content):
    (tmp_path / "index/files.json").write_text(content)
    assert not prepare(make()).built


@pytest.mark.parametrize("content", ["", "{", "[]", '{"settings": {"format": 2}}', '{"settings": {"format": 99}}'])
def test_a_damaged_or_foreign_manifest(ready, make, content):
    (ready.report.folder / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=r"manifest.json: .*(damaged|format 99)"):
        make().manifest()
    assert prepare(make()).built
    assert make().manifest().passages == len(TEXTS)


@pytest.mark.parametrize("name", ["dense/vectors.faiss", "sparse/data.csc.index.npy"])
def test_damaged_files_are_an_error(ready, make, name):
    (ready.report.folder / name).write_bytes(b"garbage")
    with pytest.raises(InputError, match="is damaged"):
        make().ensure_open()


def test_nothing_is_pickled(ready):
    for path in ready.report.folder.rglob("*"):
        assert path.suffix in {"", ".json", ".sqlite", ".faiss", ".npy"}
        assert path.is_dir() or b"\x80\x04\x95" not in path.read_bytes()


def test_the_same_corpus_gives_the_same_manifest_in_another_folder(make, tmp_path):
    first, second = make(path=tmp_path / "a"), make(path=tmp_path / "b")
    prepare(first), prepare(second)
    assert first.manifest() == second.manifest() and first.fingerprint() == second.fingerprint()
    assert str(tmp_path) not in (first.report.folder / "manifest.json").read_text()


def test_an_index_that_was_not_built(make):
    for use in (lambda index: index.fingerprint(), lambda index: index.ensure_open()):
        with pytest.raises(InputError, match="holds no index; build it first"):
            use(make())


def test_documents_without_text(make, write_rows):
    write_rows({"a": "", "b": "  "})
    with pytest.raises(
        InputError, match=r"hold no text to index\n1 file, 0 documents(.|\n)*rows.jsonl:1: 'text' is empty"
    ):
        prepare(make())


def test_a_failed_build_keeps_the_old_index(ready, make, write_rows, tmp_path):
    write_rows({"a": ""})
    with pytest.raises(InputError):
        prepare(make())
    assert make().manifest().passages == len(TEXTS)


def test_kill_in_the_middle_of_a_build(ready, make, write_rows, tmp_path):
    write_rows(TEXTS | {"new": "Something else."})
    process = start(tmp_path, pause=60)
    assert process.stdout.readline() == "embedding\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "index/work").exists()
    assert make().manifest().passages == len(TEXTS)
    make().ensure_open()
    assert prepare(make()).passages == len(TEXTS) + 1
    assert not (tmp_path / "index/work").exists()


def test_two_processes_build_once(make, tmp_path):
    processes = [start(tmp_path, pause=1), start(tmp_path, pause=1)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sorted(out.split()[-1] for out, _ in outputs) == ["built", "reused"]
    assert make().manifest().passages == len(TEXTS)


def test_a_reader_keeps_the_build_it_opened(ready, make, write_rows):
    import asyncio

    ready.manifest()
    write_rows(TEXTS | {"new": "Something entirely else."})
    prepare(make())
    assert asyncio.run(ready.search("sparse", "entirely", 3)) == ()
    ready.close()
    assert [passage.id for passage in asyncio.run(ready.search("sparse", "entirely", 3))] == ["new"]


def test_old_builds_are_removed(make, write_rows, tmp_path):
    for number in range(4):
        write_rows(TEXTS | {"new": f"Version {number} of this."})
        prepare(make())
    assert len([path for path in (tmp_path / "index").iterdir() if path.is_dir()]) == 2


def test_what_else_lies_in_the_folder_stays(make, write_rows, tmp_path):
    prepare(make())
    kept = tmp_path / "index" / "notes" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    for number in range(3):
        write_rows(TEXTS | {"new": f"Version {number} of this."})
        prepare(make())
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("name", ["work", "files.json", "thesis"])
def test_a_folder_that_holds_other_things_is_refused(make, tmp_path, name):
    kept = tmp_path / "index" / name / "mine.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    with pytest.raises(InputError, match="folder of its own"):
        prepare(make())
    with pytest.raises(InputError, match="folder of its own"):
        LocalIndex(path=tmp_path / "index", sparse=SparseSettings()).add([])
    assert [path for path in (tmp_path / "index").rglob("*") if path.is_file()] == [kept]


def test_default_folder(make, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = make(path=None).folder
    assert folder.parts[:2] == (".ragkit", "indexes")
    assert make(path=None, sparse=SparseSettings(k1=1.2)).folder != folder
    assert make(path=None, fusion=FusionSettings(k=60)).folder == folder
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))
    assert make(path=None).folder == tmp_path / "home" / "indexes" / folder.name


def test_a_second_builder_says_that_it_waits(tmp_path, caplog):
    def wait():
        with locked(tmp_path):
            pass

    with caplog.at_level("INFO", "ragkit"), locked(tmp_path):
        second = threading.Thread(target=wait)
        second.start()
        while "waiting for another process that builds the index" not in caplog.text:
            assert second.is_alive()
            time.sleep(0.05)
    second.join()


def test_what_was_skipped_is_named_once_and_counted_afterwards(make, write_rows):
    write_rows(TEXTS | {"empty": " "})
    first, again = prepare(make()), prepare(make())
    assert "'text' is empty" in str(first)
    assert "1 skipped when it was built" in str(again) and "'text' is empty" not in str(again)
