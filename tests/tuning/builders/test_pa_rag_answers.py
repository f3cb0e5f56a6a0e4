"""The answers that PA-RAG's first stage learns."""

import json

import pytest
from pa_rag_farm import CROPS, QUESTIONS, ROWS, context, crop_of, farm, last_turn, numbers_of

from ragkit.errors import InputError, RagkitError
from ragkit.evaluation.questions import Question
from ragkit.models import ScriptedModel
from ragkit.tuning.builders.pa_rag import PaRagAnswers
from ragkit.tuning.rows import SftRow


def answers(**settings):
    return PaRagAnswers(depth=4, **settings)


def build(tmp_path, builder, questions=QUESTIONS, seed=0):
    return builder.build("train", context(tmp_path, farm(tmp_path, str), questions, seed))


def counts(tmp_path):
    return json.loads((tmp_path / "built.train.json").read_text())


def test_without_a_teacher_gold_answers_cite_the_gold_passages_where_they_stand(tmp_path):
    rows = build(tmp_path, answers())
    assert [(row.origin["question"], row.origin["kind"]) for row in rows] == [
        (question.id, mode) for question in QUESTIONS for mode in ("golden", "golden+noise")
    ]
    for row in rows:
        assert isinstance(row, SftRow)
        crop, places = row.origin["question"], numbers_of(last_turn(row))
        cited = sorted((places[f"{crop}-moisture"], places[f"{crop}-store"]))
        assert row.completion == f"{CROPS[crop]} [{cited[0]}, {cited[1]}]"
        assert len(places) == (2 if row.origin["kind"] == "golden" else 6)
    assert counts(tmp_path) == {"rows": 8}


def test_noise_holds_no_answer_and_half_of_it_is_from_other_questions(tmp_path):
    for row in build(tmp_path, answers(scenarios=("no_golden",))):
        crop, places = row.origin["question"], numbers_of(last_turn(row))
        assert row.completion == "unanswerable"
        assert CROPS[crop] not in last_turn(row)
        assert sum(name.startswith(crop) for name in places) == 2
        assert len(places) == 4


def test_rows_are_the_same_whatever_other_order_the_questions_have(tmp_path):
    rows = build(tmp_path, answers())
    again = build(tmp_path, answers(), QUESTIONS[::-1])
    assert sorted(map(repr, rows)) == sorted(map(repr, again))
    assert sorted(map(repr, build(tmp_path, answers(), seed=1))) != sorted(map(repr, rows))


def test_golden_passages_may_be_those_that_hold_the_answer(tmp_path):
    for row in build(tmp_path, answers(golden="answers", support="containment", scenarios=("golden",))):
        assert list(numbers_of(last_turn(row))) == [f"{row.origin['question']}-moisture"]
        assert row.completion.endswith(" [1]")


def test_yes_and_no_make_no_passage_golden(tmp_path):
    closed = Question("c", "Is wheat a crop of the store?", ("Yes",), ("wheat-1",))
    build(tmp_path, answers(golden="answers", support="containment"), [*QUESTIONS, closed])
    assert counts(tmp_path) == {"rows": 8, "no golden passages": 1}


def test_a_copy_of_a_golden_passage_is_no_noise(tmp_path):
    text = next(row["text"] for row in ROWS if row["id"] == "wheat-store")
    pipeline = farm(tmp_path, str, [*ROWS, {"id": "copy", "text": text}])
    rows = answers(scenarios=("no_golden",)).build("train", context(tmp_path, pipeline))
    assert all(text not in last_turn(row) for row in rows if row.origin["question"] == "wheat")


def teach(prompt):
    crop = crop_of(prompt)
    if crop == "oats":
        return "Nobody knows [1]."
    if crop == "maize":
        return f"It is {CROPS[crop]} [1][2]. It rains in Spain [1]."
    return f"It is kept at {CROPS[crop]} [2][7].\nSecond line."


def judge_of(prompt):
    premise, _, hypothesis = prompt.partition("Statement: ")
    known = [moisture for moisture in CROPS.values() if moisture in hypothesis and moisture in premise]
    return "entailment" if known else "neutral"


def test_a_teacher_s_answer_is_kept_if_it_is_complete_and_its_citations_can_be_mended(tmp_path):
    teacher = ScriptedModel(reply=teach)
    judge = ScriptedModel(reply=judge_of)
    builder = answers(teacher=teacher, support="entailment", judge=judge, scenarios=("golden",))
    rows = build(tmp_path, builder)
    assert {row.origin["question"] for row in rows} == {"wheat", "barley"}
    for row in rows:
        crop = row.origin["question"]
        assert row.completion == f"It is kept at {CROPS[crop]} [{numbers_of(last_turn(row))[f'{crop}-moisture']}]."
        assert "14 percent" not in last_turn(row).partition("Question:")[2]  # no hints where it is trained on
    assert counts(tmp_path) == {
        "rows": 2,
        "no passages support the target": 1,
        "the target leaves out a short answer": 1,
    }
    hints = next(prompt for prompt in teacher.prompts if crop_of(prompt) == "wheat")
    assert hints.index("At what moisture") < hints.index("\n14 percent\n") < hints.index("[1] (")


def test_what_stands_in_passages_and_answers_is_never_template_source(tmp_path):
    answer = "{{ 7 * 7 }} {P} percent"
    rows = build(tmp_path, answers(), [Question("q", "{Q} {{ store }}?", (answer,), ("wheat-store",))])
    assert all("{Q} {{ store }}?" in last_turn(row) for row in rows)
    assert rows[0].completion == f"{answer} [1]"


def test_questions_without_what_it_takes_are_counted(tmp_path):
    bad = [
        Question("none", "What?"),
        Question("no", "What?", ("x",), answerable=False),
        Question("lost", "What is wheat?", ("x",), ("nowhere",)),
    ]
    assert len(build(tmp_path, answers(), [*QUESTIONS, *bad])) == 8
    assert counts(tmp_path) == {"rows": 8, "no gold answer": 2, "no golden passages": 1}
    with pytest.raises(
        InputError, match=r"no question gave a row \(rows: 0, no gold answer: 2, no golden passages: 1\)"
    ):
        build(tmp_path, answers(), bad)


def test_a_teacher_that_always_fails_is_an_error(tmp_path):
    with pytest.raises(RagkitError, match="target answers: all 4 failed, the first one with RagkitError: no rule"):
        build(tmp_path, answers(teacher=ScriptedModel()))


@pytest.mark.parametrize("settings", [{"support": "entailment"}, {"judge": ScriptedModel()}])
def test_entailment_needs_somebody_to_judge_and_nothing_else_does(settings):
    with pytest.raises(ValueError, match="needs either 'nli' or 'judge'"):
        PaRagAnswers(**settings)


def test_a_pipeline_without_a_reader_is_refused(tmp_path):
    from ragkit import Pipeline

    own = context(tmp_path, farm(tmp_path, str))
    with own.openers["crops"]("train") as opened:
        bare = Pipeline(opened.pipeline.nodes[:1], name="bare", models=opened.pipeline.models)
    with pytest.raises(InputError, match=r"pipeline 'bare' has no step answer\.read"):
        PaRagAnswers().build("train", context(tmp_path, bare))
