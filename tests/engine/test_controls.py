from typing import Any

import pytest
from engine_fakes import FakeModel, questions, step

from ragkit.engine.conditions import Condition
from ragkit.engine.controls import Branch, Each, Loop, Parallel, concatenate, with_unique_ids
from ragkit.engine.nodes import Node, Step
from ragkit.engine.run import run_questions
from ragkit.engine.stage import stage
from ragkit.engine.state import Hit, Passage
from ragkit.errors import InputError
from ragkit.pipeline import Pipeline


@stage("test.split", writes="queries")
async def split(question: str) -> list[str]:
    return question.split()


@stage("test.search", writes="documents")
async def search(queries: tuple[str, ...]) -> list[Passage]:
    return [
        Passage(id=f"d{letter}", page_content=letter, hits=(Hit("search", query, rank, 1.0),))
        for query in queries
        for rank, letter in enumerate(query, 1)
    ]


@stage("test.count", writes="vars.size")
async def count(queries: tuple[str, ...]) -> int:
    return len(queries[0])


@stage("test.join", writes="answer")
async def join(documents: tuple[Passage, ...]) -> str:
    return "".join(d.page_content for d in documents)


@stage("test.say", writes="answer")
async def say(question: str) -> str:
    return f"said {question}"


def run_one(question: str, *nodes: Node) -> Any:
    (prediction,) = run_questions(nodes, [("q", question)])
    assert prediction.error is None, prediction.error
    return prediction


def test_each_gathers_in_order_and_joins_passages_with_all_hits() -> None:
    each = Each(over="queries", do=(step(search()), step(count())))
    prediction = run_one("ab bcd", step(split()), each, step(join()))
    assert prediction.answer == "abcd"
    assert prediction.vars["size"] == (2, 3)
    shared = prediction.documents[1]
    assert [(hit.query, hit.rank) for hit in shared.hits] == [("ab", 2), ("bcd", 1)]


def test_each_leaves_its_own_field_as_it_was() -> None:
    seen = run_one("ab cd", step(split()), Each(over="queries", do=(step(count()),)), step(search()), step(join()))
    assert seen.answer == "abcd"


def test_each_over_nothing_writes_empty_lists() -> None:
    @stage("test.none", writes="queries")
    async def none(question: str) -> list[str]:
        return []

    prediction = run_one("x", step(none()), Each(over="queries", do=(step(search()),)), step(join()))
    assert prediction.documents == ()
    assert prediction.answer == ""


def test_branch_takes_one_side_and_records_it() -> None:
    condition = Condition(field="queries", at_least=2)
    branch = Branch(on=condition, then=(step(say()),), otherwise=(step(search()), step(join())))
    assert run_one("a b", step(split()), branch).answer == "said a b"
    prediction = run_one("ab", step(split()), branch)
    assert prediction.answer == "ab"
    assert [event.stage for event in prediction.trace.events][1:] == ["else/test.search", "else/test.join"]


def test_parallel_merges_as_told() -> None:
    first, second = (step(search()), step(say())), (step(split()), step(search()), step(join()))
    both = Parallel(branches={"one": first, "two": second}, merge={"documents": "union", "answer": "two"})
    prediction = run_one("ab", both)
    assert prediction.answer == "ab"
    assert [d.id for d in prediction.documents] == ["da", "db"]


def test_branches_do_not_see_each_other() -> None:
    @stage("test.mark", writes="vars.mark")
    async def mark(question: str) -> str:
        return "set"

    @stage("test.look", writes="vars.seen")
    async def look(mark: str = "unset") -> str:
        return mark

    both = Parallel(branches={"a": (step(mark()),), "b": (step(look()),)})
    prediction = run_one("x", both)
    assert prediction.vars == {"mark": "set", "seen": "unset"}


def test_loop_stops_at_max() -> None:
    @stage("test.tick", writes="vars.n")
    async def tick(n: int = 0) -> int:
        return n + 1

    assert run_one("x", Loop(do=(step(tick()),), max=3)).vars["n"] == 3
    until = Condition(field="vars.n", at_least=2)
    assert run_one("x", Loop(do=(step(tick()),), until=until, max=9)).vars["n"] == 2


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([join()], "test.join: it reads 'documents', but no step before it writes that in every case"),
        (
            [Branch(on=Condition(field="question", contains="x"), then=[search()]), join()],
            "test.join: it reads 'documents', but no step before it writes that in every case",
        ),
        (
            [Loop(do=[join()], max=2)],
            "test.join: it reads 'documents', but no step before it writes that in every case",
        ),
        (
            [Loop(do=[search()], until=Condition(field="answer", is_empty=False), max=2)],
            "loop: its condition reads 'answer', but no step before it writes that in every case",
        ),
        ([Each(over="answer", do=[search()])], "each: 'over: answer' is no list"),
        ([Each(over="queries", do=[say()])], "each: the steps inside write 'answer'"),
        ([Parallel(branches={"a": [say()], "b": [say()]})], "parallel: 'answer' is written by a and b"),
        (
            [Parallel(branches={"a": [say()], "b": [say()]}, merge={"answer": "union"})],
            "parallel: 'answer' is no list, so it has no union",
        ),
    ],
)
def test_misfits_are_refused_with_the_node_named(nodes: list[Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Pipeline(nodes)
    assert str(caught.value).startswith(message)


def test_branch_whose_sides_both_write_is_accepted() -> None:
    branch = Branch(on=Condition(field="question", contains="x"), then=[search()], otherwise=[split(), search()])
    Pipeline([branch, join()])


def test_concatenate_keeps_first_appearance() -> None:
    assert concatenate([("a", "b"), None, ("b", "c")]) == ("a", "b", "c")


def test_repeated_steps_get_ids_of_their_own() -> None:
    nodes = with_unique_ids([step(say()), Loop(do=(step(say()), step(say(), "own")), max=1)])
    assert isinstance(nodes[0], Step) and nodes[0].id == "test.say"
    assert isinstance(nodes[1], Loop)
    assert [inner.id for inner in nodes[1].do if isinstance(inner, Step)] == ["test.say#2", "own"]


def test_each_batches_across_questions_and_items() -> None:
    model = FakeModel()

    @stage("test.ask_query", writes="vars.reply")
    async def ask_query(queries: tuple[str, ...]) -> str:
        return str(await model.ask(queries[0]))

    nodes = [step(split()), Each(over="queries", do=(step(ask_query()),))]
    asked = [(name, f"{text}a {text}b") for name, text in questions(20)]
    run_questions(nodes, asked)
    assert model.sizes == [40]
