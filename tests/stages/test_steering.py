"""The stages that steer: what is trusted, what is dropped, and what happens when nothing is left."""

import asyncio
import json

import numpy as np
import pytest
from pydantic import ValidationError

from ragkit.engine.nodes import Step
from ragkit.engine.run import run_questions
from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.evaluation.steering.running import _Given
from ragkit.models.scripted import HashEncoder, ScriptedModel
from ragkit.pipeline import Pipeline
from ragkit.settings import RunSettings
from ragkit.stages import AnswerRead, SteerFilter, SteerPrune, SteerRW
from ragkit.stages.steering import trust
from ragkit.stages.steering.trust import TrustClassifier, trust_features
from ragkit.testing import check_stage

DOCUMENTS = tuple(
    Passage(id=name, page_content=text, metadata={"source": f"{name}.txt"})
    for name, text in (("a", "Wheat grows there."), ("b", "Glass\n2. grows there."), ("c", "Wheat grows there."))
)


def verdict(bad, good, answer=None):
    lists = {"unreliable": bad, "reliable": good}
    return json.dumps(lists if answer is None else lists | {"answer": answer})


def run(stage, documents=DOCUMENTS):
    return asyncio.run(stage.run("What grows there?", documents))


@pytest.mark.parametrize(
    "stage",
    [
        SteerRW(model=ScriptedModel(default=verdict([2], [1], "Wheat"))),
        SteerPrune(model=ScriptedModel(default=verdict([2], [1]))),
        SteerFilter(model=ScriptedModel(default="yes")),
    ],
)
def test_contracts(stage):
    check_stage(stage)


def test_one_call_judges_and_answers():
    model = ScriptedModel(default=verdict([2], [1, 3], "Wheat"))
    found = run(SteerRW(model=model))
    assert found["answer"] == "Wheat" and [c.passage for c in found["citations"]] == ["a"]
    assert found["vars.judgement"] == {"unreliable": ["b"], "reliable": ["a", "c"], "warnings": []}
    (prompt,) = model.prompts
    assert "2. Glass 2. grows there.\n" in prompt  # a line break in a passage starts no new number
    assert "a.txt" not in prompt
    assert run(SteerRW(model=model), ())["answer"] is None


def test_sources_are_shown_if_wanted():
    model = ScriptedModel(default=verdict([2], [1, 3], "Wheat"))
    run(SteerRW(model=model, sources=True))
    assert "1. Wheat grows there. (From a.txt)" in model.prompts[0]


@pytest.mark.parametrize("reply", [verdict([1, 2, 3], [], "Glass"), verdict([], [], "Glass")])
def test_nothing_reliable_is_abstained_on_and_never_all(reply):
    model = ScriptedModel(default=reply)
    stage = SteerRW(model=model)
    assert run(stage)["answer"] is None and run(stage)["citations"] == ()
    assert run(SteerRW(model=model, on_nothing="answer"))["answer"] == "Glass"


def test_an_abstaining_reply():
    model = ScriptedModel(default=verdict([2], [1, 3], "Unanswerable."))
    assert run(SteerRW(model=model))["answer"] is None


def flags(stage):
    steps = [Step(stage=_Given(passages={"q": DOCUMENTS}), id="given"), Step(stage=stage, id=stage.name)]
    (prediction,) = run_questions(steps, [("q", "What grows there?")])
    assert prediction.error is None
    return prediction


def test_repairs_and_empty_judgements_are_flagged():
    clean = flags(SteerRW(model=ScriptedModel(default=verdict([2], [1, 3], "Wheat"))))
    assert not clean.flags
    repaired = flags(SteerRW(model=ScriptedModel(default=verdict([2], [1, 2], "Wheat"))))
    assert list(repaired.flags) == ["steer.rw:repaired"]
    nothing = flags(SteerPrune(model=ScriptedModel(default=verdict([1, 2, 3], []))))
    assert list(nothing.flags) == ["steer.prune:nothing_reliable"] and nothing.documents == ()
    every = flags(SteerPrune(model=ScriptedModel(default=verdict([1, 2, 3], [])), on_nothing="all", once=False))
    assert list(every.flags) == ["steer.prune:nothing_reliable"] and every.documents == DOCUMENTS


def test_pruning():
    model = ScriptedModel(default=verdict([2], [1, 3]))
    assert [d.id for d in run(SteerPrune(model=model))["documents"]] == ["a"]  # c says the same
    assert [d.id for d in run(SteerPrune(model=model, once=False))["documents"]] == ["a", "c"]
    first = run(SteerPrune(model=ScriptedModel(default=verdict([], [1])), k=1))
    assert [d.id for d in first["documents"]] == ["a"]
    assert "short answer" not in model.prompts[0]
    run(SteerPrune(model=model, answers=True))
    assert "short answer" in model.prompts[-1]


def test_pruned_passages_reach_no_reader():
    judge = ScriptedModel(default=verdict([2], [1, 3]))
    reader = ScriptedModel(default="Wheat [1]")
    given = Step(stage=_Given(passages={"q": DOCUMENTS}), id="given")
    pipeline = Pipeline([given, SteerPrune(model=judge), AnswerRead(model=reader)], run=RunSettings(cache=False))
    (prediction,) = pipeline.predict([("q", "What grows there?")])
    assert prediction.answer == "Wheat" and all("Glass" not in prompt for prompt in reader.prompts)


def test_the_language_model_judges_one_by_one():
    model = ScriptedModel(reply=lambda prompt: "no" if "Glass" in prompt else "yes")
    found = run(SteerFilter(model=model))
    assert [d.id for d in found["documents"]] == ["a"] and found["vars.judgement"]["unreliable"] == ["b"]
    assert [r"Glass\n2. grows there." in prompt for prompt in sorted(model.prompts)].count(True) == 1


def test_the_classifier_learns_is_kept_and_knows_its_encoder(tmp_path):
    encoder = HashEncoder(dimension=64)

    def features(text):
        return asyncio.run(trust_features(encoder, "What grows there?", text))

    texts = [f"{crop} grows on field {n}" for n in range(12) for crop in ("wheat", "glass")]
    fitted = TrustClassifier.fit(
        [features(text) for text in texts],
        ["wheat" in text for text in texts],
        encoder=encoder.describe(),
        notes={},
        regularisation=0.1,
    )
    file = tmp_path / "trust.json"
    fitted.save(file)
    assert np.allclose(TrustClassifier.load(file).weights, fitted.weights, atol=1e-5)
    found = run(SteerFilter(encoder=encoder, classifier=str(file)))
    assert [d.id for d in found["documents"]] == ["a"]
    with pytest.raises(InputError, match="was fitted on vectors of"):
        run(SteerFilter(encoder=HashEncoder(dimension=32), classifier=str(file)))
    with pytest.raises(InputError, match="ragkit steer trust"):
        run(SteerFilter(encoder=encoder, classifier=str(tmp_path / "other.json")))
    file.write_text('{"weights": "many"}')
    with pytest.raises(InputError, match="is no trust classifier"):
        run(SteerFilter(encoder=encoder, classifier=str(file)))


def test_the_sentence_nearest_to_the_question_is_seen_in_any_company():
    encoder, question = HashEncoder(dimension=16), "Does wheat grow on field 3?"
    alone, among = (
        asyncio.run(trust_features(encoder, question, text))
        for text in ("Wheat does grow on field 3.", "Rain is due. Wheat does grow on field 3. So they say.")
    )
    assert alone.shape == (6 * 16,) and np.array_equal(alone[:48], alone[48:])
    assert np.array_equal(among[48:], alone[48:]) and not np.array_equal(among[:48], alone[:48])


def test_classifiers_that_ragkit_ships_have_names(tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "SHIPPED", tmp_path)
    (tmp_path / "trust").mkdir()
    encoder = HashEncoder(dimension=8)
    on_another_machine = encoder.describe() | {"dtype": "float16"}
    TrustClassifier(np.zeros(48), 1.0, on_another_machine, {}).save(tmp_path / "trust" / "trust.json")
    assert len(run(SteerFilter(encoder=encoder, classifier="embedded:trust"))["documents"]) == 2
    with pytest.raises(InputError, match=r"'embedded:thrust', did you mean 'trust'\? \(there are: trust\)"):
        run(SteerFilter(encoder=encoder, classifier="embedded:thrust"))


@pytest.mark.parametrize(
    "settings",
    [{}, {"encoder": HashEncoder()}, {"model": ScriptedModel(), "encoder": HashEncoder(), "classifier": "x"}],
)
def test_somebody_has_to_judge(settings):
    with pytest.raises(ValidationError, match="'encoder'"):
        SteerFilter(**settings)
