"""Rewards on fixed cases: what a completion earns."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from ragkit.config.build import Builder
from ragkit.config.source import read_source
from ragkit.engine.calls import LocalResource, Reply
from ragkit.engine.registry import rewards
from ragkit.errors import InputError, RagkitError
from ragkit.models.base import Encoder
from ragkit.models.rewards import columns_of, unique_names
from ragkit.models.scripted import HashEncoder
from ragkit.tuning.rewards import Reward, Rollout
from ragkit.tuning.rewards.answers import ExactMatchReward, F1Reward
from ragkit.tuning.rewards.citation import CitationReward
from ragkit.tuning.rewards.compose import ComposedReward
from ragkit.tuning.rewards.format import BrevityReward, PatternReward, SchemaReward
from ragkit.tuning.rewards.relevance import (
    RegularisedRelevance,
    copied,
    distinct_trigrams,
    interpolate,
    length_incentive,
)

PASSAGES = ["Wheat roots reach 1.5 m.", "Potato roots are shallow.", "The Eiffel Tower is in Paris."]


def earned(reward, *completions, **columns):
    """Return what completions earn; columns hold for all of them."""
    many = {name: [value] * len(completions) for name, value in columns.items()}
    return reward(["a prompt"] * len(completions), list(completions), **many)


def test_right_answers_earn_what_the_metrics_give():
    texts = ("Paris [3]", "The Paris!", "in Paris, France", "Rome", "Paris\nand more", "")
    assert earned(ExactMatchReward(), *texts, answers=["Paris"], passages=PASSAGES) == [1, 1, 0, 0, 1, 0]
    assert earned(F1Reward(), *texts, answers=["Paris"], passages=PASSAGES) == [1, 1, 0.5, 0, 1, 0]
    assert earned(F1Reward(), "Bern", "Rome", answers=["Bern", "Rome"]) == [1, 1]


def test_abstaining_earns_only_where_there_is_no_answer():
    texts = ("unanswerable", "Unanswerable.", "Paris", "")
    assert earned(F1Reward(), *texts, answers=[], answerable=False) == [1, 1, 0, 1]
    assert earned(F1Reward(), *texts, answers=["Paris"], answerable=True) == [0, 0, 1, 0]
    assert earned(F1Reward(abstain="no idea"), "no idea", answers=[], answerable=False) == [1]


def test_a_row_without_what_it_is_judged_by_is_refused():
    with pytest.raises(InputError, match=r"reward 'f1' needs the column 'answers' \(the rows have: question\)"):
        earned(F1Reward(), "Paris", question="Where?")
    with pytest.raises(RagkitError, match="reward 'f1': InputError: a row has no gold answers"):
        earned(F1Reward(), "Paris", answers=[])


def test_form():
    assert earned(PatternReward(pattern=r"\w+ \[\d\]"), "Paris [3]", " Paris [3]\n", "Paris", "so Paris [3]") == [
        1,
        1,
        0,
        0,
    ]
    schema = {"type": "object", "required": ["answer"], "properties": {"answer": {"type": "string"}}}
    texts = ('{"answer": "x"}', '{"answer": 1}', "{}", "x", "[" * 100_000)
    assert earned(SchemaReward(schema=schema), *texts) == [1, 0, 0, 0, 0]
    assert earned(BrevityReward(words=2), "", "one two", "one two three", "one two three four") == [0, 1, 0.5, 0]
    with pytest.raises(ValueError, match="not a regular expression"):
        PatternReward(pattern="(")
    with pytest.raises(ValueError, match="not a JSON Schema"):
        SchemaReward(schema={"type": "text"})


def test_citations_have_to_exist_and_to_support():
    cited = CitationReward()
    texts = ("Paris [3]", "Paris [1]", "Paris [1, 3]", "Paris [9]", "Paris [3] [9]", "Paris", "[3]", "unanswerable")
    assert earned(cited, *texts, passages=PASSAGES) == [1, 0, 0.5, 0, 0, 0, 0, 0]
    assert earned(cited, "1.5 m [1]", "5 m [1]", passages=PASSAGES) == [1, 0]
    assert earned(cited, "yes [2]", "yes [1]", passages=PASSAGES, supporting=[2]) == [1, 0]
    twice = [*PASSAGES, "Paris is a city."]
    assert earned(CitationReward(at_most=1), "Paris [3][4]", passages=twice) == [0.5]
    assert earned(cited, "Paris [3][4]", passages=twice) == [1]


def test_the_factors_of_relevance():
    assert distinct_trigrams("a b c a b c a") == pytest.approx(3 / 5, abs=1e-6)
    assert distinct_trigrams("A b c a B c") == pytest.approx(3 / 4, abs=1e-6)
    assert distinct_trigrams("a b") == 1
    assert length_incentive("a b c", 2, capped=False) == 1.5
    assert length_incentive("a b c", 2, capped=True) == 1
    assert length_incentive("a b c", 100, capped=True) == pytest.approx(0.03, abs=1e-6)
    assert interpolate(0.5, (0.25, 0.75), (0.1, 0.3)) == pytest.approx(0.2, abs=1e-6)
    assert interpolate(0.9, (0.25, 0.75), (0.1, 0.3)) == pytest.approx(0.3, abs=1e-6)
    assert interpolate(0.0, (0.25, 0.75), (0.1, 0.3)) == pytest.approx(0.1, abs=1e-6)


def test_a_quotation_is_no_copy():
    source = "one two three four five six"
    assert copied("three four", [source], at_least=4) == 0
    assert copied("x One two three four y", [source], at_least=4) == pytest.approx(4 / 6, abs=1e-6)
    assert copied("where is it", ["Where is it"], at_least=4) == 1
    assert copied("", [source], at_least=1) == 0


class AngleEncoder(Encoder, LocalResource):
    """Gives each text a direction in the plane, in degrees."""

    angles: dict[str, float]

    def fingerprint(self):
        return "angles"

    def describe(self):
        return {}

    def execute(self, op, batch):
        turns = [np.deg2rad(self.angles[request.args["text"]]) for request in batch]
        return [Reply(np.array([np.cos(turn), np.sin(turn)], np.float32) * 2) for turn in turns]


def cosine(degrees):
    return float(np.cos(np.deg2rad(degrees)))


def test_relevance_of_an_open_question():
    angles = {"what": 0, "a b c a b c": 60, "source": 30, "other": 150}
    reward = RegularisedRelevance(encoder=AngleEncoder(angles=angles), length=10, ground=False)
    plain = cosine(60) * 6 / 10 * 3 / 4
    assert earned(reward, "a b c a b c", question="what") == pytest.approx([plain], abs=1e-6)
    grounded = RegularisedRelevance(encoder=AngleEncoder(angles=angles), length=10)
    found = earned(grounded, "a b c a b c", question="what", passages=["source", "other"])
    assert found == pytest.approx([plain * cosine(30)], abs=1e-6)


def test_relevance_of_a_closed_question():
    angles = {"what": 0, "gold": 20, "other gold": 90, "said so [7]": 50, "passage": 50}
    reward = RegularisedRelevance(
        encoder=AngleEncoder(angles=angles), closed_range=(0.5, 1.0), open_range=(0.0, 0.6), ground=False
    )
    best = (cosine(30) - 0.5) / 0.5 * 0.6
    found = earned(reward, "said so [7]", question="what", answers=["gold", "other gold"], passages=["passage"])
    assert found == pytest.approx([best], abs=1e-6)
    opened = reward.model_copy(update={"kind": "open", "length": 3})
    found = earned(opened, "said so [7]", question="what", answers=["gold"])
    assert found == pytest.approx([cosine(50)], abs=1e-6)


def test_copying_and_abstaining_earn_no_relevance():
    question = "how deep do the roots of wheat grow in a dry and sandy soil"
    reward = RegularisedRelevance(encoder=HashEncoder())
    texts = (question, f"{question} and", "unanswerable", "")
    found = earned(reward, *texts, question=question, passages=PASSAGES)
    assert found[0] == found[2] == found[3] == 0
    assert found[1] < 0.1


def test_all_texts_of_a_call_are_embedded_in_one_batch_per_kind_of_text():
    class Counting(HashEncoder):
        def execute(self, op, batch):
            sizes.append(len(batch))
            return super().execute(op, batch)

    sizes = []
    reward = RegularisedRelevance(encoder=Counting())
    texts = [f"answer {n}" for n in range(8)]
    earned(reward, *texts, question="what", answers=["gold"], passages=PASSAGES)
    assert len(sizes) == 2  # gold answers and answers, then sentences and passages
    assert max(sizes) <= 8 + 3 + 1


def test_sums_products_and_gates():
    def words(prompts, completions, **columns):
        return [len(completion.split()) for completion in completions]

    f1 = F1Reward(weight=2.0)
    columns = {"answers": ["Paris"], "passages": PASSAGES}
    texts = ("Paris [3]", "in Paris [1]")
    assert earned(ComposedReward(of=(f1, words)), *texts, **columns) == pytest.approx([2 + 2, 2 * 2 / 3 + 3])
    product = ComposedReward(of=(f1, words), how="product")
    assert earned(product, *texts, **columns) == pytest.approx([1 * 2, (2 / 3) ** 2 * 3])
    gated = ComposedReward(of=(words,), gates=(CitationReward(),), closed=-1)
    assert earned(gated, *texts, **columns) == [2, -1]
    assert asyncio.run(gated.score(Rollout("p", texts[0], columns))) == 2
    with pytest.raises(RagkitError, match="negative"):
        earned(ComposedReward(of=(lambda *a, **k: [-1.0],), how="product"), "x")
    with pytest.raises(RagkitError, match="gave 1 values for 2 completions"):
        earned(ComposedReward(of=(lambda *a, **k: [1.0],)), "x", "y")
    with pytest.raises(RagkitError, match="no finite number"):
        earned(ComposedReward(of=(lambda *a, **k: [float("nan")],)), "x")


def test_names_and_columns():
    one, two = PatternReward(pattern="a"), PatternReward(pattern="b")
    assert unique_names([one, F1Reward(), two, test_form]) == ["regex", "f1", "regex_2", "test_form"]
    assert columns_of([{"a": 1, "b": 2}, {"b": 4, "a": 3}]) == {"a": [1, 3], "b": [2, 4]}
    with pytest.raises(InputError, match="row 2 and the first differ in 'b'"):
        columns_of([{"a": 1}, {"a": 1, "b": 2}])


def build(data):
    builder = Builder(read_source(json.dumps(data), "x.yaml"))
    builder.resources["minilm"] = HashEncoder()
    builder.declared.add("minilm")
    return builder.component(ComposedReward, data, (), "objective"), [
        f"{p.where}: {p.message}" for p in builder.problems
    ]


def test_rewards_from_yaml():
    parts = [{"type": "f1", "weight": 2}, {"type": "r3", "encoder": "minilm"}, {"type": "json_schema", "schema": {}}]
    built, problems = build({"of": parts, "gates": [{"type": "citation"}]})
    assert not problems
    assert [type(part).__name__ for part in built.of] == ["F1Reward", "RegularisedRelevance", "SchemaReward"]
    assert built.of[0].weight == 2
    assert isinstance(built.of[1].encoder, HashEncoder)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"type": "f2"}, "objective.of, item 1: unknown type 'f2' (choose one of: brevity, "),
        ({}, "objective.of, item 1: missing key 'type'"),
        ({"type": "r3", "encoder": "mini"}, "no model 'mini' is declared, did you mean 'minilm'?"),
        ({"type": "f1", "wieght": 1}, "unknown key 'wieght', did you mean 'weight'?"),
        ({"type": "regex", "pattern": "("}, "objective.of, item 1.pattern: not a regular expression"),
    ],
)
def test_mistakes_in_yaml_are_told_at_their_place(part, message):
    built, problems = build({"of": [part]})
    assert built is None
    assert any(message in problem for problem in problems), problems


def test_every_reward_is_documented_and_has_described_settings():
    for name in rewards:
        cls = rewards[name]
        assert issubclass(cls, Reward)
        assert cls.__doc__, name
        bare = {key for key, field in cls.model_fields.items() if not field.description}
        assert bare <= {"encoder", "model"}, name


def test_importing_rewards_loads_no_model_library():
    import subprocess
    import sys

    code = "import sys, ragkit.tuning.rewards; print({'torch', 'trl', 'transformers', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "set()"
