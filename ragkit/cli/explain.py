"""`ragkit explain`: the story of one question of a finished run."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ragkit.cli.console import output

if TYPE_CHECKING:
    from ragkit.evaluation.report.calls import CallStory
    from ragkit.evaluation.report.finished import ToldQuestion
    from ragkit.evaluation.report.story import StepStory

_EXCERPT = 200
_LINES = 40


def explain(
    run: Path = typer.Argument(help="The run's folder."),
    question: str = typer.Argument(help="The question's id."),
    full: bool = typer.Option(False, "--full", help="Show passages and replies in full length."),
) -> int:
    """Tell how a question of a finished run came to its answer."""
    from ragkit.evaluation.report.finished import tell_question

    _Teller(tell_question(run, question), full).tell()
    return 0


class _Teller:
    """Prints a story; everything that comes from a run is printed as text, never as markup."""

    def __init__(self, told: "ToldQuestion", full: bool) -> None:
        self._told = told
        self._full = full
        self._gold = _gold_passages(told)
        self._cited = {citation["passage"] for citation in told.row["citations"]}

    def tell(self) -> None:
        self._verdict()
        story = self._told.story
        if not story.traced:
            output.print("The run kept no trace of this question.", style="yellow")
        for judge, text in self._told.judgements:
            self._heading(f"Judged by {judge}")
            self._line(text)
        self._turns()
        for step in story.steps:
            self._step(step)
        self._ranking()
        self._prompt()
        self._calls()

    def _heading(self, title: str) -> None:
        output.print()
        output.print(Rule(Text(title, style="bold"), align="left", style="dim"))

    def _line(self, text: str, style: str = "", indent: int = 2) -> None:
        output.print(Padding(Text(text, style=style), (0, 0, 0, indent)))

    def _short(self, text: str, length: int = _EXCERPT) -> str:
        line = " ".join(text.split())
        return text if self._full else line if len(line) <= length else line[: length - 1] + "…"

    def _verdict(self) -> None:
        question, row = self._told.question, self._told.row
        output.print(Text(question.question, style="bold"))
        self._line(f"{question.id}{f' · {question.type}' if question.type else ''}", "dim", 0)
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim")
        facts.add_column(overflow="fold")
        facts.add_row("answer", Text(row["answer"] or "none", style="bold"))
        gold = " · ".join(question.answers) or "none given"
        facts.add_row("gold", Text(gold if question.answerable else "none: the question is unanswerable"))
        for number, citation in enumerate(row["citations"], 1):
            page = f", page {citation['page']}" if citation["page"] else ""
            mark = " (gold)" if citation["passage"] in self._gold else ""
            facts.add_row(f"cites [{number}]", Text(f"{citation['source']}{page}: {citation['passage']}{mark}"))
        for identifier in question.supporting_ids:
            facts.add_row("gold evidence", Text(f"{identifier}: {self._fate(identifier)}"))
        if row["error"]:
            error = row["error"]
            facts.add_row("failed", Text(f"{error['stage']}: {error['type']}: {error['message']}", style="red"))
        if row["flags"]:
            facts.add_row("flags", Text(", ".join(row["flags"]), style="yellow"))
        scores = (f"{name} {value:.4g}" for name, value in self._told.scores.items() if value is not None)
        facts.add_row("metrics", Text(" · ".join(scores)))
        output.print(facts)

    def _fate(self, gold: str) -> str:
        holders = [passage for passage, units in self._gold.items() if gold in units]
        if not holders:
            return "not in the final ranking"
        return "in the prompt" if set(holders) & set(self._told.row["context"]) else "found, not in the prompt"

    def _turns(self) -> None:
        for turn in self._told.story.turns:
            self._heading(turn.place)
            for label, text in (("Thought", turn.thought), ("Action", turn.action)):
                if text:
                    self._line(f"{label}: {self._short('; '.join(text.splitlines()), 600)}")
            seen = turn.observation.splitlines()
            if len(seen) == 1:
                self._line(f"Observation: {self._short(seen[0], 600)}")
            elif seen:
                self._line("Observation:")
                for line in seen:
                    self._line(self._short(line, 600), indent=4)
            if turn.note:
                self._line(turn.note, "yellow")

    def _step(self, step: "StepStory") -> None:
        reused = ", reused" if step.seconds and not step.computed else ""
        self._heading(f"{step.stage}  ({step.seconds:.3f} s{reused})")
        if step.error:
            self._line(step.error, "red")
        for query in step.queries or ():
            self._line(f"query: {query}")
        for name, text in step.wrote:
            first, *others = text.splitlines()[:_LINES] or [""]
            self._line(f"{name}: {self._short(first)}")
            for line in others:
                self._line(self._short(line), indent=4)
        for call in step.calls:
            if call.op in {"generate", "choose"}:
                self._line(f"replied: {self._short(call.reply.strip()) or 'nothing'}")
        asked = list(dict.fromkeys(query for found in step.found for _, query, *_ in found.hits))
        for number, query in enumerate(asked, 1):
            self._line(f"query {number}: {query}", "dim")
        for rank, found in enumerate(step.found, 1):
            hits = ", ".join(_hit(hit, asked) for hit in found.hits)
            self._line(f"{rank:>3}  {_score(found.score)}{found.id}{self._marks(found.id)}  {hits}".rstrip())
        for lost in step.dropped:
            self._line(f"  -  {_score(lost.score)}{lost.id}{self._marks(lost.id)}  dropped: {lost.why}", "yellow")

    def _marks(self, passage: str) -> str:
        marks = [word for word, holds in (("gold", passage in self._gold), ("cited", passage in self._cited)) if holds]
        return f" [{', '.join(marks)}]" if marks else ""

    def _ranking(self) -> None:
        documents = self._told.row["documents"]
        if not documents:
            return
        self._heading("Passages, best first")
        used = set(self._told.row["context"])
        for rank, passage in enumerate(documents, 1):
            left_out = "" if passage["id"] in used else "  not in the prompt"
            self._line(
                f"{rank:>3}  {passage['id']}{self._marks(passage['id'])}{left_out}", "bold" if not left_out else ""
            )
            self._line(self._short(passage["text"]), "dim", 7)

    def _prompt(self) -> None:
        from ragkit.evaluation.report.prompts import joined

        story = self._told.story
        if not story.prompt:
            return
        self._heading(f"Final prompt, sent by {story.prompt_stage}")
        for role, pieces in story.prompt:
            if role:
                self._line(role, "cyan")
            self._line(joined(pieces, self._told.texts))

    def _calls(self) -> None:
        calls = [(step.stage, call) for step in self._told.story.steps for call in step.calls]
        if not calls:
            return
        self._heading("Calls")
        output.print(_calls_table(calls))


def _calls_table(calls: Iterable[tuple[str, "CallStory"]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name, justify in (("stage", "left"), ("call", "left"), ("tokens", "right"), ("seconds", "right"), ("", "left")):
        table.add_column(name, justify=justify, style="dim" if not name else "")  # type: ignore[arg-type]
    source = {"run": "computed", "cache": "from the cache", "joined": "shared with an equal call"}
    for stage, call in calls:
        times = f" × {call.count}" if call.count > 1 else ""
        table.add_row(
            Text(stage),
            Text(f"{call.resource} {call.op}{times}"),
            f"{call.tokens[0]:,} + {call.tokens[1]:,}" if sum(call.tokens) else "",
            f"{call.seconds:.3f}",
            source[call.source],
        )
    return table


def _hit(hit: Sequence[Any], asked: Sequence[str]) -> str:
    """Return how a passage was found; for which query, where there are several."""
    by, query, rank, score = hit
    of = f" of query {asked.index(query) + 1}" if len(asked) > 1 else ""
    return f"{by} #{rank} ({_number(score)}){of}"


def _score(score: Any) -> str:
    return "" if score is None else f"{_number(score)}  "


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def _gold_passages(told: "ToldQuestion") -> dict[str, list[str]]:
    from ragkit.evaluation.metrics.ranking import matched

    found = ((passage["id"], matched(passage, told.question.supporting_ids)) for passage in told.row["documents"])
    return {identifier: units for identifier, units in found if units}
