"""What tuning cost: a small probe of what a language model could do before, run on the base and on the tuned model."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ragkit.engine.cache import CallCache
from ragkit.engine.calls import OnProgress
from ragkit.engine.tasks import Task, run_tasks
from ragkit.evaluation.statistics import bootstrap_interval, mean
from ragkit.models.base import LanguageModel, Message

_ITEMS = Path(__file__).with_name("forgetting.yaml")
_REPLY_TOKENS = 32

TEXT, FACTS, FACTS_AS_CODE, INSTRUCTIONS = "text", "facts", "facts_as_code", "instructions"


@dataclass(frozen=True, slots=True)
class ProbeFigure:
    """The mean of a task of the probe, with its 95 % bootstrap interval."""

    name: str
    value: float
    n: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Probe:
    """What a model still can do.

    Attributes:
        scores: of each item, by task; higher is better, and the items are the same for every model, so that two models
            can be compared pair by pair.
        left_out: tasks that could not be run on this model, and why.
    """

    scores: dict[str, list[float]]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def figures(self) -> list[ProbeFigure]:
        """The mean of each task."""
        found = []
        for name, values in self.scores.items():
            low, high = bootstrap_interval(values) or (0.0, 0.0)
            found.append(ProbeFigure(name, mean(values) or 0.0, len(values), low, high))
        return found


def probe(model: LanguageModel, *, cache: CallCache | None = None, on_progress: OnProgress | None = None) -> Probe:
    """Measure what tuning on one task may take away, on items that ragkit carries; the same model gives the same.

    - `text`: the mean log-probability per token of general text (the negative loss);
    - `facts`: the probability of the right one of four continuations that need common knowledge;
    - `facts_as_code`: the same inside a line of a program. This is conjugate prompting: a form that a task can be
      brought into and back from, and that is far from what was tuned on. Facts that are lost as plain text and not in
      this form were not forgotten, but are covered by what the model takes its prompts for: a lower learning rate or
      mixed data bring them back;
    - `instructions`: the share of plain instructions that are followed, as chat turns.

    A task that this kind of model cannot do (no chat template, a server that tells no probabilities) is left out, with
    the reason.

    Args:
        model: who is asked.
        cache: where answers of calls are looked up and kept.
        on_progress: told of finished items and of answered calls.

    Source: Kotha et al. 2023, Understanding Catastrophic Forgetting in Language Models via Implicit Inference,
    arXiv 2309.10105.

    Raises:
        RagkitError: the model could not be opened.
    """
    asked = _tasks(model)
    outcomes = iter(
        run_tasks(
            [task for tasks in asked.values() for task in tasks],
            name="forgetting probe",
            cache=cache,
            on_progress=on_progress,
        )
    )
    scores: dict[str, list[float]] = {}
    left_out: dict[str, str] = {}
    for name, tasks in asked.items():
        mine = [next(outcomes) for _ in tasks]
        if failed := [outcome.error for outcome in mine if outcome.error is not None]:
            left_out[name] = failed[0]
        else:
            scores[name] = [outcome.value for outcome in mine]
    return Probe(scores, left_out)


@functools.cache
def _items() -> dict[str, list[Any]]:
    items: dict[str, list[Any]] = yaml.safe_load(_ITEMS.read_text(encoding="utf-8"))
    return items


def _tasks(model: LanguageModel) -> dict[str, list[Task]]:
    items = _items()
    facts = [[str(part) for part in fact] for fact in items["facts"]]
    return {
        TEXT: [functools.partial(model.likelihood, text["start"], text["rest"]) for text in items["text"]],
        FACTS: [functools.partial(_right, model, fact) for fact in facts],
        FACTS_AS_CODE: [functools.partial(_right, model, [f'sentence = "{start}', *rest]) for start, *rest in facts],
        INSTRUCTIONS: [functools.partial(_followed, model, item) for item in items["instructions"]],
    }


async def _right(model: LanguageModel, fact: Sequence[str]) -> float:
    """Return the probability of the first of the continuations of a text."""
    start, *choices = fact
    spelt = [f" {choice}" for choice in choices]
    return (await model.choose(start, spelt)).probability(spelt[0])


async def _followed(model: LanguageModel, item: dict[str, Any]) -> float:
    """Say whether a model does what it is told."""
    reply = (await model.generate([Message(role="user", content=item["ask"])], max_new_tokens=_REPLY_TOKENS)).text
    brief = "words" not in item or len(reply.split()) <= item["words"]
    return float(brief and re.search(item["matches"], reply, re.IGNORECASE | re.DOTALL) is not None)
