"""How a language model is asked for a verdict on passages."""

from collections.abc import Sequence
from typing import Any

from ragkit.engine.state import Documents, Passage
from ragkit.errors import ReplyError
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import render
from ragkit.stages.steering.verdict import Form, Verdict, parse_verdict, verdict_grammar, verdict_schema

GIVEN = ("question", "texts", "form", "abstain", "answers")
"""What the prompts of verdicts may use."""


def verdict_prompt(
    name: str, question: str, passages: Sequence[Passage], *, form: Form, abstain: str, sources: bool, answers: bool
) -> Prompt:
    """Return the prompt that asks for a verdict; the passages are numbered from 1.

    Args:
        name: of the prompt.
        question: what is asked.
        passages: what is judged.
        form: in which the verdict is to be written.
        abstain: what to write instead of an answer.
        sources: whether the source of each passage is shown.
        answers: whether the verdict holds an answer.
    """
    texts = [shown_text(passage, sources=sources) for passage in passages]
    return render(name, question=question, texts=texts, form=form, abstain=abstain, answers=answers)


def shown_text(passage: Passage, *, sources: bool) -> str:
    """Return a passage in one line, so that no text can pretend to be the next one of a list."""
    text = " ".join(passage.page_content.split())
    source = " ".join(str(passage.metadata.get("source", "")).split()) if sources else ""
    return f"{text} (From {source})" if source else text


async def ask_verdict(
    model: LanguageModel, prompt: Prompt, count: int, *, form: Form, max_new_tokens: int, with_answer: bool
) -> Verdict:
    """Return a model's verdict on `count` passages; a reply that was cut or broke its form is read as far as it goes.

    Args:
        model: who judges.
        prompt: from `verdict_prompt`.
        count: how many passages there are, at least 1.
        form: `text` is decoded under a grammar (local models), `json` under a schema (any model).
        max_new_tokens: the most tokens of an answer; those of the two lists come on top.
        with_answer: whether the reply ends with an answer.
    """
    under: dict[str, Any] = (
        {"grammar": verdict_grammar(count, with_answer=with_answer)}
        if form == "text"
        else {"schema": verdict_schema(count, with_answer=with_answer)}
    )
    limit = longest_judgement(count) + (max_new_tokens if with_answer else 0)
    try:
        reply = (await model.generate(prompt, max_new_tokens=limit, **under)).text
    except ReplyError as error:
        reply = error.reply
    return parse_verdict(reply, count)


def longest_judgement(count: int) -> int:
    """Return the tokens of both lists: a number with its separator takes up to six, and models may repeat some."""
    return 32 + 12 * count


def judged(verdict: Verdict, passages: Documents) -> dict[str, Any]:
    """Return what `vars.judgement` holds of a verdict: ids of passages, never their numbers."""
    return {
        "unreliable": [passages[number - 1].id for number in verdict.unreliable],
        "reliable": [passages[number - 1].id for number in verdict.reliable],
        "warnings": list(verdict.warnings),
    }
