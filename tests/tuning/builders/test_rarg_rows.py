"""Rows of RARG: responses to imitate, prompts for rewards, pairs of drafts; no claim and no group in two parts."""

import asyncio
import gzip
import json
from contextlib import contextmanager

import pytest

from ragkit.engine.calls import LocalResource, Reply
from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.evaluation.question_sets import QuestionSet, pipeline_over, set_questions
from ragkit.evaluation.split import in_part, part_of
from ragkit.models.base import LanguageModel
from ragkit.models.rewards import Reward
from ragkit.models.scripted import ScriptedModel
from ragkit.stages.refute import AnswerRefute
from ragkit.tuning.builders.rarg import RargPreferences, RargPrompts, RargResponses
from ragkit.tuning.builders.rarg.claims import Claim
from ragkit.tuning.builders.rarg.replies import NO_REPLY, TWICE, read_replies
from ragkit.tuning.builders.rarg.replies import Reply as PostReply
from ragkit.tuning.builders.rarg.responses import cited
from ragkit.tuning.data import BuildContext, TuningSet

PIPELINE = """
models: {writer: {provider: scripted, default: "This is not true [1]."}}
index: {documents: [corpus.jsonl], sparse: {}}
pipeline:
  - retrieve.sparse: {k: 4}
  - answer.refute: {model: writer, prompt: answer.refute.tuned}
run: {metrics: [f1]}
"""
GROUPS = 30


class Longer(Reward):
    """Longer is better."""

    async def score(self, rollout):
        return float(len(rollout.completion))


@pytest.fixture
def folder(tmp_path):
    passages, questions = [], []
    for n in range(GROUPS):
        passages.append(
            {"id": f"p{n}", "text": f"Drug number {n} lowered fever in a trial of two hundred people. It was safe."}
        )
        for kind, word, label in (
            ("t", "lowers", "SUPPORTED"),
            ("f", "raises", "REFUTED"),
            ("g", "doubles", "REFUTED"),
        ):
            row = {"id": f"{kind}{n}", "question": f"Drug number {n} {word} fever", "answers": [label]}
            questions.append(row | {"supporting_ids": [f"p{n}"], "group": f"group{n}"})
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in passages))
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    replies = [f"post {n}\tThis is not true. The drug is fine. Please check the facts first." for n in range(20)]
    replies += [f"rude {n}\tThis is stupid and wrong. Delete it." for n in range(20)]
    (tmp_path / "replies.tsv").write_text("\n".join(replies))
    pairs = [f"Tea number {n} cures fever\tNo trial of tea number {n} has shown an effect on fever." for n in range(20)]
    (tmp_path / "pairs.tsv").write_text("\n".join(pairs))
    (tmp_path / "p.yaml").write_text(PIPELINE)
    return tmp_path


@pytest.fixture
def build(folder):
    own = QuestionSet(documents=("corpus.jsonl",), questions="questions.jsonl")

    @contextmanager
    def opened(part):
        with pipeline_over(str(folder / "p.yaml"), own, folder, []) as pipeline:
            pipeline.prepare(lambda *_: None)
            yield TuningSet("drugs", pipeline, in_part(set_questions("drugs", own, folder), part))

    def make(builder, part="train", **settings):
        context = BuildContext({"drugs": opened}, "writer", 7, folder, lambda *_: None)
        return builder(**settings).build(part, context)

    return make


def test_a_response_says_what_is_true_and_cites_its_evidence(build):
    rows = build(RargResponses, replies="replies.tsv", pairs="pairs.tsv", shown=2)
    kinds = {"t": 0, "p": 0}
    for row in rows:
        shown = row.prompt[-1]["content"]
        assert row.completion.startswith("This is not true. ")
        assert "stupid" not in row.completion
        number = row.completion.partition("[")[2][0]
        line = next(line for line in shown.splitlines() if line.startswith(f"[{number}]"))
        if row.origin["question"][0] in "fg":
            name = f"Drug number {row.origin['question'][1:]} lowers fever"
            assert f"{name} [{number}]." in row.completion
            assert f"lowered fever in a trial of two hundred people [{number}]." in row.completion
            assert f"Drug number {row.origin['question'][1:]} lowered" in line
            kinds["t"] += 1
        else:
            assert line.partition(" ")[2].rstrip(".") in row.completion
            kinds["p"] += 1
        assert len([line for line in shown.splitlines() if line.startswith("[")]) == 2
    assert kinds["t"] > 5 and kinds["p"] > 5
    assert any("check the facts" in row.completion for row in rows)
    again = build(RargResponses, replies="replies.tsv", pairs="pairs.tsv", shown=2)
    assert [(row.prompt, row.completion) for row in again] == [(row.prompt, row.completion) for row in rows]


def test_no_claim_no_group_and_no_post_is_in_two_parts(build):
    settings = {"replies": "replies.tsv", "pairs": "pairs.tsv"}
    seen = {part: build(RargResponses, part, **settings) for part in ("train", "validation", "test")}
    for part, rows in seen.items():
        for row in rows:
            name = row.origin["question"]
            if name[0] in "fg":
                assert part_of(f"group{name[1:]}") == part
            else:
                assert part_of(name) == part
    assert len(seen["train"]) > len(seen["test"]) > 0


def test_prompts_come_with_what_rewards_judge_by(build):
    rows = build(RargPrompts, shown=2)
    assert rows
    for row in rows:
        assert set(row.columns) == {"question", "passages"}
        number = row.origin["question"][1:]
        assert row.columns["question"] in (f"Drug number {number} raises fever", f"Drug number {number} doubles fever")
        assert any(f"number {number} lowered" in passage for passage in row.columns["passages"])
        for place, passage in enumerate(row.columns["passages"], 1):
            assert f"[{place}] {passage}" in row.prompt[-1]["content"]


def test_a_set_without_refuted_claims_is_refused(build):
    with pytest.raises(InputError, match="no prompt could be made"):
        build(RargPrompts, refuted=("nothing",))
    assert build(RargPrompts, "validation", refuted=("nothing",)) == []


def test_equal_drafts_give_no_pair_and_are_counted(build, folder):
    with pytest.raises(InputError, match=r"no pair could be made \(a tie: \d+\)"):
        build(RargPreferences, reward=Longer(), samples=3)
    assert json.loads((folder / "built.train.json").read_text())["rows"] == 0


class Drafts(LanguageModel, LocalResource):
    """Writes another text for each draw."""

    texts: tuple[str, ...]

    def fingerprint(self):
        return json.dumps(self.texts)

    def execute(self, op, batch):
        return [
            Reply({"text": self.texts[request.args.get("draw", 0)], "finish": "stop", "logprob": 0.0})
            for request in batch
        ]


@pytest.mark.parametrize(
    ("texts", "margin", "pair"),
    [
        (("bb", "a", "cccc"), 0.0, ("cccc", "a")),
        (("a", "bb", "c", "dd"), 0.0, ("bb", "a")),  # of equal ones the first
        (("aa", "bb", "cc"), 0.0, None),
        (("a", "bb"), 2.0, None),
        (("", ""), 0.0, None),
    ],
)
def test_a_pair_is_the_best_draft_and_the_worst(texts, margin, pair):
    stage = AnswerRefute(model=ScriptedModel(default="x"))
    claim = Claim("set", "c1", "Tea cures.", stage, (Passage(id="p", page_content="It does not."),), (1,))
    builder = RargPreferences(reward=Longer(), samples=len(texts), margin=margin)
    found = asyncio.run(builder.pair(claim, Drafts(texts=texts), seed=0))
    assert (found and (found.chosen, found.rejected)) == pair
    if found:
        assert found.chosen != found.rejected
        assert found.prompt == claim.prompt
        assert found.origin == {"set": "set", "question": "c1", "chosen": len(pair[0]), "rejected": len(pair[1])}


def test_replies_are_read_from_tables_and_objects(tmp_path):
    tsv = tmp_path / "a.tsv"
    tsv.write_text(
        'tweet\treply\nPost "one", a\tNot so, "really".\n\nPost two\t\nPost "one", a\tNot so, "really".\nb\tNo.\n'
    )
    found = read_replies(tsv)
    assert found.rows == (PostReply('Post "one", a', 'Post "one", a', 'Not so, "really".'), PostReply("b", "b", "No."))
    assert found.left_out == {NO_REPLY: 1, TWICE: 1}
    table = tmp_path / "a.csv"
    table.write_text('"Post one, a","Not so,\nreally."\n\n"Only a post"\n')
    assert read_replies(table).rows == (PostReply("Post one, a", "Post one, a", "Not so,\nreally."),)
    assert read_replies(table).left_out == {NO_REPLY: 1}
    rows = [
        {"id": "r1", "tweet_id": "7", "response": "No."},
        {"id": "p1", "post": "Tea cures", "reply": "It does not."},
    ]
    objects = tmp_path / "a.jsonl.gz"
    objects.write_bytes(gzip.compress("\n".join([json.dumps(rows[0]), "", json.dumps(rows[1])]).encode()))
    assert read_replies(objects).rows == (PostReply("7", "", "No."), PostReply("p1", "Tea cures", "It does not."))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "one\ttwo\tthree\n", r"a\.tsv:1: has 3 columns, not a post and a reply"),
        ("a.csv", 'x,"open\n', r"a\.csv:1: "),
        ("a.jsonl", "{}\nno", r"a\.jsonl:2: not JSON"),
        ("a.jsonl", "[1]", r"a\.jsonl:1: must be an object"),
        ("a.txt", "x", r"read from \.tsv, \.csv or \.jsonl"),
    ],
)
def test_files_of_another_form_are_refused_with_their_place(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_replies(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        read_replies(tmp_path / "none.tsv")


def test_replies_to_one_post_belong_to_one_part(tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text("\n".join(f"post {n % 10}\treply {n}" for n in range(100)))
    found = read_replies(file)
    parts = [{reply.key for reply in found.in_part(part)} for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 10


def test_a_statement_cites_before_its_full_stop():
    assert cited("tea does nothing , as said.", (2,)) == "Tea does nothing, as said [2]."
    assert cited("Tea does nothing!", (1, 3)) == "Tea does nothing [1, 3]."
