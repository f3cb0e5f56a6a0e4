"""Evidence for claims: what each stage of RARG's retrieval finds, and how well stances are told, on test claims only.

  retrieval  BM25, dense, two-stage, and two-stage with the encoders of pipelines/tuning/rarg_encoder_*.yaml, each on
             the sets that it was trained on and on those that it was not. The folder `--tuned` has to hold
             encoder_covid/adapter and encoder_scifact/adapter.
  stance     the classifier of pipelines/tuning/rarg_stance.yaml (stance/adapter in the folder) against the majority
             label and against a logistic regression over the encoder's vectors of claim and passage.

Claims are split by their id, those of COVID-Fact by their source. Differences are paired, with 95 % bootstrap intervals
over claims and p-values of a randomisation test.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from common import RESULTS, table, versions
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from ragkit import Pipeline
from ragkit.engine.cache import project_cache
from ragkit.engine.tasks import Task, run_tasks
from ragkit.evaluation.experiment import Experiment, run_experiment
from ragkit.evaluation.question_sets import QuestionSet, pipeline_over, set_folder, set_questions
from ragkit.evaluation.split import Part, in_part
from ragkit.models import ClassifierModel, SentenceTransformerEncoder
from ragkit.models.base import ENTAILMENT
from ragkit.stages import RetrieveDense, RetrieveSparse, RetrieveTwoStage
from ragkit.tuning.calls import values_of
from ragkit.tuning.changes import changes
from ragkit.tuning.data import BuildContext
from ragkit.tuning.recipe import load_recipe
from ragkit.tuning.rows import LabelRow
from ragkit.tuning.sets import openers

PIPELINE = "pipelines/rarg_two_stage.yaml"
SETS = ("healthver", "covidfact", "scifact")
TRAINED_ON = {"covid": ("healthver", "covidfact"), "scifact": ("scifact",)}
METRICS = ("ndcg@10", "mrr@10", "recall@5", "recall@10")
COARSE = 100
WEIGHT = 0.7
"""Of meaning against BM25; chosen on training and validation claims of all three sets, with the frozen encoder."""
CEILING = f"recall@{COARSE}"
MINILM = "embedded:all-minilm-l6-v2"
STRENGTHS = (0.003, 0.01, 0.03, 0.1)
RESAMPLES = 1000


def retrieval(data: Path, tuned: Path) -> dict[str, Any]:
    """Return the figures of every system on every set, and the differences that matter."""
    own = QuestionSet(documents=("corpus.jsonl.gz",), questions="queries.dev.jsonl.gz")
    found: dict[str, dict[str, Experiment]] = {}
    for name in SETS:
        folder = set_folder(name, own, data)
        asked = [q for q in in_part(set_questions(name, own, folder), "test") if q.supporting_ids]
        found[name] = {}
        with tempfile.TemporaryDirectory() as out:
            for encoder in ("", *TRAINED_ON):
                adapter = json.dumps(str(tuned / f"encoder_{encoder}" / "adapter") if encoder else None)
                with pipeline_over(PIPELINE, own, folder, [f"models.minilm.adapter={adapter}"]) as pipeline:
                    pipeline.prepare()
                    for system, stages in _systems(pipeline, encoder).items():
                        settings = pipeline.settings.model_copy(update={"metrics": (*METRICS, CEILING)})
                        one = Pipeline(stages, name=system.replace(" ", "-"), index=pipeline.index, run=settings)
                        found[name][system] = run_experiment(one, asked, out=Path(out) / one.name)
        print(name, len(asked), {s: _value(run, "ndcg@10") for s, run in found[name].items()}, flush=True)
    return {"sets": _figures(found), "differences": _differences(found), "coarse": COARSE, "weight": WEIGHT}


def _systems(pipeline: Pipeline, encoder: str) -> dict[str, list[Any]]:
    index = pipeline.index
    name = f"two-stage, tuned on {encoder}" if encoder else "two-stage"
    two = {
        f"{name}{kind}": [RetrieveTwoStage(index=index, k=COARSE, k_coarse=COARSE, weight=weight)]
        for kind, weight in (("", 1.0), (", weighed", WEIGHT))
    }
    if encoder:
        return two
    return {"bm25": [RetrieveSparse(index=index, k=COARSE)], "dense": [RetrieveDense(index=index, k=COARSE)], **two}


def _value(run: Experiment, metric: str) -> float | None:
    return run.summary.overall.metrics[metric].value


def _figures(found: dict[str, dict[str, Experiment]]) -> dict[str, Any]:
    lines = [("set", "n", "system", *METRICS, CEILING)]
    figures: dict[str, Any] = {}
    for name, runs in found.items():
        figures[name] = {}
        for system, run in runs.items():
            metrics = run.summary.overall.metrics
            shown = [metric for metric in (*METRICS, CEILING) if metric != CEILING or "tuned" not in system]
            figures[name][system] = {metric: asdict(metrics[metric]) for metric in shown}
            cells = [f"{metrics[m].value:.3f}" if m in shown else "-" for m in (*METRICS, CEILING)]
            lines.append((name, str(len(run.questions)), system, *cells))
    for system in next(iter(found.values())):
        means = {m: float(np.mean([_value(runs[system], m) for runs in found.values()])) for m in METRICS}
        figures.setdefault("mean of sets", {})[system] = means
        lines.append(("mean of sets", "", system, *(f"{means[m]:.3f}" for m in METRICS), ""))
    print(table(lines))
    return figures


def _differences(found: dict[str, dict[str, Experiment]]) -> dict[str, Any]:
    wanted = [(before, "two-stage", SETS) for before in ("bm25", "dense")]
    wanted += [(before, "two-stage, weighed", SETS) for before in ("bm25", "dense", "two-stage")]
    for encoder, own in TRAINED_ON.items():
        others = tuple(name for name in SETS if name not in own)
        wanted += [
            (f"two-stage{kind}", f"two-stage, tuned on {encoder}{kind}", sets)
            for kind in ("", ", weighed")
            for sets in (own, others)
        ]
    lines = [("from", "to", "sets", "n", "metric", "difference", "95 %", "p")]
    figures: dict[str, Any] = {}
    for before, after, sets in wanted:
        groups = [(name,) for name in sets] + ([sets] if len(sets) > 1 else [])
        for group in groups:
            changed = changes([(found[name][before], found[name][after]) for name in group])
            key = f"{before} -> {after} on {' + '.join(group)}"
            figures[key] = {metric: asdict(changed[metric]) for metric in METRICS}
            for metric in ("ndcg@10", "mrr@10"):
                one = changed[metric]
                assert one.difference is not None and one.p is not None
                lines.append(
                    (before, after, " + ".join(group), str(one.n), metric, f"{one.difference:+.3f}",
                     f"{one.low:+.3f} to {one.high:+.3f}", f"{one.p:.3f}")
                )  # fmt: skip
    print(table(lines))
    return figures


def stance(data: Path, tuned: Path) -> dict[str, Any]:
    """Return macro-F1 of the classifier and of the baselines on the test claims of each set."""
    rows = {part: _rows(data, part) for part in ("train", "validation", "test")}
    test = rows["test"]
    predicted = {
        "majority": _majority(rows["train"], test),
        "embedding": _embedding(rows["train"], rows["validation"], test),
        "classifier": _classified(tuned / "stance" / "adapter", test),
    }
    figures: dict[str, Any] = {"labels": dict(Counter(f"{_set(row)} {row.label}" for row in test))}
    lines = [("set", "claims", "passages", "system", "macro-F1", "95 %", "accuracy", *(f"F1 {n}" for n in ENTAILMENT))]
    for name in SETS:
        own = [number for number, row in enumerate(test) if _set(row) == name]
        said = {system: [labels[number] for number in own] for system, labels in predicted.items()}
        figures[name] = _of_set([test[number] for number in own], said)
        for system in predicted:
            one = figures[name][system]
            lines.append(
                (name, str(figures[name]["claims"]), str(len(own)), system, f"{one['macro_f1']:.3f}",
                 f"{one['low']:.3f} to {one['high']:.3f}", f"{one['accuracy']:.3f}",
                 *(f"{value:.3f}" for value in one["f1"].values()))
            )  # fmt: skip
    print(table(lines))
    return figures


def _of_set(rows: Sequence[LabelRow], said: dict[str, list[str]]) -> dict[str, Any]:
    """Return the figures of each system on the rows of a set, and by how much the classifier is ahead."""
    truth, claims = [row.label for row in rows], [str(row.origin["question"]) for row in rows]

    def macro(system: str, chosen: Sequence[int]) -> float:
        return _macro(truth, said[system], chosen)

    figures: dict[str, Any] = {"claims": len(set(claims)), "passages": len(rows)}
    for system, labels in said.items():
        low, high = _interval(claims, partial(macro, system))
        each = f1_score(truth, labels, average=None, labels=list(ENTAILMENT), zero_division=0)
        figures[system] = {
            "macro_f1": macro(system, range(len(rows))),
            "low": low,
            "high": high,
            "accuracy": float(accuracy_score(truth, labels)),
            "f1": dict(zip(ENTAILMENT, map(float, each), strict=True)),
        }

    def ahead(of: str, chosen: Sequence[int]) -> float:
        return macro("classifier", chosen) - macro(of, chosen)

    for system in ("majority", "embedding"):
        low, high = _interval(claims, partial(ahead, system))
        figures[f"classifier - {system}"] = {"difference": ahead(system, range(len(rows))), "low": low, "high": high}
    return figures


def _rows(data: Path, part: Part) -> list[LabelRow]:
    recipe = load_recipe(Path("pipelines/tuning/rarg_stance.yaml"))
    context = BuildContext(openers(recipe, data, lambda *_: None), "stance", 0, Path(), lambda *_: None)
    return [cast("LabelRow", row) for row in recipe.builder.build(part, context)]


def _set(row: LabelRow) -> str:
    return str(row.origin["set"])


def _majority(train: Sequence[LabelRow], test: Sequence[LabelRow]) -> list[str]:
    """Return for each row the label that most judged training passages of its set have."""
    judged = [row for row in train if row.origin["kind"] == "passage"]
    most = {name: Counter(r.label for r in judged if _set(r) == name).most_common(1)[0][0] for name in SETS}
    return [most[_set(row)] for row in test]


def _embedding(train: Sequence[LabelRow], validation: Sequence[LabelRow], test: Sequence[LabelRow]) -> list[str]:
    """Return what a logistic regression over [u, v, |u - v|, u v] says; its strength is chosen on validation rows."""
    encoder = SentenceTransformerEncoder(model=MINILM)
    texts = list(dict.fromkeys(text for row in (*train, *validation, *test) for text in (row.text, row.statement)))
    vectors = dict(zip(texts, _asked([partial(encoder.embed, text, "passage") for text in texts]), strict=True))

    def features(rows: Sequence[LabelRow]) -> Any:
        u = np.stack([vectors[row.statement] for row in rows])
        v = np.stack([vectors[row.text] for row in rows])
        return np.concatenate([u, v, np.abs(u - v), u * v], axis=1) * u.shape[1] ** 0.5

    inputs, labels = features(train), [row.label for row in train]
    fitted = [
        LogisticRegression(C=strength, max_iter=500, class_weight="balanced").fit(inputs, labels)
        for strength in STRENGTHS
    ]
    watched, truth = features(validation), [row.label for row in validation]
    best = max(fitted, key=lambda model: float(f1_score(truth, model.predict(watched), average="macro")))
    print("embedding baseline: C", best.C)
    return [str(label) for label in best.predict(features(test))]


def _classified(adapter: Path, test: Sequence[LabelRow]) -> list[str]:
    model = ClassifierModel(model=MINILM, adapter=str(adapter), max_length=320)
    return [choice.label for choice in _asked([partial(model.entail, row.text, row.statement) for row in test])]


def _asked(tasks: Sequence[Task]) -> list[Any]:
    with project_cache() as cache:
        return values_of(run_tasks(tasks, cache=cache), "a text could not be judged")


def _macro(truth: Sequence[str], said: Sequence[str], chosen: Sequence[int]) -> float:
    """Return macro-F1 over the labels that occur among the chosen rows."""
    own = [truth[number] for number in chosen]
    return float(f1_score(own, [said[n] for n in chosen], average="macro", labels=sorted(set(own)), zero_division=0))


def _interval(claims: Sequence[str], statistic: Any) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a figure of rows; claims are drawn, with all of their rows."""
    rows: dict[str, list[int]] = {}
    for number, claim in enumerate(claims):
        rows.setdefault(claim, []).append(number)
    groups, rng = list(rows.values()), np.random.default_rng(0)
    drawn = [
        statistic([number for place in rng.integers(0, len(groups), len(groups)) for number in groups[place]])
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("retrieval", "stance"))
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds a folder for each set")
    parser.add_argument("--tuned", type=Path, default=Path("tuned"), help="the folder of the trained adapters")
    args = parser.parse_args()
    numbers = {"retrieval": retrieval, "stance": stance}[args.which](args.data, args.tuned)
    path = RESULTS / "rarg_evidence.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    kept[args.which] = {
        "command": f"python eval/bench/rarg_evidence.py {args.which} --data DIR --tuned DIR",
        "part": "test",
        "packages": versions(),
        "cards": _cards(args.which, args.tuned),
        "numbers": numbers,
    }
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path.name)


def _cards(which: str, tuned: Path) -> dict[str, Any]:
    """Return what the cards of the adapters say of their training."""
    names = ["stance"] if which == "stance" else [f"encoder_{encoder}" for encoder in TRAINED_ON]
    cards = {name: json.loads((tuned / name / "adapter" / "ragkit_card.json").read_text("utf-8")) for name in names}
    return {name: {key: card[key] for key in ("base", "data", "training", "versions")} for name, card in cards.items()}


if __name__ == "__main__":
    main()
