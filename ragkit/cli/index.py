"""`ragkit index`: build an index, look into it, search it, and plan for a larger one."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ragkit.cli.console import ProgressBars, errors, output, shorten, size_of
from ragkit.cli.where import WHERE_HELP, parse_where
from ragkit.documents.document import counted
from ragkit.errors import InputError

if TYPE_CHECKING:
    from ragkit.index import LocalIndex
    from ragkit.index.base import Index
    from ragkit.index.filters import Filter

app = typer.Typer(help="Build an index, look into it, search it, and plan for a larger one.", no_args_is_help=True)

_PIPELINE = typer.Argument(help="The pipeline's YAML file.")
_SET = typer.Option([], "--set", metavar="PATH=VALUE", help="Change a setting of the pipeline.")


@app.command()
def build(
    pipeline: Path = _PIPELINE,
    reload: bool = typer.Option(False, "--reload", help="Ask the loaders for their documents again."),
    overrides: list[str] = _SET,
) -> int:
    """Build the index, or continue the one that is there; nothing to do if it is up to date."""
    index = _local(pipeline, overrides)
    begun = time.monotonic()
    try:
        with ProgressBars() as bars:
            index.prepare(bars, reload=reload)
    except KeyboardInterrupt:
        errors.print("stopped; the same command goes on where it was", markup=False)
        raise
    report = index.report
    assert report is not None  # noqa: S101 - set by prepare()
    state = "up to date" if not report.built else "updated" if report.continued else "built"
    size = size_of(sum(path.stat().st_size for path in report.folder.rglob("*") if path.is_file()))
    took = f" ({_duration(time.monotonic() - begun)})" if report.built else ""
    found = f"{counted(report.passages, 'passage')}, {size}, in {report.folder}"
    output.print(f"{state}: {found}{took}", markup=False, soft_wrap=True)
    return 0


@app.command()
def info(pipeline: Path = _PIPELINE, overrides: list[str] = _SET) -> int:
    """Show what the index holds, how it was made, and whether these settings can use it."""
    from ragkit.index.build_report import INGEST, report_of
    from ragkit.index.folder import PASSAGES
    from ragkit.index.manifest import Manifest, differences
    from ragkit.index.plan import MANIFEST

    index = _local(pipeline, overrides)
    report = report_of(index.folder)
    manifest = Manifest.load(report.folder / MANIFEST)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    holes = f", {report.holes:,} deleted still in the files" if report.holes else ""
    table.add_row("folder", str(report.folder))
    table.add_row("passages", f"{manifest.passages:,}{holes}; {size_of((report.folder / PASSAGES).stat().st_size)}")
    table.add_row("files", f"{len(manifest.files):,}")
    table.add_row("corpus", manifest.corpus)
    table.add_row("ragkit", f"{manifest.ragkit}, format {manifest.settings['format']}")
    for name, settings in manifest.settings.items():
        if name in manifest.parts:
            size = size_of(sum(path.stat().st_size for path in (report.folder / name).rglob("*") if path.is_file()))
            table.add_row(name, f"{size}; {_words(settings | manifest.parts[name])}")
        elif isinstance(settings, dict):
            table.add_row(name, _words(settings))
    found = differences(manifest.settings, index.record())
    if not found:
        index.ensure_open()
        for name, used in index.devices.items():
            table.add_row(f"{name} is searched on", used)
    output.print(table)
    output.print(str(report.ingest), markup=False, soft_wrap=True)
    if report.ingest.skipped:
        output.print(f"(all of it: {report.folder / INGEST})", style="dim", markup=False, soft_wrap=True)
    for difference in found:
        output.print(f"other settings: {difference}", style="yellow", markup=False, soft_wrap=True)
    return 0


@app.command()
def search(
    pipeline: Path = _PIPELINE,
    query: str = typer.Argument(help="The query."),
    part: str | None = typer.Option(None, help="A part of the index, or hybrid; by default all parts fused."),
    k: int = typer.Option(10, "--k", "-k", min=1, help="Passages to show."),
    where: list[str] = typer.Option([], "--where", metavar="TEST", help=WHERE_HELP),
    overrides: list[str] = _SET,
) -> int:
    """Show the passages that are found for a query, after bringing the index up to date."""
    condition = parse_where(where)
    index = _index(pipeline, overrides)
    with ProgressBars() as bars:
        index.prepare(bars)
    if part is None:
        part = index.parts[0] if len(index.parts) == 1 else "hybrid"
    found = asyncio.run(index.search_by(part, query, k, condition))
    for rank, passage in enumerate(found, 1):
        hits = ", ".join(f"{hit.stage} #{hit.rank}" for hit in passage.hits)
        output.print(f"{rank:>3}  {passage.score:.4f}  {passage.place}  [{passage.id}]  ({hits})", markup=False)
        text = Text(shorten(passage.page_content, 300), style="dim")
        output.print(Padding(text, (0, 0, 0, 5), expand=False))
    if not found:
        reason = "" if condition is None or _lets_through(index, condition) else ": the filter lets no passage through"
        output.print(f"nothing found{reason}", style="yellow", markup=False)
    return 0


@app.command()
def plan(
    pipeline: Path = _PIPELINE,
    passages: int | None = typer.Option(None, min=1, help="For so many passages; by default those of the index."),
    dimension: int | None = typer.Option(None, min=1, help="Of the vectors; by default that of the index."),
    overrides: list[str] = _SET,
) -> int:
    """Show what the vectors cost as Flat, float16, IVF, HNSW and PQ, what fits this machine, and what is found."""
    from ragkit.cli.index_plan import show_plan

    show_plan(_local(pipeline, overrides), passages, dimension)
    return 0


def _index(pipeline: Path, overrides: list[str]) -> "Index":
    from ragkit.index.base import Index
    from ragkit.pipeline import Pipeline

    index = Pipeline.load(pipeline, overrides).index
    if not isinstance(index, Index):
        raise InputError(f"{pipeline}: the file has no section 'index'")
    return index


def _local(pipeline: Path, overrides: list[str]) -> "LocalIndex":
    from ragkit.index import LocalIndex

    index = _index(pipeline, overrides)
    if not isinstance(index, LocalIndex):
        raise InputError(f"{pipeline}: the index is a {type(index).__name__}, which ragkit neither builds nor keeps")
    return index


def _lets_through(index: "Index", condition: "Filter") -> bool:
    from ragkit.index import LocalIndex

    return not isinstance(index, LocalIndex) or index.count(condition) > 0


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _words(settings: dict[str, Any]) -> str:
    """Return settings as `key value` pairs in one line."""
    return ", ".join(_pairs(settings))


def _pairs(settings: dict[str, Any]) -> Iterable[str]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield f"{key} ({', '.join(_pairs(value))})" if value else f"{key} none"
        elif isinstance(value, bool):
            yield f"{key} {'yes' if value else 'no'}"
        elif isinstance(value, list):
            yield f"{key} {' + '.join(map(str, value))}"
        elif isinstance(value, str) and ", " in value:
            yield f"{key} ({value})"
        elif value is not None:
            yield f"{key} {value}"
