"""Broken pipeline files and the exact text that a user sees.

The files are `broken/NN-name.yaml`, what is expected is `broken/NN-name.txt`. After a change of messages,
`RAGKIT_UPDATE_MESSAGES=1 pytest tests/config/test_errors.py` writes the texts anew; read the difference as a user.
"""

import os
import re
from pathlib import Path

import pytest

from ragkit.config.load import load_pipeline
from ragkit.errors import InputError

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))
JARGON = re.compile(
    r"Input should|Value error|literal_error|_type\b|pydantic|https?://|<class|Traceback|NoneType|dictionary|tuple"
)


def message_of(path, monkeypatch, overrides=()):
    monkeypatch.chdir(path.parent)
    with pytest.raises(InputError) as caught:
        load_pipeline(path.name, overrides)
    return str(caught.value)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_message(path, registries, monkeypatch):
    message = message_of(path, monkeypatch)
    expected = path.with_suffix(".txt")
    if os.environ.get("RAGKIT_UPDATE_MESSAGES"):
        expected.write_text(message + "\n", encoding="utf-8")
    assert message + "\n" == expected.read_text(encoding="utf-8")


def test_every_message_is_for_users():
    assert len(BROKEN) >= 35
    for path in BROKEN:
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        assert not JARGON.search(text), path.name
        places = re.findall(rf"^{re.escape(path.name)}:(\d+):(\d+): \S", text, re.MULTILINE)
        assert places == sorted(places, key=lambda place: (int(place[0]), int(place[1]))), path.name
        count = re.search(r"^(\d+) problems in", text, re.MULTILINE)
        assert len(places) == (int(count[1]) if count else 1), path.name


def test_carets_stand_below_what_is_meant(registries, monkeypatch):
    for path in BROKEN:
        lines = message_of(path, monkeypatch).splitlines()
        for place, source, caret in zip(lines, lines[1:], lines[2:], strict=False):
            if caret.strip() == "^" and (found := re.match(r"\S+:\d+:(\d+): .*unknown key '(.*?)'", place)):
                shown = source.removeprefix("    ")[int(found[1]) - 1 :]
                assert shown.lstrip('"').startswith(found[2])
                assert caret.index("^") == int(found[1]) + 3


def test_legitimate_anchors_are_accepted(registries, write):
    path = write(
        """
        models:
          reader: &local {provider: scripted, default: wheat, seconds: 1}
          judge: {<<: *local, default: barley}
          minilm: {provider: hash}
        index:
          documents: ["docs/*.pdf"]
          dense: {encoder: minilm}
        pipeline:
          - retrieve.dense: &settings {k: 7}
          - retrieve.hybrid: {<<: [*settings, {k: 3}], depth: 9}
          - answer.read: {model: judge}
        """
    )
    pipeline = load_pipeline(path)
    judge = pipeline.models["judge"]
    assert (judge.default, judge.seconds) == ("barley", 1)
    assert [pipeline.nodes[1].stage.k, pipeline.nodes[1].stage.depth] == [7, 9]


def test_merging_many_times_is_bounded(registries, write):
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}" for n in range(1, 30))]
    with pytest.raises(InputError, match="not usable: more than 100,000 values"):
        load_pipeline(write("\n".join(lines)))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "a:\n"])
def test_deep_nesting_is_reported(registries, write, opening):
    text = "".join(" " * n + opening for n in range(3000)) if "\n" in opening else opening * 5000
    with pytest.raises(InputError, match=r"pipeline\.yaml:"):
        load_pipeline(write(text))


def test_a_file_may_start_with_a_byte_order_mark(registries, tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfpipelin: []\n")
    with pytest.raises(InputError, match=r"bom.yaml:1:1: unknown key 'pipelin', did you mean 'pipeline'"):
        load_pipeline(path)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "quickstart.yaml").write_text("pipeline: []")
    (tmp_path / "latin.yaml").write_bytes("name: Müller".encode("latin-1"))
    with pytest.raises(InputError, match=r"quickstrat.yaml: no such file, did you mean 'quickstart.yaml'\?"):
        load_pipeline(tmp_path / "quickstrat.yaml")
    with pytest.raises(InputError, match="is a folder, not a pipeline file"):
        load_pipeline(tmp_path)
    with pytest.raises(InputError, match=r"latin.yaml: cannot be read: .*utf-8"):
        load_pipeline(tmp_path / "latin.yaml")


def test_a_pipeline_without_a_name_is_named_by_its_file(registries, write):
    assert load_pipeline(write("pipeline:\n- test.note:\n")).name == "pipeline"


def test_validation_is_placed_at_an_anchor_that_is_used_elsewhere(registries, write):
    path = write("models: {m: {provider: scripted}}\nrun: {budget: &b {tokens: -1}}\npipeline:\n- test.note: *b\n")
    with pytest.raises(InputError) as caught:
        load_pipeline(path)
    places = [(problem.line, problem.column) for problem in caught.value.problems]
    assert places == [(2, 19), (2, 27)]


def test_terminal_escapes_in_a_file_are_not_obeyed(registries, write):
    with pytest.raises(InputError) as caught:
        load_pipeline(write('"\\e[31mred": 1\npipeline: [test.note: ]\n'))
    assert "\x1b" not in str(caught.value)
