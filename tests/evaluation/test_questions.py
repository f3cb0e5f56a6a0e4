import gzip
import json
import re

import pytest

from ragkit.errors import InputError
from ragkit.evaluation.questions import Question, read_questions


def write(path, *lines):
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def test_reads_every_field_and_keeps_the_others_as_extra(tmp_path):
    row = {
        "id": "a",
        "question": "Who?",
        "answers": ["X", "Y"],
        "supporting_ids": ["soil.pdf#p3"],
        "type": "bridge",
        "answerable": True,
        "level": "hard",
        "pages": [3],
    }
    assert read_questions(write(tmp_path / "q.jsonl", row)) == [
        Question("a", "Who?", ("X", "Y"), ("soil.pdf#p3",), "bridge", True, {"level": "hard", "pages": [3]})
    ]


def test_only_the_question_is_required_and_an_id_is_made_from_the_line_number(tmp_path):
    path = write(tmp_path / "q.jsonl", {"question": "one"}, "", {"question": "two", "id": "b"}, {"question": "three"})
    assert [(q.id, q.question, q.answers, q.type) for q in read_questions(path)] == [
        ("q1", "one", (), ""),
        ("b", "two", (), ""),
        ("q4", "three", (), ""),
    ]


def test_unanswerable_rows_keep_their_remark(tmp_path):
    path = write(tmp_path / "q.jsonl", {"question": "x", "answers": ["Not answerable"], "answerable": False})
    (question,) = read_questions(path)
    assert not question.answerable
    assert question.answers == ("Not answerable",)


def test_reads_gzip_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "q.jsonl.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"question": "Wer war R\xc3\xb6ntgen?"}\r\n'))
    assert [q.question for q in read_questions(path)] == ["Wer war Röntgen?"]


def test_limit_stops_before_later_lines_are_looked_at(tmp_path):
    path = write(tmp_path / "q.jsonl", {"question": "one"}, {"question": "two"}, "broken")
    assert [q.id for q in read_questions(path, limit=2)] == ["q1", "q2"]
    with pytest.raises(InputError, match="limit must be at least 1, not 0"):
        read_questions(path, limit=0)


BROKEN = [
    ("{broken", "not valid JSON: Expecting property name enclosed in double quotes (column 2)"),
    ("[1]", "a question is one JSON object, not list"),
    ('"text"', "a question is one JSON object, not str"),
    ({"id": "x"}, "missing key 'question'"),
    ({"question": "  "}, "'question': must not be empty"),
    ({"question": 7}, "'question': must be a text, not 7; put it in quotes"),
    ({"question": "x", "id": 7}, "'id': must be a text, not 7; put it in quotes"),
    ({"question": "x", "id": ""}, "'id': must not be empty"),
    ({"question": "x", "answers": "yes"}, "'answers': must be a list, not 'yes'"),
    ({"question": "x", "answers": ["a", 3]}, "'answers.1': must be a text, not 3; put it in quotes"),
    ({"question": "x", "supporting_ids": None}, "'supporting_ids': must be a list, not nothing"),
    ({"question": "x", "answerable": "no"}, "'answerable': must be true or false, not 'no'"),
    (
        {"question": 7, "type": 1},
        "'question': must be a text, not 7; put it in quotes; 'type': must be a text, not 1; put it in quotes",
    ),
    ('{"question": "\\ud800"}', "not valid Unicode text: surrogates not allowed"),
    ("[" * 100_000, "not usable JSON: nested too deeply"),
]


@pytest.mark.parametrize(("line", "message"), BROKEN)
def test_each_kind_of_bad_line_is_named(tmp_path, line, message):
    path = write(tmp_path / "q.jsonl", {"question": "fine"}, line)
    with pytest.raises(InputError) as caught:
        read_questions(path)
    assert str(caught.value) == f"1 bad line in the questions file:\n{path}:2: {message}"


def test_bytes_that_are_not_utf8_are_named_by_line(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_bytes(b'{"question": "fine"}\n{"question": "\xff"}\n')
    with pytest.raises(InputError, match=r"q\.jsonl:2: not valid Unicode text: invalid start byte"):
        read_questions(path)


def test_duplicates_name_both_lines_also_when_an_id_was_made_up(tmp_path):
    path = write(tmp_path / "q.jsonl", {"question": "x", "id": "q2"}, {"question": "y"}, {"question": "z", "id": "q2"})
    with pytest.raises(InputError) as caught:
        read_questions(path)
    assert str(caught.value).splitlines()[1:] == [
        f"{path}:2: id 'q2' was used before, in line 1",
        f"{path}:3: id 'q2' was used before, in line 1",
    ]


def test_all_bad_lines_are_counted_and_twenty_are_shown(tmp_path):
    path = write(tmp_path / "q.jsonl", *["broken"] * 23)
    with pytest.raises(InputError) as caught:
        read_questions(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "23 bad lines in the questions file:"
    assert [re.match(r".*jsonl:(\d+): not valid JSON", line)[1] for line in lines[1:21]] == [
        str(number) for number in range(1, 21)
    ]
    assert lines[21:] == ["... and 3 more"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.jsonl", b"\n \n", "the file holds no questions"),
        ("q.csv", b"", r"a questions file is named \*.jsonl or \*.jsonl.gz"),
        ("q.jsonl.gz", b"not gzip", "cannot be read"),
        ("q.jsonl.gz", gzip.compress(b'{"question": "x"}' * 100, mtime=0)[:-9], "cannot be read"),
        ("missing/q.jsonl", None, "cannot be read"),
    ],
)
def test_unusable_files(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_questions(path)
