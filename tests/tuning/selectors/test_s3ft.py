"""S3FT: own answers where they are right."""

import pytest
from selector_rows import context, row

from ragkit.errors import InputError, RagkitError
from ragkit.models import ScriptedModel
from ragkit.tuning.rows import PreferenceRow
from ragkit.tuning.selectors import SelfSupervised


def says(prompt):
    if "own words" in prompt:
        return {"Oslo": "The Oslo", "Bern": "Basel", "14 percent": "14 percent of it"}[
            prompt.split("Right answer: ")[1].split("\n")[0]
        ]
    return {
        "France?": "the PARIS [2].",
        "Italy?": "Milan",
        "Norway?": "Stockholm",
        "Swiss?": "Zurich",
        "Wheat?": "dry",
    }[prompt.split("Question: ")[1]]


ROWS = [row("France?", "Paris [1][3]", set="x"), row("Norway?", "Oslo [2]"), row("Swiss?", "Bern")]


def select(rows, tmp_path, **settings):
    model = settings.pop("model", None) or ScriptedModel(reply=says)
    return SelfSupervised(model=model, **settings).select(rows, context(tmp_path))


def test_own_answer_then_paraphrase_then_gold(tmp_path):
    selected = select(ROWS, tmp_path)
    assert [r.completion for r in selected.rows] == ["the PARIS [1, 3].", "The Oslo [2]", "Bern"]
    assert [r.origin["s3ft"] for r in selected.rows] == ["own answer", "paraphrase", "gold answer"]
    assert selected.reasons == {"own answer": 1, "paraphrase": 1, "gold answer": 1}
    assert selected.rows[0].prompt == ROWS[0].prompt
    assert selected.rows[0].origin == {"question": "France?", "set": "x", "s3ft": "own answer"}


def test_no_paraphrase_is_asked_for_where_the_own_answer_is_right(tmp_path):
    model = ScriptedModel(reply=says)
    select(ROWS[:1], tmp_path, model=model)
    assert len(model.prompts) == 1


def test_right_citations_stay_where_the_model_put_them(tmp_path):
    model = ScriptedModel(reply=lambda _: "It is [3] Paris [1]")
    (only,) = select([row("France?", "It is Paris [1][3]")], tmp_path, model=model).rows
    assert only.completion == "It is [3] Paris [1]"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "gold answer"),
        ({"equivalence": "f1"}, "gold answer"),
        ({"equivalence": "f1", "threshold": 0.6}, "paraphrase"),
    ],
)
def test_f1_lets_words_more_pass(tmp_path, settings, reason):
    # "14 percent of it" against "14 percent": F1 2/3; by default .8 is wanted
    assert select([row("Wheat?", "14 percent")], tmp_path, **settings).reasons == {reason: 1}


def test_an_abstention_can_be_the_model_s_own(tmp_path):
    model = ScriptedModel(default="Unanswerable.")
    (only,) = select([row("Who?", "unanswerable")], tmp_path, model=model).rows
    assert (only.completion, only.origin["s3ft"]) == ("Unanswerable.", "own answer")


def test_where_the_model_fails_the_gold_answer_stays(tmp_path):
    def fails(prompt):
        if "France" in prompt:
            raise ValueError("no")
        return says(prompt)

    selected = select(ROWS, tmp_path, model=ScriptedModel(reply=fails))
    assert selected.rows[0].completion == "Paris [1][3]"
    assert selected.reasons == {"paraphrase": 1, "gold answer": 1, "gold answer, the model failed": 1}
    with pytest.raises(RagkitError, match="own answers: all 3 failed"):
        select(ROWS, tmp_path, model=ScriptedModel())


def test_pairs_are_refused(tmp_path):
    with pytest.raises(InputError, match="s3ft: selects among rows with a completion"):
        select([PreferenceRow(prompt="p", chosen="a", rejected="b")], tmp_path)


def test_the_model_answers_all_rows_side_by_side(tmp_path):
    model = ScriptedModel(reply=says)
    select(ROWS, tmp_path, model=model)
    assert model.batches == [3, 2]
