"""YAML and Python are two spellings of the same pipeline."""

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valid_pipeline import VALID

from ragkit import Branch, Each, Loop, Parallel, Pipeline
from ragkit.config.load import parse_pipeline
from ragkit.engine import registry
from ragkit.engine.conditions import Condition
from ragkit.engine.nodes import Step
from ragkit.errors import InputError
from ragkit.index import DenseSettings, FusionSettings, LocalIndex, SparseSettings
from ragkit.settings import BudgetSettings, RunSettings

CONDITIONS = st.recursive(
    st.one_of(
        st.builds(lambda value: {"field": "question", "contains": value}, st.text(max_size=5)),
        st.builds(lambda value: {"field": "queries", "at_least": value}, st.integers(0, 9)),
        st.builds(lambda value: {"field": "id", "is_in": value}, st.lists(st.text(max_size=3), max_size=3)),
        st.builds(lambda value: {"field": "documents", "is_empty": value}, st.booleans()),
        st.builds(
            lambda value: {"field": "question", "equals": value}, st.none() | st.booleans() | st.dates().map(str)
        ),
    ),
    lambda inner: (
        st.builds(lambda test: {"negate": test}, inner)
        | st.builds(lambda tests: {"all_of": tests}, st.lists(inner, min_size=1, max_size=3))
    ),
    max_leaves=4,
)
RETRIEVALS = st.one_of(
    st.builds(lambda k: {"retrieve.dense": {"k": k}}, st.integers(1, 99)),
    st.just({"retrieve.sparse": {}}),
    st.just(
        {
            "retrieve.sparse": {
                "where": {"any_of": [{"field": "year", "at_least": "2020"}, {"field": "x", "equals": None}]}
            }
        }
    ),
    st.just({"retrieve.hybrid": {"parts": ["sparse"], "where": {"negate": {"field": "a b", "is_in": [1, "x", True]}}}}),
    st.builds(lambda name: {"retrieve.hybrid": {"id": name, "depth": 9}}, st.text("ab.-ü ", min_size=1, max_size=5)),
)
STEPS = st.one_of(
    RETRIEVALS,
    st.just({"test.note": {}}),
    st.builds(lambda n: {"test.rewrite": {"model": "reader", "variants": n}}, st.integers(1, 5)),
    st.builds(lambda text: {"answer.read": {"model": "reader", "abstain": text}}, st.text(min_size=1, max_size=6)),
)
FLAT = st.lists(STEPS, min_size=1, max_size=2)
NESTED = st.one_of(
    STEPS,
    st.builds(lambda do, test, n: {"loop": {"do": do, "until": test, "max": n}}, FLAT, CONDITIONS, st.integers(1, 9)),
    st.builds(lambda test, yes, no: {"branch": {"on": test, "then": yes, "else": no}}, CONDITIONS, FLAT, FLAT),
    st.builds(lambda do: {"each": {"over": "queries", "do": do}}, st.lists(RETRIEVALS, min_size=1, max_size=2)),
    st.builds(
        lambda a, b: {"parallel": {"branches": {"a": [a], "b": [b]}, "merge": {"documents": "union"}}},
        RETRIEVALS,
        RETRIEVALS,
    ),
)
RUNS = st.fixed_dictionaries(
    {},
    optional={
        "questions": st.text(max_size=9),
        "metrics": st.lists(st.sampled_from(["em", "recall@5"]), max_size=2),
        "limit": st.none() | st.integers(1, 9),
        "budget": st.fixed_dictionaries({}, optional={"tokens": st.integers(0, 9), "seconds": st.floats(0.1, 9)}),
        "cache": st.booleans(),
    },
)
NAMES = st.text("abc 0-_ü", min_size=1, max_size=8).filter(lambda name: name.strip(". ") and name == name.strip())


@st.composite
def pipelines(draw):
    """Return the data of a valid pipeline."""
    data = {
        "name": draw(NAMES),
        "models": {
            "reader": {"provider": "scripted", "default": draw(st.text(max_size=9))},
            "enc": {"provider": "hash"},
        },
        "index": {
            "documents": draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=2)),
            "dense": {"encoder": "enc"},
            "sparse": draw(st.sampled_from([{}, {"stemmer": None, "k1": 1.25}, {"method": "bm25+"}])),
            "fusion": draw(
                st.builds(lambda k: {"k": k}, st.integers(0, 99))
                | st.just({"method": "weighted_sum", "weights": {"dense": 0.25}, "normalisation": "z_score"})
            ),
        },
        "pipeline": [{"retrieve.dense": {}}, *draw(st.lists(NESTED, min_size=1, max_size=3))],
    }
    run = draw(RUNS)
    return data | ({"run": run} if run else {})


def build(data):
    """Build in Python what the data says in YAML."""
    reader = registry.models["scripted"](default=data["models"]["reader"]["default"])
    encoder = registry.models["hash"]()
    parts = data["index"]
    index = LocalIndex(
        documents=parts["documents"],
        dense=DenseSettings(encoder=encoder),
        sparse=SparseSettings(**parts["sparse"]),
        fusion=FusionSettings(**parts["fusion"]),
    )

    def condition(test):
        nested = {"negate": condition, "all_of": lambda tests: [condition(inner) for inner in tests]}
        return Condition(**{key: nested[key](value) if key in nested else value for key, value in test.items()})

    def steps(items):
        return [step(*next(iter(item.items()))) for item in items]

    def step(name, values):
        if name == "loop":
            return Loop(do=steps(values["do"]), until=condition(values["until"]), max=values["max"])
        if name == "branch":
            test, yes, no = values.values()
            return Branch(on=condition(test), then=steps(yes), otherwise=steps(no))
        if name == "each":
            return Each(over=values["over"], do=steps(values["do"]))
        if name == "parallel":
            branches = {key: steps(do) for key, do in values["branches"].items()}
            return Parallel(branches=branches, merge=values["merge"])
        own = {key: value for key, value in values.items() if key not in {"id", "model"}}
        more = {"index": index} if name.startswith("retrieve") else {"model": reader} if "model" in values else {}
        stage = registry.stages[name](**own, **more)
        return Step(stage=stage, id=values["id"]) if "id" in values else stage

    run = dict(data.get("run", {}))
    if "budget" in run:
        run["budget"] = BudgetSettings(**run["budget"])
    models = {"reader": reader, "enc": encoder}
    return Pipeline(steps(data["pipeline"]), name=data["name"], models=models, index=index, run=RunSettings(**run))


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=pipelines())
def test_yaml_and_python_are_two_spellings_of_the_same(registries, data):
    loaded = Pipeline.from_yaml(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    text = loaded.to_yaml()
    assert Pipeline.from_yaml(text).to_yaml() == text
    assert build(data).to_yaml() == text


def test_every_setting_written_out_loads_again(registries):
    from ragkit.config.dump import to_yaml

    text = to_yaml(parse_pipeline(VALID), defaults=True)
    assert to_yaml(parse_pipeline(text), defaults=True) == text
    assert yaml.safe_load(text)["index"]["chunking"] == {"by": "layout", "size": 120, "overlap": 20, "parent": None}


def test_what_exists_in_python_only_is_not_written(registries):
    reader = registry.models["scripted"](reply=lambda prompt: prompt)
    pipeline = Pipeline([registry.stages["test.rewrite"](model=reader)])
    with pytest.raises(InputError, match="exists in Python only"):
        pipeline.to_yaml()
