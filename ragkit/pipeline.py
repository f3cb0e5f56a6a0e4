"""A pipeline: stages and control nodes with their models and index, ready to answer questions."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_core.runnables import Runnable, RunnableConfig

from ragkit.engine.cache import project_cache
from ragkit.engine.calls import Category, OnProgress, Resource
from ragkit.engine.controls import with_unique_ids
from ragkit.engine.nodes import Node, Step, as_node, check_sequence
from ragkit.engine.run import OnPrediction, Prediction, Questions, RunOptions, parts, run_questions
from ragkit.engine.stage import Stage
from ragkit.engine.state import INITIAL_FIELDS
from ragkit.errors import InputError, RagkitError
from ragkit.settings import RunSettings

if TYPE_CHECKING:
    from ragkit.evaluation.experiment import Experiment
    from ragkit.evaluation.questions import Question


_SINGLE: dict[Category, str] = {"index": "indexes", "memory": "memories"}
"""What a pipeline has one of."""


class Pipeline(Runnable[str | dict[str, Any], Prediction]):
    """Stages in order, with the models and the index that they use.

    A pipeline is the same object whether it was loaded from YAML or built in Python, and it is a langchain `Runnable`
    whose `batch` goes through the engine as one batch.

    Args:
        steps: stages and control nodes.
        name: used for the run's folder.
        models: models by name; those found in the stages are added under names of their own.
        index: the index that retrieval stages search; found in the stages if not given.
        memory: the memory that questions share; found in the stages if not given.
        run: questions, metrics and limits of a batch run.

    Raises:
        InputError: a stage reads what no stage before it surely writes, or there are two indexes or memories.

    Example:
        >>> pipeline = Pipeline.load("pipelines/quickstart.yaml")
        >>> print(pipeline.ask("At what moisture is wheat safe to store?").answer)
    """

    name: str  # type: ignore[assignment]  # langchain allows None

    def __init__(
        self,
        steps: Sequence[Stage | Node],
        *,
        name: str = "pipeline",
        models: Mapping[str, Resource] | None = None,
        index: Resource | None = None,
        memory: Resource | None = None,
        run: RunSettings | None = None,
    ) -> None:
        self.name = name
        self.nodes = with_unique_ids(as_node(step) for step in steps)
        self.settings = run or RunSettings()
        further = {id(model) for model in (models or {}).values()}  # indexes among them are an agent's
        self.index = _only([part for part in self.resources if id(part) not in further], "index", index)
        self.memory = _only(self.resources, "memory", memory)
        self.models = _named(self.resources, dict(models or {}))
        problems: list[str] = []

        def complain(node: Node, message: str) -> None:
            problems.append(f"{node.id if isinstance(node, Step) else type(node).__name__.lower()}: {message}")

        check_sequence(self.nodes, INITIAL_FIELDS, complain)
        if problems:
            raise InputError("\n".join(problems))

    @property
    def resources(self) -> list[Resource]:
        """The models, indexes and memories of the stages and of the judges, each once."""
        return [part for part in parts([*self.nodes, *self.settings.judges.values()]) if isinstance(part, Resource)]

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> "Pipeline":
        """Read a pipeline from a YAML file; see `ragkit.config.load_pipeline`."""
        from ragkit.config.load import load_pipeline

        return load_pipeline(path, overrides)

    @classmethod
    def from_yaml(cls, text: str) -> "Pipeline":
        """Read a pipeline from YAML text."""
        from ragkit.config.load import parse_pipeline

        return parse_pipeline(text)

    def to_yaml(self) -> str:
        """Return the pipeline as YAML, from which the same pipeline loads."""
        from ragkit.config.dump import to_yaml

        return to_yaml(self)

    def prepare(self, on_progress: OnProgress | None = None) -> None:
        """Make ready what a run needs on disk: build the index if documents or settings changed.

        Raises:
            RagkitError: documents cannot be found or an index cannot be built.
        """
        for resource in self.resources:
            resource.prepare(on_progress or (lambda *_: None))

    def predict(
        self,
        questions: Questions,
        *,
        on_prediction: OnPrediction | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[Prediction]:
        """Answer questions (id, text, variables if any), batched across all; predictions come in their order.

        Raises:
            RagkitError: a model or the index could not be opened. A question that fails is a prediction with an error.
        """
        for asked in questions:
            if not asked[1].strip():
                raise InputError(f"question '{asked[0]}' is empty")
        self.prepare(on_progress)
        settings = self.settings
        options = RunOptions(budget=settings.budget.to_budget(), wave=settings.wave, in_flight=settings.in_flight)
        with project_cache(wanted=settings.cache) as cache:
            return run_questions(
                self.nodes,
                questions,
                options=options,
                cache=cache,
                on_prediction=on_prediction,
                on_progress=on_progress,
            )

    def ask(self, question: str) -> Prediction:
        """Answer one question.

        Raises:
            RagkitError: a stage failed; the message names it.
        """
        (prediction,) = self.predict([("question", question)])
        if prediction.error is not None:
            raise RagkitError(f"{prediction.error['stage']}: {prediction.error['type']}: {prediction.error['message']}")
        return prediction

    def run(self, questions: "str | Path | Sequence[Question | str] | None" = None, **options: Any) -> "Experiment":
        """Answer a file or list of questions and score the answers.

        See `ragkit.evaluation.experiment.run_experiment` for the options.
        """
        from ragkit.evaluation.experiment import run_experiment

        return run_experiment(self, questions, **options)

    def close(self) -> None:
        """Free the models and the index."""
        for resource in self.resources:
            resource.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def invoke(self, input: str | dict[str, Any], config: RunnableConfig | None = None, **_: Any) -> Prediction:  # noqa: A002
        """Answer a question given as text or as `{"question": text}`."""
        return self.ask(_question_of(input))

    async def ainvoke(
        self,
        input: str | dict[str, Any],  # noqa: A002
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> Prediction:
        """Answer a question without blocking the running event loop."""
        return await asyncio.to_thread(self.invoke, input)

    def batch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **_: Any,
    ) -> list[Any]:
        """Answer many questions in one run of the engine."""
        predictions = self.predict([(str(n), _question_of(value)) for n, value in enumerate(inputs)])
        results: list[Any] = []
        for prediction in predictions:
            error = prediction.error
            failure = RagkitError(f"{error['stage']}: {error['type']}: {error['message']}") if error else None
            if failure is not None and not return_exceptions:
                raise failure
            results.append(failure or prediction)
        return results

    async def abatch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **_: Any,
    ) -> list[Any]:
        """Answer many questions in one run of the engine, without blocking the running event loop."""
        return await asyncio.to_thread(self.batch, inputs, return_exceptions=return_exceptions)


def _question_of(value: Any) -> str:
    question = value.get("question") if isinstance(value, dict) else value
    if not isinstance(question, str):
        raise InputError(f"a pipeline takes a question or {{'question': ...}}, not {value!r:.80}")
    return question


def _only(used: Sequence[Resource], category: Category, given: Resource | None) -> Resource | None:
    """Return the one resource of a category, given or found."""
    for resource in used:
        if resource.category == category:
            if given is not None and given is not resource:
                raise InputError(f"the stages use two different {_SINGLE[category]}; a pipeline has one")
            given = resource
    return given


def _named(used: Sequence[Resource], models: dict[str, Resource]) -> dict[str, Resource]:
    """Return all models by name, with those that only the stages know."""
    for resource in used:
        if resource.category not in _SINGLE and all(resource is not model for model in models.values()):
            name: str = resource.category
            while name in models:
                name += "_"
            models[name] = resource
    return models
