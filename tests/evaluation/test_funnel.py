"""Where gold evidence is lost, stage by stage."""

import json
from dataclasses import asdict

from evaluation_builders import FAILURE, passage, prediction, question
from toy_stages import AnswerLastWord, ContextFirst, FilterWithout, RerankLongest, small_index

from ragkit import Pipeline, Stage, stage
from ragkit.engine.conditions import Condition
from ragkit.engine.controls import Branch, Each, Loop, Parallel
from ragkit.engine.nodes import as_node
from ragkit.evaluation.funnel import Rightness, funnel
from ragkit.evaluation.questions import Question
from ragkit.evaluation.traces import Digest, StageEvent
from ragkit.stages import RetrieveSparse


@stage("retrieve.toy", writes="documents")
class Retrieve(Stage):
    """Stands for a retriever; tests bring the trace."""

    k: int = 3

    async def run(self, queries):
        raise NotImplementedError


def event(path, *documents, failed=False, context=None):
    wrote = None if failed or context is not None else [passage(name) for name in documents]
    return StageEvent(path, wrote, context and [passage(name) for name in context], failed)


def trace(*events):
    from collections import Counter

    return Digest(0.0, list(events), Counter(), {})


def run(nodes, gold, events, **fields):
    """The funnel of one question."""
    row = prediction("1", **fields)
    nodes = [as_node(node) for node in nodes]
    return funnel(nodes, [question("1", gold=gold)], [row], {"1": trace(*events)})


def units(found):
    return {own.stage: own.units for own in found.stages}


def reasons(found, name):
    (own,) = [own for own in found.stages if own.stage == name]
    return {loss.reason: loss.units for loss in own.losses}


def test_evidence_is_followed_from_stage_to_stage():
    nodes = [Retrieve(k=3), FilterWithout(word="x"), RerankLongest(k=2), ContextFirst(), AnswerLastWord()]
    found = run(
        nodes,
        ("a", "b", "c", "d"),
        [
            event("retrieve.toy", "a", "b", "c"),
            event("filter.toy_without", "a", "b"),
            event("rerank.toy_longest", "b", "a"),
            event("context.toy_first", context=("b",)),
            event("answer.toy_last_word"),
        ],
        documents=(passage("b"), passage("a")),
        citations=[],
    )
    assert units(found) == {
        "retrieve.toy": 3,
        "filter.toy_without": 2,
        "rerank.toy_longest": 2,
        "prompt": 1,
        "cited": 0,
    }
    assert [own.kind for own in found.stages] == ["retrieve", "keep", "keep", "prompt", "cited"]
    assert reasons(found, "retrieve.toy") == {"rank beyond 3": 1}
    assert reasons(found, "filter.toy_without") == {"dropped": 1}
    assert reasons(found, "prompt") == {"left out of the prompt": 1}
    assert reasons(found, "cited") == {"abstained": 1}
    assert found.units == 4
    assert found.stages[0].losses[0].examples == ["1"]


def test_a_reranker_loses_what_it_ranks_below_its_cut():
    found = run(
        [Retrieve(), RerankLongest(k=1)],
        ("a",),
        [event("retrieve.toy", "a", "b"), event("rerank.toy_longest", "b")],
        documents=(passage("b"),),
    )
    assert reasons(found, "rerank.toy_longest") == {"ranked below 1": 1}


def test_pages_count_by_the_passages_on_them():
    found = run(
        [Retrieve()],
        ("soil.pdf#p3", "soil.pdf#p4"),
        [StageEvent("retrieve.toy", [passage("soil.pdf#p3.c1", "soil.pdf", 3)], None, False)],
        documents=(passage("soil.pdf#p3.c1", "soil.pdf", 3),),
    )
    assert units(found) == {"retrieve.toy": 1, "prompt": 1}
    assert (found.stages[0].all, found.stages[0].some) == (0, 1)


def test_of_a_loop_the_last_round_counts():
    nodes = [Loop(do=(Retrieve(), FilterWithout(word="x")), max=3)]
    found = run(
        nodes,
        ("a", "b"),
        [
            event("loop[1]/retrieve.toy", "a"),
            event("loop[1]/filter.toy_without", "a"),
            event("loop[2]/retrieve.toy", "b"),
            event("loop[2]/filter.toy_without"),
        ],
    )
    assert units(found) == {"loop/retrieve.toy": 1, "loop/filter.toy_without": 0, "prompt": 0}


def test_the_runs_of_each_are_taken_together():
    nodes = [Each(over="queries", do=(Retrieve(),))]
    events = [event("each[1]/retrieve.toy", "a"), event("each[2]/retrieve.toy", "b")]
    found = run(nodes, ("a", "b"), events, documents=(passage("a"), passage("b")))
    assert units(found) == {"each/retrieve.toy": 2, "prompt": 2}


def test_a_loop_inside_each_ends_for_each_item_by_itself():
    nodes = [Each(over="queries", do=(Loop(do=(Retrieve(),), max=3),))]
    events = [
        event("each[1]/loop[1]/retrieve.toy", "c"),
        event("each[2]/loop[1]/retrieve.toy", "b"),  # the second item is content with one round
        event("each[1]/loop[2]/retrieve.toy", "a"),
    ]
    found = run(nodes, ("a", "b", "c"), events, documents=(passage("a"), passage("b")))
    assert units(found) == {"each/loop/retrieve.toy": 2, "prompt": 2}


def test_each_inside_a_loop_counts_the_items_of_the_last_round():
    nodes = [Loop(do=(Each(over="queries", do=(Retrieve(),)),), max=2)]
    events = [
        event("loop[1]/each[1]/retrieve.toy", "a"),
        event("loop[1]/each[2]/retrieve.toy", "b"),
        event("loop[2]/each[1]/retrieve.toy", "c"),
    ]
    found = run(nodes, ("a", "b", "c"), events, documents=(passage("c"),))
    assert units(found) == {"loop/each/retrieve.toy": 1, "prompt": 1}


def test_of_a_branch_in_a_loop_the_side_of_the_last_round_counts():
    condition = Condition(field="answer", is_empty=True)
    branch = Branch(on=condition, then=(Retrieve(),), otherwise=(FilterWithout(word="x"),))
    events = [event("loop[1]/then/retrieve.toy", "a", "b"), event("loop[2]/else/filter.toy_without", "b")]
    found = run([Loop(do=(branch,), max=2), ContextFirst()], ("a", "b"), events, documents=(passage("b"),))
    assert reasons(found, "prompt") == {}  # what the filter dropped was lost there, not on the way to the prompt
    assert units(found)["prompt"] == 1


def test_a_budget_that_ends_a_question_before_its_reader_leaves_no_prompt():
    found = run(
        [Retrieve(), AnswerLastWord()],
        ("a",),
        [event("retrieve.toy", "a")],  # the search itself went well, the next one was not allowed
        documents=(passage("a"),),
        flags=["budget:searches"],
    )
    assert units(found)["prompt"] == 0
    assert reasons(found, "prompt") == {"ended by a budget": 1}


def test_a_side_that_was_not_taken_changes_nothing():
    condition = Condition(field="answer", is_empty=True)
    nodes = [Retrieve(), Branch(on=condition, then=(FilterWithout(word="x"),), otherwise=(RerankLongest(k=1),))]
    found = run(
        nodes,
        ("a", "b"),
        [event("retrieve.toy", "a", "b"), event("then/filter.toy_without", "a")],
        documents=(passage("a"),),
    )
    assert units(found) == {"retrieve.toy": 2, "then/filter.toy_without": 1, "else/rerank.toy_longest": 2, "prompt": 1}
    assert [own.ran for own in found.stages] == [1, 1, 0, 1]
    assert reasons(found, "prompt") == {}


def test_parallel_branches_are_merged():
    nodes = [Parallel(branches={"x": (Retrieve(),), "y": (Retrieve(),)}, merge={"documents": "union"})]
    nodes = Pipeline(nodes).nodes  # gives the second retriever an id of its own
    found = funnel(
        nodes,
        [question("1", gold=("a", "b"))],
        [prediction("1", documents=(passage("a"), passage("b")))],
        {"1": trace(event("x/retrieve.toy", "a"), event("y/retrieve.toy#2", "b"))},
    )
    assert units(found) == {"x/retrieve.toy": 1, "y/retrieve.toy#2": 1, "prompt": 2}
    assert reasons(found, "prompt") == {}


def test_a_stage_that_fails_loses_everything_once():
    found = run(
        [Retrieve(), FilterWithout(word="x"), AnswerLastWord()],
        ("a",),
        [event("retrieve.toy", "a"), event("filter.toy_without", failed=True)],
        documents=(passage("a"),),
        error=FAILURE | {"stage": "filter.toy_without"},
    )
    assert reasons(found, "filter.toy_without") == {"failed": 1}
    assert reasons(found, "prompt") == {}
    assert units(found)["prompt"] == 0


def test_a_budget_that_ends_a_question_is_the_reason():
    found = run(
        [Retrieve(), FilterWithout(word="x"), AnswerLastWord()],
        ("a",),
        [event("retrieve.toy", "a"), event("filter.toy_without", failed=True)],
        documents=(passage("a"),),
        flags=["budget:model calls"],
    )
    assert reasons(found, "filter.toy_without") == {"ended by a budget": 1}
    assert units(found)["prompt"] == 0


def test_a_reader_that_fails_had_its_prompt():
    found = run(
        [Retrieve(), AnswerLastWord()],
        ("a",),
        [event("retrieve.toy", "a"), event("answer.toy_last_word", failed=True)],
        documents=(passage("a"),),
        error=FAILURE | {"stage": "answer.toy_last_word"},
    )
    assert units(found)["prompt"] == 1
    assert reasons(found, "cited") == {"failed": 1}


def test_without_retrieval_everything_is_lost_at_the_prompt():
    found = run([AnswerLastWord()], ("a",), [event("answer.toy_last_word")])
    assert reasons(found, "prompt") == {"nothing is retrieved": 1}


def test_right_answers_are_counted_by_the_evidence_they_had():
    nodes = [as_node(Retrieve()), as_node(AnswerLastWord())]
    questions = [question(str(n), ("x",), ("a", "b")) for n in range(4)]
    contexts = [("a", "b"), ("a",), (), ("a", "b")]
    rows = [prediction(str(n), "x", tuple(passage(name) for name in names)) for n, names in enumerate(contexts)]
    read = StageEvent("answer.toy_last_word", None, None, False)
    traces = {str(n): trace(event("retrieve.toy", *names), read) for n, names in enumerate(contexts)}
    found = funnel(nodes, questions, rows, traces, right=("em", [1.0, 0.0, 1.0, 0.0]))
    assert found.by_evidence == {"all": Rightness(2, 1), "some": Rightness(1, 0), "none": Rightness(1, 1)}
    answered = found.stages[-1]
    assert (answered.all, answered.questions, answered.gained) == (2, 4, 1)
    assert {loss.reason: loss.examples for loss in answered.losses} == {
        "wrong with a part of the evidence in the prompt": ["1"],
        "wrong with all the evidence in the prompt": ["3"],
    }


def test_questions_without_gold_evidence_are_not_looked_at():
    found = funnel([as_node(Retrieve())], [question("1", ("x",))], [prediction("1", "x")], {})
    assert (found.questions, found.units) == (0, 0)
    assert all(own.questions == 0 for own in found.stages)


def test_a_run_writes_its_funnel_with_corpus_and_index(tmp_path):
    rows = [{"id": "wheat", "text": "Wheat is kept at fourteen."}, {"id": "rye", "text": "Rye is sown in autumn."}]
    index = small_index(tmp_path, rows)
    pipeline = Pipeline([RetrieveSparse(index=index, k=1), AnswerLastWord()])
    pipeline.settings = pipeline.settings.model_copy(update={"cache": False})
    asked = [
        Question("w", "How is wheat kept?", ("fourteen",), ("wheat",)),
        Question("r", "When is rye sown, wheat or rye?", ("fall",), ("rye",)),
        Question("b", "How is barley kept?", ("dry",), ("barley",)),
        Question("p", "How is wheat kept?", ("dry",), ("wheat.c9",)),  # a piece that the document does not have
    ]
    experiment = pipeline.run(asked, out=tmp_path / "run")
    found = experiment.funnel
    assert json.loads((tmp_path / "run" / "funnel.json").read_text()) == json.loads(json.dumps(asdict(found)))
    assert [own.stage for own in found.stages] == [
        "corpus",
        "index",
        "retrieve.sparse",
        "prompt",
        "cited",
        "answered",
    ]
    assert reasons(found, "corpus") == {"not among the documents": 1}
    assert found.stages[0].losses[0].examples == ["b"]
    assert reasons(found, "index") == {"no text of it in the index": 1}
    assert found.stages[1].answers == 1  # `fall` is in no passage
    assert found.stages[-1].all == 1
    assert found.metric == "em"
