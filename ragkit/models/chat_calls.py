"""The calls to a langchain chat model: text, JSON under a schema, and choices."""

import base64
import json
import logging
import math
from collections.abc import Sequence
from typing import Any

from ragkit.engine.calls import Reply
from ragkit.errors import RagkitError, ReplyError
from ragkit.models.base import SLOT, Message, Picture, Prompt
from ragkit.models.decoding import cut_at_stop
from ragkit.models.json_replies import repair_json

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
_TOP_LOGPROBS = 20
_CHOICE_TOKENS = 64
# How langchain's integrations call the most tokens to generate.
_LIMIT_FIELDS = ("max_tokens", "num_predict", "max_output_tokens", "max_new_tokens")


class ChatCalls:
    """Asks one langchain chat model.

    Args:
        client: the chat model. Settings of a call are made on a copy, through the model's own fields.
        characters_per_token: for estimating the tokens of replies without usage data.
    """

    def __init__(self, client: Any, characters_per_token: int) -> None:
        self._client = client
        self._fields = type(client).model_fields
        self._characters_per_token = characters_per_token
        self._takes_schema = True
        self._tells_logprobs = "top_logprobs" in self._fields

    async def generate(self, args: dict[str, Any], pictures: Sequence[Picture] = ()) -> Reply:
        """Answer a `generate` call; `pictures` are those whose slots the prompt holds.

        Raises:
            RagkitError: a grammar is asked for, or no attempt followed the schema.
        """
        if "grammar" in args:
            raise RagkitError("a remote model follows no grammar: use a schema, or a model of provider transformers")
        client = self._configured(args)
        stop = args.get("stop")
        if "schema" in args:
            if pictures:
                raise RagkitError("a remote model follows no schema in a prompt with pictures: ask it for text")
            return await self._generate_json(client, args["prompt"], args["schema"], stop)
        message = await client.ainvoke(with_pictures(_turns(args["prompt"]), pictures), stop=stop)
        text = cut_at_stop(str(message.text), stop or ())[0]
        return self._reply(text, [(args["prompt"], message)])

    async def choose(self, args: dict[str, Any]) -> Reply:
        """Answer a `choose` call: by the first token's log-probabilities where the model tells them and they tell the
        choices apart, else by an answer held to the choices."""
        choices = args["choices"]
        if not choices or len(set(choices)) < len(choices):
            raise RagkitError(f"choices have to be different and not empty: {choices}")
        listed = ", ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)
        turns = [*_turns(args["prompt"])]
        asked: list[tuple[Prompt, Any]] = []
        turns[-1] = {**turns[-1], "content": f"{turns[-1]['content']}\n\nAnswer with exactly one of: {listed}"}
        if self._tells_logprobs:
            wanted = {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
            client = self._configured({"max_new_tokens": _CHOICE_TOKENS}, **wanted)
            message = await client.ainvoke(turns)
            asked.append((turns, message))
            logprobs = _choice_logprobs(message, choices)
            label = max(logprobs, key=logprobs.__getitem__) if logprobs else _exact(str(message.text), choices)
            if label is not None:
                value = {"label": label, "logprobs": logprobs}
                return self._reply("", asked)._replace(value=value)
            self._tells_logprobs = bool(message.response_metadata.get("logprobs"))
        schema = {
            "type": "object",
            "properties": {"choice": {"enum": list(choices)}},
            "required": ["choice"],
            "additionalProperties": False,
        }
        client = self._configured({"max_new_tokens": _CHOICE_TOKENS})
        reply = await self._generate_json(client, turns, schema, None, asked)
        return reply._replace(value={"label": json.loads(reply.value["text"])["choice"], "logprobs": None})

    def _configured(self, args: dict[str, Any], **more: Any) -> Any:
        """Return a copy of the model with the settings of a call."""
        update: dict[str, Any] = dict(more)
        limit = next((name for name in _LIMIT_FIELDS if name in self._fields), None)
        if limit:
            update[limit] = args["max_new_tokens"]
        if "temperature" in self._fields:
            update["temperature"] = args.get("temperature", 0.0)
        if "seed" in self._fields and "seed" in args:
            # Each draw gets a seed of its own; servers take 31 bits.
            update["seed"] = (args["seed"] * 1_000_003 + args["draw"]) % 2**31
        return self._client.model_copy(update=update)

    async def _generate_json(
        self,
        client: Any,
        prompt: Prompt,
        schema: dict[str, Any],
        stop: Any,
        before: Sequence[tuple[Prompt, Any]] = (),
    ) -> Reply:
        """Ask until an answer follows the schema; `before` is what was asked already, for the usage."""
        turns = _turns(prompt)
        asked = list(before)
        problem = ""
        for _ in range(_ATTEMPTS):
            message = await self._ask_json(client, turns, schema, stop)
            asked.append((turns, message))
            text = str(message.text)
            try:
                return self._reply(repair_json(text, schema), asked)
            except ReplyError as error:
                problem = str(error)
            correction = f"That does not serve: {problem[:300]}\nAnswer again, with the JSON alone."
            turns = [*turns, {"role": "assistant", "content": text}, {"role": "user", "content": correction}]
        cut = " (it was cut at max_new_tokens)" if _finish(asked[-1][1]) == "length" else ""
        raise ReplyError(
            f"no JSON that follows the schema in {_ATTEMPTS} attempts{cut}: {problem}", str(asked[-1][1].text)
        )

    async def _ask_json(self, client: Any, turns: Sequence[Message], schema: dict[str, Any], stop: Any) -> Any:
        """Ask for JSON, with the server's own structured output where there is one."""
        instructed = [*turns]
        wanted = f"Answer with JSON alone. It has to follow this JSON Schema: {json.dumps(schema, ensure_ascii=False)}"
        instructed[-1] = {**turns[-1], "content": f"{turns[-1]['content']}\n\n{wanted}"}
        if not self._takes_schema:
            return await client.ainvoke(instructed, stop=stop)
        try:
            return await self._ask_structured(client, instructed, schema, stop)
        except Exception as error:
            if not _refuses_schema(error):
                raise
            refusal = error
        message = await client.ainvoke(instructed, stop=stop)
        # Only now it is the schema that was refused, and not the request as a whole (a prompt that is too long, say).
        if self._takes_schema:
            self._takes_schema = False
            _log.warning("%s takes no JSON Schema; it is asked in words: %s", type(client).__name__, refusal)
        return message

    async def _ask_structured(self, client: Any, turns: Sequence[Message], schema: dict[str, Any], stop: Any) -> Any:
        if "extra_body" in self._fields:
            # Servers of the OpenAI protocol. In extra_body, because for `response_format` itself langchain-openai
            # takes another way, which raises where JSON was cut instead of handing the text over.
            wanted = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
            body = {**(client.extra_body or {}), "response_format": wanted}
            return await client.model_copy(update={"extra_body": body}).ainvoke(turns, stop=stop)
        options = {"stop": stop} if stop else {}
        structured = client.with_structured_output({"title": "reply", **schema}, method="json_schema", include_raw=True)
        return (await structured.ainvoke(turns, **options))["raw"]

    def _reply(self, text: str, asked: Sequence[tuple[Prompt, Any]]) -> Reply:
        """Return a text as a reply that accounts for all attempts."""
        prompt_tokens = completion_tokens = 0
        for turns, message in asked:
            usage = message.usage_metadata
            prompt_text = "".join(turn["content"] for turn in _turns(turns))
            prompt_tokens += usage["input_tokens"] if usage else self._estimate(prompt_text)
            completion_tokens += usage["output_tokens"] if usage else self._estimate(str(message.text))
        value = {"text": text, "finish": _finish(asked[-1][1]), "logprob": None}
        return Reply(value, prompt_tokens, completion_tokens)

    def _estimate(self, text: str) -> int:
        return math.ceil(len(text) / self._characters_per_token)


def _turns(prompt: Prompt) -> list[Message]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)


def with_pictures(turns: Sequence[Message], pictures: Sequence[Picture]) -> list[Any]:
    """Return turns with pictures in the place of their slots, in the form that all integrations of langchain take."""
    if not pictures:
        return list(turns)

    def parts(content: str) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for position, piece in enumerate(SLOT.split(content)):
            if position % 2:
                encoded = base64.b64encode(pictures[int(piece)].png()).decode("ascii")
                made.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}})
            elif piece:
                made.append({"type": "text", "text": piece})
        return made

    return [{**turn, "content": parts(turn["content"])} if SLOT.search(turn["content"]) else turn for turn in turns]


def _finish(message: Any) -> str:
    """Return whether a text was cut; integrations name and spell the reason differently."""
    about = message.response_metadata
    reason = about.get("finish_reason") or about.get("stop_reason") or about.get("done_reason") or ""
    return "length" if str(reason).lower() in {"length", "max_tokens"} else "stop"


def _refuses_schema(error: Exception) -> bool:
    """Whether an integration or a server has no structured output, as far as can be told."""
    if isinstance(error, (NotImplementedError, TypeError)):
        return True
    status = getattr(error, "status_code", None)
    return status in {400, 404, 422, 501} or (type(error) is ValueError and "unsupported" in str(error).lower())


def _choice_logprobs(message: Any, choices: Sequence[str]) -> dict[str, float] | None:
    """Return normalised log-probabilities if the listed first tokens tell all choices apart, else None."""
    content = (message.response_metadata.get("logprobs") or {}).get("content") or []
    if not content:
        return None
    mass = dict.fromkeys(choices, 0.0)
    for listed in content[0].get("top_logprobs") or []:
        token = listed["token"].strip()
        starting = [choice for choice in choices if token and choice.strip().startswith(token)]
        if len(starting) == 1:
            mass[starting[0]] += math.exp(listed["logprob"])
    if not all(mass.values()):
        return None
    total = math.log(sum(mass.values()))
    return {choice: math.log(probability) - total for choice, probability in mass.items()}


def _exact(text: str, choices: Sequence[str]) -> str | None:
    """Return the choice that a text is, quotes, white space and a full stop around it aside."""
    bare = text.strip().strip("\"'`").removesuffix(".").strip("\"'`")
    return next((choice for choice in choices if choice.strip() == bare), None)
