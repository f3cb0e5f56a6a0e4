"""Rows for agents, from chains of passages of which each names the next one."""

import json
import re
from contextlib import contextmanager

import pytest

from ragkit import Pipeline
from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.stages.agents.demos import Demo, dump_demos
from ragkit.tuning.builders.react import ReactDemos, ReactRollouts, ReactRows, is_for_demos
from ragkit.tuning.data import BuildContext, TuningSet
from ragkit.tuning.job import AdapterSettings, TrainingJob, TrainingSettings
from ragkit.tuning.objectives.bootstrap import Bootstrap, candidate_sets
from ragkit.tuning.rows import DemoRow
from ragkit.tuning.serving import check_prompts, serving_prompts

METALS = ["tin", "zinc", "lead", "gold", "iron", "silver", "copper", "nickel", "cobalt", "radium", "barium", "cerium"]
PIPELINE = """
models:
  agent:
    provider: scripted
    rules:
      - {matches: '(?s)Town (\\w+) \\| .*Question:', reply: "Action: finish"}
      - {matches: '(?s)then to Town (\\w+)\\..*Question:', reply: "Action: search\\nQuery: Town {1}"}
    default: "Action: search\\nQuery: nothing"
  reader: {provider: scripted, rules: [{matches: 'Town \\w+: River (\\w+)', reply: "River {1}"}], default: unanswerable}
index: {documents: [corpus.jsonl], sparse: {}}
pipeline:
  - agent.react: {model: agent, k: 1, budget: 4, thoughts: false, prompt: agent.react.tuned}
  - answer.read: {model: reader, prompt: answer.read.tuned}
run: {cache: false}
"""


@pytest.fixture
def metals(tmp_path, monkeypatch):
    """Questions of two hops: the metal's passage names a town, and the town's a river."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": f"m-{m}", "title": f"Ore of {m}", "text": f"Mined {m} goes by mule, then to Town {m[::-1]}."}
        for m in METALS
    ]
    rows += [{"id": f"t-{m}", "title": f"Town {m[::-1]}", "text": f"River {m[:2]} flows there."} for m in METALS]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = [
        Question(
            f"q-{m}-{copy}", f"Where does mined {m} go by mule, {copy}?", (f"River {m[:2]}",), (f"m-{m}", f"t-{m}")
        )
        for m in METALS
        for copy in range(6)
    ]

    @contextmanager
    def opened(part):
        with Pipeline.from_yaml(PIPELINE) as pipeline:
            pipeline.prepare()
            yield TuningSet("metals", pipeline, questions)

    return BuildContext({"metals": opened}, "agent", 0, tmp_path, lambda *_: None)


def trained(metals):
    with metals.openers["metals"]("train") as opened:
        return [question for question in opened.questions if not is_for_demos(question.id)]


def test_titles_teach_the_next_search_and_to_finish_when_all_is_found(metals):
    rows = ReactRows(finish_share=1).build("train", metals)
    assert len(rows) == 2 * len(trained(metals))
    for row in rows:
        metal = row.origin["question"].split("-")[1]
        there = f"Town {metal[::-1]} |" in row.prompt[1]["content"]
        assert row.completion == ("Action: finish" if there else f"Action: search\nQuery: Town {metal[::-1]}")
    assert not any(is_for_demos(row.origin["question"]) for row in rows)
    assert rows == ReactRows(finish_share=1).build("train", metals)


def test_prompts_are_those_of_the_pipeline(metals):
    rows = ReactRows().build("train", metals)
    with metals.openers["metals"]("train") as opened:
        served = serving_prompts(opened.pipeline, "agent", opened.questions[:8])
    assert check_prompts(rows, served) == []
    assert {prompt[1]["content"] for prompt in served} & {row.prompt[1]["content"] for row in rows}


def test_finishing_rows_are_balanced_or_left_out(metals):
    kinds = [row.origin["kind"] for row in ReactRows(finish_share=0.25).build("train", metals)]
    assert kinds.count("finish") == int(kinds.count("search") / 3) > 0
    assert {row.origin["kind"] for row in ReactRows(finish="never").build("train", metals)} == {"search"}


def test_the_model_s_own_queries_are_explored(metals):
    rows = ReactRows(teacher="model", finish="mixed", no_finish=0.5, finish_share=1).build("train", metals)
    finished = {row.origin["question"] for row in rows if row.origin["kind"] == "finish"}
    everyone = {row.origin["question"] for row in rows}
    assert abs(len(finished) - len(everyone) / 2) <= 1
    open_ended = [row for row in rows if row.origin["question"] not in finished]
    assert "finish" not in open_ended[0].prompt[0]["content"]  # it is not on offer there


def test_the_stopper_learns_as_many_yes_as_no(metals):
    rows = ReactRows(rows="stops").build("train", metals)
    said = [row.completion for row in rows]
    assert said.count("yes") == said.count("no") == len(trained(metals))
    for row in rows:
        assert (row.completion == "yes") == bool(re.search(r"Town \w+ \|", row.prompt[1]["content"]))


def test_a_gold_passage_that_was_found_is_held_back_once(metals):
    rows = ReactRows(finish="never", grounded=False, hold_back=True).build("train", metals)
    plain = ReactRows(finish="never", grounded=False).build("train", metals)
    asked = trained(metals)
    assert [row for row in rows if row in plain] and len(plain) == len(asked)
    held = [row for row in rows if row.completion.startswith("Action: search\nQuery: Ore of ")]
    assert {row.origin["question"] for row in held} == {question.id for question in asked}
    for row in held:
        metal = row.origin["question"].split("-")[1]
        assert row.completion.endswith(f"Ore of {metal}") and f"Ore of {metal} |" not in row.prompt[1]["content"]


def test_titles_that_nobody_could_know_are_no_examples(metals, tmp_path, monkeypatch):
    text = (tmp_path / "corpus.jsonl").read_text().replace("then to Town", "then to a town; not")
    (tmp_path / "corpus.jsonl").write_text(text)
    grounded = [row for row in ReactRows().build("train", metals) if row.origin["kind"] == "search"]
    anyway = [row for row in ReactRows(grounded=False).build("train", metals) if row.origin["kind"] == "search"]
    assert grounded == [] and len(anyway) == len(trained(metals))


def test_rollouts_have_the_recall_of_the_way_to_the_budget(metals):
    rows = ReactRollouts(limit=10).build("train", metals)
    assert len(rows) == 10 and all(row.tau == 1.0 and len(row.gold) == 2 for row in rows)


def demos(metals):
    return ReactDemos().build("train", metals)


def test_only_runs_that_pass_give_a_demonstration_and_each_gives_one(metals):
    rows = demos(metals)
    asked = [row.origin["question"] for row in rows]
    assert rows and len(set(asked)) == len(asked) and all(map(is_for_demos, asked))
    assert {row.origin["kind"] for row in rows} == {"search", "finish"}
    assert rows == demos(metals) and ReactDemos().build("validation", metals) == []
    assert not set(asked) & {row.origin["question"] for row in ReactRows().build("train", metals)}
    assert ReactDemos(metric="f1", at_least=1.1).build("train", metals) == []


def test_candidate_sets_follow_from_the_seed():
    rows = [DemoRow(question=f"q{n % 9}", trajectory="t", completion=str(n)) for n in range(12)]
    sets = candidate_sets(rows, 6, 3, 0)

    def plain(seed):
        return [dump_demos(own) for own in candidate_sets(rows, 6, 3, seed)]

    assert plain(0) == plain(0) != plain(1)
    assert [len(own) for own in sets[:2]] == [0, 3] and all(1 <= len(own) <= 3 for own in sets[1:])
    assert all(len({demo.question for demo in own}) == len(own) for own in sets)


def test_bootstrap_keeps_the_best_sets_and_no_question_sees_its_own(metals, tmp_path):
    def job(folder):
        return TrainingJob(
            folder=folder, model=None, rows=demos(metals), validation=(), adapter=AdapterSettings(),
            training=TrainingSettings(), resume=False, on_step=print, on_progress=lambda *_: None,
            sets=metals.openers, name="agent",
        )  # fmt: skip

    objective = Bootstrap(candidates=3, keep=2, limit=6, metric="recall@4")
    done = objective.train(job(tmp_path / "one"))
    objective.train(job(tmp_path / "two"))
    files = sorted(path.name for path in (tmp_path / "one" / "adapter").iterdir())
    assert files == ["demos.2.json", "demos.json", "scores.json"] and done.figures["candidates"] == 5
    for name in files:
        assert (tmp_path / "one" / "adapter" / name).read_bytes() == (tmp_path / "two" / "adapter" / name).read_bytes()
    assert objective.serving("agent", "adapter", tmp_path) == [f'agent.react.demos="{tmp_path}"']
    with pytest.raises(InputError, match="no run went well"):
        Bootstrap().train(
            TrainingJob(**{name: getattr(job(tmp_path), name) for name in TrainingJob.__slots__} | {"rows": ()})
        )


def test_demonstrations_stand_in_the_prompt_but_never_the_question_s_own(metals, tmp_path):
    with metals.openers["metals"]("train") as opened:
        own, other = opened.questions[0].question, opened.questions[9].question
        file = tmp_path / "demos.json"
        file.write_text(
            dump_demos([Demo(question=q, trajectory="seen", completion="Action: finish") for q in (own, other)])
        )
        stage = opened.pipeline.nodes[0].stage.model_copy(update={"demos": str(tmp_path), "prompt": "agent.react"})
        Pipeline([stage], run=opened.pipeline.settings).predict([("q", own)])
        prompt = opened.pipeline.models["agent"].prompts[0]
    assert f"Example 1\nQuestion: {other}\nseen" in prompt and "Example 2" not in prompt
