"""Query Rewriter+ (behaviours of the paper's rewriter, and what was broken in its published code)."""

import asyncio
import json

import pytest
from pydantic import ValidationError

from ragkit import Pipeline
from ragkit.models import ScriptedModel
from ragkit.stages import RetrieveSparse, RewritePlus
from ragkit.stages.rewritten import GRAMMAR, Rewritten, read_rewritten, write_rewritten
from ragkit.testing import check_stage

QUESTIONS, QUERIES = ["Who built it?", "When was it built?"], ["Vell lighthouse builder", "Vell lighthouse 1874"]
FORMS = {
    "plain JSON": json.dumps({"rewritten_questions": QUESTIONS, "queries": QUERIES}),
    "fenced JSON": f"Sure!\n```json\n{json.dumps({'Rewritten Question': QUESTIONS, 'Query': QUERIES})}\n```\nDone.",
    "alias key": json.dumps({"Rewritten Input": QUESTIONS, "Query": QUERIES}),
    "text for a list": json.dumps({"Rewritten Question": "\n".join(QUESTIONS), "Query": "**".join(QUERIES)}),
    "text form": "### Rewritten Question:\nWho built it?**When was it built?\n\n"
    "Query:\nVell lighthouse builder**Vell lighthouse 1874\n\nand more",
    "numbered lists": "Rewritten questions:\n1. Who built it?\n2) When was it built?\n\n"
    "Queries:\n- Vell lighthouse builder\n- Vell lighthouse 1874",
}


@pytest.fixture(autouse=True)
def no_answers_of_earlier_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rewrite(reply, **settings):
    return asyncio.run(RewritePlus(model=ScriptedModel(default=reply), **settings).run("Who built the lighthouse?"))


def test_it_behaves_as_a_stage():
    check_stage(RewritePlus(model=ScriptedModel(default=FORMS["plain JSON"])))
    check_stage(RewritePlus(model=ScriptedModel(default=FORMS["text form"]), form="text"))


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("reply", FORMS.values(), ids=FORMS)
def test_every_form_of_a_reply_is_read_alike(form, reply):
    assert rewrite(reply, form=form) == {
        "queries": tuple(QUERIES),
        "vars.questions": tuple(QUESTIONS),
        "vars.rewritten": True,
    }


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "reply", ["garbage", "", "[]", '{"queries": []}', '{"rewritten_questions": ["a"]}', "Query:\n\nQuery: **", "{]"]
)
def test_a_reply_that_cannot_be_read_leaves_the_question_as_it_is(form, reply):
    question = "Who built the lighthouse?"
    expected = {"queries": (question,), "vars.questions": (question,), "vars.rewritten": False}
    assert rewrite(reply, form=form) == expected


def test_queries_are_distinct_and_capped():
    queries = ["Cape Vell", "cape  vell", "b", "c", "d", "e", "f"]
    reply = json.dumps({"rewritten_questions": ["x", "X", "y"], "queries": queries})
    assert rewrite(reply)["queries"] == ("Cape Vell", "b", "c", "d", "e")
    assert rewrite(reply)["vars.questions"] == ("x", "y")
    kept = rewrite(reply, keep_question=True, max_queries=3)["queries"]
    assert kept == ("Who built the lighthouse?", "Cape Vell", "b")


def test_the_text_form_is_read_as_it_is_written():
    rewritten = Rewritten(("Is 2*3 six?", "And  then?"), ("a\nb", "c"))
    text = write_rewritten(rewritten)
    assert text == "Rewritten Question:\nIs 2 3 six?**And then?\n\nQuery:\na b**c"
    assert read_rewritten(text) == Rewritten(("Is 2 3 six?", "And then?"), ("a b", "c"))
    cut = read_rewritten(text + "**half of a qu", cut=True)
    assert cut is not None and cut.queries == ("a b", "c")


def test_a_reply_that_was_cut_loses_its_last_query():
    class Cut(ScriptedModel):
        def _generate(self, prompt, args):
            reply = super()._generate(prompt, args)
            return reply._replace(value=reply.value | {"finish": "length"})

    stage = RewritePlus(model=Cut(default=FORMS["text form"].partition("\n\nand")[0]), form="text")
    assert asyncio.run(stage.run("q"))["queries"] == (QUERIES[0],)


def test_the_prompt_follows_the_form():
    model = ScriptedModel(default=FORMS["text form"])
    asyncio.run(RewritePlus(model=model, form="text").run("Who?"))
    asyncio.run(RewritePlus(model=model, max_queries=4).run("Who?"))
    for prompt in ("rewrite.plus.ambiguous", "rewrite.plus.multi_hop"):
        asyncio.run(RewritePlus(model=model, prompt=prompt, max_queries=4).run("Who?"))
    text, *chats = model.prompts
    assert text == "Original Question: Who?"
    assert all("up to 4 short search" in chat and chat.endswith("Question: Who?") for chat in chats)


def test_a_grammar_is_of_the_text_form():
    with pytest.raises(ValidationError, match="grammar is of the form 'text'"):
        RewritePlus(model=ScriptedModel(), grammar=True)


def test_the_grammar_allows_what_is_written():
    llguidance = pytest.importorskip("llguidance")
    grammar = llguidance.LLMatcher.grammar_from_lark(GRAMMAR)
    assert not llguidance.LLMatcher.validate_grammar(grammar)


def test_fallbacks_are_counted_and_every_query_is_searched(tmp_path):
    from ragkit.index import LocalIndex, SparseSettings

    rows = [
        {"id": n, "text": t} for n, t in [("a", "Vell lighthouse builder"), ("b", "Vell lighthouse 1874"), ("c", "x")]
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    index = LocalIndex(documents=("rows.jsonl",), base=tmp_path, path=tmp_path / "index", sparse=SparseSettings())
    model = ScriptedModel(rules=[{"contains": "good", "reply": FORMS["plain JSON"]}], default="garbage")
    pipeline = Pipeline([RewritePlus(model=model), RetrieveSparse(index=index)])
    good, bad = pipeline.predict([("1", "good"), ("2", "bad")])
    assert {passage.id for passage in good.documents} == {"a", "b"}
    assert good.flags == () and good.usage.searches == 2
    assert bad.flags == ("rewrite.plus:fallback",) and bad.usage.searches == 1 and bad.error is None
