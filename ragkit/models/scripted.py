"""Stand-ins without weights, for tests of pipelines: a language model with rules, an encoder, a reranker."""

import hashlib
import json
import math
import re
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PrivateAttr, model_validator
from pydantic.json_schema import SkipJsonSchema

from ragkit.engine.calls import Batching, LocalResource, Reply, Request
from ragkit.engine.component import Component
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError
from ragkit.models.base import Encoder, LanguageModel, Prompt, Reranker
from ragkit.models.decoding import cut_at_stop
from ragkit.models.json_replies import check_json

_GROUP = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"\w+")


class Rule(Component):
    """What to answer to some prompts.

    Attributes:
        contains: text that the prompt has to hold.
        matches: regular expression that has to be found in the prompt (`.` stands for line breaks too).
        reply: the answer; with `matches`, `{match}` stands for what was found, `{1}` and `{name}` for its groups.
    """

    contains: str | None = None
    matches: str | None = None
    reply: str

    @model_validator(mode="after")
    def _check(self) -> "Rule":
        if (self.contains is None) == (self.matches is None):
            raise ValueError("a rule has either 'contains' or 'matches'")
        if self.matches is not None:
            try:
                re.compile(self.matches)
            except re.error as error:
                raise ValueError(f"'matches' is not a regular expression: {error}") from None
        return self

    def answer(self, prompt: str) -> str | None:
        """Return the answer to a prompt, None if the rule is not about it."""
        if self.contains is not None:
            return self.reply if self.contains in prompt else None
        match = re.search(self.matches or "", prompt, re.DOTALL)
        if match is None:
            return None
        groups = {"match": match.group(), **match.groupdict()}
        groups |= {str(number): text for number, text in enumerate(match.groups(), start=1)}
        return _GROUP.sub(lambda group: groups.get(group[1], group[0]) or "", self.reply)


@models.register("scripted")
class ScriptedModel(LanguageModel, LocalResource):
    """A language model that answers by rules; the first rule about a prompt counts.

    A token is a word between white space. `max_new_tokens` is not enforced; `stop` is.

    Attributes:
        rules: the rules.
        default: the answer where no rule fits; without it that is an error.
        seconds: time that each batch takes.
        max_batch_size: the most prompts of one batch.
        reply: in Python: a function of the prompt's text, instead of rules. Its code, defaults and closure, as they
            are when the model is made, are part of the fingerprint; globals that it refers to are not. What has no
            text of its own (an object without `__repr__`, say) makes the fingerprint that of this model alone.
        batches: sizes of the batches so far.
        prompts: texts of the prompts so far, chat turns joined by line breaks.
    """

    rules: tuple[Rule, ...] = ()
    default: str | None = None
    seconds: float = Field(default=0.0, ge=0)
    max_batch_size: int = Field(default=1_000_000, ge=1)
    reply: Annotated[Callable[[str], str] | None, SkipJsonSchema(), Field(exclude=True)] = None

    _batches: list[int] = PrivateAttr(default_factory=list)
    _prompts: list[str] = PrivateAttr(default_factory=list)
    _code: str | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Note what the function is, before calls change what it holds."""
        super().model_post_init(context)
        if self.reply is not None:
            self._code = hashlib.sha256(_identity(self.reply, uuid.uuid4().hex).encode()).hexdigest()

    @property
    def batches(self) -> list[int]:
        """Sizes of the batches of `generate` and `choose` so far."""
        return self._batches

    @property
    def prompts(self) -> list[str]:
        """Texts of the prompts so far."""
        return self._prompts

    def fingerprint(self) -> str:
        settings = self.model_dump(mode="json", exclude={"seconds", "max_batch_size", "reply", "price"})
        return json.dumps({"provider": "scripted", **settings, "code": self._code}, sort_keys=True)

    def batching(self) -> Batching:
        return Batching(requests=self.max_batch_size, tokens=1_000_000_000)

    def measure(self, batch: Sequence[Request]) -> None:
        for request in batch:
            text = request.args["text"] if request.op == "count_tokens" else prompt_text(request.args["prompt"])
            request.size = max(1, len(text.split()))

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        if op == "count_tokens":
            return [Reply(len(request.args["text"].split())) for request in batch]
        self._batches.append(len(batch))
        if self.seconds:
            time.sleep(self.seconds)
        outcomes: list[Reply | Exception] = []
        for request in batch:
            prompt = prompt_text(request.args["prompt"])
            self._prompts.append(prompt)
            try:
                answer = {"generate": self._generate, "choose": self._choose, "likelihood": self._likelihood}[op]
                outcomes.append(answer(prompt, request.args))
            except Exception as error:  # noqa: BLE001 - whatever a user's function raises is its request's outcome
                outcomes.append(error)
        return outcomes

    def _answer(self, prompt: str) -> str | None:
        if self.reply is not None:
            return self.reply(prompt)
        answers = (rule.answer(prompt) for rule in self.rules)
        return next((answer for answer in answers if answer is not None), self.default)

    def _generate(self, prompt: str, args: dict[str, Any]) -> Reply:
        answer = self._answer(prompt)
        if answer is None:
            raise RagkitError(f"no rule of the scripted model fits the prompt {prompt[:200]!r}, and it has no default")
        if "grammar" in args:
            raise RagkitError("the scripted model follows no grammar")
        text = cut_at_stop(answer, args.get("stop", ()))[0]
        if "schema" in args:
            check_json(text, args["schema"])
        return Reply({"text": text, "finish": "stop", "logprob": 0.0}, len(prompt.split()), len(text.split()))

    def _choose(self, prompt: str, args: dict[str, Any]) -> Reply:
        choices = args["choices"]
        if not choices:
            raise InputError("choices are empty")
        answer = self._answer(prompt)
        if answer is not None and answer not in choices and answer != self.default:
            raise RagkitError(f"the scripted model's reply {answer!r} is none of the choices {choices}")
        label = answer if answer in choices else choices[0]
        rest = math.log(0.1 / (len(choices) - 1)) if len(choices) > 1 else 0.0
        chosen = math.log(0.9) if len(choices) > 1 else 0.0
        logprobs = {choice: chosen if choice == label else rest for choice in choices}
        return Reply({"label": label, "logprobs": logprobs}, len(prompt.split()))

    def _likelihood(self, prompt: str, args: dict[str, Any]) -> Reply:
        return Reply(math.log(0.9 if self._answer(prompt) == args["text"] else 0.1), len(prompt.split()))


@models.register("hash")
class HashEncoder(Encoder, LocalResource):
    """An encoder without a model: words are hashed to signed dimensions and counted, the vector has length 1.

    Texts that share words are near each other; a text without words is the zero vector.
    """

    dimension: int = Field(default=256, ge=1)

    def fingerprint(self) -> str:
        return json.dumps(self.describe())

    def describe(self) -> dict[str, Any]:
        return {"provider": "hash", "dimension": self.dimension}

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        return [self._reply(request.args["text"]) for request in batch]

    def _reply(self, text: str) -> Reply:
        vector = np.zeros(self.dimension, dtype=np.float32)
        words = _words(text)
        for word in words:
            number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
            vector[(number >> 1) % self.dimension] += 1 if number & 1 else -1
        length = np.linalg.norm(vector)
        return Reply(vector / length if length else vector, len(words))


@models.register("overlap")
class OverlapReranker(Reranker, LocalResource):
    """A reranker without a model: the share of the query's different words that occur in the text."""

    def fingerprint(self) -> str:
        return '{"provider": "overlap"}'

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        replies: list[Reply | Exception] = []
        for request in batch:
            query, text = set(_words(request.args["query"])), set(_words(request.args["text"]))
            replies.append(Reply(len(query & text) / len(query) if query else 0.0, len(query) + len(text)))
        return replies


def prompt_text(prompt: Prompt) -> str:
    """Return a prompt as one text: chat turns' contents joined by line breaks."""
    return prompt if isinstance(prompt, str) else "\n".join(message["content"] for message in prompt)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _identity(value: Any, nonce: str, within: tuple[int, ...] = ()) -> str:
    """Return a text of what determines a function's answers; the nonce stands for what has no text of its own."""
    if id(value) in within:
        return "itself"
    kind = type(value).__qualname__
    parts: list[Any]
    if isinstance(value, CodeType):
        parts = [value.co_code, *value.co_names, *value.co_consts]
    elif isinstance(value, FunctionType):
        parts = [value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, *_closure(value)]
    elif isinstance(value, partial):
        parts = [value.func, value.args, value.keywords]
    elif isinstance(value, MethodType):
        parts = [value.__func__, value.__self__]
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    elif isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, (set, frozenset)):
        return f"{kind}{sorted(_identity(item, nonce, (*within, id(value))) for item in value)}"
    else:
        call = getattr(type(value), "__call__", None)  # noqa: B004 - what is wanted is its code
        parts = [call] if isinstance(call, FunctionType) else []
        kind = f"{kind} {_own_text(value, nonce)}"
    return f"{kind}{[_identity(part, nonce, (*within, id(value))) for part in parts]}"


def _closure(function: FunctionType) -> list[Any]:
    """Return what a function refers to from the functions around it, None for what has no value yet."""
    contents = []
    for cell in function.__closure__ or ():
        try:
            contents.append(cell.cell_contents)
        except ValueError:
            contents.append(None)
    return contents


def _own_text(value: Any, nonce: str) -> str:
    text = repr(value)
    nameless = not isinstance(value, (str, bytes)) and (" at 0x" in text or str(id(value)) in text)
    return nonce if nameless else text
