"""The loop of section 6.1 of FrugalRAG's acceptance checks: counts, isolation, batching, budgets, ends."""

import asyncio

import pytest
from react_farm import CHAINS, follow, pipeline, question, toy_index

from ragkit import Pipeline
from ragkit.engine.calls import Budget
from ragkit.engine.run import RunOptions, run_questions
from ragkit.engine.state import Passage
from ragkit.models import LangChainTool, ScriptedModel
from ragkit.settings import RunSettings
from ragkit.stages import AgentReact, AnswerTrajectory
from ragkit.stages.agents.actions import Offer, grammar, read
from ragkit.stages.agents.toolbox import AgentTool
from ragkit.stages.agents.trajectory import Turn, fit
from ragkit.testing import check_stage

QUESTIONS = [(f"q{n}", question(n % CHAINS, 1 + n % 6)) for n in range(64)]


def search(query, thought="t"):
    return f"Thought: {thought}\nAction: search\nQuery: {query}"


def replies(*texts):
    """A model that writes these, one after the other, by the number of observations in its prompt."""
    return ScriptedModel(reply=lambda prompt: texts[min(len(texts), prompt.count("Observation ")) - 1])


def agent(model, rankings, default=("a", "b", "c", "d", "e", "f"), **settings):
    index, asked = toy_index(rankings, default)
    return AgentReact(model=model, index=index, **{"k": 2} | settings), asked


def walked(stage, asked="q?"):
    return asyncio.run(stage.run(asked))


def test_the_first_search_is_for_the_question_and_asks_no_model():
    model = replies("Action: finish")
    stage, asked = agent(model, {}, budget=1)
    done = walked(stage)
    assert asked == ["q?"] and model.prompts == []
    assert done["vars.react"] == {"searches": 1, "replies": 0, "stopped": "budget", "mended": {}}


def test_finish_ends_the_loop_and_what_was_searched_is_counted():
    stage, asked = agent(replies(search("x"), search("y"), "Thought: all\nAction: finish"), {}, stop=())
    done = walked(stage)
    assert asked == ["q?", "x", "y"]
    assert done["vars.react"] == {"searches": 3, "replies": 3, "stopped": "finish", "mended": {}}
    assert [turn["action"] for turn in done["vars.trajectory"]] == ["search", "search", "search", "finish"]
    assert [p.id for p in done["documents"]] == ["a", "b", "c", "d", "e", "f"]


def test_a_model_that_never_finishes_makes_as_many_searches_as_the_budget_and_no_idle_call():
    model = ScriptedModel(reply=lambda prompt: search(f"query {prompt.count('Observation ')}"))
    stage, asked = agent(model, {}, budget=4, default=[f"p{n}" for n in range(40)], stop=())
    assert walked(stage)["vars.react"] == {"searches": 4, "replies": 3, "stopped": "budget", "mended": {}}
    assert len(model.prompts) == 3 and len(asked) == 4


def test_without_finish_it_is_not_offered_and_a_stray_one_ends_nothing():
    stage, _ = agent(ScriptedModel(default="Action: finish"), {}, finish=False, stop=(), budget=3)
    done = walked(stage)
    assert done["vars.react"]["searches"] == 3 and done["vars.react"]["stopped"] == "budget"
    assert done["vars.react"]["mended"] == {"reask": 2, "fallback": 2}
    assert "finish:" not in stage.model.prompts[0] and "search|finish" not in stage.model.prompts[0]


def test_no_passage_comes_twice_and_each_search_is_filled_up():
    ranked = {"q?": ["a", "b", "c", "d"], "x": ["b", "a", "c", "e"], "y": ["c", "a", "b", "e"]}
    stage, _ = agent(replies(search("x"), search("y"), "Action: finish"), ranked, stop=())
    turns = walked(stage)["vars.trajectory"]
    assert [turn["passages"] for turn in turns] == [["a", "b"], ["c", "e"], [], []]
    assert [turn["new"] for turn in turns] == [2, 0, 0, None]
    assert turns[2]["observation"] == ["Nothing was found."]


def test_equal_texts_under_two_ids_are_one_passage_and_more_is_fetched_until_there_are_enough():
    same = [f"{n}=twin" for n in range(12)]
    stage, asked = agent(ScriptedModel(), {"q?": [*same, "other"]}, budget=1)
    assert [p.id for p in walked(stage)["documents"]] == ["0=twin", "other"]
    assert asked == ["q?"] * 4  # 2, 4, 8, 16 passages


def test_a_search_of_known_passages_and_two_repeats_end_the_loop():
    stage, _ = agent(replies(search("x")), {"q?": ["a", "b", "c"], "x": ["b", "a"]})
    assert walked(stage)["vars.react"]["stopped"] == "nothing_new"
    stage, asked = agent(ScriptedModel(default=search("Q? ")), {})
    done = walked(stage)
    assert done["vars.react"] == {"searches": 1, "replies": 2, "stopped": "repeat", "mended": {}}
    assert asked == ["q?"]


def test_the_model_may_say_that_it_has_enough():
    reply = "Thought: t\nAnswerable: yes\nAction: search\nQuery: x"
    stage, asked = agent(ScriptedModel(default=reply), {}, stop=("sufficient",))
    assert walked(stage)["vars.react"]["stopped"] == "finish" and asked == ["q?"]
    assert "Answerable: no" in stage.model.prompts[0]
    stage, asked = agent(ScriptedModel(default=reply), {}, stop=("sufficient",), min_searches=2)
    assert walked(stage)["vars.react"]["searches"] == 2


def test_a_stopper_of_its_own_ends_the_loop():
    stopper = ScriptedModel(reply=lambda prompt: "yes" if "About c" in prompt else "no")
    stage, asked = agent(ScriptedModel(default=search("x")), {}, stopper=stopper, stop=())
    assert walked(stage)["vars.react"]["stopped"] == "stopper" and asked == ["q?", "x"]
    assert len(stage.model.prompts) == 1 and len(stopper.prompts) == 2
    assert "finish:" not in stage.model.prompts[0]  # it is for the stopper to say


def test_a_reply_without_an_action_is_asked_again_and_then_the_loop_ends():
    stage, _ = agent(ScriptedModel(default="a\nb"), {}, reasks=2)
    done = walked(stage)
    assert done["vars.react"]["mended"] == {"reask": 2, "fallback": 1} and done["vars.react"]["stopped"] == "finish"
    assert "could not be used" in stage.model.prompts[1] and len(stage.model.prompts) == 3


def test_questions_do_not_share_what_they_have_seen():
    ranked = {"one": ["a", "b", "c"], "two": ["a", "b", "d"]}
    index, asked = toy_index(ranked, ("a", "b", "c", "d"))
    stage = AgentReact(model=replies(search("same"), "Action: finish"), index=index, k=2, stop=())
    pipe = Pipeline([stage], run=RunSettings(cache=False))
    both = pipe.predict([("1", "one"), ("2", "two")])
    assert [[p.id for p in one.documents] for one in both] == [["a", "b", "c", "d"]] * 2
    assert sorted(asked) == ["one", "same", "two"]  # two searches, one call
    assert [one.usage.searches for one in both] == [2, 2] and [one.usage.retriever_calls for one in both] == [2, 2]


def rows(predictions):
    return [(one.to_row(), one.vars) for one in predictions]


def test_a_batch_gives_what_one_after_the_other_gives_in_far_fewer_batches(tmp_path):
    pipe = pipeline(tmp_path)
    model = pipe.models["agent"]
    together = rows(pipe.predict(QUESTIONS))
    batches = len(model.batches)
    assert sum(model.batches) == len(model.prompts) and batches <= 7
    model.batches.clear()
    apart = rows([pipe.predict([one])[0] for one in QUESTIONS])
    assert together == apart
    assert len(model.batches) >= 8 * batches


def test_searches_grow_with_hops_and_all_stations_are_found(tmp_path):
    done = pipeline(tmp_path).predict(QUESTIONS)
    for number, one in enumerate(done):
        chain, hops = number % CHAINS, 1 + number % 6
        assert {f"s{chain}-{hop}" for hop in range(1, hops + 1)} <= {p.id for p in one.documents}
        assert one.vars["react"]["stopped"] == "finish" and one.error is None


def test_malformed_replies_end_no_question_and_are_counted(tmp_path):
    faults = ["", "```\n", "Action: fly", "\n\n", "{", "[[ ## next_tool_name ## ]]"]

    def sometimes(prompt):
        number = sum(prompt.encode())
        return faults[number % len(faults)] if number % 10 == 0 else follow(prompt)

    pipe = pipeline(tmp_path, reply=sometimes)
    done = pipe.predict(QUESTIONS)
    assert all(one.error is None and one.documents for one in done)
    mended = sum(one.vars["react"]["mended"].get("reask", 0) for one in done)
    bad = sum(sum(prompt.encode()) % 10 == 0 for prompt in set(pipe.models["agent"].prompts))
    assert mended and bad > 0.05 * len(set(pipe.models["agent"].prompts))
    flagged = [one for one in done if any(flag.startswith("agent.react:") for flag in one.flags)]
    assert {one.id for one in flagged} == {one.id for one in done if one.vars["react"]["mended"]}


def test_budgets_of_the_run_end_a_question_with_what_it_has(tmp_path):
    pipe = pipeline(tmp_path)
    pipe.prepare()
    asked = [("q", question(1, 5))]
    for budget, flag in ((Budget(searches=2), "budget:searches"), (Budget(model_calls=1), "budget:model calls")):
        (one,) = run_questions(pipe.nodes, asked, options=RunOptions(budget=budget))
        assert one.flags == (flag,) and len(one.documents) == 2 and one.error is None


def test_long_trajectories_are_shortened_in_the_prompt_and_nowhere_else():
    def long(prompt):
        return search(f"query {prompt.count('Observation ')}")

    index, _ = toy_index({}, [f"{n}=one. Two {n}. Three. Four words here. Five" for n in range(40)])
    stage = AgentReact(model=ScriptedModel(reply=long), index=index, k=3, trajectory_tokens=64, stop=())
    done = walked(stage)
    assert len(done["documents"]) == 18 and all("Five" in p.page_content for p in done["documents"])
    shown = [prompt.partition("Question: q?")[2] for prompt in stage.model.prompts]
    assert all(len(text.split()) <= 64 for text in shown)
    assert "[15]" in shown[4] and "Observation 1" not in shown[4]  # the newest stay, the oldest go


def test_sentences_go_before_turns_and_titles_stay_longest():
    def turn(number):
        text = f"First {number} here. Second one here. Third one here. Fourth one here."
        passage = Passage(id=str(number), page_content=text, metadata={"title": f"Title {number}"})
        return Turn("", "search", f"query {number}", (passage,), new=1)

    async def count(text):
        return len(text.split())

    turns = [turn(number) for number in range(5)]
    texts = {limit: asyncio.run(fit(turns, "compact", limit, count))[0] for limit in range(40, 160)}
    whole, sentence = texts[159], next(text for text in texts.values() if text.count("First") == 5)
    assert whole.count("Fourth") == 5 and sentence.count("Second") == 0 and sentence.count("Observation") == 5
    titles = [text for text in texts.values() if text.count("First") == 1 and text.count("Title") == 5]
    assert titles and all("First 4" in text for text in titles)  # the last observation keeps its sentence


def test_the_answer_is_read_from_the_trajectory_once():
    reader = ScriptedModel(default="Reasoning: as [2] says.\nAnswer: tin [2]")
    stage, _ = agent(replies(search("x"), "Action: finish"), {}, stop=())
    pipe = Pipeline([stage, AnswerTrajectory(model=reader)], run=RunSettings(cache=False))
    (one,) = pipe.predict([("q", "q?")])
    assert one.answer == "tin" and [c.passage for c in one.citations] == ["b"] and len(reader.prompts) == 1
    assert "Query: x" in reader.prompts[0] and "[4] d | About d." in reader.prompts[0]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [("<answer>\n tin </answer>", "tin"), ("so\n**Answer:** tin", "tin"), ("well\ntin", "tin"), ("", None)],
)
def test_answers_are_found_in_replies(reply, answer):
    stage = AnswerTrajectory(model=ScriptedModel(default=reply))
    assert asyncio.run(stage.run("q?", (), ()))["answer"] == answer


def test_tools_and_further_indexes_are_actions():
    from langchain_core.tools import tool

    @tool
    def add(a: int, b: int) -> str:
        """Add two numbers."""
        return f"the sum is {a + b}"

    other, asked = toy_index({"y": ["z1", "z2", "z3"]})
    texts = (
        'Action: add\nQuery: {"a": 1, "b": 2}',
        "Action: add\nQuery: one",
        "Action: manuals\nQuery: y",
        "Action: finish",
    )
    tools = (
        AgentTool(name="add", tool=LangChainTool.wrap(add, "add")),
        AgentTool(name="manuals", index=other, description="handbooks"),
    )
    model = replies(*texts)
    stage, _ = agent(model, {}, tools=tools)
    done = walked(stage)
    assert [turn["failed"] for turn in done["vars.trajectory"]] == [False, False, True, False, False]
    assert done["vars.react"]["mended"] == {"tool_failed": 1} and done["vars.react"]["searches"] == 2
    assert [p.page_content for p in done["documents"]][2:] == ["the sum is 3", "About z1.", "About z2."]
    assert "- add: Add two numbers." in model.prompts[0] and "- manuals: handbooks" in model.prompts[0]
    assert asked == ["y"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from tiny_generators import tiny_model

    from ragkit.models.transformers_lm import TransformersModel

    folder = tiny_model(tmp_path_factory.mktemp("tiny"))
    return TransformersModel(model=str(folder), dtype="float32", device="cpu", chat=False)


def test_a_local_model_is_held_to_the_grammar(tiny):
    stage, _ = agent(tiny, {}, max_new_tokens=80, budget=4, temperature=1.0, prompt="agent.react.tuned", stop=())
    walks = [asyncio.run(stage.walk("q?", draw)) for draw in range(3)]
    decisions = [one for walk in walks for one in walk.decisions]
    assert len(decisions) >= 3 and all(one.readable and not one.rungs for one in decisions)


@pytest.mark.parametrize("form", ["compact", "fields"])
def test_every_action_of_the_grammar_is_read_without_mending(tiny, form):
    schema = {"type": "object", "properties": {"a": {"enum": [1]}, "b": {"enum": [2]}}, "required": ["a", "b"]}
    offers = [Offer("search", "s"), Offer("add", "a", schema | {"additionalProperties": False}), Offer("finish", "f")]
    rules = grammar(offers, form, thoughts=True, sufficiency=form == "compact", tokens=96)
    names = set()
    for draw in range(12):
        made = asyncio.run(tiny.generate("q", max_new_tokens=400, grammar=rules, temperature=1.0, draw=draw))
        found = read(made.text, offers)
        assert found.action is not None and found.rungs == (), made.text
        names.add(found.action.name)
    assert len(names) > 1


def test_the_stage_keeps_its_contract():
    check_stage(agent(ScriptedModel(default="Action: finish"), {})[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_searches": 7}, "more than the budget"),
        ({"form": "fields", "stop": ("sufficient",)}, "a line of the compact form"),
        ({"part": "dense"}, "no dense part"),
        ({"demos": "nowhere.json"}, "cannot be read"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        agent(ScriptedModel(), {}, **settings)
