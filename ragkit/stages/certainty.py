"""Ask a reader how sure it is of its answer."""

from typing import Annotated

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Citation, Documents
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, render

SURE, UNSURE = "sure", "unsure"


@stage("answer.certainty", writes=("answer", "citations", "vars.confidence"))
class AnswerCertainty(Stage):
    """Ask the reader whether it is sure of its answer, and abstain below a threshold.

    After the answer follows a question about it, and the model chooses between "sure" and "unsure" by the
    probabilities of the two words. `vars.confidence` becomes the mean of the probability of "sure" and of the
    confidence that the reading had, where the model tells one. A reader that was trained by R-Tuning has learnt what
    to say here; one that was not says it badly.

    Source: Zhang et al. 2024, "R-Tuning: Instructing Large Language Models to Say 'I Don't Know'", arXiv 2311.09677,
    section 3.3 and the evaluation code's confidence.
    """

    model: LanguageModel = Field(description="the reader that gave the answer")
    prompt: Annotated[str, prompt_setting("question", "passages", "answer", "abstain")] = Field(
        "answer.certainty", description="packaged prompt, or path of a .jinja file"
    )
    abstain: str = Field("unanswerable", min_length=1, description="as in answer.read, whose prompt this one repeats")
    at_least: float = Field(0.0, ge=0, le=1, description="abstain on answers of a lower confidence")

    async def run(
        self,
        question: str,
        documents: Documents,
        answer: str | None,
        citations: tuple[Citation, ...],
        confidence: float | None = None,
        context: Documents | None = None,
    ) -> dict[str, str | float | tuple[Citation, ...] | None]:
        """Return the answer or None, its citations and how sure the reader is of it, 0 to 1."""
        if answer is None:
            return {"answer": None, "citations": (), "vars.confidence": confidence}
        passages = documents if context is None else context
        prompt = render(self.prompt, question=question, passages=passages, answer=answer, abstain=self.abstain)
        sure = (await self.model.choose(prompt, [SURE, UNSURE])).probability(SURE)
        together = sure if confidence is None else (sure + confidence) / 2
        if together < self.at_least:
            return {"answer": None, "citations": (), "vars.confidence": together}
        return {"answer": answer, "citations": citations, "vars.confidence": together}
