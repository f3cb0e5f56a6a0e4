"""What is written about behaviour curves: a table in Markdown, and a page that holds picture and tables."""

import base64
import html
from collections.abc import Iterator, Sequence

from ragkit.evaluation.steering.curve import Curve, ScoreCurve

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ccc}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)

Table = tuple[list[str], list[list[str]]]


def to_markdown(curves: Sequence[Curve], command: str) -> str:
    """Return the tables of curves: every score at every level, then what the curves' shapes and fits say."""
    lines = ["# Behaviour curves", "", f"    {command}", ""]
    for curve in curves:
        lines += [f"## {curve.pipeline}, {curve.questions} questions", ""]
        for heads, rows in (_levels(curve), _figures(curve)):
            lines += [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
            lines += [f"| {' | '.join(row)} |" for row in rows] + [""]
        lines += [*(f"- {note}" for note in _all_notes(curve)), ""]
    return "\n".join(lines)


def to_page(curves: Sequence[Curve], command: str, picture: bytes | None) -> str:
    """Return the same as one HTML page, with the picture inside if there is one."""
    parts = [f"<h1>Behaviour curves</h1><pre>{html.escape(command)}</pre>"]
    if picture is not None:
        encoded = base64.b64encode(picture).decode()
        parts.append(f'<img alt="scores over the share of bad fragments" src="data:image/png;base64,{encoded}">')
    for curve in curves:
        parts.append(f"<h2>{html.escape(curve.pipeline)}, {curve.questions} questions</h2>")
        for heads, rows in (_levels(curve), _figures(curve)):
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
            body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
            parts.append(f"<table><tr>{head}</tr>{body}</table>")
        parts.append(f"<ul>{''.join(f'<li>{html.escape(note)}</li>' for note in _all_notes(curve))}</ul>")
    title = html.escape(", ".join(curve.pipeline for curve in curves))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _levels(curve: Curve) -> Table:
    heads = ["bad fragments", "share", *(f"{name} (95 %)" for name in curve.scores)]
    points = [score.points for score in curve.scores.values()]
    rows = [
        [str(level[0].bad), f"{level[0].proportion:.0%}", *(f"{p.mean:.3f} ({p.low:.3f}, {p.high:.3f})" for p in level)]
        for level in zip(*points, strict=True)
    ]
    return heads, rows


def _figures(curve: Curve) -> Table:
    rows = [row for name, score in curve.scores.items() for row in _of_score(name, score)]
    return ["score", "figure", "value", "95 %"], rows


def _of_score(name: str, score: ScoreCurve) -> Iterator[list[str]]:
    shape = score.shape
    figures = (
        ("first_gain", "minority gain G0", shape.first_gain),
        ("last_gain", "last gain G1", shape.last_gain),
        ("amplification", "amplification", shape.amplification),
        ("slope", "slope per 10 points", shape.slope),
        ("spread", "highest less lowest", shape.spread),
    )
    for key, title, value in figures:
        yield [name, title, _shown(value), _interval(score.intervals.get(key))]
    for fit in score.fits:
        for key, value in fit.parameters.items():
            title = {"ceiling": "lambda", "ratio": "r"}.get(key, key)
            shown = _shown(value) if fit.identifiable else f"{_shown(value)} (not identifiable)"
            yield [name, f"{fit.form} form: {title}", shown, _interval(score.intervals.get(f"{fit.form}.{key}"))]
        quality = f"R2 {_shown(fit.r2)}, MAE {fit.mae:.3f}, AICc {_shown(fit.aicc)}"
        yield [name, f"{fit.form} form: fit", quality, "preferred" if fit.form == score.preferred else ""]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"{ends[0]:.3f}, {ends[1]:.3f}"


def _all_notes(curve: Curve) -> list[str]:
    notes = list(curve.notes)
    if curve.failures:
        notes.append(f"{curve.failures} answers failed and have no value")
    return notes + [f"{name}: {count} grades could not be read" for name, count in curve.unread.items() if count]
