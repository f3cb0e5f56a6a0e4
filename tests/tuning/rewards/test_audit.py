"""The audit finds rewards that can be earned without answering."""

from functools import partial

import pytest

from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError
from ragkit.tuning.rewards import audit_rewards
from ragkit.tuning.rewards.answers import F1Reward
from ragkit.tuning.rewards.citation import CitationReward
from ragkit.tuning.rewards.compose import ComposedReward
from ragkit.tuning.rewards.format import BrevityReward, PatternReward
from ragkit.tuning.rewards.relevance import RegularisedRelevance
from ragkit.tuning.rows import PromptRow

FACTS = [
    ("How deep do the roots of wheat grow?", "1.5 m", "In deep soil wheat roots reach 1.5 m before winter comes."),
    ("Where does the tall iron tower stand?", "Paris", "The tall iron tower, built for a fair, stands in Paris today."),
    ("Who painted the ceiling of the chapel?", "Michelangelo", "Michelangelo painted the ceiling of the chapel alone."),
    ("Which metal melts first of the three?", "tin", "Of the three metals tin melts first, at 232 degrees or so."),
]


def rows(**more):
    return [
        PromptRow(
            prompt=f"{passage} {question}",
            columns={"question": question, "answers": [answer], "passages": [passage, "Some other text."]} | more,
        )
        for question, answer, passage in FACTS
    ]


HONEST = ["1.5 m [1]", "in Paris [1]", "Michelangelo [1]", "lead [1]"]


def hacks(*rewards, honest=HONEST, **more):
    return audit_rewards(rewards, rows(**more), honest).hacks


def test_right_answers_cannot_be_earned_without_answering():
    found = audit_rewards([F1Reward()], rows(), HONEST)
    assert found.hacks == []
    found.check()
    assert found.honest.mean == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
    assert found.policies["constant"].mean == pytest.approx(1 / 4)
    assert found.policies["empty"].mean == 0
    assert 0 < found.policies["copy a passage"].mean < found.honest.mean


def test_form_alone_can():
    assert hacks(BrevityReward(words=4)) == ["constant", "abstain", "cite everything"]
    assert set(hacks(PatternReward(pattern=r".*\[1\].*"))) >= {"constant", "copy a passage", "cite everything"}


def test_citations_alone_can_be_earned_by_copying():
    assert "copy a passage" in hacks(CitationReward())


def test_a_product_guards_what_a_sum_gives_away():
    parts = (F1Reward(), BrevityReward(words=4, weight=5.0))
    assert "constant" not in hacks(*parts)  # the honest answers are brief too
    brief = ComposedReward(of=(F1Reward(), BrevityReward(words=4)), how="product")
    assert hacks(brief) == []
    gated = ComposedReward(of=(CitationReward(),), gates=(F1Reward(),))
    assert hacks(gated) == []


def test_always_abstaining_is_a_hack_where_most_questions_have_no_answer():
    sometimes = ["unanswerable", *HONEST[1:]]
    assert hacks(F1Reward(), answerable=False, honest=sometimes) == ["empty", "abstain"]


@pytest.mark.models
def test_raw_relevance_is_hacked_and_regularised_relevance_is_not():
    from ragkit.models.sentence_transformers_models import SentenceTransformerEncoder

    encoder = SentenceTransformerEncoder(model="embedded:all-minilm-l6-v2", device="cpu", dtype="float32")

    def raw(prompts, completions, *, question, **columns):
        """Cosine of question and completion alone: the reward that the paper starts from."""

        async def cosine(asked, text):
            return float(await encoder.embed(asked, "passage") @ await encoder.embed(text, "passage"))

        pairs = zip(question, completions, strict=True)
        return [outcome.value for outcome in run_tasks([partial(cosine, *pair) for pair in pairs])]

    assert "echo the question" in hacks(raw)
    assert hacks(RegularisedRelevance(encoder=encoder)) == []


def test_the_refusal_names_the_policies_and_what_they_earn():
    found = audit_rewards([PatternReward(pattern=r".*\[1\].*"), F1Reward(weight=0.0)], rows(), HONEST)
    with pytest.raises(InputError, match=r"over 4 prompts the model earns 1\.000, but 'constant' 1\.000"):
        found.check()
    data = found.as_dict()
    assert data["prompts"] == 4
    assert data["means"]["model"]["f1"] == pytest.approx(2 / 3)
    assert set(data["means"]["ramble"]) == {"reward", "regex", "f1"}


def test_policies_write_no_more_than_a_completion_may_hold():
    seen = []

    def spy(prompts, completions, **columns):
        seen.extend(len(text.split()) for text in completions)
        return [0.0] * len(completions)

    audit_rewards([spy], rows(), HONEST, words=5)
    assert max(seen) == 5


def test_nothing_to_audit_with():
    with pytest.raises(InputError, match="no prompts"):
        audit_rewards([F1Reward()], [], [])
