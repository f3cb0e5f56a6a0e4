"""Stories as the page gets them: passages by number, queries once per stage, scores to five digits.

A report of 10,000 questions holds some hundred thousand hits, so their form decides its size. `unfold` in the page's
`stories.js` turns it back; what is said of a form here must hold there.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ragkit.evaluation.metrics.ranking import matched
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.evaluation.report.calls import CallStory
from ragkit.evaluation.report.judged import Judgement
from ragkit.evaluation.report.prompts import Piece, Turn
from ragkit.evaluation.report.story import StepStory, Story

Numbers = Callable[[str], int]
"""Gives the number of a passage."""


def detail(
    question: Question, row: PredictionRow, story: Story, judgements: Sequence[Judgement], number: Numbers
) -> dict[str, Any]:
    """Return what the page shows when a question is opened, beside its row of the list."""
    gold = ((passage, matched(passage, question.supporting_ids)) for passage in row["documents"])
    return {
        "supporting": question.supporting_ids,
        "gold": [[number(passage["id"]), units] for passage, units in gold if units],
        "documents": [[number(passage["id"]), _digits(passage["score"])] for passage in row["documents"]],
        "context": [number(identifier) for identifier in row["context"]],
        "citations": [{**citation, "passage": number(citation["passage"])} for citation in row["citations"]],
        "error": row["error"],
        "judgements": judgements,
        "traced": story.traced,
        "turns": [[turn.place, turn.thought, turn.action, turn.observation] for turn in story.turns],
        "steps": [_step(step, number) for step in story.steps],
        "prompt": _turns(story.prompt, number),
        "promptStage": story.prompt_stage,
    }


def _step(step: StepStory, number: Numbers) -> dict[str, Any]:
    """Return a stage's story without what is empty."""
    asked = list(dict.fromkeys(query for found in step.found for _, query, *_ in found.hits))
    folded = {
        "stage": step.stage,
        "seconds": _digits(step.seconds),
        "computed": _digits(step.computed),
        "queries": step.queries,
        "ranking": step.ranking,
        "asked": asked,
        "found": [[number(found.id), _digits(found.score), *_hits(found.hits, asked)] for found in step.found],
        "dropped": [[number(lost.id), _digits(lost.score), lost.why] for lost in step.dropped],
        "wrote": step.wrote,
        "calls": [_call(call, number) for call in step.calls],
        "error": step.error,
    }
    return {name: value for name, value in folded.items() if value not in (None, [], "")}


def _hits(hits: Iterable[Sequence[Any]], asked: Sequence[str]) -> Iterable[Any]:
    """Yield four values for each hit: by what, number of the query, rank, score."""
    for by, query, rank, score in hits:
        yield from (by, asked.index(query), rank, _digits(score))


def _call(call: CallStory, number: Numbers) -> list[Any]:
    sent = _turns(call.sent, number)
    return [call.resource, call.op, call.count, *call.tokens, _digits(call.seconds), call.source, sent, call.reply]


def _turns(turns: Iterable[Turn], number: Numbers) -> list[list[Any]]:
    return [[role, [_piece(piece, number) for piece in pieces]] for role, pieces in turns]


def _piece(piece: Piece, number: Numbers) -> Any:
    """Return a text as it is, a passage as its number, or as a list of its number if its line ends became spaces."""
    if isinstance(piece, str):
        return piece
    identifier, flat = piece
    return [number(identifier)] if flat else number(identifier)


def _digits(value: Any) -> Any:
    """Return a number to five digits; what is no number (a stage may write anything as a score) as it is."""
    return float(f"{value:.5g}") if isinstance(value, (int, float)) else value
