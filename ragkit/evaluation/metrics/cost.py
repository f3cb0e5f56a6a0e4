"""What a question cost, as the engine metered it.

Calls that the cache answered are included, and a failed question counts with what it used until it failed.
"""

from typing import ClassVar

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics.base import PerQuestion
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question

METER = "ragkit.engine.calls.Meter"


@metrics.register("searches")
class Searches(PerQuestion):
    """Searches of an index or of the web."""

    name: ClassVar[str] = "searches"
    source: ClassVar[str] = METER

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        return float(prediction["usage"]["searches"])


@metrics.register("model_calls")
class ModelCalls(PerQuestion):
    """Calls of a language model."""

    name: ClassVar[str] = "model_calls"
    source: ClassVar[str] = METER

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        return float(prediction["usage"]["model_calls"])


@metrics.register("tokens")
class Tokens(PerQuestion):
    """Prompt and completion tokens of all language-model calls together."""

    name: ClassVar[str] = "tokens"
    source: ClassVar[str] = METER

    @override
    def score(self, question: Question, prediction: PredictionRow) -> float | None:
        return float(prediction["usage"]["prompt_tokens"] + prediction["usage"]["completion_tokens"])
