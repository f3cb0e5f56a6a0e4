"""A tiny corpus with scripted models, and a way to run the command line in this process."""

import json
import sys
from types import SimpleNamespace

import pytest
from cli_farm import PIPELINE, QUESTIONS

from ragkit import cli
from ragkit.cli import console
from ragkit.engine import registry


@pytest.fixture
def farm(tmp_path, monkeypatch):
    """The folder, which is the current one, of a pipeline with documents and questions."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "wheat.txt").write_text("Winter wheat is kept safe for a year at 14 percent moisture.\n")
    (tmp_path / "docs" / "maize.txt").write_text("Maize is dried to 15 percent before it is stored.\n")
    (tmp_path / "farm.yaml").write_text(PIPELINE)
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAGKIT_HOME", raising=False)
    return tmp_path


@pytest.fixture
def installed(monkeypatch):
    """Hold ragkit's own parts only: other tests register theirs in the same process."""
    for known in (registry.stages, registry.models, registry.indexes, registry.metrics, registry.judges):
        own = {name: known[name] for name in known if known[name].__module__.startswith("ragkit.")}
        monkeypatch.setattr(known, "_parts", own)


@pytest.fixture
def ragkit(monkeypatch, capsys, installed):
    """Run a command in this process: `ragkit("ask", "farm.yaml", "...")` returns code, out and err."""
    monkeypatch.setattr(console.output, "width", 160)
    monkeypatch.setattr(console.errors, "width", 160)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ragkit", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        return SimpleNamespace(code=leaving.value.code, out=captured.out, err=captured.err)

    return call
