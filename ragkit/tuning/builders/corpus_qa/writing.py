"""Facets of a section, and questions about it: what a language model writes."""

from collections.abc import Mapping, Sequence
from typing import Any

from ragkit.models.base import LanguageModel, Prompt
from ragkit.models.json_replies import check_json
from ragkit.prompts import quoted, render
from ragkit.tuning.builders.corpus_qa.sections import Section

_FACET = ".{0,40}"
# The one question mark, at the end, keeps a small model from writing on for ever.
_QUESTION = "[^?]{12,240}\\?"
_FACET_TOKENS = 32
_QUESTION_TOKENS = 96

FACET_VALUES = ("heading", "text", "facet", "values")
QUESTION_VALUES = ("heading", "text", "facets")


async def tag(
    model: LanguageModel, prompt: str, section: Section, facets: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Return the value of each facet of a section; a facet without values gets one of the model's own, or none.

    Raises:
        RagkitError: a reply broke its schema.
    """
    found = {}
    for facet, values in facets.items():
        asked = render(prompt, **_material(section), facet=facet, values=list(values))
        if values:
            spelt = {f" {value}" if isinstance(asked, str) else value: value for value in values}
            found[facet] = spelt[(await model.choose(asked, list(spelt))).label]
        elif value := await _written(model, asked, facet, _FACET, _FACET_TOKENS):
            found[facet] = value
    return found


async def ask_about(
    model: LanguageModel,
    prompt: str,
    section: Section,
    facets: Mapping[str, str],
    *,
    temperature: float,
    seed: int,
    draw: int,
) -> str:
    """Return a question about a section.

    Raises:
        RagkitError: the reply broke its schema.
    """
    named = {facet: quoted(value) for facet, value in facets.items()}
    asked = render(prompt, **_material(section), facets=named)
    sampling = {"temperature": temperature, "seed": seed, "draw": draw}
    return await _written(model, asked, "question", _QUESTION, _QUESTION_TOKENS, **sampling)


def _material(section: Section) -> dict[str, str]:
    """Return a section as JSON strings: it may hold anything, and must not be able to end what it stands in."""
    return {"heading": quoted(section.heading), "text": quoted(" ".join(section.text.split()))}


async def _written(model: LanguageModel, prompt: Prompt, key: str, pattern: str, tokens: int, **sampling: Any) -> str:
    """Return the text that a model writes as the value of a JSON object with one key."""
    value = {"type": "string", "pattern": f"^{pattern}$"}
    schema = {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}
    reply = check_json((await model.generate(prompt, max_new_tokens=tokens, schema=schema, **sampling)).text, schema)
    return " ".join(str(reply[key]).split())
