"""Judge each passage by itself and hand on only those that can be relied on."""

import asyncio
import functools
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.errors import InputError
from ragkit.models.base import Encoder, LanguageModel
from ragkit.prompts import prompt_setting, quoted, render
from ragkit.stages.steering.pruning import OnNothing, kept
from ragkit.stages.steering.trust import TrustClassifier, classifier_file, trust_features


@stage("steer.filter", writes=("documents", "vars.judgement"))
class SteerFilter(Stage):
    """Drop each passage that a trust classifier, or a language model asked yes or no, would not rely on.

    The classifier is a logistic regression on an encoder's vectors of question, passage and the passage's sentence that
    is nearest to the question; `ragkit steer trust` fits one and measures it. The language model is asked about one
    passage at a time, by the probabilities of "yes" and "no". Place it before `context.pack`.

    Source: the baseline "context filtering" of arXiv 2509.04500, there a fine-tuned model and rules.
    """

    encoder: Encoder | None = Field(None, description="whose vectors the classifier was fitted on")
    classifier: str | None = Field(
        None, description="file of the classifier, from `ragkit steer trust`; embedded:trust"
    )
    model: LanguageModel | None = Field(None, description="asked instead, passage by passage")
    prompt: Annotated[str, prompt_setting("question", "text", needs=("question", "text"))] = Field(
        "steer.trust", description="what the language model is asked"
    )
    at_least: float = Field(0.5, ge=0, le=1, description="passages of a lower probability of being reliable go")
    once: bool = Field(True, description="of passages with one text hand on the first")
    on_nothing: OnNothing = Field(
        "abstain", description="when no passage is reliable: hand on none, or all of them (and flag the question)"
    )

    @model_validator(mode="after")
    def _somebody_judges(self) -> "SteerFilter":
        if (self.encoder is None) != (self.classifier is None):
            raise ValueError("'encoder' and 'classifier' go together")
        if (self.encoder is None) == (self.model is None):
            raise ValueError("name either 'encoder' with 'classifier', or 'model'")
        return self

    async def run(self, question: str, documents: Documents) -> dict[str, Any]:
        """Return the passages that can be relied on, in their order, and the judgement."""
        chances = await asyncio.gather(*(self._chance(question, passage.page_content) for passage in documents))
        reliable = [passage.id for passage, chance in zip(documents, chances, strict=True) if chance >= self.at_least]
        judgement = {
            "unreliable": [passage.id for passage in documents if passage.id not in reliable],
            "reliable": reliable,
            "warnings": [],
        }
        chosen = kept(documents, set(reliable), self.on_nothing, once=self.once, stage="steer.filter")
        return {"documents": chosen, "vars.judgement": judgement}

    async def _chance(self, question: str, text: str) -> float:
        if self.model is not None:
            prompt = render(self.prompt, question=quoted(question), text=quoted(text))
            yes, no = (" yes", " no") if isinstance(prompt, str) else ("yes", "no")
            return (await self.model.choose(prompt, [yes, no])).probability(yes)
        if self.encoder is None or self.classifier is None:
            raise InputError("steer.filter: nobody judges")  # the validator sees to it
        classifier = _loaded(self.classifier)
        # Precision is left to the machine; what it changes of a vector is far below what the classifier tells apart.
        if classifier.encoder | {"dtype": None} != self.encoder.describe() | {"dtype": None}:
            raise InputError(
                f"{self.classifier}: was fitted on vectors of {classifier.encoder}, not of {self.encoder.describe()}"
            )
        return classifier.probability(await trust_features(self.encoder, question, text))


def _loaded(name: str) -> TrustClassifier:
    """Return a classifier, read anew when its file has changed."""
    path = classifier_file(name)
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else TrustClassifier.load(path)


@functools.lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> TrustClassifier:
    del changed  # a key
    return TrustClassifier.load(path)
