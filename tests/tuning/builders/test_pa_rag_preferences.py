"""The pairs of PA-RAG's later stages, from a scripted reader that fails in known ways."""

import json

import pytest
from pa_rag_farm import CROPS, QUESTIONS, context, crop_of, farm, last_turn, numbers_of

from ragkit.evaluation.marked import MarkedText
from ragkit.evaluation.questions import Question
from ragkit.tuning.builders.pa_rag import PaRagPreferences
from ragkit.tuning.rows import PreferenceRow


def build(tmp_path, reply, *pairs, questions=QUESTIONS, **settings):
    """Return rows and counts; the farm's questions, unless others are given."""
    builder = PaRagPreferences(pairs=pairs, depth=4, **settings)
    rows = builder.build("train", context(tmp_path, farm(tmp_path, reply), questions))
    assert all(isinstance(row, PreferenceRow) for row in rows)
    return rows, json.loads((tmp_path / "built.train.json").read_text())


def is_gold(prompt):
    """Say whether a prompt has both golden passages."""
    places, crop = numbers_of(prompt), crop_of(prompt)
    return {f"{crop}-moisture", f"{crop}-store"} <= places.keys()


def cited(answer, prompt):
    """Return what an answer cites, by id."""
    ids = {number: name for name, number in numbers_of(prompt).items()}
    return {ids[number] for mark in MarkedText.parse(answer).marks for number in mark.numbers}


def confused(prompt):
    """Answer right with both golden passages; else guess and cite the first one."""
    crop = crop_of(prompt)
    return f"{CROPS[crop]} [1]" if is_gold(prompt) else f"Silo {crop.upper()} [1]"


def test_informativeness_prefers_the_complete_answer_to_one_given_with_less(tmp_path):
    rows, counts = build(tmp_path, confused, "informativeness")
    assert counts == {"rows": 4}
    for row in rows:
        crop, prompt = row.origin["question"], last_turn(row)
        assert row.origin == {
            "set": "crops", "question": crop, "kind": "informativeness", "sampled": "subgolden",
        }  # fmt: skip
        assert numbers_of(prompt).keys() == {f"{crop}-moisture", f"{crop}-store"}
        assert row.chosen.startswith(CROPS[crop])
        assert cited(row.chosen, prompt) == numbers_of(prompt).keys()
        assert row.rejected.startswith(f"Silo {crop.upper()} [")
    # What was cited as [1] of one passage is cited as the same passage of two: somewhere that is [2].
    assert {row.rejected[-3:] for row in rows} == {"[1]", "[2]"}


def test_the_passage_that_a_worse_answer_cites_is_the_same_in_the_pair_s_prompt(tmp_path):
    named = {}

    def says(prompt):
        number, name = min((number, name) for name, number in numbers_of(prompt).items())
        named.setdefault((crop_of(prompt), is_gold(prompt)), name)
        return f"I do not see it [{number}]"

    rows, _ = build(tmp_path, says, "informativeness")
    for row in rows:
        assert cited(row.rejected, last_turn(row)) == {named[row.origin["question"], False]}


def test_a_single_golden_passage_gives_no_informativeness_pair(tmp_path):
    single = [Question(q.id, q.question, q.answers, (f"{q.id}-moisture",)) for q in QUESTIONS[:2]]
    both = [*single, *QUESTIONS[2:]]
    rows, counts = build(tmp_path, confused, "informativeness", questions=both)
    assert {row.origin["question"] for row in rows} == {"barley", "oats"}
    assert counts == {"rows": 2, "informativeness: no golden passage could be left out": 2}


def test_an_answer_that_is_complete_or_cites_what_is_not_there_is_no_worse_one(tmp_path):
    def says(prompt):
        return {"wheat": "14 percent [1]", "maize": "Silo [9]", "barley": "", "oats": "Silo [1]"}[crop_of(prompt)]

    rows, counts = build(tmp_path, says, "informativeness")
    assert [row.origin["question"] for row in rows] == ["oats"]
    assert counts == {
        "rows": 1,
        "informativeness: complete answer": 1,
        "informativeness: cites what is not there": 1,
        "informativeness: empty answer": 1,
    }


def test_robustness_prefers_the_complete_answer_in_the_midst_of_noise(tmp_path):
    def says(prompt):
        crop = crop_of(prompt)
        fooled = crop in ("wheat", "maize") or not is_gold(prompt)
        return f"Early [{numbers_of(prompt)[f'{crop}-2']}]" if fooled else f"{CROPS[crop]} [1]"

    rows, counts = build(tmp_path, says, "robustness")
    assert counts == {"rows": 4, "robustness: complete answer": 2}
    assert {(row.origin["question"], row.origin["sampled"]) for row in rows} == {
        ("wheat", "golden+noise"),
        ("maize", "golden+noise"),
        ("barley", "subgolden+noise"),
        ("oats", "subgolden+noise"),
    }
    for row in rows:
        crop, prompt = row.origin["question"], last_turn(row)
        assert len(numbers_of(prompt)) == 6
        assert cited(row.rejected, prompt) == {f"{crop}-2"}
        assert cited(row.chosen, prompt) == {f"{crop}-moisture", f"{crop}-store"}


def test_citation_pairs_differ_in_their_citations_only(tmp_path):
    def says(prompt):
        crop = crop_of(prompt)
        places = numbers_of(prompt)
        gold = f"[{places[f'{crop}-moisture']}][{places[f'{crop}-store']}]"
        return {
            "wheat": f"It is 14 percent [{places.get('wheat-1')}].",
            "maize": f"It is 15 percent {gold}.",
            "barley": "It is 13 percent [0][9].",
            "oats": f"It is 99 percent {gold}.",
        }[crop]

    rows, counts = build(tmp_path, says, "citation")
    assert counts == {"rows": 2, "citation: incomplete answer": 1, "citation: supported answer": 1}
    assert {row.origin["question"] for row in rows} == {"wheat", "barley"}
    for row in rows:
        crop = row.origin["question"]
        assert MarkedText.parse(row.chosen).plain == MarkedText.parse(row.rejected).plain
        assert cited(row.chosen, last_turn(row)) == {f"{crop}-moisture", f"{crop}-store"}


def test_abstention_prefers_silence_to_a_guess_where_nothing_is_to_be_found(tmp_path):
    def says(prompt):
        return "Unanswerable." if crop_of(prompt) == "oats" else "9 percent [1]"

    rows, counts = build(tmp_path, says, "abstention")
    assert counts == {"rows": 3, "abstention: abstained": 1}
    for row in rows:
        assert (row.chosen, row.rejected) == ("unanswerable", "9 percent [1]")
        assert CROPS[row.origin["question"]] not in last_turn(row)


def test_several_perspectives_make_one_joint_stage(tmp_path):
    rows, _ = build(tmp_path, confused, "informativeness", "robustness", "abstention")
    assert {row.origin["kind"] for row in rows} == {"informativeness", "robustness", "abstention"}


def test_an_answer_that_fails_is_counted_and_harms_no_other(tmp_path):
    def says(prompt):
        if crop_of(prompt) == "oats":
            raise ValueError("no")
        return confused(prompt)

    rows, counts = build(tmp_path, says, "informativeness")
    assert len(rows) == 3
    assert counts == {"rows": 3, "informativeness: failed with ValueError": 1}


def test_samples_are_drawn_until_one_fits(tmp_path):
    calls = []

    def says(prompt):
        calls.append(crop_of(prompt))
        return confused(prompt) if calls.count(crop_of(prompt)) > 2 else CROPS[crop_of(prompt)]

    rows, _ = build(tmp_path, says, "informativeness", samples=3, temperature=1.0)
    assert len(rows) == 4
    assert len(calls) == 12


def test_greedy_samples_are_all_the_same_so_there_is_one():
    with pytest.raises(ValueError, match="several samples need a temperature above 0"):
        PaRagPreferences(pairs=("citation",), samples=2)
