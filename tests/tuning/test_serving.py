"""Training prompts are compared with those that the pipeline makes."""

import pytest
from gate_farm import AnswerAsk, RetrieveEcho, model, questions

from ragkit import Pipeline
from ragkit.models import ScriptedModel
from ragkit.stages.answer import AnswerRead
from ragkit.stages.context import ContextPack
from ragkit.tuning.rows import RankingRow, SftRow
from ragkit.tuning.serving import check_prompts, serving_prompts

TEXT = "The lamp of this lighthouse can be seen from {} miles away when the night is clear and the sea is calm."


def prompts(n, head="Read the passages.", mark="[{}]", passages=True, question="How far is lamp {} seen?"):
    """Chat prompts as a reader's template makes them."""
    found = []
    for k in range(n):
        texts = [f"{mark.format(j)} {TEXT.format(10 * k + j)}" for j in (1, 2)] if passages else []
        content = "\n".join([*texts, f"Question: {question.format(k)}"])
        found.append([{"role": "system", "content": head}, {"role": "user", "content": content}])
    return found


def rows(found):
    return [SftRow(prompt=prompt, completion="10 miles") for prompt in found]


def test_prompts_of_one_template_raise_no_warning():
    assert check_prompts(rows(prompts(50)), prompts(12)) == []


def test_a_share_of_rows_of_another_form_does_no_harm():
    mixed = [*prompts(40), *prompts(20, head="Are you sure?")]
    assert check_prompts(rows(mixed), prompts(12)) == []


def test_fewer_passages_are_no_other_form():
    served = [[turn | {"content": turn["content"].replace("[2]", "[7]")} for turn in prompt] for prompt in prompts(12)]
    assert check_prompts(rows(prompts(50)), served) == []


def test_two_steps_with_one_model_are_two_forms():
    served = [*prompts(12), *prompts(12, head="Is the passage relevant?")]
    assert check_prompts(rows([*prompts(30), *prompts(30, head="Is the passage relevant?")]), served) == []
    (warning,) = check_prompts(rows(prompts(60)), served)
    assert "these hold 'Is the passage relevant?' in the turn of the system, those do not" in warning


@pytest.mark.parametrize(
    ("other", "quoted"),
    [
        ({"head": "Answer."}, "these hold 'Read the passages.' in the turn of the system"),
        ({"mark": "Passage {}:"}, "these hold '[#]' in the turn of the user"),
    ],
)
def test_another_form_is_named(other, quoted):
    (warning,) = check_prompts(rows(prompts(50, **other)), prompts(12))
    assert warning.startswith("training prompts differ in form from the pipeline's")
    assert quoted in warning


def test_a_line_more_is_another_form_too():
    (warning,) = check_prompts(rows(prompts(50, head="Read the passages.\nBe brief.")), prompts(12))
    assert "they hold 'Be brief.' in the turn of the system, these do not" in warning


def test_plain_text_is_no_chat():
    plain = ["\n".join(turn["content"] for turn in prompt) for prompt in prompts(50)]
    (warning,) = check_prompts(rows(plain), prompts(12))
    assert "differ in form" in warning


def test_training_without_passages():
    warnings = check_prompts(rows(prompts(50, passages=False)), prompts(12))
    assert any("hold no passages" in warning for warning in warnings)
    assert check_prompts(rows(prompts(50, passages=False)), prompts(12, passages=False)) == []


def test_rows_without_prompts_are_not_looked_at():
    assert check_prompts([RankingRow(query="q", positives=("p",))], prompts(3)) == []


def test_the_pipelines_prompts_are_heard_without_asking_the_model():
    reader = ScriptedModel(default="never asked")
    other = model(lambda name, number: True)
    made = Pipeline(
        [RetrieveEcho(), ContextPack(model=reader, tokens=100), AnswerAsk(model=other), AnswerRead(model=reader)],
        models={"reader": reader, "other": other},
    )
    heard = serving_prompts(made, "reader", questions("a", 3))
    assert len(heard) == 3
    assert {prompt[0]["role"] for prompt in heard} == {"system"}
    assert all(f"About: a number {k}?" in prompt[-1]["content"] for k, prompt in enumerate(heard))
    assert reader.prompts == []
    assert len(other.prompts) == 3
    assert serving_prompts(made, "other", questions("a", 3)) == other.prompts


def test_a_prompt_cut_by_the_tokens_of_the_model_that_is_trained():
    reader = ScriptedModel(default="")
    made = Pipeline(
        [RetrieveEcho(), ContextPack(model=reader, tokens=3), AnswerRead(model=reader)], models={"r": reader}
    )
    assert serving_prompts(made, "r", questions("a", 3)) == []  # no passage fits, so nothing is asked
