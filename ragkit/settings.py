"""The `run:` section: which questions, which metrics, which limits."""

from typing import Annotated

from pydantic import AfterValidator, Field

from ragkit.engine.calls import Budget
from ragkit.engine.component import Component
from ragkit.errors import InputError


def _check_metric(text: str) -> str:
    from ragkit.evaluation.metrics import parse_metric

    try:
        parse_metric(text)
    except InputError as error:
        raise ValueError(str(error)) from None
    return text


METRIC_PATTERN = r"^[^(@]+(\([^()]*\))?(@.+)?$"
MetricName = Annotated[str, AfterValidator(_check_metric), Field(json_schema_extra={"pattern": METRIC_PATTERN})]
"""A metric as it is written, `f1`, `recall@5` or `numeric(tolerance=0.05)`; checked when the pipeline is loaded."""


class BudgetSettings(Component):
    """The most that one question may use; a question that reaches a limit ends with what it has, flagged."""

    searches: int | None = Field(None, ge=0, description="searches per question")
    model_calls: int | None = Field(None, ge=0, description="language-model calls per question")
    tokens: int | None = Field(None, ge=0, description="prompt and completion tokens per question")
    seconds: float | None = Field(
        None, gt=0, description="seconds of computing time per question (its share of batches)"
    )

    def to_budget(self) -> Budget:
        """Return the engine's form."""
        return Budget(self.searches, self.model_calls, self.tokens, self.seconds)


class RunSettings(Component):
    """How a pipeline is run over a file of questions."""

    questions: str | None = Field(
        None, description="JSONL file of questions, or flashrag:file, beir:folder:split, hf:name:config:split"
    )
    metrics: tuple[MetricName, ...] = Field(("em", "f1"), description="what is measured, e.g. em, f1, hit, recall@5")
    judges: dict[str, Component] = Field({}, description="measures that ask models, by name: `correct: {type: rubric}`")
    limit: int | None = Field(None, ge=1, description="only the first so many questions")
    budget: BudgetSettings = Field(BudgetSettings(), description="limits per question")
    wave: int = Field(
        64, ge=1, description="questions per wave, when questions share a memory; 1 is strictly sequential"
    )
    in_flight: int = Field(2048, ge=1, description="questions on their way at once")
    cache: bool = Field(True, description="keep answers of models and indexes and use them again")
