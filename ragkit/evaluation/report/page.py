"""One HTML file: template, style, script and data in one, allowed to run and to load nothing else."""

import base64
import hashlib
import html
import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

_FOLDER = files("ragkit.evaluation.report") / "page"
# One script: the files in this order, joined. They share their names as parts of one module.
_SCRIPTS = {
    "report": (
        "blocks.js", "dom.js", "format.js", "sections.js", "figures.js", "plots.js", "filters.js", "list.js",
        "prompt.js", "stories.js", "story.js", "reader.js", "theme.js", "keys.js", "report.js",
    ),
    "comparison": ("blocks.js", "dom.js", "format.js", "sections.js", "plots.js", "theme.js", "comparison.js"),
}  # fmt: skip


def write_page(path: Path, title: str, kind: str, data: Iterable[tuple[str, str]]) -> None:
    """Write a page; a reader, or a kill, sees the old file or the new one.

    Args:
        path: the file to write.
        title: shown by the browser; everything else comes from the data.
        kind: `report` or `comparison`, which has its own template and scripts.
        data: names and contents of the blocks; a content is base64.
    """
    style = _text("style.css")
    script = "\n".join(_text(name) for name in _SCRIPTS[kind])
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    before, _, after = _text(f"{kind}.html").partition("<!-- data -->")
    for mark, content in (
        ("<!-- policy -->", policy),
        ("/* style */", style),
        ("<!-- title -->", html.escape(title)),  # last: what it says is no mark
    ):
        before = before.replace(mark, content)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(before)
        for name, content in data:
            file.write(f'<script type="text/plain" id="{name}">{content}</script>\n')
        file.write(after.replace("/* script */", script))
    temporary.replace(path)


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8").strip()


def _hash(content: str) -> str:
    """Return a source expression of the content security policy that allows this one script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
