"""A table as Markdown."""

from collections.abc import Callable, Sequence


def as_markdown(rows: Sequence[Sequence[str]], header: int, clean: Callable[[str], str]) -> str:
    """Return a table as Markdown, with its head rows joined into one.

    Args:
        rows: equally long.
        header: how many of them are head rows; with none the head of the Markdown table is empty.
        clean: makes one line of a cell's lines.
    """
    head = [
        clean("\n".join(dict.fromkeys(row[column] for row in rows[:header] if row[column])))
        for column in _columns(rows)
    ]
    lines = [_row(head), "|" + "---|" * len(rows[0])]
    lines += [_row([clean(cell) for cell in row]) for row in rows[header:]]
    return "\n".join(lines)


def _columns(rows: Sequence[Sequence[str]]) -> range:
    return range(len(rows[0]))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
