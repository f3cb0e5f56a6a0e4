import json

import pytest
from evaluation_builders import prediction, question
from reported_run import HOSTILE, make_run

from ragkit.errors import InputError
from ragkit.evaluation.report.compact import detail
from ragkit.evaluation.report.finished import read_reported_run, tell_question
from ragkit.evaluation.report.pack import dump
from ragkit.evaluation.report.pictures import Pictures, pictures_of
from ragkit.evaluation.report.prompts import joined, pieces
from ragkit.evaluation.report.scopes import Rankings, every_turn, family, round_of, stage_name
from ragkit.evaluation.report.story import tell
from ragkit.evaluation.report.turns import trajectory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("told"))


def steps(told):
    return {step.stage: step for step in told.story.steps}


def test_tells_which_query_found_a_passage_and_hands_hits_on_once(run):
    told = steps(tell_question(run, "wheat"))
    assert told["loop[1]/reporting.think"].queries == ["moisture wheat", "At what moisture is wheat safe?"]
    (best, *_) = told["loop[1]/retrieve.sparse"].found
    assert best.id == "grain.pdf#p1.c0"
    assert [(by, query, rank) for by, query, rank, _ in best.hits] == [
        ("sparse", "moisture wheat", 1), ("sparse", "At what moisture is wheat safe?", 1),
    ]  # fmt: skip
    recalled = told["reporting.recall"].found
    assert [passage.hits == () for passage in recalled] == [True, True, True, False]
    assert recalled[-1].hits[0][0] == "memory.recall"


def test_tells_what_was_dropped_and_why(run):
    told = steps(tell_question(run, "wheat"))
    dropped = told["reporting.filter"].dropped
    assert [(lost.id, lost.rank) for lost in dropped] == [
        ("grain.pdf#p3.c0", 2),
        ("grain.pdf#p2.c0", 3),
        ("memory-1", 4),
    ]
    assert {lost.why for lost in dropped} == {"the model chose: no (90%)"}
    packed = steps(tell_question(run, "malt"))["context.pack"]
    assert all(lost.why.endswith("tokens did not fit") for lost in packed.dropped)


def test_keeps_texts_of_dropped_passages_and_of_gold_pages(run):
    told = tell_question(run, "wheat")
    assert told.texts["memory-1"] == "A remembered passage about moisture."
    rows = [json.loads(line) for line in (run / "passages.jsonl").read_text().splitlines()]
    assert len({row["id"] for row in rows}) == len(rows)
    final = {passage["id"] for row in read_reported_run(run).rows for passage in row["documents"]}
    assert {"memory-1"} <= {row["id"] for row in rows} - final


def test_rounds_are_thought_action_observation(run):
    first, second = tell_question(run, "wheat").story.turns
    assert (first.place, second.place) == ("loop[1]", "loop[2]")
    assert first.thought == "I should look for moisture wheat."
    assert first.action == "search: moisture wheat\nsearch: At what moisture is wheat safe?"
    assert first.observation.splitlines()[0] == "grain.pdf#p1.c0"


def test_final_prompt_is_whole_with_passages_as_references(run):
    told = tell_question(run, "wheat")
    (_, _), (role, parts) = told.story.prompt
    assert role == "user"
    assert ("grain.pdf#p1.c0", False) in parts
    assert "14 percent moisture" in joined(parts, told.texts)
    assert told.story.prompt_stage == "answer.read"


def test_a_failure_and_a_hostile_answer_are_told(run):
    failed = tell_question(run, "broken")
    assert failed.row["error"]["stage"] == "answer.read"
    assert failed.row["error"]["message"] in failed.story.steps[-1].error
    assert tell_question(run, "evil").row["answer"] == HOSTILE


def test_an_unknown_question_names_similar_ones(run):
    with pytest.raises(InputError, match="no question 'wheta', did you mean 'wheat'"):
        tell_question(run, "wheta")
    with pytest.raises(InputError, match=r"no question 'zzzzzzz' \(it has 5"):
        tell_question(run, "zzzzzzz")


def test_a_run_read_back_is_the_run(run):
    read = read_reported_run(run)
    assert read.title == "grain"
    assert read.summary.overall.metrics["em"].n == 5
    assert read.summary.scores["em"] == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert read.summary.quality[0] == "em"


def test_resuming_writes_no_passage_twice(run):
    before = (run / "passages.jsonl").read_bytes()
    started = json.loads((run / "about.json").read_text())["started"]
    make_run(run.parent)
    assert (run / "passages.jsonl").read_bytes() == before
    assert json.loads((run / "about.json").read_text())["started"] == started


def test_paths():
    assert stage_name("loop[2]/each[1]/retrieve.dense") == "retrieve.dense"
    assert family("then/rerank.cross_encoder#2") == "rerank"
    assert every_turn("loop[2]/each[11]/a.b") == "loop/each/a.b"
    assert round_of("loop[2]/then/loop[3]/a.b") == "loop[2]/then/loop[3]"
    assert round_of("loop[1]/loop[2]/a.b") == "loop[1]/loop[2]"
    assert round_of("each[2]/a.b") is None


def test_rankings_follow_the_copies_of_the_state():
    rankings = Rankings()
    a, b, c = ({"id": name} for name in "abc")
    assert rankings.before("x.y") == []
    rankings.write("retrieve.dense", [a])
    assert rankings.before("then/filter.x") == [a]
    assert rankings.before("each[1]/filter.x") == [a]
    rankings.write("each[1]/retrieve.dense", [b])
    rankings.write("each[2]/retrieve.dense", [c, b])
    assert rankings.before("each[1]/filter.x") == [b]
    assert rankings.before("each[2]/filter.x") == [c, b]
    assert rankings.before("filter.x") == [b, c]
    rankings.write("loop[1]/filter.x", [c])
    assert rankings.before("loop[2]/filter.x") == [c]


def test_prompts_are_taken_apart_and_put_together():
    long, flat, short = (
        "A passage of some length that is long enough.",
        "Two lines\nof a passage, long enough as well here.",
        "brief",
    )
    texts = {"long": long, "flat": flat, "short": short, "long too": long}
    prompt = f"Read: {long} and {flat.replace(chr(10), ' ')} and brief. {long}"
    parts = pieces(prompt, texts)
    assert parts == ["Read: ", ("long", False), " and ", ("flat", True), " and brief. ", ("long", False)]
    assert joined(parts, texts) == prompt
    assert pieces("", texts) == [""]


def test_an_agents_own_trajectory_is_told():
    written = [
        {"thought": "look", "tool_name": "search", "tool_args": {"query": "x"}, "observation": ["a", "b"]},
        {"thought": "done", "action": "finish"},
    ]
    first, second = trajectory("agent.react", written)
    assert (first.thought, first.action, first.observation) == ("look", 'search: {"query": "x"}', "a\nb")
    assert (second.place, second.action, second.observation) == ("agent.react 2", "finish", "")
    assert trajectory("x", ["a"]) == trajectory("x", "text") == trajectory("x", [{"other": 1}]) == []


def test_calls_of_any_form_are_told():
    """A third party's resource may take and answer what it likes."""
    entry = {"id": "a", "score": "high", "hits": []}
    call = {"resource": "X", "tokens": [1, 1], "seconds": 0.1, "source": "run"}
    calls = [
        call | {"op": "generate", "args": {"prompt": 7}, "value": "plain"},
        call | {"op": "choose", "args": {"prompt": ["a", "b"]}, "value": {"label": 3, "logprobs": [1]}},
        call | {"op": "score", "args": {"query": {"x": 1}, "text": None}, "value": "none"},
        call | {"op": "search", "args": {"query": "q"}, "value": [["a", 1], ["b"]]},
        call | {"op": "embed", "args": {}, "value": None},
    ]
    stages = [
        {"stage": "loop[1]/a.b", "seconds": 1, "wrote": {"documents": [entry], "queries": "one"}, "calls": calls},
        {"stage": "loop[1]/filter.b", "seconds": 1, "wrote": {"documents": []}, "calls": calls},
    ]
    row = prediction("1", "x", ({"id": "a", "score": None, "text": "a passage that is long enough to be referred to"},))
    story = tell(row, {"stages": stages}, {})
    assert [made.reply for made in story.steps[0].calls] == ["plain", "3", "", '[["a", 1], ["b"]]', ""]
    assert story.steps[1].dropped[0].why == "it was number 1 of 1"
    folded = json.loads(dump(detail(question("1"), row, story, [], lambda _: 0)))
    assert folded["steps"][0]["found"] == [[0, "high"]]
    assert folded["prompt"] == [["", ["7"]]]


def test_a_page_that_is_gone_is_said(run):
    import pymupdf

    read = read_reported_run(run)
    pictures = pictures_of(read.lock, read.rows)
    assert list(pictures.keys()) == ["grain.pdf#p1"]
    with pymupdf.open() as pdf:
        pdf.new_page()
        pdf.save(run.parent / "short.pdf")
    cited = [read.rows[0] | {"documents": [read.rows[0]["documents"][0] | {"page": 2}]}]
    with pytest.raises(InputError, match=r"there is no page 2 any more"):
        Pictures(cited, {"grain.pdf": run.parent / "short.pdf"}).keys()
    (run.parent / "short.pdf").write_bytes(b"%PDF-broken")
    with pytest.raises(InputError, match="the file changed since the run"):
        list(Pictures(read.rows, {"grain.pdf": run.parent / "short.pdf"}))


def test_pages_that_were_shown_and_not_cited_are_thumbnails(run):
    read = read_reported_run(run)
    row = read.rows[0]
    other = row["documents"][0] | {"id": "grain.pdf#p3.c9", "page": 3}
    shown = row | {"documents": [*row["documents"], other], "context": [*row["context"], other["id"]]}
    pictures = Pictures([shown], pictures_of(read.lock, read.rows)._files)
    assert list(pictures.keys()) == ["grain.pdf#p1", "grain.pdf#p3"]
    cited, thumbnail = map(len, pictures)
    assert thumbnail < cited / 2
