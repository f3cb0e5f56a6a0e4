"""A reward as a judge of a run's answers."""

from evaluation_builders import FAILURE, passage, prediction, question

from ragkit.evaluation.judges import RewardJudge, run_judges
from ragkit.models.rewards import Reward
from ragkit.tuning.rewards.answers import F1Reward
from ragkit.tuning.rewards.faults import InvalidCitation


class Share(Reward):
    """What the columns hold."""

    columns = ("question", "passages")

    async def score(self, rollout):
        return len(rollout.completion) / 10 - (0 if rollout.passages else 9)


def judged(reward, asked, *rows):
    return run_judges({"earned": RewardJudge(reward=reward)}, [asked] * len(rows), list(rows)).figures["earned"]


def test_an_answer_scores_what_it_earns_from_0_to_1():
    asked, documents = question("1", ("Paris",)), (passage("p1"), passage("p2"))
    rows = [prediction("1", text, documents) for text in ("Paris", "in Paris, France", "Rome")]
    assert judged(F1Reward(), asked, *rows).values == [1.0, 0.5, 0.0]
    assert judged(Share(), asked, prediction("1", "12345", documents), prediction("1", "x" * 40, documents)).values == [
        0.5,
        1.0,
    ]
    assert judged(Share(), asked, prediction("1", "12345")).values == [0.0]


def test_citations_are_judged_as_they_stand_in_the_answer():
    rows = [prediction("1", f"no [{n}]", (passage("p1"), passage("p2"))) for n in (1, 2, 3)]
    assert judged(InvalidCitation(), question("1"), *rows).values == [0.0, 0.0, 1.0]


def test_abstentions_have_no_value_and_failures_none_to_their_credit():
    rows = [prediction("1", None), prediction("1", None, error=FAILURE)]
    assert judged(Share(), question("1"), *rows).values == [None, 0.0]
