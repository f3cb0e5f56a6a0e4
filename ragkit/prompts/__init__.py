"""Prompts as files: one Jinja template each, in this folder or at a path that a pipeline names."""

import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import AfterValidator, BaseModel

from ragkit.errors import InputError, RagkitError, did_you_mean
from ragkit.models.base import Message, Prompt

_FOLDER = Path(__file__).parent
_ROLE_LINE = re.compile(r"^<<(system|user|assistant)>>\n", re.MULTILINE)
_LINE_BREAKS = {ord(sign): f"\\u{ord(sign):04x}" for sign in "\x85\u2028\u2029"}  # those that JSON leaves as they are


def prompt_file(name: str) -> Path:
    """Return the file of a prompt: a packaged one by its name, or one of the user's by a path that ends in .jinja.

    Raises:
        InputError: there is no such file.
    """
    path = Path(name) if name.endswith(".jinja") else _FOLDER / f"{name}.jinja"
    if not path.is_file():
        packaged = sorted(file.name.removesuffix(".jinja") for file in _FOLDER.glob("*.jinja"))
        hint = did_you_mean(name, packaged)
        raise InputError(f"no prompt '{name}'{hint} (packaged: {', '.join(packaged)}; or a path to a .jinja file)")
    return path


class _NamesPrompt(AfterValidator):
    """Marks a setting that names a prompt."""


def prompts_of(component: BaseModel) -> list[str]:
    """Return the names of the prompts in a component's settings."""
    marked = (
        name
        for name, field in type(component).model_fields.items()
        if any(isinstance(mark, _NamesPrompt) for mark in field.metadata)
    )
    return [value for name in marked if isinstance(value := getattr(component, name), str)]


def prompt_setting(*variables: str, needs: Iterable[str] = ()) -> AfterValidator:
    """Return the check of a setting that names a prompt, made when a pipeline is loaded.

    The file must be a valid template, use no other values than those that the stage gives, and not leave out what the
    model has to see.
    """

    def check(name: str) -> str:
        try:
            used = prompt_variables(name)
        except InputError as error:
            raise ValueError(str(error)) from None
        unknown = used - set(variables)
        if unknown:
            listed = ", ".join(sorted(unknown))
            raise ValueError(f"prompt '{name}' uses {listed}, but the stage gives only {', '.join(variables)}")
        if missing := [variable for variable in needs if variable not in used]:
            raise ValueError(f"prompt '{name}' does not use {', '.join(missing)}, so the model would not see it")
        return name

    return _NamesPrompt(check)


def prompt_variables(name: str) -> set[str]:
    """Return the names of the values that a prompt uses.

    Raises:
        InputError: no such prompt, or a broken template.
    """
    from jinja2 import meta

    turns = _turns(name, _read(prompt_file(name)))
    return {
        found
        for _, text, template in turns
        for found in meta.find_undeclared_variables(template.environment.parse(text))
    }


def render(name: str, **values: Any) -> Prompt:
    """Return a prompt filled with values.

    A template whose lines `<<system>>`, `<<user>>`, `<<assistant>>` open turns becomes a chat, any other a text. The
    turns are found in the template before values are put in, and values are never read as template source, so nothing
    in a retrieved passage can open a turn or run a template.

    Raises:
        InputError: no such prompt, or a broken template.
        RagkitError: the template uses a value that the stage does not give.
    """
    from jinja2 import TemplateError

    try:
        turns = [(role, str(template.render(values))) for role, _, template in _turns(name, _read(prompt_file(name)))]
    except TemplateError as error:
        raise RagkitError(f"prompt '{name}': {error}") from None
    if turns[0][0] == "text":
        return turns[0][1]
    return [Message(role=role, content=text.strip()) for role, text in turns]


def quoted(value: Any) -> str:
    """Return a text of unknown origin, or a mapping of such, as JSON on one line that nothing in it can end."""
    return json.dumps(value, ensure_ascii=False).translate(_LINE_BREAKS)


def _read(path: Path) -> str:
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not source.strip():
        raise InputError(f"{path}: the prompt is empty")
    return source


@functools.lru_cache(maxsize=256)
def _turns(name: str, source: str) -> list[tuple[Any, str, Any]]:
    """Return role, source and template of each turn; kept by the text, so that an edited file counts at once."""
    from jinja2 import StrictUndefined, TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    pieces = _ROLE_LINE.split(source)
    if len(pieces) > 1 and environment.from_string(pieces[0]).render().strip():
        raise InputError(f"prompt '{name}': text stands before the first turn (<<system>>, <<user>> or <<assistant>>)")
    if len(pieces) == 1:
        parts = [("text", source.removesuffix("\n"))]
    else:
        parts = list(zip(pieces[1::2], pieces[2::2], strict=True))
    try:
        return [(role, text, environment.from_string(text)) for role, text in parts]
    except TemplateSyntaxError as error:
        raise InputError(f"prompt '{name}': line {error.lineno}: {error.message}") from None
