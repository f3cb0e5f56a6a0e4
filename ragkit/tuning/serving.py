"""Is a model trained on the prompts that it will get? Two checks, made before anything is trained.

Source: what makes tuned readers fail inside a pipeline, Barnett et al. 2024, Fine-Tuning or Fine-Failing?, arXiv
2406.11201.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from pydantic import PrivateAttr

from ragkit.engine.calls import Batching, LocalResource, Reply, Request, Resource
from ragkit.engine.component import Component
from ragkit.engine.run import Asked, parts
from ragkit.evaluation.questions import Question
from ragkit.models.base import LanguageModel, Prompt
from ragkit.pipeline import Pipeline
from ragkit.tuning.rows import PreferenceRow, PromptRow, Row, SftRow

ASKED = 12
"""Questions whose prompts show what a pipeline's prompts look like."""

Line = tuple[str, str]
"""The role of a chat's turn (empty for plain text) and a line of it, or the first word of one."""

_NUMBER = re.compile(r"\d+")
_OF_THE_FORM = 0.4
_SELDOM = 0.05
_BARE = 0.25


class _Listener(LanguageModel, LocalResource):
    """Stands in for a model: counts tokens as that does, keeps the prompts, and says nothing."""

    model: LocalResource

    _heard: list[Prompt] = PrivateAttr(default_factory=list)

    def fingerprint(self) -> str:
        return "listener"

    def batching(self) -> Batching:
        return self.model.batching()

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        if op == "count_tokens":
            with self.model.in_use(op):
                return self.model.execute(op, batch)
        self._heard += [request.args["prompt"] for request in batch]
        return [self._silence(op, request) for request in batch]

    @staticmethod
    def _silence(op: str, request: Request) -> Reply:
        if op == "choose":
            return Reply({"label": request.args["choices"][0], "logprobs": None})
        return Reply({"text": "", "finish": "stop", "logprob": None})


def serving_prompts(pipeline: Pipeline, model: str, questions: Sequence[Question]) -> list[Prompt]:
    """Return the prompts that a pipeline makes for one of its models, without asking the model.

    What would follow from the model's replies is not among them: it is silent.

    Raises:
        RagkitError: another model or the index cannot be opened.
    """
    original = pipeline.models[model]
    if not isinstance(original, LocalResource):
        return []
    listener = _Listener(model=original)
    nodes = [_instead(node, original, listener) for node in pipeline.nodes]
    settings = pipeline.settings.model_copy(update={"cache": False, "judges": {}})
    Pipeline(nodes, name=pipeline.name, index=pipeline.index, run=settings).predict(
        [Asked(question.id, question.question, question.vars) for question in questions]
    )
    return list(listener._heard)


def _instead(value: Any, old: Resource, new: Resource) -> Any:
    """Return a node, or what one holds, with a model in another's place."""
    if value is old:
        return new
    if isinstance(value, (list, tuple)):
        return tuple(_instead(item, old, new) for item in value)
    if isinstance(value, dict):
        return {key: _instead(item, old, new) for key, item in value.items()}
    if isinstance(value, Component) and not isinstance(value, Resource) and any(part is old for part in parts([value])):
        return value.model_copy(
            update={name: _instead(getattr(value, name), old, new) for name in type(value).model_fields}
        )
    return value


def check_prompts(rows: Sequence[Row], served: Sequence[Prompt]) -> list[str]:
    """Return warnings: training prompts of another form than the pipeline's, or without the passages that it gives.

    The form of prompts are the lines, and the first words of lines such as `[1]` and `Question:`, that many of them
    share.

    Args:
        rows: training rows; those that hold no prompt are not looked at.
        served: prompts that the pipeline makes for the model.
    """
    trained = [row.prompt for row in rows if isinstance(row, (SftRow, PreferenceRow, PromptRow))]
    if not trained or not served:
        return []
    warnings = []
    ours, theirs = _shares(trained), _shares(served)
    missing = [line for line, share in theirs.items() if share >= _OF_THE_FORM and ours.get(line, 0) < _SELDOM]
    added = [line for line, share in ours.items() if share >= _OF_THE_FORM and line not in theirs]
    if missing or added:
        which = f"these hold {_quote(missing)}, those do not" if missing else f"they hold {_quote(added)}, these do not"
        warnings.append(
            f"training prompts differ in form from the pipeline's ({which}), so the model is trained on prompts that "
            "it will not get"
        )
    if _own_text(trained, ours) < _BARE * _own_text(served, theirs):
        warnings.append(
            "training prompts hold no passages, or far less text than the pipeline's prompts: a model that is tuned "
            "without passages may get worse at reading them (Fine-Tuning or Fine-Failing, arXiv 2406.11201)"
        )
    return warnings


def _shares(prompts: Sequence[Prompt]) -> dict[Line, float]:
    """Return in what share of prompts each line, and each telling first word, stands."""
    counts = Counter(line for prompt in prompts for line in dict.fromkeys(_lines(prompt)))
    return {line: count / len(prompts) for line, count in counts.items()}


def _lines(prompt: Prompt) -> Iterator[Line]:
    for role, text in _turns(prompt):
        for line in text.splitlines():
            if plain := line.strip():
                # Headers are counted through (`Observation 2:`); how many there are is no question of form.
                yield role, _NUMBER.sub("#", plain) if plain.endswith(":") else plain
                first = plain.partition(" ")[0]
                if not first.isalpha() and first != plain:
                    yield role, _NUMBER.sub("#", first)  # how many passages there are is no question of form


def _turns(prompt: Prompt) -> Iterable[Line]:
    return [("", prompt)] if isinstance(prompt, str) else [(turn["role"], turn["content"]) for turn in prompt]


def _own_text(prompts: Sequence[Prompt], shares: Mapping[Line, float]) -> float:
    """Return the median number of characters of a prompt that are not of the form."""
    return median(
        sum(
            len(line)
            for role, text in _turns(prompt)
            for line in text.splitlines()
            if shares.get((role, line.strip()), 0) < _OF_THE_FORM
        )
        for prompt in prompts
    )


def _quote(lines: Sequence[Line]) -> str:
    role, text = lines[0]
    shown = text if len(text) <= 80 else text[:79] + "…"
    place = f" in the turn of the {role}" if role else ""
    more = f" and {len(lines) - 1} more like it" if len(lines) > 1 else ""
    return f"'{shown}'{place}{more}"
