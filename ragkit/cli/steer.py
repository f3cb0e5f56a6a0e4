"""`ragkit steer`: how far bad context bends a pipeline, how attacks do, and classifiers that say what to trust."""

import functools
import inspect
import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from ragkit.cli.console import ProgressBars, errors, output
from ragkit.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from ragkit.evaluation.steering.mixture import MixtureSettings
    from ragkit.evaluation.steering.testbed import Sample

app = typer.Typer(no_args_is_help=True, help="How far bad context bends a pipeline, and what steers against it.")

_PIPELINES = typer.Argument(metavar="FILE...", help="YAML files of pipelines; the first one is the baseline.")
_SET = typer.Option([], "--set", metavar="PATH=VALUE", help="Change a setting of the pipelines.")
_BAD = typer.Option(None, metavar="N,N,...", help="Numbers of bad fragments; all of them by default.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options that all commands share: which questions, and how their contexts are mixed."""

    pool: Annotated[
        Path, typer.Option(help="Folder of fragments (corpus*.jsonl*) and of questions with good and bad ones.")
    ] = Path("corpora/steering")
    questions: Annotated[
        str | None, typer.Option(help="File of its questions; by default queries.dev.jsonl.gz or questions.jsonl.")
    ] = None
    types: Annotated[list[str] | None, typer.Option("--type", help="Only questions of this type.")] = None
    part: Annotated[
        str | None, typer.Option(help="Only questions of this part of the split: train, validation or test.")
    ] = None
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None
    mix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="How contexts are mixed: fragments=10, order=shuffled, controls.direct=true."
        ),
    ] = None

    def samples(self, *, with_bad: bool = True) -> tuple[list["Sample"], list["Sample"]]:
        """Return the samples that were asked for, and all of the pool, for fragments of other questions."""
        from ragkit.evaluation.question_sets import QuestionSet
        from ragkit.evaluation.split import part_of
        from ragkit.evaluation.steering.testbed import read_pool

        pool, part = self.pool, self.part
        if part not in (None, "train", "validation", "test"):
            raise InputError(f"--part is train, validation or test, not {part}")
        usual = "queries.dev.jsonl.gz" if (pool / "queries.dev.jsonl.gz").is_file() else "questions.jsonl"
        own = QuestionSet(folder=str(pool), documents=("corpus*.jsonl*",), questions=self.questions or usual)
        read = read_pool(pool.name, own, None, needs_bad=with_bad)
        for reason, count in read.left_out.items():
            errors.print(f"left out: {count:,} questions {reason}", markup=False)
        everything = [sample for sample in read.samples if not self.types or sample.type in self.types]
        chosen = [sample for sample in everything if part is None or part_of(sample.id) == part][: self.limit]
        if not chosen:
            known = ", ".join(sorted({sample.type for sample in read.samples}))
            raise InputError(f"no question of {pool} is of this type and part (types: {known})")
        return chosen, everything

    def mixture(self) -> "MixtureSettings":
        """Return how contexts are mixed."""
        import yaml
        from pydantic import ValidationError

        from ragkit.evaluation.steering.mixture import MixtureSettings

        values: dict[str, Any] = {}
        for pair in self.mix or ():
            name, equals, text = pair.partition("=")
            if not equals:
                raise InputError(f"--mix {pair}: write it as KEY=VALUE, for example order=shuffled")
            *path, last = name.split(".")
            place = values
            for key in path:
                place = place.setdefault(key, {})
            place[last] = yaml.safe_load(text)
        try:
            return MixtureSettings.model_validate(values)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise InputError(f"--mix: {problems}") from None


def _asking(command: Callable[..., int]) -> Callable[..., int]:
    """Return a command with the options of `_Asked` in place of its parameter `asked`."""
    own, shared = inspect.signature(command).parameters, inspect.signature(_Asked).parameters

    @functools.wraps(command)
    def run(**values: Any) -> int:
        asked = _Asked(**{name: values.pop(name) for name in shared})
        return command(asked=asked, **values)

    options = [option for name, option in own.items() if name != "asked"]
    together = [option.replace(kind=option.KEYWORD_ONLY) for option in (*options, *shared.values())]
    run.__signature__ = inspect.Signature(together)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in together}
    return run


@app.command()
@_asking
def curve(
    asked: _Asked,
    pipelines: list[Path] = _PIPELINES,
    overrides: list[str] = _SET,
    bad: str | None = _BAD,
    likelihood: bool = typer.Option(True, help="Measure the association strength, which needs no answers."),
    answers: bool = typer.Option(True, help="Have the pipelines answer, and score the answers."),
    oracle: bool = typer.Option(False, "--oracle", help="Hand on the good fragments only, by their labels."),
    judge: str | None = typer.Option(None, metavar="MODEL", help="A model of the pipelines that grades answers."),
    minus_one: bool = typer.Option(False, "--from-zero", help="Grades 1 to 5 become 0 to 100, not 20 to 100."),
    out: Path = typer.Option(Path("runs/steer-curve"), help="Folder of curve.json, .md, .html and .png."),
) -> int:
    """Draw how answers change with the share of bad fragments, and fit the Rescorla-Wagner model."""
    from ragkit.evaluation.steering.curve import CurveSettings, measure_curve
    from ragkit.evaluation.steering.curve_report import to_markdown, to_page
    from ragkit.evaluation.steering.picture import draw
    from ragkit.pipeline import Pipeline

    samples, others = asked.samples()
    mixture = asked.mixture()
    levels = _levels(bad, mixture.fragments, oracle)
    settings = CurveSettings(
        mixture, levels, likelihood, answers, oracle, judge, "minus1_times25" if minus_one else "times20"
    )
    curves = []
    for file in pipelines:
        errors.print(f"== {file}", style="bold", markup=False)
        with Pipeline.load(file, overrides) as pipeline, ProgressBars() as bars:
            curves.append(measure_curve(pipeline, samples, settings, others=others, on_progress=bars))
    try:
        picture = draw(curves)
    except MissingPackageError as missing:
        errors.print(f"no picture: {missing}", style="yellow", markup=False)
        picture = None
    command = _command()
    content = {"command": command, "pool": asked.pool.name, "curves": [one.to_json() for one in curves]}
    _write(out / "curve.json", json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _write(out / "curve.md", to_markdown(curves, command))
    _write(out / "curve.html", to_page(curves, command, picture))
    if picture is not None:
        (out / "curve.png").write_bytes(picture)
    for one in curves:
        table = Table(title=f"{one.pipeline}, {one.questions} questions", title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("bad")
        for name in one.scores:
            table.add_column(name, justify="right")
        for points in zip(*(score.points for score in one.scores.values()), strict=True):
            table.add_row(str(points[0].bad), *(f"{point.mean:.3f}" for point in points))
        output.print(table)
        for note in one.notes:
            output.print(f"- {note}", markup=False)
    output.print(f"curves: {out / 'curve.md'}, with .json, .html{' and .png' if picture else ''}", markup=False)
    return 1 if any(one.failures for one in curves) else 0


@app.command()
@_asking
def attack(
    asked: _Asked,
    pipelines: list[Path] = _PIPELINES,
    overrides: list[str] = _SET,
    bad: int = typer.Option(1, min=1, help="Adversarial fragments of each context."),
    injections: Path | None = typer.Option(
        None, help="JSONL of instructions (`attack`) that are injected into good fragments, which become the bad ones."
    ),
    out: Path = typer.Option(Path("runs/steer-attack"), help="Folder of attack.json and attack.md."),
) -> int:
    """Measure how often attacks succeed on pipelines, with and without stages that steer."""
    from ragkit.evaluation.steering.attack import measure_attacks, to_markdown, with_injections
    from ragkit.pipeline import Pipeline

    samples, _ = asked.samples(with_bad=injections is None)
    if injections is not None:
        samples = with_injections(samples, _attacks(injections))
    loaded = [Pipeline.load(file, overrides) for file in pipelines]
    try:
        with ProgressBars() as bars:
            found = measure_attacks(loaded, samples, asked.mixture(), bad, on_progress=bars)
    finally:
        for pipeline in loaded:
            pipeline.close()
    command = _command()
    content = {"command": command, "pool": asked.pool.name, "attacks": [one.to_json() for one in found]}
    _write(out / "attack.json", json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    text = to_markdown(found, command)
    _write(out / "attack.md", text)
    output.print(text, markup=False)
    return 1 if any(one.failures for one in found) else 0


@app.command()
@_asking
def judge(
    asked: _Asked,
    pipelines: list[Path] = _PIPELINES,
    overrides: list[str] = _SET,
    bad: str | None = _BAD,
    out: Path = typer.Option(Path("runs/steer-judge"), help="Folder of judge.json."),
) -> int:
    """Measure how well the judgements of pipelines with steer.* stages find the bad fragments."""
    from ragkit.evaluation.steering.judgement import measure_judgements
    from ragkit.pipeline import Pipeline

    samples, others = asked.samples()
    mixture = asked.mixture()
    levels = _levels(bad, mixture.fragments, oracle=False)
    found = []
    for file in pipelines:
        with Pipeline.load(file, overrides) as pipeline, ProgressBars() as bars:
            one = measure_judgements(pipeline, samples, mixture, levels, others=others, on_progress=bars)
        found.append(one)
        table = Table(title=f"{one.pipeline}, {one.questions} questions", title_justify="left", box=box.SIMPLE_HEAD)
        for name in ("bad", "precision", "recall", "false alarms", "exact"):
            table.add_column(name, justify="right")
        for level in one.levels:
            cells = (level.precision, level.recall, level.false_alarms, level.exact)
            table.add_row(str(level.bad), *("" if cell is None else f"{cell:.3f}" for cell in cells))
        output.print(table)
        ends = "" if one.low is None else f" ({one.low:.3f} to {one.high:.3f})"
        f1 = "not defined" if one.f1 is None else f"{one.f1:.3f}{ends}"
        output.print(
            f"F1 {f1}; out of range {one.out_of_range:.1%}, repaired {one.incomplete:.1%}, failed {one.failures}",
            markup=False,
        )
    content = {"command": _command(), "pool": asked.pool.name, "judgements": [one.to_json() for one in found]}
    _write(out / "judge.json", json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return 1 if any(one.failures for one in found) else 0


@app.command()
@_asking
def trust(
    asked: _Asked,
    pipeline: Path = typer.Option(Path("pipelines/rw_steering_filter.yaml"), help="Pipeline with the encoder."),
    overrides: list[str] = _SET,
    out: Path = typer.Option(Path("tuned/trust.json"), help="File of the classifier."),
) -> int:
    """Fit the classifier of steer.filter, and measure it beside the length and the question's words alone."""
    from ragkit.models.base import Encoder
    from ragkit.pipeline import Pipeline
    from ragkit.tuning.trust import fit_trust

    samples, _ = asked.samples()
    with Pipeline.load(pipeline, overrides) as loaded, ProgressBars() as bars:
        encoders = [model for model in loaded.models.values() if isinstance(model, Encoder)]
        if len(encoders) != 1:
            raise InputError(f"{pipeline}: has {len(encoders)} encoders; name a pipeline with one")
        result = fit_trust(samples, encoders[0], asked.mixture(), on_progress=bars)
    out.parent.mkdir(parents=True, exist_ok=True)
    result.classifier.save(out)
    table = Table(
        title=f"bad fragments of {result.questions[1]} test questions, {result.questions[0]} for training",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name in ("judge", "precision", "recall", "F1", "95 %"):
        table.add_column(name, justify="left" if name == "judge" else "right")
    for one in result.judges:
        ends = "" if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
        table.add_row(one.judge, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}", ends)
    output.print(table)
    content = {"command": _command(), "pool": asked.pool.name, **result.to_json()}
    measured = out.with_suffix(".measured.json")
    _write(measured, json.dumps(content, indent=1, allow_nan=False) + "\n")
    output.print(f"classifier: {out}; figures: {measured}", markup=False)
    return 0


def _levels(bad: str | None, fragments: int, oracle: bool) -> tuple[int, ...]:
    if bad is None:
        # With the labels known, nothing is left of a context of bad fragments only.
        return tuple(range(fragments + (not oracle)))
    try:
        return tuple(sorted({int(number) for number in bad.split(",")}))
    except ValueError:
        raise InputError(f"--bad {bad}: write whole numbers with commas, for example 0,1,5,9,10") from None


def _attacks(file: Path) -> list[str]:
    from ragkit.evaluation.questions import numbered_lines, parse_json

    found = []
    for number, line in numbered_lines(file):
        try:
            found.append(str(parse_json(line)["attack"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{file}:{number}: is no object with a text 'attack'") from None
    if not found:
        raise InputError(f"{file}: holds no attacks")
    return found


def _command() -> str:
    return shlex.join(["ragkit", *sys.argv[1:]])


def _write(path: Path, text: str) -> None:
    from ragkit.engine.run_folder import replace_file

    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text)
