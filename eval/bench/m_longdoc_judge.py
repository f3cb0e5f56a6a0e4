"""Is a judge without a language model sane? Seeded answers of known quality, graded by the key facts that they state.

Thirty answers: for six sites of the seeded reports one that is perfect, one with a fact dropped, one with half of the
facts, one with a wrong number in the place of a right one, and one about something else. The constructed grade is that
of the rubric: 5, 4, 3, 3 and 1 (a wrong number is a fact that is missing, and an error besides).
"""

import argparse
from random import Random

from common import Target, table, write_result
from fact_documents import KINDS, PEOPLE, YEARS, _names
from scipy.stats import spearmanr

from ragkit.evaluation.judges import KeyFactJudge, run_judges
from ragkit.evaluation.judges.panel_scores import HIGHEST, LOWEST
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.evaluation.statistics import bootstrap_statistic, mean

SITES, SEED = 6, 0
GRADES = {"perfect": 5, "one dropped": 4, "half": 3, "wrong number": 3, "off-topic": 1}
OPENINGS = ("As the report says, ", "", "According to its page, ", "From the text: ")


def answers_about(site: str, rng: Random) -> tuple[Question, dict[str, str]]:
    """Return a question with four key facts, and an answer of each quality."""
    kind = rng.choice(KINDS)
    size, unit, low, high = kind.size
    part, materials = kind.material
    value, year = rng.randint(low, high), rng.choice(YEARS)
    person, material = rng.choice(PEOPLE), rng.choice(materials)
    facts = [f"{value} {unit}", year, person, material]
    said = [
        rng.choice([f"its {size} is {value} {unit}", f"it has a {size} of {value} {unit}"]),
        rng.choice([f"it was {kind.opened} in {year}", f"{year} is when it was {kind.opened}"]),
        rng.choice([f"{person} is in charge", f"it is run by {person}"]),
        rng.choice([f"the {part} is of {material}", f"{material} is what the {part} is made of"]),
    ]
    wrong = [said[0].replace(str(value), str(value + 7)), *said[1:]]
    chosen = {
        "perfect": said,
        "one dropped": rng.sample(said, 3),
        "half": rng.sample(said, 2),
        "wrong number": wrong,
        "off-topic": [f"the weather at the {kind.noun} is often windy", "visitors come in summer"],
    }
    question = Question(
        id=site,
        question=f"Describe the {site} {kind.noun}: {size}, when it was {kind.opened}, who runs it, and {part}.",
        extra={"key_facts": facts},
    )
    written = {
        name: rng.choice(OPENINGS) + ", and ".join(rng.sample(parts, len(parts))) + "."
        for name, parts in chosen.items()
    }
    return question, written


def row(question: Question, answer: str) -> PredictionRow:
    usage = {"searches": 0, "model_calls": 0, "prompt_tokens": 0, "completion_tokens": 0}
    return {
        "id": question.id, "question": question.question, "answer": answer, "documents": [], "context": [],
        "citations": [], "usage": usage, "flags": [], "error": None,
    }  # type: ignore[return-value]  # fmt: skip


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    names = _names(Random(f"judge {SEED}"))
    asked, rows, wanted = [], [], []
    for number in range(SITES):
        question, written = answers_about(next(names), Random(f"judge {SEED} {number}"))
        for name, answer in written.items():
            asked.append(question)
            rows.append(row(question, answer))
            wanted.append(name)
    judged = run_judges({"facts": KeyFactJudge()}, asked, rows).figures["facts"].values
    scores = [LOWEST + (HIGHEST - LOWEST) * value for value in judged if value is not None]
    pairs = [(score, GRADES[name]) for score, name in zip(scores, wanted, strict=True)]
    import numpy as np

    rho = float(spearmanr(*zip(*pairs, strict=True)).statistic)
    interval = bootstrap_statistic(
        np.array(pairs, dtype=float), lambda drawn: float(spearmanr(drawn[:, 0], drawn[:, 1]).statistic)
    )
    means = {name: mean([s for s, own in zip(scores, wanted, strict=True) if own == name]) for name in GRADES}
    print(table([("answer", "constructed", "judged"), *((n, str(GRADES[n]), f"{m:.2f}") for n, m in means.items())]))
    targets = [
        Target("6.2.4: Spearman with the constructed grade", rho, 0.9),
        Target("6.2.4: perfect answers", means["perfect"], 4.5),
        Target("6.2.4: off-topic answers", means["off-topic"], 1.5, "below"),
    ]
    numbers = {"spearman": {"value": rho, "low": interval[0], "high": interval[1], "n": len(pairs)}, "means": means}
    write_result("m_longdoc_judge", {"sites": SITES, "seed": SEED, "grades": GRADES}, numbers, targets)


if __name__ == "__main__":
    main()
