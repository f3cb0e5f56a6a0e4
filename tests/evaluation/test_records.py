"""What a run keeps about its questions."""

from ragkit.evaluation.questions import Question, read_questions
from ragkit.evaluation.records import question_line


def test_questions_are_read_back_as_they_were(tmp_path):
    questions = [
        Question("1", "Who?", ("x", "y"), ("a.pdf#p1",), "bridge", True, {"level": "hard"}),
        Question("2", "Ω?", answerable=False),
        Question("3", "graded", supporting_ids=("d1",), relevance={"d1": 2, "d2": 0}),
        Question("4", "filtered", vars={"where": {"field": "year", "equals": 2020}}),
    ]
    (tmp_path / "questions.jsonl").write_bytes(b"".join(question_line(question) for question in questions))
    assert read_questions(tmp_path / "questions.jsonl") == questions
