"""IRCoT and Iter-RetGen: loops of YAML, made of small stages."""

import json
from pathlib import Path

import pytest

from ragkit import Pipeline
from ragkit.models import ScriptedModel
from ragkit.stages import ContextCollect, ReasonSentence, RewriteWithAnswer
from ragkit.testing import check_stage

ROOT = Path(__file__).parents[2]
HOPS = {"a": "Tin comes from Cape Vell.", "b": "Cape Vell lies in Ordania.", "c": "Ordania has a king."}
IRCOT = """
models:
  reader:
    provider: scripted
    rules:
      - {contains: "lies in Ordania", reply: "So the answer is: Ordania. And more."}
      - {contains: "comes from Cape Vell", reply: "Tin is from Cape Vell."}
    default: ""
index: {documents: [corpus.jsonl], sparse: {}}
pipeline:
  - retrieve.sparse: {k: 1}
  - context.collect:
  - loop:
      max: 5
      until: {field: vars.answered, equals: true}
      do:
        - reason.sentence: {model: reader}
        - retrieve.sparse: {k: 2}
        - context.collect: {most: 6}
run: {cache: false}
"""
ITER = """
models:
  reader:
    provider: scripted
    rules: [{contains: "lies in", reply: "Ordania"}, {contains: "comes from", reply: "Cape Vell"}]
index: {documents: [corpus.jsonl], sparse: {}}
pipeline:
  - loop:
      max: 2
      do:
        - retrieve.sparse: {k: 2}
        - answer.read: {model: reader}
        - rewrite.with_answer:
run: {cache: false}
"""


@pytest.fixture
def over_hops(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"id": n, "text": t}) + "\n" for n, t in HOPS.items()))


def test_ircot_searches_for_its_last_sentence_until_it_has_the_answer(over_hops):
    (one,) = Pipeline.from_yaml(IRCOT).predict([("q", "Where does tin come from?")])
    assert one.answer == "Ordania" and one.vars["thoughts"] == ("Tin is from Cape Vell.", "So the answer is: Ordania.")
    assert [p.id for p in one.documents][:2] == ["a", "b"] and one.usage.searches == 3


def test_iter_retgen_searches_for_the_question_with_its_answer(over_hops):
    (one,) = Pipeline.from_yaml(ITER).predict([("q", "Where does tin come from?")])
    assert one.answer == "Ordania" and {p.id for p in one.documents} == {"a", "b"}
    assert one.usage.searches == 2 and one.usage.model_calls == 2


def test_the_stages_keep_their_contracts():
    check_stage(ContextCollect())
    check_stage(ReasonSentence(model=ScriptedModel(default="So.")))
    check_stage(RewriteWithAnswer())


@pytest.mark.parametrize(
    "name", ["react", "react_fixed_budget", "frugalrag_explore", "frugalrag", "frugalrag_joint", "ircot", "iter_retgen"]
)
def test_the_pipelines_of_the_repository_load_and_are_written_again(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    pipeline = Pipeline.load(f"pipelines/{name}.yaml")
    assert pipeline.name == name and Pipeline.from_yaml(pipeline.to_yaml()).to_yaml() == pipeline.to_yaml()


def test_further_indexes_and_tools_are_declared_among_the_models(over_hops, tmp_path):
    (tmp_path / "other.jsonl").write_text(json.dumps({"id": "z", "text": "Kings of Ordania are old."}) + "\n")
    pipeline = Pipeline.from_yaml("""
models:
  kings: {provider: local-index, documents: [other.jsonl], dense: {encoder: hash}}
  hash: {provider: hash}
  agent:
    provider: scripted
    rules: [{contains: "Kings of", reply: "Action: finish"}]
    default: "Action: kings\\nQuery: kings"
index: {documents: [corpus.jsonl], sparse: {}}
pipeline:
  - agent.react: {model: agent, k: 1, tools: [{name: kings, index: kings, description: on kings}]}
run: {cache: false}
""")
    (one,) = pipeline.predict([("q", "Where does tin come from?")])
    assert [p.id for p in one.documents] == ["a", "z"] and one.vars["react"]["searches"] == 2
    assert Pipeline.from_yaml(pipeline.to_yaml()).to_yaml() == pipeline.to_yaml()
    from ragkit.errors import InputError

    with pytest.raises(InputError, match="or name a further index"):
        Pipeline.from_yaml(pipeline.to_yaml().replace("index: kings", "index: queens"))
