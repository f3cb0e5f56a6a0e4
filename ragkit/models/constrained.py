"""Decoding under a JSON Schema or a grammar: which tokens may come next (llguidance)."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import InputError, RagkitError

# Free white space lets small models pad until the token limit; these separators are what they saw in training.
_JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Constraint:
    """Follows one generation and says which tokens may come next; made by `Constraints`."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def allowed(self, vocabulary: int) -> NDArray[np.bool_]:
        """Return which tokens may come next, shape (vocabulary,).

        Raises:
            RagkitError: the grammar is too complex to go on.
        """
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        self._check()
        mask = np.zeros(vocabulary, dtype=bool)
        mask[: len(bits)] = bits[:vocabulary]
        return mask

    def add(self, token: int) -> None:
        """Take the token that was chosen.

        Raises:
            RagkitError: the token is not allowed here.
        """
        self._matcher.consume_token(token)
        self._check()

    @property
    def exhausted(self) -> bool:
        """Whether the text is complete and nothing but the end can follow."""
        return bool(self._matcher.is_stopped())

    @property
    def satisfied(self) -> bool:
        """Whether the text as it stands follows the schema or grammar."""
        return bool(self._matcher.is_accepting())

    def _check(self) -> None:
        if self._matcher.is_error():
            raise RagkitError(f"constrained decoding failed: {self._matcher.get_error()}")


class Constraints:
    """Compiles schemas and grammars for one tokenizer, each once.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        vocabulary: number of the model's output scores.
        end_ids: tokens that end a generation.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, end_ids: frozenset[int]) -> None:
        from llguidance.hf import from_tokenizer

        if not tokenizer.is_fast:
            raise InputError("schema and grammar need a fast tokenizer (tokenizer.json), which this model lacks")
        self._tokenizer = from_tokenizer(
            tokenizer, n_vocab=max(vocabulary, len(tokenizer)), eos_token=sorted(end_ids) or None
        )
        self._compiled: dict[str, Any] = {}

    def start(self, schema: dict[str, Any] | None, grammar: str | None) -> Constraint | None:
        """Return the constraint of a new generation, None without schema and grammar.

        Raises:
            InputError: both are given, or one cannot be compiled; the text says why.
        """
        from llguidance import LLMatcher

        if schema is None and grammar is None:
            return None
        if schema is not None and grammar is not None:
            raise InputError("give a schema or a grammar, not both")
        if schema is not None:
            kind = "schema"
            compiled = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_JSON_STYLE)
        else:
            kind, compiled = "grammar", LLMatcher.grammar_from_lark(grammar)
        if compiled not in self._compiled:
            problem = LLMatcher.validate_grammar(compiled, self._tokenizer)
            if problem and not problem.startswith("WARNING"):
                raise InputError(f"the {kind} cannot be used for decoding: {problem.strip()}")
            self._compiled[compiled] = LLMatcher(self._tokenizer, compiled, log_level=0)
        return Constraint(self._compiled[compiled].deep_copy())
