"""Pipelines without a stage, and grids of settings."""

from dataclasses import replace

import pytest
from evaluation_builders import question
from toy_stages import AnswerLastWord, ContextFirst, FilterWithout, RerankLongest, small_index

from ragkit import Pipeline
from ragkit.engine.conditions import Condition
from ragkit.engine.controls import Branch, Loop, Parallel, steps_of
from ragkit.errors import InputError
from ragkit.evaluation.ablation import grid, parse_sweep, split, without_each
from ragkit.evaluation.variants import folder_name
from ragkit.stages import RetrieveSparse


def left(pipeline):
    return [step.id for step in steps_of(pipeline.nodes)]


def test_each_removable_step_is_left_out_once(tmp_path):
    index = small_index(tmp_path)
    pipeline = Pipeline(
        [RetrieveSparse(index=index), FilterWithout(word="x"), RerankLongest(k=2), ContextFirst(), AnswerLastWord()]
    )
    found = without_each(pipeline)
    assert {name: left(smaller) for name, smaller in found.pipelines.items()} == {
        "filter.toy_without": ["retrieve.sparse", "rerank.toy_longest", "context.toy_first", "answer.toy_last_word"],
        "rerank.toy_longest": ["retrieve.sparse", "filter.toy_without", "context.toy_first", "answer.toy_last_word"],
        "context.toy_first": ["retrieve.sparse", "filter.toy_without", "rerank.toy_longest", "answer.toy_last_word"],
    }
    assert "reads 'documents'" in found.kept["retrieve.sparse"]
    assert found.kept["answer.toy_last_word"] == "nothing would write 'answer'"
    assert all(smaller.index is index for smaller in found.pipelines.values())


def test_inside_control_nodes(tmp_path):
    index = small_index(tmp_path)
    empty = Condition(field="documents", is_empty=True)
    pipeline = Pipeline(
        [
            Loop(do=(RetrieveSparse(index=index), FilterWithout(word="x")), max=2),
            Branch(on=empty, then=(RerankLongest(k=1),), otherwise=(RerankLongest(k=2),)),
            Parallel(branches={"a": (ContextFirst(),), "b": (AnswerLastWord(),)}),
        ]
    )
    found = without_each(pipeline)
    assert left(found.pipelines["filter.toy_without"]) == [
        "retrieve.sparse",
        "rerank.toy_longest",
        "rerank.toy_longest#2",
        "context.toy_first",
        "answer.toy_last_word",
    ]
    assert found.kept["rerank.toy_longest"] == "it is the only step of its control node"
    assert "rerank.toy_longest#2" in found.pipelines  # a branch without else does nothing
    assert found.kept["context.toy_first"] == "it is the only step of its branch"
    assert left(pipeline).count("rerank.toy_longest") == 1  # the pipeline itself is left as it is


def test_a_grid_is_every_combination():
    sweeps = [parse_sweep("retrieve.sparse.k=1,3"), parse_sweep("index.sparse.stemmer=english,null")]
    assert list(grid(sweeps)) == [
        (
            "retrieve.sparse.k=1, index.sparse.stemmer=english",
            ["retrieve.sparse.k=1", 'index.sparse.stemmer="english"'],
        ),
        ("retrieve.sparse.k=1, index.sparse.stemmer=null", ["retrieve.sparse.k=1", "index.sparse.stemmer=null"]),
        (
            "retrieve.sparse.k=3, index.sparse.stemmer=english",
            ["retrieve.sparse.k=3", 'index.sparse.stemmer="english"'],
        ),
        ("retrieve.sparse.k=3, index.sparse.stemmer=null", ["retrieve.sparse.k=3", "index.sparse.stemmer=null"]),
    ]


@pytest.mark.parametrize("text", ["k", "=1,2", "a.k=1", "a.k=", "a.k=[1,2", "a.k=!!python/name:os.system,1"])
def test_what_is_no_sweep(text):
    with pytest.raises(InputError, match="--sweep"):
        parse_sweep(text)


def test_one_question_asked_twice_is_on_one_side():
    questions = [replace(question(str(n)), question=f"How deep is well {n // 2}?") for n in range(40)]
    validation, test = split(questions, 0.5)
    assert not {q.question for q in validation} & {q.question for q in test}


def test_names_of_folders_stay_apart():
    names = ["a" * 200 + end for end in "xy"] + ["a b", "a/b", "a:b", "..", "...", "wheat"]
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all(len(folder) <= 120 and not folder.startswith(".") for folder in folders)
    assert folders[-1] == "wheat"
    assert folder_name("as it is") == "as_it_is"


def test_a_split_depends_on_nothing_but_the_text():
    questions = [question(str(n)) for n in range(400)]
    validation, test = split(questions, 0.25)
    assert 60 < len(validation) < 140
    assert {q.id for q in validation} | {q.id for q in test} == {q.id for q in questions}
    assert not {q.id for q in validation} & {q.id for q in test}
    some, _ = split(questions[100:200], 0.25)
    assert some == [q for q in validation if 100 <= int(q.id) < 200]


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_is_between_0_and_1(share):
    with pytest.raises(InputError, match="between 0 and 1"):
        split([question("1"), question("2")], share)


def test_a_side_without_questions_is_refused():
    with pytest.raises(InputError, match="one side of the split is empty"):
        split([question("1")], 0.5)


def test_a_value_of_a_sweep_is_named_once():
    with pytest.raises(InputError, match="3 is named twice"):
        parse_sweep("retrieve.sparse.k=3,1,3")
