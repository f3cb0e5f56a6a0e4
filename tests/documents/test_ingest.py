import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import psutil
import pymupdf
import pytest
from hostile import pages, simple, structures, write_hostile

from ragkit.documents import Chunking, IngestReport, PdfSettings, SourceFile, discover
from ragkit.documents import workers as workers_module
from ragkit.documents.ingest import IngestSettings, ingest, reading_record
from ragkit.documents.workers import Worker
from ragkit.errors import RagkitError

NO_OCR = PdfSettings(ocr="off")


def write_pdf(path, *texts):
    with pymupdf.open() as pdf:
        for text in texts:
            assert pdf.new_page().insert_textbox((50, 50, 540, 800), text) >= 0, "the text does not fit"
        pdf.save(path)
    return path


def sources(folder):
    return [SourceFile(path, path.name) for path in sorted(folder.iterdir())]


def run(files, work, chunking=None, on_file=lambda file: None, hashes=None, **settings):
    """Return the documents and the report."""
    report = IngestReport()
    limits = IngestSettings(**settings)
    found = list(ingest(files, NO_OCR, chunking or Chunking(), work, report, on_file, settings=limits, hashes=hashes))
    assert children() == []
    return found, report


def children():
    return [
        child for child in psutil.Process().children(recursive=True) if "ragkit.documents.worker" in child.cmdline()
    ]


def ids(documents):
    return [passage.id for document in documents for passage in document.passages]


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_pdf(folder / "a.pdf", "Wheat needs rain.", "", "Maize needs sun.")
    (folder / "b.jsonl").write_text('{"id": "r1", "text": "One."}\n{"id": "a.pdf", "text": "Double."}\n{broken\n')
    write_pdf(folder / "c.pdf", "Barley. " * 450)
    (folder / "d.md").write_text("# Soil\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n")
    (folder / "e.docx").write_bytes(b"PK")
    return folder


def test_order_and_content_do_not_depend_on_the_number_of_workers(corpus, tmp_path):
    results = [run(sources(corpus), tmp_path / f"work{n}", workers=n) for n in (1, 3)]
    (found, report), (again, other) = results
    assert found == again
    report.seconds = other.seconds = 0
    assert report == other
    assert ids(found)[:3] == ["a.pdf#p1.c0", "a.pdf#p3.c0", "r1"] and ids(found)[-1] == "d.md"
    assert (report.files, report.documents, report.pages, report.tables) == (5, 4, 4, 1)
    assert report.passages == len(ids(found)) and report.without_text == {"a.pdf": [2]}
    assert report.skipped == [
        ("b.jsonl", "the id 'a.pdf' belongs to an earlier document"),
        ("b.jsonl:3", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        ("e.docx", "unknown format '.docx' (known: .pdf, .txt, .md, .html, .htm, .jsonl, .jsonl.gz)"),
    ]


def test_what_was_read_is_not_read_again(corpus, tmp_path, monkeypatch):
    files, work = sources(corpus), tmp_path / "work"
    first, report = run(files, work)
    assert report.reused == 0
    monkeypatch.setattr(Worker, "read", None)
    again, report = run(files, work)
    assert again == first and report.reused == report.files == 5
    monkeypatch.undo()
    _, report = run(files, work, Chunking(size=50))
    assert report.reused == 0
    (corpus / "d.md").write_text("# Other\n")
    _, report = run(sources(corpus), work)
    assert report.reused == 4


def test_an_interrupted_call_leaves_no_process_and_what_it_finished(corpus, tmp_path):
    files, work, done = sources(corpus), tmp_path / "work", []
    documents = ingest(files, NO_OCR, Chunking(), work, IngestReport(), done.append, settings=IngestSettings(workers=2))
    next(documents)
    assert children() != []
    documents.close()
    assert children() == []
    _, report = run(files, work)
    assert report.reused >= len(done) > 0


def test_short_texts_are_read_without_a_process(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(Worker, "read", None)
    files = [file for file in sources(corpus) if file.path.suffix != ".pdf"]
    found, report = run(files, tmp_path / "work")
    assert ids(found) == ["r1", "a.pdf", "d.md"] and report.documents == 3


def test_long_rows_are_read_in_a_process_row_by_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    with path.open("w") as rows:
        for number in range(30_000):
            rows.write(json.dumps({"id": f"r{number}", "text": f"{number} " + "word " * 30, "year": 2000}) + "\n")
    found, report = run([SourceFile(path, path.name)], tmp_path / "work", memory=0.05)
    assert ids(found) == [f"r{number}" for number in range(30_000)]
    assert found[7].passages[0].metadata == {"year": 2000, "source": "rows", "document": "r7"}
    assert report.skipped == []


def test_a_file_that_takes_too_long_is_skipped_and_the_others_are_read(tmp_path):
    endless = next(data for name, data in pages() if name == "billion-laughs")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/a.pdf").write_bytes(endless)
    for name in "bcd":
        write_pdf(tmp_path / f"corpus/{name}.pdf", name)
    found, report = run(sources(tmp_path / "corpus"), tmp_path / "work", workers=1, seconds=1)
    assert report.skipped == [("a.pdf", "took longer than 1 s")]
    assert len(found) == 3 and report.files == 4


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_file_that_needs_too_much_memory_is_skipped_and_the_others_are_read(tmp_path):
    greedy = next(data for name, data in pages() if name == "bomb-of-letters")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/b.pdf").write_bytes(greedy)
    for name in "acd":
        write_pdf(tmp_path / f"corpus/{name}.pdf", name)
    found, report = run(sources(tmp_path / "corpus"), tmp_path / "work", workers=1, memory=0.1)
    assert report.skipped == [("b.pdf", "needed more than 0.1 GiB of memory")]
    assert len(found) == 3
    assert not list((tmp_path / "work").glob("*.part"))


def test_a_file_that_changes_while_it_is_read_is_skipped(corpus, tmp_path):
    for name in ("a.pdf", "d.md"):
        files = [SourceFile(corpus / name, name)]
        found, report = run(files, tmp_path / "work", hashes={name: "0" * 64})
        assert found == [] and report.skipped == [(name, "it changed while it was read")]


def test_a_file_that_is_gone_is_skipped(corpus, tmp_path):
    found, report = run([SourceFile(corpus / "gone.pdf", "gone.pdf"), *sources(corpus)], tmp_path / "work")
    assert report.skipped[0] == ("gone.pdf", "No such file or directory") and len(found) == 4


def task(path, work):
    work.mkdir(exist_ok=True)
    return reading_record(PdfSettings(), Chunking()) | {
        "path": str(path), "id": path.name, "digest": "", "shard": str(work / "x.jsonl"), "pages": None,
    }  # fmt: skip


def test_a_worker_that_dies_is_a_reason(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(next(data for name, data in pages() if name == "billion-laughs"))
    worker = Worker(memory=1)

    def kill():
        while not finished.is_set() and not (tmp_path / "work/x.part").exists():
            time.sleep(0.01)
        for child in children():
            child.send_signal(signal.SIGSEGV)

    finished = threading.Event()
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        reason = worker.read(task(path, tmp_path / "work"), seconds=60)
    finally:
        finished.set()
        worker.close()
        killer.join()
    assert reason.startswith("the reader died (signal 11: Segmentation fault)")
    assert children() == []


def test_a_worker_that_died_before_is_no_reason(corpus, tmp_path):
    worker = Worker(memory=1)
    try:
        assert worker.read(task(corpus / "a.pdf", tmp_path / "work"), seconds=60) == "it changed while it was read"
        for child in children():
            child.kill()
        assert worker.read(task(corpus / "a.pdf", tmp_path / "work"), seconds=60) == "it changed while it was read"
    finally:
        worker.close()


def test_a_worker_that_cannot_be_started_is_an_error(monkeypatch, corpus, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'No module named ragkit' >&2\nexit 1\n")
    broken.chmod(0o700)
    monkeypatch.setattr(workers_module.sys, "executable", str(broken))
    with pytest.raises(RagkitError, match=r"cannot be started.*No module named"):
        run(sources(corpus), tmp_path / "work")


def test_a_worker_loads_no_model_library():
    code = "import sys, ragkit.documents.worker; print({'torch', 'faiss', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


SCRIPT = """
import sys
from pathlib import Path
from ragkit.documents import Chunking, IngestReport, PdfSettings, discover
from ragkit.documents.ingest import IngestSettings, ingest

report = IngestReport()
print("running", flush=True)
settings = IngestSettings(workers=2, seconds=60)
files = discover([sys.argv[1]], Path())
for document in ingest(files, PdfSettings(), Chunking(), Path(sys.argv[2]), report, settings=settings):
    print(document.passages[0].id, flush=True)
"""


def start(tmp_path, pattern):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(pattern), str(tmp_path / "work")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_a_script_needs_no_main_guard(corpus, tmp_path):
    out, err = start(tmp_path, corpus / "*.pdf").communicate()
    assert out.split() == ["running", "a.pdf#p1.c0", "c.pdf#p1.c0"] and err == ""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_takes_its_workers_along(tmp_path, how):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_pdf(corpus / "a.pdf", *["Wheat needs rain. " * 100] * 20)  # the largest is read first
    for name in "bc":
        (corpus / f"{name}.pdf").write_bytes(next(data for key, data in pages() if key == "billion-laughs"))
    process = start(tmp_path, corpus / "*.pdf")
    with process:
        assert [process.stdout.readline(), process.stdout.readline()] == ["running\n", "a.pdf#p1.c0\n"]
        readers = psutil.Process(process.pid).children()
        assert readers
        process.send_signal(how)
        process.wait(60)
        if how == signal.SIGINT:
            assert "KeyboardInterrupt" in process.stderr.read()
            assert not any(reader.is_running() for reader in readers)
    for reader in readers:
        if how == signal.SIGKILL and reader.is_running():
            reader.kill()  # its own alarm would end it later
    assert len(list((tmp_path / "work").glob("*.jsonl"))) == 1


def test_hostile_files_are_skipped_with_a_reason_or_read_and_all_good_ones_are_read(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    hostile = write_hostile(folder)
    good = [write_pdf(folder / f"good-{n}.pdf", f"Good text number {n}.") for n in range(12)]
    assert len(hostile) >= 300
    found, report = run(sources(folder), tmp_path / "work", workers=2, seconds=3, memory=0.15)
    assert report.files == len(hostile) + len(good)
    read = {document.passages[0].metadata["source"] for document in found if document.passages}
    assert {path.name for path in good} <= read
    skipped = {place.partition(", page")[0]: reason for place, reason in report.skipped}
    assert all(path.name in read or path.name in skipped for path in hostile)
    assert all(reason and "\n" not in reason for reason in skipped.values())
    assert skipped["encrypted-with-password.pdf"] == "encrypted: it needs a password"
    assert skipped["empty.pdf"] == "the file is empty"
    assert skipped["billion-laughs.pdf"] == "took longer than 3 s"
    assert "encrypted-without-password.pdf" in read and "50000-objects.pdf" in read
    if sys.platform == "linux":
        assert skipped["bomb-of-letters.pdf"] == "needed more than 0.15 GiB of memory"
    # A name is a name: nothing is written but the shards.
    assert {path.suffix for path in (tmp_path / "work").iterdir()} == {".jsonl"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "work"]


def test_hostile_files_are_always_the_same():
    assert dict(structures()) == dict(structures())
    assert b"Wheat" in simple()


def test_a_report_survives_json_and_reads_well():
    report = IngestReport(files=3, reused=1, documents=2, pages=30, tables=2, figures=1, passages=40, seconds=1.25)
    for page in (3, 4, 5, 9):
        report.no_text("a.pdf", page)
    report.skip("b.pdf", "the file is empty")
    report.note("said once")
    report.note("said once")
    assert IngestReport.from_dict(json.loads(json.dumps(asdict(report)))) == report
    assert str(report) == (
        "3 files, 2 documents, 30 pages (4 without text), 2 tables, 1 figure, 40 passages in 1.2 s\n"
        "1 file had been read by an interrupted build\n"
        "said once\n"
        "no text in a.pdf: pages 3-5, 9\n"
        "skipped b.pdf: the file is empty"
    )


def test_systems_without_memory_limits_are_told_once(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    _, report = run(sources(corpus), tmp_path / "work")
    assert report.notes == ["the memory of readers is not limited on this system"]


@pytest.mark.parametrize("values", [{"workers": 0}, {"seconds": 0}, {"memory": 0}, {"seconds": float("inf")}])
def test_wrong_settings_are_refused(values):
    with pytest.raises(ValueError, match="validation error"):
        IngestSettings(**values)


def test_names_that_are_no_names(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    names = ["new\nline.pdf", "-rf.pdf", "long" * 60 + ".pdf", "ünïcode 麦.pdf", os.fsdecode(b"not-utf8-\xff.pdf")]
    for name in names:
        Path(folder / name).write_bytes(simple())
    files = discover(["corpus/*"], tmp_path)
    found, report = run(files, tmp_path / "work")
    assert report.skipped == []
    assert sorted(document.passages[0].metadata["source"] for document in found) == sorted(
        name.replace("\udcff", "\ufffd") for name in names
    )


def test_unknown_formats_do_not_hide_what_could_not_be_read():
    report = IngestReport(files=31)
    for number in range(30):
        report.skip(f"a{number}.png", "unknown format '.png' (known: ...)")
    report.skip("z.pdf", "encrypted: it needs a password")
    lines = str(report).splitlines()
    assert lines[1] == "skipped z.pdf: encrypted: it needs a password"
    assert len(lines) == 8 and lines[-1] == "skipped 25 more files of unknown formats"
