"""Answer without passages: what a model knows by itself, the measure of what retrieval adds."""

from typing import Annotated

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, render
from ragkit.stages.wording import Wording, worded


@stage("answer.closed_book", writes="answer")
class AnswerClosedBook(Stage):
    """Answer in a few words from what the model remembers; the reply in `abstain` and an empty one are abstentions.

    Source: Roberts et al. 2020, How Much Knowledge Can You Pack Into the Parameters of a Language Model?,
    arXiv 2002.08910.
    """

    model: LanguageModel
    prompt: Annotated[str, prompt_setting("question", "abstain")] = Field(
        "answer.closed_book", description="packaged prompt, or path of a .jinja file"
    )
    max_new_tokens: int = Field(32, ge=1, description="the most tokens of a reply")
    abstain: str = Field("unanswerable", min_length=1, description="the reply that counts as abstaining")

    wording: Wording = Field("original", description="the question as it was asked, or as a rewriter clarified it")

    async def run(self, question: str, questions: tuple[str, ...] | None = None) -> str | None:
        """Return the answer."""
        asked = worded(question, questions, self.wording)
        prompt = render(self.prompt, question=asked, abstain=self.abstain)
        # A text would go on with a further example after the answer; a chat model ends its turn itself.
        stop = ["\n"] if isinstance(prompt, str) else []
        generation = await self.model.generate(prompt, max_new_tokens=self.max_new_tokens, stop=stop)
        answer = generation.text.strip().partition("\n")[0].strip()
        return None if answer.strip(" .").casefold() in ("", self.abstain.strip(" .").casefold()) else answer
