"""Results of several runs side by side: what `ragkit eval` writes as JSON and Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from ragkit.evaluation.compare import Difference, differences
from ragkit.evaluation.experiment import Experiment
from ragkit.evaluation.funnel import Funnel
from ragkit.evaluation.statistics import CONFIDENCE
from ragkit.evaluation.summary import Estimate
from ragkit.evaluation.traces import Calls


@dataclass(frozen=True, slots=True)
class OracleNote:
    """What was replaced by gold: the steps, gold ids that the index lacks, questions whose steps worked as always."""

    steps: list[str]
    missing: int
    untouched: int


@dataclass(frozen=True, slots=True)
class Row:
    """One run in a table.

    Attributes:
        group: what belongs together, such as the question set; empty if there is one only.
        name: what the run is called.
        base: the name of the run of the same group that `differences` are to; None for a baseline.
        questions: how many there were; `failures` of them failed and count as wrong.
        quality: the metrics that judge quality.
        calls: to models and indexes, by where their answers came from.
    """

    group: str
    name: str
    base: str | None
    questions: int
    failures: int
    quality: list[str]
    metrics: dict[str, Estimate]
    differences: dict[str, Difference]
    calls: Calls
    funnel: Funnel
    oracle: OracleNote | None


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of an evaluation, and what a reader must know about them."""

    title: str
    rows: list[Row]
    notes: list[str]

    def to_json(self) -> str:
        """Return the table as JSON."""
        return (
            json.dumps({"confidence": CONFIDENCE, **asdict(self)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        )

    def to_markdown(self) -> str:
        """Return a Markdown table for each group."""
        parts = [f"# {self.title}\n"]
        for group, rows in by_group(self.rows).items():
            names = metric_names(rows)
            cells = [["run", "questions", "failed", *names, "calls made", "known"]]
            cells.append(["---", *["---:"] * (len(cells[0]) - 1)])
            cells += [
                [
                    row.name,
                    str(row.questions),
                    str(row.failures),
                    *(_markdown_cell(row, name) for name in names),
                    f"{row.calls.made:,}",
                    f"{row.calls.known:,}",
                ]
                for row in rows
            ]
            lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells]
            parts.append("\n".join([*([f"## {group}\n"] if group else []), *lines, ""]))
            funnels = [f"- {row.name}: {show_funnel(row.funnel)}" for row in rows if row.oracle is None]
            parts.append("\n".join(["Gold evidence that is left after each stage:\n", *funnels, ""]))
        parts += ["\n".join(f"- {note}" for note in self.notes) + "\n"] if self.notes else []
        return "\n".join(parts)


def by_group(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows by their group, in order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return groups


def metric_names(rows: Iterable[Row]) -> list[str]:
    """Return the metrics of rows, each once."""
    return list(dict.fromkeys(name for row in rows for name in row.metrics))


def make_row(experiment: Experiment, name: str, group: str = "") -> Row:
    """Return the row of a finished run, without differences."""
    summary, oracle = experiment.summary, experiment.oracle
    return Row(
        group=group,
        name=name,
        base=None,
        questions=summary.overall.questions,
        failures=summary.overall.failures,
        quality=list(summary.quality),
        metrics=dict(summary.overall.metrics),
        differences={},
        calls=experiment.sources,
        funnel=experiment.funnel,
        oracle=OracleNote(list(oracle.steps), len(oracle.missing), oracle.untouched) if oracle else None,
    )


def with_differences(
    rows: Sequence[Row], scores: Sequence[Mapping[str, Sequence[float | None]]], base: Row
) -> list[Row]:
    """Return the rows with their differences to one of them; Holm's correction goes over all the others."""
    position = next(number for number, row in enumerate(rows) if row is base)
    others = [number for number in range(len(rows)) if number != position]
    found = differences(scores[position], [scores[number] for number in others])
    changed = {
        number: replace(rows[number], base=base.name, differences=own)
        for number, own in zip(others, found, strict=True)
    }
    return [changed.get(number, row) for number, row in enumerate(rows)]


def show_funnel(funnel: Funnel) -> str:
    """Return a funnel as a sentence: the pieces of gold evidence after each stage and the main reason of a loss."""
    if not funnel.questions:
        return "no question has gold evidence"
    steps = []
    for stage in funnel.stages:
        if stage.kind == "answered":
            continue
        lost = f" ({stage.losses[0].units} {stage.losses[0].reason})" if stage.losses else ""
        steps.append(f"{stage.stage} {stage.units}{lost}")
    right = [
        f"{own.right} of {own.questions} with {share}" for share, own in funnel.by_evidence.items() if own.questions
    ]
    answered = f"; right by {funnel.metric}: {', '.join(right)} of it in the prompt" if right else ""
    return f"of {funnel.units} pieces for {funnel.questions} questions, {', '.join(steps)}{answered}"


def show_value(value: float | None, quality: bool, *, signed: bool = False) -> str:
    """Return a mean as it is shown: three decimals below 1, fewer for larger costs, one digit of what is tiny."""
    if value is None:
        return "-"
    sign, size = "+" if signed else "", abs(value)
    if quality or size < 1:
        return f"{value:{sign}.1g}" if 0 < size < 0.0005 else f"{value:{sign}.3f}"
    return f"{value:{sign},.2f}" if size < 10 else f"{value:{sign},.1f}"


def show_interval(low: float | None, high: float | None, quality: bool) -> str:
    """Return an interval as it is shown."""
    return "-" if low is None else f"{show_value(low, quality)} to {show_value(high, quality)}"


def show_p(p: float | None) -> str:
    """Return a p-value as it is shown."""
    return "-" if p is None else "< .001" if p < 0.001 else f"{p:.3f}"


def _markdown_cell(row: Row, name: str) -> str:
    """Return value and interval, and for quality the difference to the baseline below."""
    estimate, change, quality = row.metrics.get(name), row.differences.get(name), name in row.quality
    if estimate is None or estimate.value is None:
        return "-"
    cell = f"{show_value(estimate.value, quality)} ({show_interval(estimate.low, estimate.high, quality)})"
    if not quality or change is None or change.paired.difference is None:
        return cell
    paired = change.paired
    difference = show_value(paired.difference, quality, signed=True)
    return f"{cell}<br>{difference} ({show_interval(paired.low, paired.high, quality)}), p {show_p(change.p_holm)}"
