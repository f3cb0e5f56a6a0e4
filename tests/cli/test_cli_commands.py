"""The other commands, exit codes, `--debug`, and what is imported."""

import json
import subprocess
import sys

import pytest

from ragkit import Pipeline
from ragkit.cli import main
from ragkit.errors import InputError, MissingPackageError

HEAVY = {
    *("torch", "transformers", "sentence_transformers", "accelerate", "llguidance", "openai", "langchain_openai"),
    *("faiss", "bm25s", "pymupdf", "fitz", "bs4", "scipy", "ir_measures", "jinja2"),
}
IMPORTED = """
import sys
from ragkit.cli import main
try:
    main()
finally:
    print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments", [("--help",), ("validate", "farm.yaml"), ("stages", "show", "answer.read"), ("schema",)]
)
def test_nothing_heavy_is_imported(farm, arguments):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments], cwd=farm, capture_output=True, text=True, check=True
    )
    imported = set(done.stderr.split())
    assert "ragkit" in imported
    assert not imported & HEAVY


def test_the_starter_validates(farm, ragkit):
    made = ragkit("init", "mine.yaml")
    assert made.code == 0
    assert made.out.startswith("wrote mine.yaml\n")
    assert ragkit("validate", "mine.yaml").code == 0
    assert ragkit("validate", "mine.yaml").out.startswith("mine.yaml: valid (retrieve.hybrid, ")


def test_the_starter_overwrites_nothing_unless_told(farm, ragkit):
    (farm / "pipeline.yaml").write_text("precious")
    result = ragkit("init")
    assert result.code == 2
    assert result.err == "pipeline.yaml: exists already; choose another name or pass --force\n"
    assert (farm / "pipeline.yaml").read_text() == "precious"
    assert ragkit("init", "--force").code == 0
    assert "models:" in (farm / "pipeline.yaml").read_text()
    assert "does not exist" in ragkit("init", "no/such/folder.yaml").err


def test_validate_says_what_it_found(farm, ragkit):
    result = ragkit("validate", "farm.yaml")
    assert (result.code, result.out) == (0, "farm.yaml: valid (retrieve.hybrid, context.pack, answer.read)\n")


def test_validate_reports_all_problems(farm, ragkit):
    text = (farm / "farm.yaml").read_text().replace("k: 2", "k: 0").replace("answer.read", "answer.raed")
    (farm / "farm.yaml").write_text(text)
    result = ragkit("validate", "farm.yaml")
    assert result.code == 2
    assert result.out == ""
    assert "retrieve.hybrid.k: must be at least 1, not 0" in result.err
    assert "unknown stage 'answer.raed', did you mean 'answer.read'?" in result.err
    assert result.err.endswith("2 problems in farm.yaml\n")


def test_validate_takes_overrides(farm, ragkit):
    result = ragkit("validate", "farm.yaml", "--set", "retrieve.hybrid.k=0")
    assert result.code == 2
    assert "must be at least 1, not 0 (from --set retrieve.hybrid.k=0)" in result.err


def test_long_lines_of_a_file_are_not_broken(farm, ragkit):
    (farm / "farm.yaml").write_text(f"name: {'x' * 300}\nmodls: {{}}\npipeline: {'[' * 3}{'y ' * 200}\n")
    result = ragkit("validate", "farm.yaml")
    assert f"    pipeline: [[[{'y ' * 199}y\n" in result.err


def test_a_file_that_is_not_there(farm, ragkit):
    result = ragkit("validate", "fram.yaml")
    assert (result.code, result.err) == (2, "fram.yaml: no such file, did you mean 'farm.yaml'?\n")


def test_stages_lists_stages_and_controls(farm, ragkit):
    result = ragkit("stages")
    assert result.code == 0
    first = [line.split()[0] for line in result.out.splitlines()]
    assert {"answer.read", "context.pack", "retrieve.hybrid", "loop", "branch", "each", "parallel"} <= set(first)


def test_stages_show(farm, ragkit):
    result = ragkit("stages", "show", "answer.read")
    assert result.code == 0
    assert "reads   question, documents, vars.context (if written)" in result.out
    assert "writes  answer, citations" in result.out
    assert "max_new_tokens" in result.out
    loop = ragkit("stages", "show", "loop")
    assert loop.code == 0
    assert "Condition: A test on one field of the state" in loop.out and "less_than" in loop.out


@pytest.mark.parametrize(("wrong", "right"), [("answer.raed", "answer.read"), ("paralel", "parallel")])
def test_stages_show_of_a_wrong_name(farm, ragkit, wrong, right):
    result = ragkit("stages", "show", wrong)
    assert result.code == 2
    assert result.err == f"unknown stage '{wrong}', did you mean '{right}'? (`ragkit stages` lists them)\n"


def test_schema_is_json(farm, ragkit):
    result = ragkit("schema")
    assert result.code == 0
    assert json.loads(result.out)["title"] == "ragkit pipeline"


def test_doctor_looks_at_everything(farm, ragkit):
    result = ragkit("doctor")
    assert result.code in {0, 1}
    for name in ("python", "torch", "transformers", "faiss", "embedded:"):
        assert name in result.out


def test_wrong_commands_and_options(farm, ragkit):
    assert ragkit("--help").code == 0
    assert "Usage: ragkit" in ragkit("--help").out
    wrong = ragkit("vaildate", "farm.yaml")
    assert wrong.code == 2
    assert "validate" in wrong.err
    option = ragkit("run", "farm.yaml", "--limt", "3")
    assert option.code == 2
    assert "--limit" in option.err


@pytest.mark.parametrize("arguments", [("--debug", "validate", "none.yaml"), ("validate", "none.yaml", "--debug")])
def test_debug_lets_the_error_through(farm, monkeypatch, arguments):
    monkeypatch.setattr(sys, "argv", ["ragkit", *arguments])
    with pytest.raises(InputError, match=r"none.yaml: no such file"):
        main()


def test_what_nobody_expects_asks_for_debug(farm, ragkit, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("[red] oops")

    monkeypatch.setattr(Pipeline, "load", fail)
    result = ragkit("validate", "farm.yaml")
    assert result.code == 3
    assert "ZeroDivisionError: [red] oops" in result.err
    assert "--debug" in result.err
    assert "Traceback" not in result.err


def test_a_missing_package_is_the_users_to_install(farm, ragkit, monkeypatch):
    def fail(*_):
        raise MissingPackageError("this needs the package 'x': pip install x")

    monkeypatch.setattr(Pipeline, "load", fail)
    result = ragkit("validate", "farm.yaml")
    assert (result.code, result.err) == (2, "this needs the package 'x': pip install x\n")


def test_a_keyboard_interrupt_is_130(farm, ragkit, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Pipeline, "load", stop)
    assert ragkit("validate", "farm.yaml").code == 130
