"""What are judges worth with the embedded models? Their verdicts against answers whose truth is known.

20 questions of the field guide, each with three answers: the gold answer, the gold answer of another question (wrong),
and what the quickstart pipeline answers. All three cite the retrieved passages of the gold page. Agreement is Cohen's
kappa with exact match over the gold and the wrong answers; a judge that tells them apart perfectly has kappa 1, one
that does not look at them has 0.
"""

import argparse
from dataclasses import asdict

from common import ROOT, table, write_result

from ragkit import Pipeline
from ragkit.evaluation.judges import CitationJudge, Judging, RubricJudge, SemanticSimilarity, run_judges
from ragkit.evaluation.judges.agreement import cohen_kappa
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.metrics.ranking import matched
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question, read_questions
from ragkit.evaluation.statistics import bootstrap_interval, mean

PASS_FAIL = ("fail", "pass")


def answered(question: Question, row: PredictionRow, answer: str | None) -> PredictionRow:
    """Return a prediction with this answer that cites the retrieved passages of the gold evidence."""
    cited = [passage for passage in row["documents"] if matched(passage, question.supporting_ids)]
    citations = [{"passage": p["id"], "source": str(p.get("source")), "page": p.get("page")} for p in cited]
    return {**row, "answer": answer, "citations": citations}  # type: ignore[typeddict-item]


def estimate(values: list[float | None]) -> dict[str, float | int | None]:
    """Return mean, interval and n of the values that there are."""
    known = [value for value in values if value is not None]
    low, high = bootstrap_interval(known) or (None, None)
    return {"value": mean(known), "low": low, "high": high, "n": len(known)}


def verdicts(values: list[float | None]) -> list[str | None]:
    """Return pass for the upper half of the scale, None where there is no value."""
    return [None if value is None else PASS_FAIL[value > 0.5] for value in values]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--questions", type=int, default=20)
    wanted = arguments.parse_args().questions
    questions = [q for q in read_questions(ROOT / "corpora/fieldguide/questions.jsonl") if q.type == "text"]
    questions = questions[:: len(questions) // wanted][:wanted]
    with Pipeline.load(ROOT / "pipelines/quickstart.yaml") as pipeline:
        rows = [p.to_row() for p in pipeline.predict([(q.id, q.question) for q in questions])]
        answers = {
            "gold": [q.answers[0] for q in questions],
            "wrong": [questions[n - 1].answers[0] for n in range(len(questions))],
            "reader": [row["answer"] for row in rows],
        }
        model, encoder = pipeline.models["reader"], pipeline.models["minilm"]
        judges = {
            "pass/fail, choose": RubricJudge(models=(model,), scale="pass_fail", mode="choose"),
            "pass/fail, reply": RubricJudge(models=(model,), scale="pass_fail", mode="reply"),
            "1-5, choose": RubricJudge(models=(model,), scale="1-5", mode="choose"),
            "1-5, reply": RubricJudge(models=(model,), scale="1-5", mode="reply"),
            "similarity": SemanticSimilarity(encoder=encoder),
            "citations": CitationJudge(model=model),
        }
        found: dict[str, Judging] = {}
        truth: dict[str, list[float | None]] = {}
        for kind, texts in answers.items():
            judged = [answered(q, row, text) for q, row, text in zip(questions, rows, texts, strict=True)]
            truth[kind] = parse_metric("em").compute(questions, judged)
            found[kind] = run_judges(judges, questions, judged, models=pipeline.models)
    numbers = {}
    shown = [("figure", "gold", "wrong", "reader", "failures", "kappa with EM")]
    is_right = verdicts(truth["gold"] + truth["wrong"])
    for name in found["gold"].figures:
        by_kind = {kind: found[kind].figures[name] for kind in answers}
        values = verdicts([*by_kind["gold"].values, *by_kind["wrong"].values])
        agreement = cohen_kappa(values, is_right, PASS_FAIL)
        means = {kind: estimate(list(figure.values)) for kind, figure in by_kind.items()}
        failures = sum(len(figure.failed) for figure in by_kind.values())
        numbers[name] = {**means, "failures": failures, "kappa_with_em": asdict(agreement)}
        cells = ["-" if m["value"] is None else f"{m['value']:.3f}" for m in means.values()]
        kappa = "-" if agreement.kappa is None else f"{agreement.kappa:.2f} ({agreement.n})"
        shown.append((name, *cells, str(failures), kappa))
    print(table(shown))
    numbers["exact match"] = {kind: estimate(values) for kind, values in truth.items()}
    numbers["usage"] = {kind: judging.report for kind, judging in found.items()}
    write_result("judges", {"questions": len(questions)}, numbers, [], full=wanted == 20)


if __name__ == "__main__":
    main()
