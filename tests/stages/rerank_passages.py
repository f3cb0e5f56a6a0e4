"""Passages, and a model that scores them by what it was told about their texts, whatever their numbers."""

import json
import re

from ragkit import Passage
from ragkit.models import ScriptedModel

NUMBERED = re.compile(r"^Passage (\d+): (\{.*\})$", re.MULTILINE)
TURN_1 = "You see only the query"


def passages(*texts, **metadata):
    """Return passages with ids p1, p2 ... and metadata given as lists."""
    return tuple(
        Passage(
            id=f"p{number}",
            page_content=text,
            score=1 / number,
            metadata={key: values[number - 1] for key, values in metadata.items()},
        )
        for number, text in enumerate(texts, start=1)
    )


def numbered(prompt):
    """Return the number and the text of each passage of a prompt."""
    return [(int(number), json.loads(shown)["text"]) for number, shown in NUMBERED.findall(prompt)]


def scorer(grades, turn_1=None, form="json"):
    """Return a model that knows the grades of texts: relevance, or relevance and criteria by name.

    Texts that are not among `grades` are left out. `turn_1` is its reply to a prompt without passages.
    """

    def reply(prompt):
        if TURN_1 in prompt:
            return turn_1 if isinstance(turn_1, str) else json.dumps(turn_1)
        rows = []
        for number, text in numbered(prompt):
            if text in grades:
                given = grades[text]
                relevance, criteria = given if isinstance(given, tuple) else (given, {})
                rows.append({"number": number, "relevance": relevance} | ({"scores": criteria} if criteria else {}))
        if form == "lines":
            return "\n".join(f"Doc: {row['number']}, Relevance: {row['relevance']}" for row in rows)
        return json.dumps({"passages": rows})

    return ScriptedModel(reply=reply)


def criteria(*names, weight=0.5):
    """Return a reply of turn 1."""
    return {
        "criteria": [
            {"name": name, "definition": f"how {name} it is", "high": "very", "low": "not", "weight": weight}
            for name in names
        ]
    }
