"""ragkit runs where parts that a pipeline does not use are not installed, and names what is missing where it does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = """
import sys
ABSENT = {absent!r}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)

sys.meta_path.insert(0, Blocker())
sys.argv = ["ragkit", *{arguments!r}]
from ragkit.cli import main
main()
"""

TEXT_PIPELINE = """
models:
  fake: {provider: scripted, default: "14 percent [1]"}
index:
  documents: ["*.txt"]
  sparse: {stemmer: english}
pipeline:
  - retrieve.sparse: {k: 2}
  - answer.read: {model: fake}
"""


def ragkit(folder: Path, absent: set[str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    code = DRIVER.format(absent=absent, arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=600)


def test_a_text_pipeline_needs_no_faiss_pymupdf_or_torch(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(TEXT_PIPELINE)
    (tmp_path / "storage.txt").write_text("Wheat is stored at 14 percent moisture.")
    absent = {"faiss", "pymupdf", "fitz", "rank_bm25", "torch", "transformers", "sentence_transformers", "llguidance"}
    done = ragkit(tmp_path, absent, "ask", "p.yaml", "At what moisture is wheat stored?")
    assert done.returncode == 0, done.stderr
    assert "14 percent" in done.stdout
    assert "storage.txt" in done.stdout


def test_a_missing_package_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.yaml").write_text(TEXT_PIPELINE.replace("*.txt", "*.pdf"))
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 nothing in here")
    # PDFs are read in a process of their own, which finds modules where this one does.
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "pymupdf.py").write_text("raise ModuleNotFoundError('No module named pymupdf', name='pymupdf')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(absent), os.environ.get("PYTHONPATH", "")]))
    done = ragkit(tmp_path, set(), "ask", "p.yaml", "?")
    assert done.returncode == 2
    assert "pip install pymupdf" in done.stderr


def test_dense_search_without_faiss_names_it(tmp_path: Path) -> None:
    text = TEXT_PIPELINE.replace("sparse: {stemmer: english}", "dense: {encoder: words}")
    text = text.replace("models:\n", "models:\n  words: {provider: hash}\n").replace(
        "retrieve.sparse", "retrieve.dense"
    )
    (tmp_path / "p.yaml").write_text(text)
    (tmp_path / "a.txt").write_text("Wheat.")
    done = ragkit(tmp_path, {"faiss"}, "ask", "p.yaml", "?")
    assert done.returncode == 2
    assert "pip install faiss" in done.stderr
