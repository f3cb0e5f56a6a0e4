"""Read the answer out of the record of an agent's search."""

import re
from typing import Annotated, Any

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Citation, Documents
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, render
from ragkit.stages.agents.trajectory import Turn, fit, turn_of
from ragkit.stages.answer import cite, containing, read_reply

_ANSWER = re.compile(r"^[ \t*]*(?:final )?answer[ \t*]*:[ \t*]*(.*)", re.IGNORECASE | re.MULTILINE)
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)


@stage("answer.trajectory", writes=("answer", "citations"))
class AnswerTrajectory(Stage):
    """Answer from thoughts, queries and observations of `agent.react`; `answer.read` reads its passages alone instead.

    The passages are numbered through the whole trajectory, in the order of `documents`. The answer stands in answer
    tags or after `Answer:`; where neither is there, it is the last line of the reply.

    Source: Java et al. 2025 (FrugalRAG), arXiv 2507.07634, the extraction step.
    """

    model: LanguageModel
    prompt: Annotated[
        str, prompt_setting("question", "trajectory", "abstain", needs=("question", "trajectory"))
    ] = Field("answer.trajectory", description="packaged prompt, or path of a .jinja file")  # fmt: skip
    max_new_tokens: int = Field(256, ge=1, description="the most tokens of a reply")
    trajectory_tokens: int = Field(3000, ge=64, description="the most tokens of the trajectory in the prompt")
    abstain: str = Field("unanswerable", min_length=1, description="the reply that counts as abstaining")

    async def run(
        self, question: str, documents: Documents, trajectory: tuple[Any, ...] = ()
    ) -> dict[str, str | tuple[Citation, ...] | None]:
        """Return the answer and the passages that it cites, or else the first one that holds it."""
        known = {passage.id: passage for passage in documents}
        turns = [turn_of(told, known) for told in trajectory] or [Turn("", "search", question, documents)]
        shown, _ = await fit(turns, "compact", self.trajectory_tokens, self.model.count_tokens)
        prompt = render(self.prompt, question=question, trajectory=shown, abstain=self.abstain)
        reply = (await self.model.generate(prompt, max_new_tokens=self.max_new_tokens)).text
        passages = [passage for turn in turns for passage in turn.passages]
        answer, numbers = read_reply(final_answer(reply), len(passages), self.abstain)
        if answer is None:
            return {"answer": None, "citations": ()}
        cited = [passages[number - 1] for number in numbers] or containing(answer, documents)[:1]
        return {"answer": answer, "citations": tuple(map(cite, cited))}


def final_answer(reply: str) -> str:
    """Return the part of a reply that is the answer."""
    if (tagged := _TAGGED.search(reply)) is not None:
        return " ".join(tagged[1].split())
    if named := _ANSWER.findall(reply):
        return str(named[-1]).strip()
    return (reply.strip().splitlines() or [""])[-1].strip()
