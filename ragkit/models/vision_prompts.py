"""From prompts with pictures to the inputs of an image-text model, by its own processor."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ragkit.errors import InputError
from ragkit.models.base import SLOT, Picture, Prompt

# Put into what looks like a special token in a text, which is data and must not act as one: it shows nothing.
_BREAK = "\u2060"


class VisionPrompts:
    """A processor of transformers, as an image-text model's prompts are given to it.

    Args:
        processor: of tokenizer and pictures.
        model: the model's name, for messages.
    """

    def __init__(self, processor: Any, model: str) -> None:
        self.processor = processor
        self._model = model
        # Decoding goes on at the right end.
        processor.tokenizer.padding_side = "left"
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token

    def render(self, prompt: Prompt, *, answering: bool = True) -> str:
        """Return a prompt as the text that the processor takes, each picture at its slot.

        Args:
            prompt: chat turns, or a text, which is one user turn.
            answering: whether the model is to answer now.

        Raises:
            InputError: the model has no chat template, or it refuses the turns.
        """
        from jinja2.exceptions import TemplateError

        turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        messages = [{"role": turn["role"], "content": self._parts(turn["content"])} for turn in turns]
        try:
            text: str = self.processor.apply_chat_template(messages, add_generation_prompt=answering, tokenize=False)
        except (TemplateError, ValueError) as error:
            raise InputError(f"the chat template of '{self._model}' refuses these turns: {error}") from error
        return text

    def encode(self, texts: Sequence[str], pictures: Sequence[Sequence[Picture]]) -> Any:
        """Return the model's inputs for rendered prompts: all with pictures, or all without any.

        Args:
            texts: rendered prompts.
            pictures: of each prompt, in the order of their slots.
        """
        # The chat template has written whatever begins a text.
        options: dict[str, Any] = {"return_tensors": "pt", "padding": True, "add_special_tokens": False}
        if not any(pictures):
            return self.processor(text=list(texts), **options)
        images = [[picture.open() for picture in own] for own in pictures]
        return self.processor(text=list(texts), images=images, **options)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens left out."""
        text: str = self.processor.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def harmless(self, text: str) -> str:
        """Return a text of unknown origin in which nothing acts as a special token."""
        return self._special.sub(lambda match: match.group()[0] + _BREAK + match.group()[1:], text)

    @cached_property
    def _special(self) -> re.Pattern[str]:
        tokenizer = self.processor.tokenizer
        tokens = {str(token) for token in tokenizer.all_special_tokens}
        tokens |= {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        # Processors know the tokens of pictures by attributes of their own.
        named = vars(self.processor).items()
        tokens |= {value for name, value in named if name.endswith("_token") and isinstance(value, str)}
        longest_first = sorted((token for token in tokens if len(token) > 1), key=lambda token: (-len(token), token))
        return re.compile("|".join(map(re.escape, longest_first)))

    def _parts(self, content: str) -> list[dict[str, str]]:
        parts: list[dict[str, str]] = []
        for position, piece in enumerate(SLOT.split(content)):
            if position % 2:
                parts.append({"type": "image"})
            elif piece:
                parts.append({"type": "text", "text": self.harmless(piece)})
        return parts
