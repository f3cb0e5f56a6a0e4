"""JSON in the replies of models that cannot be held to a schema while they write."""

import json
from typing import Any

from ragkit.errors import RagkitError, ReplyError


def check_json(text: str, schema: dict[str, Any]) -> Any:
    """Return the value of a JSON text that follows a schema.

    Raises:
        ReplyError: it is not JSON, or breaks the schema.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ReplyError(f"the reply is not JSON ({error}); it began with {text[:200]!r}", text) from None
    _check_value(value, schema, text)
    return value


def repair_json(text: str, schema: dict[str, Any]) -> str:
    """Return a reply as JSON that follows a schema, with code fences, stray text and broken brackets repaired.

    Raises:
        ReplyError: what could be repaired breaks the schema; the text shows the reply's start.
    """
    from json_repair import repair_json as repair

    try:
        check_json(text, schema)
    except ReplyError:
        value = repair(text, return_objects=True)
        _check_value(value, schema, text)
        return json.dumps(value, ensure_ascii=False)
    return text


def _check_value(value: Any, schema: dict[str, Any], text: str) -> None:
    import jsonschema

    try:
        jsonschema.validate(value, schema)
    except jsonschema.ValidationError as error:
        reason = f"at {error.json_path}: {error.message[:200]}"
        raise ReplyError(f"the reply breaks the schema {reason}; it began with {text[:200]!r}", text) from None
    except jsonschema.SchemaError as error:
        raise RagkitError(f"the schema itself is wrong: {error.message}") from None
