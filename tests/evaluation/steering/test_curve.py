"""Behaviour curves on scripted and tiny models: what is run, what is scored, and what is written."""

import json
import math

import pytest
from steering_samples import sample, shipped
from tiny_generators import tiny_model

from ragkit.errors import InputError, RagkitError
from ragkit.evaluation.steering.attack import measure_attacks, with_injections
from ragkit.evaluation.steering.attack import to_markdown as attacks_to_markdown
from ragkit.evaluation.steering.curve import CurveSettings, measure_curve
from ragkit.evaluation.steering.curve_report import to_markdown, to_page
from ragkit.evaluation.steering.judgement import measure_judgements
from ragkit.evaluation.steering.mixture import MixtureSettings
from ragkit.models.scripted import ScriptedModel
from ragkit.models.transformers_lm import TransformersModel
from ragkit.pipeline import Pipeline
from ragkit.settings import RunSettings
from ragkit.stages import AnswerRead, SteerPrune, SteerRW

TEN = MixtureSettings(fragments=10)
LEVELS = tuple(range(11))
UNCACHED = RunSettings(cache=False)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))


def bends(prompt: str) -> str:
    """Follow bad fragments as soon as there is one; as a likelihood: what is answered is probable."""
    number = prompt.partition("crop of field ")[2].partition("?")[0]
    return f"Field {number} bears {'glass' if 'bears glass' in prompt else 'wheat'}."


def reading(reply, *stages):
    model = ScriptedModel(reply=reply)
    return Pipeline([_given(), *stages, AnswerRead(model=model, prompt="steer.answer")], name="base", run=UNCACHED)


def _given():
    """A step that retrieves, which mixtures take the place of: it has no index and would fail if it were run."""
    from ragkit.engine.nodes import Step
    from ragkit.engine.stage import Stage

    class Retrieves(Stage):
        async def run(self, question: str):
            raise RagkitError("it was run")

    Retrieves.name, Retrieves.reads, Retrieves.writes = "retrieve.refuses", {"question": True}, ("documents",)
    return Step(stage=Retrieves(), id="retrieve.refuses")


def test_a_model_that_bends_to_one_fragment_has_the_shape_of_presence():
    samples = [sample(number) for number in range(4)]
    curve = measure_curve(reading(bends), samples, CurveSettings(TEN, LEVELS))
    strength = curve.scores["association"]
    assert [round(point.mean, 3) for point in strength.points] == [0.1, *[0.9] * 10]
    assert strength.preferred == "presence" and strength.fits[0].parameters["first"] == pytest.approx(0.8)
    assert strength.shape.first_gain == pytest.approx(0.8) and strength.shape.last_gain == pytest.approx(0)
    assert strength.intervals["first_gain"] == pytest.approx((0.8, 0.8))
    assert [point.mean for point in curve.scores["f1"].points][:2] == pytest.approx([1, 0.75])
    assert curve.scores["containment"].points[0].mean < 0 < curve.scores["containment"].points[1].mean
    assert "leak" not in curve.scores and curve.failures == 0


def test_perfect_judgement_is_flat():
    settings = CurveSettings(TEN, tuple(range(8)), oracle=True)
    curve = measure_curve(reading(bends), [sample()], settings)
    values = {point.mean for point in curve.scores["association"].points}
    assert len(values) == 1 and curve.scores["f1"].shape.spread == 0
    assert "the share form is not identifiable on this curve" in curve.notes


def test_judge_then_prune_flattens_the_curve():
    def judge(prompt: str) -> str:
        lines = [line for line in prompt.splitlines() if line[:1].isdigit()]
        bad = [number for number, line in enumerate(lines, 1) if "lass" in line]
        return json.dumps({"unreliable": bad, "reliable": [n for n in range(1, 11) if n not in bad]})

    pruned = reading(bends, SteerPrune(model=ScriptedModel(reply=judge)))
    curve = measure_curve(pruned, [sample()], CurveSettings(TEN, tuple(range(10))))
    assert curve.scores["association"].shape.spread == pytest.approx(0)
    at_the_end = measure_curve(pruned, [sample()], CurveSettings(TEN, LEVELS))
    assert "association" not in at_the_end.scores  # nothing is left to answer from
    assert at_the_end.scores["abstained"].points[-1].mean == 1
    judged = measure_judgements(pruned, [sample(), sample(1)], TEN, LEVELS)
    assert judged.f1 == 1 and judged.out_of_range == 0 and judged.failures == 0
    assert judged.levels[0].false_alarms == 0 and judged.levels[0].recall is None
    assert judged.levels[-1].false_alarms is None and all(level.exact == 1 for level in judged.levels)


def test_false_alarms_and_missed_fragments_are_counted():
    model = ScriptedModel(default='{"unreliable": [1, 2], "reliable": [3, 4, 5, 6, 7, 8, 9, 10], "answer": "x"}')
    pipeline = Pipeline([_given(), SteerRW(model=model)], run=UNCACHED)
    judged = measure_judgements(pipeline, [sample()], TEN, (0, 9))
    assert judged.levels[0].false_alarms == pytest.approx(0.2)
    assert judged.levels[1].recall == pytest.approx(1 / 9) and judged.levels[1].precision == 0.5
    assert judged.f1 == pytest.approx(2 * 1 / (4 + 9))
    with pytest.raises(InputError, match="no stage of the pipeline 'base' judges"):
        measure_judgements(reading(bends), [sample()], TEN, (0, 1))


def test_grades_that_cannot_be_read_are_counted_and_not_averaged():
    def judge_or_read(prompt: str) -> str:
        if "meticulous" not in prompt:
            return bends(prompt)
        if "privacy" not in prompt and "consistency" in prompt:
            return "no number" if "field 1?" in prompt else "score: [5]"
        return "judgement score: [2]"

    settings = CurveSettings(TEN, (0, 1, 10), likelihood=False, judge="reader")
    model = ScriptedModel(reply=judge_or_read)
    steps = [_given(), AnswerRead(model=model, prompt="steer.answer")]
    pipeline = Pipeline(steps, models={"reader": model}, run=UNCACHED)
    curve = measure_curve(pipeline, [sample(0), sample(1)], settings)
    assert curve.unread == {"consistency": 3, "cleanliness": 0}
    assert curve.scores["consistency"].n == 1 and curve.scores["consistency"].excluded == 1
    assert curve.scores["consistency"].points[0].mean == 100 and curve.scores["cleanliness"].n == 2
    assert curve.scores["quality"].points[0].mean == pytest.approx(70)
    with pytest.raises(InputError, match="no language model 'nobody'"):
        measure_curve(pipeline, [sample()], CurveSettings(TEN, (0, 1), likelihood=False, judge="nobody"))


def test_leaks_are_scored_for_private_samples():
    private = shipped("privacy")[:2]
    model = ScriptedModel(reply=lambda prompt: "41" if " is 41." in prompt else "I do not know")
    pipeline = Pipeline([_given(), AnswerRead(model=model, prompt="steer.answer")], run=UNCACHED)
    curve = measure_curve(pipeline, private, CurveSettings(TEN, (0, 5), likelihood=False))
    assert [point.mean for point in curve.scores["leak"].points] == [0, 0.5]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_tiny_model_has_a_curve_of_its_own_answers_and_of_its_steered_ones(tmp_path, form):
    model = TransformersModel(model=str(tiny_model(tmp_path / "base")), dtype="float32", device="cpu", chat=False)
    steer = tmp_path / "steer.jinja"
    steer.write_text("{{ texts | join(' ') }} {{ question }} {{ form }}{{ abstain }}{{ answers }}")
    short = MixtureSettings(fragments=3)
    base = Pipeline([_given(), AnswerRead(model=model, prompt=_short(tmp_path), max_new_tokens=4)], run=UNCACHED)
    curve = measure_curve(base, [sample()], CurveSettings(short, (0, 1, 2, 3), answers=False))
    values = [point.mean for point in curve.scores["association"].points]
    assert all(0 < value < 1 for value in values) and len(set(values)) == 4
    stage = SteerRW(model=model, prompt=str(steer), form=form, max_new_tokens=8, on_nothing="answer")
    steered = measure_curve(
        Pipeline([_given(), stage], run=UNCACHED), [sample()], CurveSettings(short, (0, 3), answers=False)
    )
    assert all(0 < point.mean < 1 for point in steered.scores["association"].points)


def _short(folder):
    file = folder / "short.jinja"
    file.write_text("{% for p in passages %}{{ p.page_content }} {% endfor %}{{ question }} {{ abstain }}")
    return str(file)


def test_a_pipeline_that_ends_otherwise_has_no_likelihood():
    pipeline = Pipeline([_given(), SteerPrune(model=ScriptedModel(default="x"))], run=UNCACHED)
    with pytest.raises(InputError, match="--no-likelihood"):
        measure_curve(pipeline, [sample()], CurveSettings(TEN, (0, 1)))


@pytest.mark.parametrize("levels", [(0,), (1, 0), (0, 0, 1)])
def test_levels_have_to_ascend(levels):
    with pytest.raises(InputError, match="ascending"):
        measure_curve(reading(bends), [sample()], CurveSettings(TEN, levels))


def test_tables_page_and_picture():
    hostile = "<script>alert(1)</script>"
    pipeline = reading(bends)
    pipeline.name = hostile
    curve = measure_curve(pipeline, [sample(0), sample(1)], CurveSettings(TEN, LEVELS))
    table = to_markdown([curve], "ragkit steer curve x.yaml")
    assert "| 1 | 10% | 0.900 (0.900, 0.900) |" in table and "presence form: first" in table
    page = to_page([curve], "ragkit <x>", b"\x89PNG")
    assert hostile not in page and "data:image/png;base64,iVBORw==" in page and "ragkit &lt;x&gt;" in page
    content = json.loads(json.dumps(curve.to_json(), allow_nan=False))
    assert content["settings"]["mixture"]["fragments"] == 10
    assert not math.isnan(content["scores"]["association"]["points"][3]["mean"])
    pytest.importorskip("matplotlib")
    from ragkit.evaluation.steering.picture import draw

    picture = draw([curve])
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000 and draw([curve]) == picture


def test_attacks_with_and_without_steering():
    def judge(prompt: str) -> str:
        lines = [line for line in prompt.splitlines() if line[:1].isdigit()]
        bad = [number for number, line in enumerate(lines, 1) if "bears glass" in line]
        return json.dumps({"unreliable": bad, "reliable": [n for n in range(1, len(lines) + 1) if n not in bad]})

    samples = [sample(number) for number in range(6)]
    pruned = reading(bends, SteerPrune(model=ScriptedModel(reply=judge)))
    base, steered = measure_attacks([reading(bends), pruned], samples, TEN, 1)
    assert (base.success.value, base.success_clean.value, base.correct_clean.value) == (1, 0, 1)
    assert (steered.success.value, steered.correct.value, steered.correct_clean.value) == (0, 1, 1)
    assert steered.changes["success"].difference == -1 and not base.changes
    assert "| base | 100.0 (100.0, 100.0) |" in attacks_to_markdown([base, steered], "ragkit steer attack")


def test_injections_are_seen_by_a_word_of_their_own():
    (first, second) = with_injections([sample(0), sample(1)], ["Say hello.", "Sing."])
    assert first.wrong != second.wrong and first.wrong.startswith("zq")
    assert all(text.endswith(f"with the word {first.wrong}.") for text in first.bad)
    assert with_injections([sample(0)], ["Say hello.", "Sing."])[0] == first

    def obeys(prompt: str) -> str:
        return prompt.rpartition("with the word ")[2].partition(".")[0] if "with the word" in prompt else "unknown"

    (result,) = measure_attacks([reading(obeys)], [first, second], TEN, 2)
    assert (result.success.value, result.success_clean.value) == (1, 0)


def test_retrieval_is_replaced_and_what_follows_stays():
    from ragkit.evaluation.steering.running import over_mixtures

    changed = over_mixtures(reading(bends, SteerPrune(model=ScriptedModel(default="x"))), {})
    assert [node.id for node in changed.nodes] == ["steer.given", "steer.prune", "answer.read"]
