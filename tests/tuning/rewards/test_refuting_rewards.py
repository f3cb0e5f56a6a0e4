"""The reward of responses to false claims: bounds, monotony, gates, and the defects of its predecessor's."""

import asyncio
import math

import numpy as np
import pytest
from refuting_judges import FixedTone, WordStance, choice

from ragkit.engine.calls import LocalResource, Reply
from ragkit.errors import RagkitError
from ragkit.models.base import ENTAILMENT, Encoder, EntailmentModel, LanguageModel
from ragkit.models.rewards import Reward, Rollout
from ragkit.models.scripted import HashEncoder
from ragkit.tuning.rewards.compose import ComposedReward
from ragkit.tuning.rewards.faults import CopiedEvidence, InvalidCitation, OffLength, Repetition
from ragkit.tuning.rewards.grounding import ClaimRelevance, EvidenceUse, Fluency, fluency
from ragkit.tuning.rewards.rarg import RargReward
from ragkit.tuning.rewards.refuting import LabelledReward, RefutesReward

CLAIM = "Raw garlic cures the common cold."
PASSAGES = [
    "No trial has shown that garlic cures the common cold. One small trial looked at whether capsules prevent it.",
    "Garlic is grown in many countries and used in many kitchens.",
    "Colds are caused by viruses.",
]
GOOD = (
    "This is not true. Garlic was in one small trial, which looked at whether capsules prevent a cold [1]. No trial "
    "shows that garlic cures it [1]. Take good care of yourself."
)
ODD = ("", "no", "word " * 5000, "😀🧄😀", "[1] [2]", "a" * 5000, "\n\n", "?!.")
COLUMNS = {"question": CLAIM, "passages": PASSAGES}


class Surprised(LanguageModel, LocalResource):
    """Every text has the same perplexity."""

    perplexity: float = 20.0

    def fingerprint(self):
        return f"surprised {self.perplexity}"

    def execute(self, op, batch):
        seen.extend((request.args["prompt"], request.args["text"]) for request in batch)
        return [Reply(-math.log(self.perplexity)) for _ in batch]


seen = []


def earned(reward, *completions, **columns):
    many = {name: [value] * len(completions) for name, value in (COLUMNS | columns).items()}
    return reward(["a prompt"] * len(completions), list(completions), **many)


def rarg(**changes):
    parts = {
        "nli": WordStance(),
        "politeness": FixedTone(polite=0.9),
        "encoder": HashEncoder(),
        "model": Surprised(),
    }
    return RargReward(**(parts | changes))


def terms():
    whole = rarg().composed
    return [*whole.of, *whole.penalties, OffLength(soft=5.0), RefutesReward(nli=WordStance(), guard=False)]


@pytest.mark.parametrize("term", terms(), ids=lambda term: type(term).__name__)
def test_every_term_and_every_fault_is_between_0_and_1_whatever_is_written(term):
    values = earned(term, *ODD, GOOD)
    assert all(0 <= value <= 1 for value in values), values
    assert all(0 <= value <= 1 for value in earned(term, *ODD, GOOD, passages=[]))


def test_the_composite_is_the_weighted_sum_less_the_penalties():
    reward = rarg().composed
    for text in (GOOD, GOOD + " And see [9].", "word " * 200 + "not [2]"):
        parts = [term.weight * earned(term, text)[0] for term in reward.of]
        faults = [fault.weight * earned(fault, text)[0] for fault in reward.penalties]
        gate = earned(reward.gates[0], text)[0]
        wanted = (sum(parts) if gate >= 0.5 else 0.0) - sum(faults)
        assert earned(reward, text)[0] == pytest.approx(wanted, abs=1e-9)
    assert [term.weight for term in reward.of] == [0.30, 0.15, 0.35, 0.10, 0.10]
    assert [fault.weight for fault in reward.penalties] == [0.2, 0.2, 0.5, 1.0]


def test_a_breakdown_tells_raw_and_weighted_values():
    found = asyncio.run(rarg().explain(Rollout("", GOOD, COLUMNS)))
    assert found.open
    assert set(found.parts) == {"refutes", "labelled", "evidence_use", "claim_relevance", "fluency"}
    assert found.weighted["labelled"] == pytest.approx(0.15 * 0.9)
    assert sum(found.weighted.values()) - sum(
        weight * value for weight, value in zip((0.2, 0.2, 0.5, 1.0), found.penalties.values(), strict=True)
    ) == pytest.approx(found.value, abs=1e-9)


def test_weights_of_a_mean_that_do_not_add_up_to_1_are_refused():
    one, two = Repetition(weight=0.5), OffLength(weight=0.6)
    with pytest.raises(ValueError, match="add up to 1"):
        ComposedReward(of=(one, two), how="mean")
    with pytest.raises(ValueError, match="none is negative"):
        ComposedReward(of=(Repetition(weight=1.5), OffLength(weight=-0.5)), how="mean")
    ComposedReward(of=(one, OffLength(weight=0.5)), how="mean")


def test_a_term_that_leaves_its_bounds_cannot_swamp_a_mean():
    """The predecessor added ten times the raw perplexity to probabilities."""

    def perplexity(prompts, completions, **columns):
        return [250.0] * len(completions)

    mean = ComposedReward(of=(perplexity,), how="mean")
    with pytest.raises(RagkitError, match="the part 'perplexity' of a mean gave 250, not 0 to 1"):
        earned(mean, GOOD)


def test_fluency_falls_with_perplexity():
    """The predecessor's fluency rewarded disfluent text, by its sign."""
    assert fluency(math.log(10)) == 1
    assert fluency(math.log(200)) == 0
    assert fluency(math.log(math.sqrt(2000))) == pytest.approx(0.5, abs=1e-9)
    values = [fluency(math.log(perplexity)) for perplexity in (1, 5, 10, 15, 60, 150, 200, 900)]
    assert values == sorted(values, reverse=True)
    better, worse = (earned(Fluency(model=Surprised(perplexity=p)), GOOD)[0] for p in (15.0, 90.0))
    assert better > worse
    with pytest.raises(ValueError, match="a low and a high one above 0"):
        Fluency(model=Surprised(), perplexities=(200, 10))


def test_fluency_is_of_the_response_and_of_all_of_it():
    """The predecessor scored 280 characters, padded to 64 tokens with the padding in the loss."""
    seen.clear()
    long = "This does not hold, as trials have shown again and again. " * 20
    earned(Fluency(model=Surprised()), f"{long}It ends here [2].", "Short [1].")
    texts = [text for _, text in seen]
    assert any(text.endswith("It ends here.") and len(text) > 1000 for text in texts)
    assert " Short." in texts  # alone, not padded to the length of the other
    assert all("[" not in text for text in texts)


def test_all_of_a_response_is_judged_by_the_classifiers():
    judged = []

    class Keeping(FixedTone):
        def execute(self, op, batch):
            judged.extend(request.args["text"] for request in batch)
            return super().execute(op, batch)

    long = " ".join(f"Fact number {n} of the trial is not what was said." for n in range(60))
    earned(LabelledReward(classifier=Keeping(polite=0.5), label="polite"), long)
    assert judged == [long]


def test_a_probability_is_over_all_labels():
    """The predecessor took the sigmoid of one logit; of two equally probable labels each has a half."""

    class Torn(FixedTone):
        def execute(self, op, batch):
            return [
                Reply({"label": "polite", "logprobs": {"polite": math.log(0.5), "rude": math.log(0.5)}}) for _ in batch
            ]

    assert earned(LabelledReward(classifier=Torn(polite=0.5), label="polite"), GOOD) == [pytest.approx(0.5)]


def test_refutation_is_scored_on_the_pair_and_not_on_the_response():
    reward = RefutesReward(nli=WordStance())
    assert earned(reward, "Garlic does not cure the common cold.") == [1]
    assert earned(reward, "Garlic does not cure the common cold.", question="Masks lower oxygen.") == [
        pytest.approx(0, abs=1e-9)
    ]
    boilerplate = "This is false, incorrect and not true."
    assert earned(reward, boilerplate) == [pytest.approx(0, abs=1e-9)]


def test_telling_the_myth_earns_no_refutation():
    reward = RefutesReward(nli=WordStance())
    leak = "Raw garlic cures the common cold. Not so fast: garlic does not cure the common cold, no trial shows it."
    assert earned(reward, leak) == [0]
    assert earned(reward, "Raw garlic cures the common cold!") == [0]

    class Unsure(EntailmentModel, LocalResource):
        def fingerprint(self):
            return "unsure"

        def execute(self, op, batch):
            return [Reply(choice(ENTAILMENT[0], 0.6)) for _ in batch]

    assert earned(RefutesReward(nli=Unsure()), GOOD) == [0]
    assert earned(RefutesReward(nli=Unsure(), guard=False), GOOD) == [pytest.approx(0.2)]


def test_an_entailed_sentence_raises_the_use_of_evidence():
    reward = EvidenceUse(nli=WordStance(), encoder=HashEncoder())
    unsupported = "This is not true. Doctors in Spain have banned bulbs since 1990 [1]."
    supported = "This is not true. One small trial looked at whether capsules prevent it [1]."
    low, high = earned(reward, unsupported, supported)
    assert high > low
    assert earned(reward, GOOD, passages=[]) == [0]
    assert earned(reward, "This is wrong.")[0] < 1 / 3 + 1e-9  # nothing factual: only nearness is left


def test_a_copy_of_the_evidence_scores_below_a_paraphrase():
    copy = "This is not true. " + PASSAGES[0].replace(" it.", " it [1].") + " Colds are caused by viruses [3]."
    paraphrase = (
        "This is not true. Garlic was in one small trial that looked at whether capsules prevent a cold [1]. No trial "
        "has shown that the common cold is cured [1]. Viruses are what colds are caused by [3]."
    )
    copied, said = earned(rarg(), copy, paraphrase)
    assert copied < said
    assert earned(CopiedEvidence(), copy)[0] > earned(CopiedEvidence(), paraphrase)[0] == 0
    assert earned(CopiedEvidence(), PASSAGES[0]) == [0.5]


def test_a_polite_fluent_relevant_evasion_earns_nothing():
    evasion = (
        "Thank you for your question about raw garlic and the common cold. Garlic is grown in many countries and used "
        "in many kitchens [2]. It is good to care about health."
    )
    reward = rarg().composed
    assert earned(reward.gates[0], evasion)[0] < 0.5
    assert earned(ComposedReward(of=reward.of, how="mean"), evasion)[0] > 0.3
    assert earned(reward, evasion) == [0]


def test_a_citation_of_nothing_is_penalised():
    wrong = GOOD.replace("[1]. Take", "[9]. Take")
    assert earned(InvalidCitation(), wrong, GOOD) == [1, 0]
    lead = earned(rarg(), GOOD)[0] - earned(rarg(), wrong)[0]
    assert lead >= 1 - 1e-9


def test_gates_multiply_if_they_are_asked_to():
    def half(prompts, completions, **columns):
        return [0.4] * len(completions)

    part = Repetition(weight=1.0)
    text = "a b c a b c a b c"
    value = earned(part, text)[0]
    assert earned(ComposedReward(of=(part,), gates=(half,)), text) == [0]
    assert earned(ComposedReward(of=(part,), gates=(half,), gating="product"), text) == [pytest.approx(0.4 * value)]
    faulty = ComposedReward(of=(part,), gates=(half,), penalties=(OffLength(),))
    assert earned(faulty, text) == [-0.5]  # a fault is no smaller for a closed gate


def test_relevance_does_not_pay_for_copying_the_claim():
    class Angles(Encoder, LocalResource):
        degrees: dict[str, float]

        def fingerprint(self):
            return str(self.degrees)

        def describe(self):
            return {}

        def execute(self, op, batch):
            turns = [math.radians(self.degrees[request.args["text"]]) for request in batch]
            return [Reply(np.array([math.cos(turn), math.sin(turn)], np.float32)) for turn in turns]

    degrees = {"claim": 0.0, "same": 0.0, "near": 30.0, "far": 60.0, "away": 85.0, "against": 180.0}
    reward = ClaimRelevance(encoder=Angles(degrees=degrees))
    same, near, far, away, against = earned(reward, "same", "near", "far", "away", "against", question="claim")
    assert same == near == 1
    assert far == pytest.approx(0.5, abs=1e-6)
    assert away == against == 0


def test_lengths():
    inside, short, long = "word " * 30, "word " * 19, "word " * 121
    assert earned(OffLength(), inside, short, long, "word " * 20, "word " * 120) == [0, 1, 1, 0, 0]
    soft = earned(OffLength(soft=4.0), "word " * 70, "word " * 20, "word " * 10)
    assert soft[0] < 0.01
    assert soft[1] == pytest.approx(0.5, abs=0.01)
    assert soft[2] > 0.9


def test_each_response_has_a_reward_of_its_own():
    """The predecessor gave all samples of a batch their mean."""
    values = earned(rarg(), GOOD, "Thank you.", GOOD + " See [9].", GOOD)
    assert values[0] == values[3]
    assert len(set(values)) == 3


def test_models_are_asked_in_batches():
    sizes = []

    class Counting(WordStance):
        def execute(self, op, batch):
            sizes.append(len(batch))
            return super().execute(op, batch)

    texts = [f"{GOOD} Case number {n} is no other." for n in range(12)]
    earned(RefutesReward(nli=Counting()), *texts)
    assert sizes == [12]
    sizes.clear()
    earned(EvidenceUse(nli=Counting(), encoder=HashEncoder()), *texts)
    assert len(sizes) == 1


def test_parts_of_a_composed_reward_are_scored_in_a_run_too():
    class Column(Reward):
        columns = ("gold",)

        async def score(self, rollout):
            return rollout.columns["gold"]

    composed = ComposedReward(of=(Column(),))
    assert asyncio.run(composed.score(Rollout("", "", {"gold": 2.0}))) == 2
    with pytest.raises(RagkitError, match="reward 'Column' needs the column 'gold'"):
        asyncio.run(composed.score(Rollout("", "", {})))
