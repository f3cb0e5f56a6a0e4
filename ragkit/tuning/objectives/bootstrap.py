"""Demonstrations for an agent's prompt, chosen by how well the pipeline does with them: no weight changes."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, cast

from pydantic import Field
from typing_extensions import override

from ragkit.engine.registry import objectives
from ragkit.engine.run import Asked
from ragkit.errors import InputError
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.prediction import PredictionRow
from ragkit.stages.agents.demos import Demo, dump_demos
from ragkit.tuning.builders.react import drawn, with_agent
from ragkit.tuning.frugal.evidence import agent_of
from ragkit.tuning.job import Objective, Trained, TrainingJob
from ragkit.tuning.rows import DemoRow, Row

DEMOS = "demos.json"


@objectives.register("bootstrap")
class Bootstrap(Objective):
    """Draw sets of demonstrations, run the pipeline with each on validation questions, and keep the best sets.

    The candidates are no demonstrations, the first ones in the order of the rows, and `candidates` sets of a random
    size from the shuffled rows. The result is `demos.json`, the best set, and `demos.2.json` ... for exploring with
    several prompts; `scores.json` has every candidate. The same rows and seed give the same files.

    Source: Khattab et al. 2023 (DSPy), arXiv 2310.03714, `BootstrapFewShotWithRandomSearch`.
    """

    rows: ClassVar[type[Row]] = DemoRow
    weights: ClassVar[bool] = False

    candidates: int = Field(15, ge=1, description="random sets")
    most: int = Field(3, ge=1, description="demonstrations of a set, at most")
    keep: int = Field(4, ge=1, description="sets to keep")
    metric: str = Field("em", min_length=1, description="what sets are compared by")
    limit: int | None = Field(100, ge=1, description="validation questions of each set, drawn by the seed")

    @override
    def serving(self, model: str, key: str, result: Path) -> list[str]:
        return [f"agent.react.demos={json.dumps(str(result))}"]

    @override
    def train(self, job: TrainingJob) -> Trained:
        rows = cast("Sequence[DemoRow]", job.rows)
        if not rows:
            raise InputError("objective bootstrap: no run went well enough to be shown; look at the builder's metric")
        sets = candidate_sets(rows, self.candidates, self.most, job.training.seed)
        scores = self._scores(sets, job)
        order = sorted(range(len(sets)), key=lambda number: -scores[number])
        kept = [sets[number] for number in order if sets[number]][: self.keep]
        target = job.result.with_name(f".{job.result.name}.new")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for place, demos in enumerate(kept, 1):
            name = DEMOS if place == 1 else f"demos.{place}.json"
            (target / name).write_text(dump_demos(demos), encoding="utf-8")
        told = [{"score": scores[n], "questions": [demo.question for demo in sets[n]]} for n in order]
        (target / "scores.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        shutil.rmtree(job.result, ignore_errors=True)
        target.replace(job.result)
        return Trained(0, {"candidates": len(sets), "zero_shot": scores[0], "best": scores[order[0]]})

    def _scores(self, sets: Sequence[Sequence[Demo]], job: TrainingJob) -> list[float]:
        """Return the mean of the metric over the validation questions of all sets, for each set of demonstrations."""
        metric = parse_metric(self.metric)
        values: list[list[float]] = [[] for _ in sets]
        for opener in job.sets.values():
            with opener("validation") as opened:
                step, stage = agent_of(opened.pipeline, job.name)
                questions = drawn(opened.questions, self.limit, job.training.seed)
                asked = [Asked(question.id, question.question, question.vars) for question in questions]
                for number, demos in enumerate(sets):
                    file = job.folder / "candidates" / f"{number}.json"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(dump_demos(demos), encoding="utf-8")
                    trial = with_agent(opened.pipeline, step, stage.model_copy(update={"demos": str(file)}))
                    made = [
                        cast("PredictionRow", one.to_row()) for one in trial.predict(asked, on_progress=job.on_progress)
                    ]
                    values[number] += [value for value in metric.compute(questions, made) if value is not None]
                    job.on_progress("candidates", number + 1, len(sets))
        if not values[0]:
            raise InputError(f"objective bootstrap: no validation question has a value of the metric '{self.metric}'")
        return [sum(own) / len(own) for own in values]


def candidate_sets(rows: Sequence[DemoRow], candidates: int, most: int, seed: int) -> list[tuple[Demo, ...]]:
    """Return sets of demonstrations: none, the first ones, and random ones; no question is twice in a set."""
    sets: list[tuple[Demo, ...]] = [(), _demos(rows, most)]
    for number in range(candidates):
        draw = random.Random(f"{seed} {number}")  # noqa: S311 - not for secrets
        shuffled = list(rows)
        draw.shuffle(shuffled)
        sets.append(_demos(shuffled, draw.randint(1, most)))
    return sets


def _demos(rows: Sequence[DemoRow], size: int) -> tuple[Demo, ...]:
    chosen: dict[str, Demo] = {}
    for row in rows:
        demo = Demo(question=row.question, trajectory=row.trajectory, completion=row.completion)
        chosen.setdefault(row.question, demo)
    return tuple(chosen.values())[:size]
