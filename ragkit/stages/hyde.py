"""Search with passages that a model makes up."""

import asyncio
from typing import Annotated

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, render


@stage("rewrite.hyde", writes="queries")
class RewriteHyde(Stage):
    """Have a model write passages that answer the question, and search for passages like them (HyDE).

    What they claim may be wrong; they look like the passages that are sought. Each one and the question are queries of
    their own, whose rankings the retrieval stages fuse; the paper takes the mean of their vectors instead, which only
    a dense index could do. An empty reply is no query.

    Source: Gao et al. 2022, Precise Zero-Shot Dense Retrieval without Relevance Labels, arXiv 2212.10496.
    """

    model: LanguageModel
    passages: int = Field(1, ge=1, description="passages to write")
    keep_question: bool = Field(True, description="search for the question itself too")
    temperature: float = Field(0.7, ge=0, description="of the draws after the first, which is greedy")
    max_new_tokens: int = Field(128, ge=1, description="the most tokens of a passage")
    prompt: Annotated[str, prompt_setting("question", needs=("question",))] = Field(
        "rewrite.hyde", description="packaged prompt, or path of a .jinja file"
    )

    async def run(self, question: str) -> tuple[str, ...]:
        """Return the queries; where nothing was written, that is the question."""
        prompt = render(self.prompt, question=question)
        # A text would go on with a further example; a chat model ends its turn itself.
        stop = ["\n"] if isinstance(prompt, str) else []
        written = await asyncio.gather(
            *(
                self.model.generate(
                    prompt,
                    max_new_tokens=self.max_new_tokens,
                    temperature=self.temperature if draw else 0.0,
                    draw=draw,
                    stop=stop,
                )
                for draw in range(self.passages)
            )
        )
        texts = [text for generation in written if (text := " ".join(generation.text.split()))]
        own = [question] if self.keep_question or not texts else []
        return tuple(dict.fromkeys([*own, *texts]))
