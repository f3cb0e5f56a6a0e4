"""Run a pipeline over mixtures: what it retrieves is replaced by contexts of known composition."""

from collections.abc import Mapping, Sequence
from typing import Any

from ragkit.engine.calls import OnProgress
from ragkit.engine.controls import steps_of
from ragkit.engine.nodes import Node, Step
from ragkit.engine.run import Asked, Prediction
from ragkit.engine.stage import Stage
from ragkit.engine.state import Documents
from ragkit.errors import InputError, RagkitError
from ragkit.models.base import LanguageModel, Prompt
from ragkit.pipeline import Pipeline
from ragkit.prompts import render
from ragkit.stages.answer import AnswerRead
from ragkit.stages.steer_rw import SteerRW
from ragkit.stages.steering.asking import ask_verdict
from ragkit.stages.steering.verdict import render_judgement


class _Given(Stage):
    """Hands on the passages that belong to the question."""

    passages: Mapping[str, Documents]

    async def run(self, id: str) -> Documents:  # noqa: A002 - the name of the state's field
        return self.passages[id]


_Given.name, _Given.reads, _Given.writes = "steer.given", {"id": True}, ("documents",)


class _Association(Stage):
    """Asks the answering model how probable two answers are to what it is about to be given."""

    stage: Stage
    texts: Mapping[str, tuple[str, str]]

    async def run(
        self,
        id: str,  # noqa: A002 - the name of the state's field
        question: str,
        documents: Documents,
        context: Documents | None = None,
    ) -> tuple[float, float] | None:
        passages = documents if context is None else context
        if not passages:
            return None
        prompt, before = await _about_to_answer(self.stage, question, passages)
        if before is None:
            return None
        model: LanguageModel = self.stage.model  # type: ignore[attr-defined]
        bad, good = self.texts[id]
        return await _mean(model, prompt, before, bad), await _mean(model, prompt, before, good)


_Association.name, _Association.writes = "steer.association", ("vars.association",)
_Association.reads = {"id": True, "question": True, "documents": True, "vars.context": False}


async def _about_to_answer(stage: Stage, question: str, passages: Documents) -> tuple[Prompt, str | None]:
    """Return the prompt of an answering stage and what the model has written before its answer; None if it abstains."""
    if isinstance(stage, AnswerRead):
        return render(stage.prompt, question=question, passages=passages, abstain=stage.abstain), ""
    assert isinstance(stage, SteerRW)  # noqa: S101 - `_answering` sees to it
    prompt = stage.filled(question, passages)
    verdict = await ask_verdict(
        stage.model, prompt, len(passages), form=stage.form, max_new_tokens=stage.max_new_tokens, with_answer=True
    )
    if not verdict.reliable and stage.on_nothing == "abstain":
        return prompt, None
    if stage.form == "json":
        return prompt, f'{{"unreliable": {list(verdict.unreliable)}, "reliable": {list(verdict.reliable)}, "answer": "'
    return prompt, f"{render_judgement(verdict.unreliable, verdict.reliable)}\nAnswer: "


async def _mean(model: LanguageModel, prompt: Prompt, before: str, text: str) -> float:
    """Return the mean log-probability of a text's tokens after a prompt and what was written before the text."""
    whole = await model.likelihood(prompt, before + text)
    if not before:
        return whole
    tokens, first = await model.count_tokens(before + text), await model.count_tokens(before)
    return (whole * tokens - await model.likelihood(prompt, before) * first) / max(1, tokens - first)


def over_mixtures(pipeline: Pipeline, passages: Mapping[str, Documents]) -> Pipeline:
    """Return a pipeline that gets given passages instead of what its `retrieve` steps find.

    All up to the last step that retrieves is replaced; what follows (reranking, steering, packing, answering) stays.

    Args:
        pipeline: as it is.
        passages: by the ids of the questions that it will be asked.
    """
    nodes = list(pipeline.nodes)
    places = [n for n, node in enumerate(nodes) if _retrieves(node)]
    rest = nodes[places[-1] + 1 :] if places else nodes
    given = Step(stage=_Given(passages=passages), id=_Given.name)
    return Pipeline([given, *rest], name=pipeline.name, models=pipeline.models, run=pipeline.settings)


def _retrieves(node: Node) -> bool:
    return any(step.stage.name.startswith("retrieve.") for step in steps_of([node]))


def predict(
    pipeline: Pipeline, asked: Sequence[tuple[str, str, Documents]], on_progress: OnProgress
) -> list[Prediction]:
    """Answer questions from given passages.

    Args:
        pipeline: what answers.
        asked: id, question and passages of each.
        on_progress: told of what is done.

    Raises:
        RagkitError: every question failed.
    """
    changed = over_mixtures(pipeline, {name: passages for name, _, passages in asked})
    found = changed.predict([Asked(name, question) for name, question, _ in asked], on_progress=on_progress)
    return _not_all_failed(found)


def associations(
    pipeline: Pipeline, asked: Sequence[tuple[str, str, Documents]], texts: Mapping[str, tuple[str, str]],
    on_progress: OnProgress,
) -> list[tuple[float, float] | None]:  # fmt: skip
    """Return for each question how probable the answering model finds two texts as its answer.

    Args:
        pipeline: its last step is `answer.read` or `steer.rw`, with a model that tells probabilities.
        asked: id, question and passages of each.
        texts: the bad and the good text of each question, by id.
        on_progress: told of what is done.

    Returns:
        Mean log-probabilities of the bad and of the good text; None where the pipeline abstains before it answers.

    Raises:
        InputError: the pipeline answers in another way.
        RagkitError: a question failed.
    """
    changed = over_mixtures(pipeline, {name: passages for name, _, passages in asked})
    nodes = list(changed.nodes)
    stage = _answering(pipeline, nodes[-1])
    nodes[-1] = Step(stage=_Association(stage=stage, texts=texts), id=_Association.name)
    measuring = Pipeline(nodes, name=pipeline.name, models=pipeline.models, run=pipeline.settings)
    found = _not_all_failed(
        measuring.predict([Asked(name, question) for name, question, _ in asked], on_progress=on_progress)
    )
    for prediction in found:
        if prediction.error is not None:
            raise RagkitError(f"'{prediction.id}': {prediction.error['type']}: {prediction.error['message']}")
    return [prediction.vars["association"] for prediction in found]


def _answering(pipeline: Pipeline, last: Node) -> Stage:
    if isinstance(last, Step) and isinstance(last.stage, (AnswerRead, SteerRW)):
        return last.stage
    raise InputError(
        f"the association strength of the pipeline '{pipeline.name}' cannot be measured: its last step is neither "
        "answer.read nor steer.rw; leave it out with --no-likelihood"
    )


def can_measure_association(pipeline: Pipeline) -> bool:
    """Say whether a pipeline ends with a step whose prompt can be asked for probabilities."""
    last: Any = pipeline.nodes[-1]
    return isinstance(last, Step) and isinstance(last.stage, (AnswerRead, SteerRW))


def _not_all_failed(found: list[Prediction]) -> list[Prediction]:
    if found and all(prediction.error is not None for prediction in found):
        error: Any = found[0].error
        raise RagkitError(f"all {len(found)} questions failed, the first in {error['stage']}: {error['message']}")
    return found
