"""Rewards of form: a pattern, a JSON schema, few words. None says that an answer is right: gate or multiply by them."""

import json
import re
from typing import Any

import jsonschema
from pydantic import Field, field_validator
from typing_extensions import override

from ragkit.engine.registry import rewards
from ragkit.models.rewards import Reward, Rollout


@rewards.register("regex")
class PatternReward(Reward):
    """1 if the whole completion, without white space around it, matches a regular expression."""

    pattern: str = Field(description="regular expression (Python's; `.` does not stand for line breaks)")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @override
    async def score(self, rollout: Rollout) -> float:
        return float(re.fullmatch(self.pattern, rollout.completion.strip()) is not None)


@rewards.register("json_schema")
class SchemaReward(Reward):
    """1 if the completion is a JSON value that follows a JSON Schema."""

    wanted: dict[str, Any] = Field(alias="schema", description="JSON Schema")

    @field_validator("wanted")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        try:
            jsonschema.validators.validator_for(schema).check_schema(schema)
        except jsonschema.SchemaError as error:
            raise ValueError(f"not a JSON Schema: {error.message}") from None
        return schema

    @override
    async def score(self, rollout: Rollout) -> float:
        try:
            value = json.loads(rollout.completion)
        except (ValueError, RecursionError):
            return 0.0
        return float(jsonschema.validators.validator_for(self.wanted)(self.wanted).is_valid(value))


@rewards.register("brevity")
class BrevityReward(Reward):
    """1 up to a number of words, falling to 0 at twice that number; an empty completion scores 0."""

    words: int = Field(12, ge=1, description="words that cost nothing")

    @override
    async def score(self, rollout: Rollout) -> float:
        words = len(rollout.completion.split())
        return min(1.0, max(0.0, 2.0 - words / self.words)) if words else 0.0
