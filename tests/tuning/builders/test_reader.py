"""Rows of a reader and of R-Tuning, from a small corpus that the pipeline itself searches."""

import json
from contextlib import contextmanager

import pytest

from ragkit import Pipeline
from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.models.rewards import columns_of
from ragkit.stages.certainty import SURE, UNSURE
from ragkit.tuning.builders.r_tuning import RTuningBuilder
from ragkit.tuning.builders.reader import ReaderBuilder, cited
from ragkit.tuning.builders.reader_prompts import ReaderPromptsBuilder
from ragkit.tuning.data import BuildContext, TuningSet
from ragkit.tuning.rewards.answers import F1Reward
from ragkit.tuning.rewards.citation import CitationReward
from ragkit.tuning.serving import serving_prompts

METALS = ["tin", "zinc", "lead", "gold", "iron", "silver", "copper", "nickel"]
PIPELINE = """
models:
  reader: {provider: scripted, rules: [{contains: "ore of tin", reply: "hill tin [1]"}], default: "hill zinc"}
index: {documents: ["corpus.jsonl"], sparse: {}}
pipeline:
  - retrieve.sparse: {k: 6}
  - answer.read: {model: reader, prompt: answer.read.tuned}
  - answer.certainty: {model: reader}
run: {cache: false}
"""


@pytest.fixture
def metals(tmp_path, monkeypatch):
    """Questions after ores, each answered by one passage; all passages are much alike."""
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"p-{m}", "title": f"On {m}", "text": f"The ore of {m} is mined on the hill {m}."} for m in METALS]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = [Question(f"q-{m}", f"Where is the ore of {m} mined?", (f"hill {m}",), (f"p-{m}",)) for m in METALS]

    @contextmanager
    def opened(part):
        with Pipeline.from_yaml(PIPELINE) as pipeline:
            pipeline.prepare()
            yield TuningSet("metals", pipeline, questions)

    return BuildContext({"metals": opened}, "reader", 0, tmp_path, lambda *_: None)


def passages(row):
    """The numbered passages of a prompt."""
    return [line for line in row.prompt[1]["content"].splitlines() if line.startswith("[")]


def test_rows_of_each_kind_hold_what_their_kind_says(metals):
    rows = ReaderBuilder(copies=10).build("train", metals)
    assert len(rows) == 80
    kinds = {row.origin["kind"] for row in rows}
    assert kinds == {"gold", "mixed", "absent"}
    for row in rows:
        metal = row.origin["question"].removeprefix("q-")
        there = [number for number, line in enumerate(passages(row), 1) if f"hill {metal}." in line]
        if row.origin["kind"] == "absent":
            assert there == [] and passages(row) and row.completion == "unanswerable"
        else:
            assert row.completion == f"hill {metal} [{there[0]}]" and len(there) == 1
            assert (len(passages(row)) > 1) == (row.origin["kind"] == "mixed")
    placed = {row.completion[-2] for row in rows if row.origin["kind"] == "mixed"}
    assert len(placed) > 1  # the gold passage stands anywhere


def test_the_same_seed_gives_the_same_rows_and_validation_has_each_question_once(metals):
    builder = ReaderBuilder(copies=3)
    assert builder.build("train", metals) == builder.build("train", metals)
    other = BuildContext(metals.openers, "reader", 1, metals.folder, metals.on_progress)
    assert builder.build("train", metals) != builder.build("train", other)
    assert len(builder.build("validation", metals)) == 8


def test_training_prompts_have_the_form_of_the_pipeline_s(metals):
    rows = ReaderBuilder(copies=4).build("train", metals)
    with metals.openers["metals"]("train") as opened:
        served = serving_prompts(opened.pipeline, "reader", opened.questions)
    forms = {(row.prompt[0]["content"], row.prompt[1]["content"].split()[0]) for row in rows}
    assert forms == {(prompt[0]["content"], prompt[1]["content"].split()[0]) for prompt in served}
    assert rows[0].prompt[1]["content"].splitlines()[-1].startswith("Question: Where is the ore of")


def test_long_answers_give_no_rows_and_long_distractors_are_left_out(metals):
    assert ReaderBuilder(answer_words=1).build("train", metals) == []
    short = ReaderBuilder(gold=0, mixed=1, absent=0, longest=20).build("train", metals)
    assert {len(passages(row)) for row in short} == {2}


def test_citations_name_the_gold_passages_that_hold_the_answer_or_all_of_them(metals):
    with metals.openers["metals"]("train") as opened:
        from ragkit.evaluation.evidence import Evidence

        with Evidence.of(opened.pipeline.index) as evidence:
            found = evidence.find(["p-tin", "p-zinc", "p-lead"])
    tin, zinc, lead = (found[name][0] for name in ("p-tin", "p-zinc", "p-lead"))
    assert cited("hill tin", (lead, zinc, tin), (tin, zinc)) == "hill tin [3]"
    assert cited("yes", (lead, zinc, tin), (tin, zinc)) == "yes [2, 3]"


def test_r_tuning_says_sure_of_what_the_model_knows_with_its_passages(metals):
    rows = RTuningBuilder(gold=1, mixed=0, absent=0, balance=False).build("train", metals)
    asked = [row for row in rows if row.completion in (SURE, UNSURE)]
    assert len(rows) == 16 and len(asked) == 8
    # The scripted reader says "hill tin" of tin and "hill zinc" of everything else.
    assert {row.origin["question"] for row in asked if row.completion == SURE} == {"q-tin", "q-zinc"}
    assert all(row.prompt[2]["content"] in ("hill tin", "hill zinc") for row in asked)
    assert [turn["role"] for turn in asked[0].prompt] == ["system", "user", "assistant", "user"]


def test_r_tuning_shows_gold_answers_as_the_paper_does(metals):
    rows = RTuningBuilder(gold=1, mixed=0, absent=0, shown="gold", balance=False).build("train", metals)
    lead = next(row for row in rows if row.origin["question"] == "q-lead" and len(row.prompt) == 4)
    assert lead.prompt[2]["content"] == "hill lead" and lead.completion == UNSURE


def test_right_without_evidence_is_not_known(metals):
    rows = RTuningBuilder(gold=0, mixed=0, absent=1, balance=False).build("train", metals)
    assert {row.completion for row in rows if len(row.prompt) == 4} == {UNSURE}


def test_r_tuning_balances_and_refuses(metals):
    balanced = RTuningBuilder(gold=1, mixed=0, absent=0).build("train", metals)
    said = [row.completion for row in balanced if len(row.prompt) == 4]
    assert sorted(said) == [SURE, SURE, UNSURE, UNSURE]
    refusing = RTuningBuilder(gold=1, mixed=0, absent=0, variant="refuse").build("train", metals)
    taught = {row.origin["question"]: row.completion for row in refusing}
    assert taught["q-tin"] == "hill tin [1]" and taught["q-lead"] == "unanswerable" and len(refusing) == 8


def test_entropy_halves_by_how_the_samples_agree(metals):
    rows = RTuningBuilder(gold=1, mixed=0, absent=0, variant="entropy", samples=2).build("train", metals)
    said = [row.completion for row in rows if len(row.prompt) == 4]
    assert said.count(SURE) == said.count(UNSURE) == 4


def test_the_prompt_of_certainty_is_the_one_that_the_stage_gives(metals):
    rows = RTuningBuilder(gold=1, mixed=0, absent=0, balance=False).build("train", metals)
    turns = next(row.prompt for row in rows if len(row.prompt) == 4)
    reading = next(row.prompt for row in rows if len(row.prompt) == 2)
    assert turns[0] == reading[0]
    with metals.openers["metals"]("train") as opened:
        served = serving_prompts(opened.pipeline, "reader", opened.questions[:1])
    assert served[0][0] == turns[0]


def test_a_pipeline_without_the_steps_is_refused(metals, monkeypatch):
    monkeypatch.setitem(globals(), "PIPELINE", PIPELINE.replace("  - answer.certainty: {model: reader}\n", ""))
    with pytest.raises(InputError, match=r"no step answer.certainty with the model 'reader'"):
        RTuningBuilder().build("train", metals)
    other = BuildContext(metals.openers, "reader", 0, metals.folder, metals.on_progress)
    monkeypatch.setitem(globals(), "PIPELINE", PIPELINE.split("  - answer.read")[0])
    with pytest.raises(InputError, match=r"no step answer.read with the model 'reader'"):
        ReaderBuilder().build("train", other)


def test_prompts_for_rewards_are_the_readers_own_and_its_completions_earn_all(metals):
    settings = {"copies": 5, "absent": 0.3}
    rows = ReaderBuilder(**settings).build("train", metals)
    asked = ReaderPromptsBuilder(**settings).build("train", metals)
    assert [row.prompt for row in asked] == [row.prompt for row in rows]
    for row, prompt in zip(rows, asked, strict=True):
        columns = prompt.columns
        assert [line.partition(": ")[2] for line in passages(row)] == columns["passages"]
        assert columns["answerable"] == (row.origin["kind"] != "absent") == bool(columns["supporting"])
    columns = columns_of([row.columns for row in asked])
    prompts = [row.prompt for row in asked]
    for reward in (F1Reward(), CitationReward()):
        assert set(reward(prompts, [row.completion for row in rows], **columns)) == {1}
        wrong = reward(prompts, ["nowhere [9]"] * len(rows), **columns)
        assert set(wrong) == {0}
