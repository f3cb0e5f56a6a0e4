"""What a question cost, as the engine metered it.

Calls that the cache answered are included, and a failed question counts with what it used until it failed.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.base import Metric, PerQuestion
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question

METER = "ragkit.engine.calls.Meter"

Count = Literal["searches", "model_calls", "prompt_tokens", "completion_tokens"]


class UsageMetric(PerQuestion):
    """A sum of counts that the engine keeps for every question."""

    source: ClassVar[str] = METER
    counts: ClassVar[tuple[Count, ...]]

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        return float(sum(prediction["usage"][count] for count in self.counts))


@metrics.register("searches")
class Searches(UsageMetric):
    """Searches of an index or of the web."""

    name: ClassVar[str] = "searches"
    counts: ClassVar[tuple[Count, ...]] = ("searches",)


@metrics.register("retriever_calls")
class RetrieverCalls(PerQuestion):
    """Calls of an index or of the web; one search of a hybrid retriever makes two, one per part of the index."""

    name: ClassVar[str] = "retriever_calls"
    source: ClassVar[str] = METER

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        calls = prediction["usage"].get("retriever_calls")
        return None if calls is None else float(calls)


@metrics.register("model_calls")
class ModelCalls(UsageMetric):
    """Calls of a language model."""

    name: ClassVar[str] = "model_calls"
    counts: ClassVar[tuple[Count, ...]] = ("model_calls",)


@metrics.register("prompt_tokens")
class PromptTokens(UsageMetric):
    """Tokens of the prompts of all language-model calls."""

    name: ClassVar[str] = "prompt_tokens"
    counts: ClassVar[tuple[Count, ...]] = ("prompt_tokens",)


@metrics.register("completion_tokens")
class CompletionTokens(UsageMetric):
    """Tokens that language models wrote."""

    name: ClassVar[str] = "completion_tokens"
    counts: ClassVar[tuple[Count, ...]] = ("completion_tokens",)


@metrics.register("tokens")
class Tokens(UsageMetric):
    """Prompt and completion tokens of all language-model calls together."""

    name: ClassVar[str] = "tokens"
    counts: ClassVar[tuple[Count, ...]] = ("prompt_tokens", "completion_tokens")


@metrics.register("cost")
class Cost(Metric):
    """Money for language-model calls, in the currency of the models' prices; models without a price cost nothing.

    No value where no model of the run has a price (`price: {input: ..., output: ...}`, per million tokens).
    """

    name: ClassVar[str] = "cost"
    source: ClassVar[str] = METER

    @override
    def compute(self, questions: Sequence[Question], predictions: Sequence[PredictionRow]) -> list[float | None]:
        known = any("cost" in prediction["usage"] for prediction in predictions)
        return [prediction["usage"].get("cost", 0.0 if known else None) for prediction in predictions]
