"""A reward as a judge: what training pays, measured on the answers of a run."""

from pydantic import Field

from ragkit.engine.registry import judges
from ragkit.evaluation.judges.base import Judge, Judgement, NameOf, settled
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.models.rewards import Reward, Rollout


@judges.register("reward")
class RewardJudge(Judge):
    """What an answer earns, from 0 to 1; below and above is cut off.

    The reward sees the question, the gold answers and the texts of the documents, as it does in training; the prompt
    is not kept in a run, so it is empty. An abstention has no value. A model that was trained by a reward, or whose
    answers a reward chose, is not to be judged by the same one: name another model, or another seed of it.
    """

    reward: Reward = Field(description="what answers earn")

    def figures(self, name_of: NameOf) -> tuple[str, ...]:
        return ("",)

    async def judge(self, question: Question, prediction: PredictionRow, name_of: NameOf) -> Judgement:
        known, value = settled(question, prediction, needs_gold=False)
        if known:
            return Judgement({"": value})
        columns = {
            "question": question.question,
            "answers": list(question.answers),
            "answerable": question.answerable,
            "passages": [passage["text"] for passage in prediction["documents"]],
        }
        self.reward.require(columns)
        earned = await self.reward.score(Rollout("", prediction["answer"] or "", columns))
        return Judgement({"": min(1.0, max(0.0, earned))}, details={"earned": earned})
