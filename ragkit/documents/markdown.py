"""Markdown: its blocks as they are written, with headings and tables recognised."""

import re
from collections.abc import Iterator

from ragkit.documents.document import Block, IngestReport, SourceDocument, SourceFile
from ragkit.documents.text import decode, unpaged

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_CAPTION = re.compile(r"\W*Tab(?:le|\.|elle|leau|la)\W*\d", re.IGNORECASE)
_UNDERLINE = re.compile(r"\s*(=+|-+)\s*$")


def read_markdown(file: SourceFile, report: IngestReport) -> Iterator[SourceDocument]:
    """Read a Markdown file as one document; its first heading of level 1 is its title.

    The text stays as it is written. A line such as `Table 3: ...` right above a table belongs to the table.

    Raises:
        Unreadable: it is no text, or empty.
    """
    blocks = list(_blocks(decode(file.path.read_bytes()).replace("\r\n", "\n")))
    titles = (block for block in blocks if block.kind == "heading" and block.level == 1)
    title = next((_bare(block.text) for block in titles), None)
    yield unpaged(file, blocks, title)


def _blocks(text: str) -> Iterator[Block]:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    front = _FRONT_MATTER.match(text)
    if front is not None:
        yield Block(front[0].strip())
        text = text[front.end() :]
    lines = text.split("\n")
    end = 0
    caption: str | None = None
    for token in parser.parse(text):
        if token.level or token.map is None or token.nesting < 0:
            continue
        between = _text(lines, end, token.map[0])  # definitions of links have no token
        start, end = token.map[0], token.map[1]
        written = _text(lines, start, end)
        if caption is not None and (token.type != "table_open" or between):
            yield Block(caption)
            caption = None
        if between:
            yield Block(between)
        if token.type == "heading_open":
            yield Block(written, kind="heading", level=int(token.tag[1:]))
        elif token.type == "table_open":
            yield Block(written if caption is None else f"{caption}\n{written}", kind="table")
            caption = None
        elif "\n" not in written and _CAPTION.match(written):
            caption = written
        else:
            yield Block(written)
    for rest in (caption, _text(lines, end, len(lines))):
        if rest:
            yield Block(rest)


def _text(lines: list[str], start: int, end: int) -> str:
    return "\n".join(lines[start:end]).strip()


def _bare(heading: str) -> str:
    """Return a heading without its marks."""
    return " ".join(_UNDERLINE.sub("", heading).strip().strip("#").split())
