"""From prompts to token ids. Text of prompts is data: what looks like a special token in it never acts as one."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ragkit.errors import InputError
from ragkit.models.base import Message

# Stand for special tokens inside a message while the chat template is rendered: private-use characters, which no
# template looks at or trims, around the number of the piece.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"


class PromptTokenizer:
    """A Hugging Face tokenizer as the language model uses it.

    Args:
        tokenizer: the tokenizer.
        model: the model's name, for messages.
        chat: None: text is continued as it is, chat turns go through the chat template. True: text is one user turn.
            False: the turns' contents, with empty lines between them, are continued like text.
    """

    def __init__(self, tokenizer: Any, model: str, chat: bool | None) -> None:
        self.tokenizer = tokenizer
        self._model = model
        self._chat = chat

    def encode(self, prompt: str | Sequence[Message]) -> list[int]:
        """Return the token ids of a prompt, ready for generation.

        Raises:
            InputError: the prompt is empty, or needs a chat template that the model lacks or that refuses it.
        """
        if self._chat is False and not isinstance(prompt, str):
            prompt = "\n\n".join(message["content"] for message in prompt)
        elif self._chat and isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        ids = self.encode_text(prompt, start=True) if isinstance(prompt, str) else self._encode_chat(prompt)
        if not ids:
            raise InputError("the prompt is empty")
        return ids

    def encode_text(self, text: str, start: bool = False) -> list[int]:
        """Return the token ids of plain text; `start` adds what the tokenizer puts before a text."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=start, split_special_tokens=True)
        # A text goes on after the prompt: an end token that a tokenizer adds to whole texts would be in the way.
        if start and ids and ids[-1] == self.tokenizer.eos_token_id and len(ids) > 1:
            ids.pop()
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens left out."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    @cached_property
    def _special(self) -> re.Pattern[str]:
        tokens = {str(token) for token in self.tokenizer.all_special_tokens}
        tokens |= {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        longest_first = sorted(tokens, key=lambda token: (-len(token), token))
        return re.compile("|".join(re.escape(token) for token in [*longest_first, _OPEN, _CLOSE]))

    def _encode_chat(self, messages: Sequence[Message]) -> list[int]:
        if self.tokenizer.chat_template is None:
            raise InputError(
                f"model '{self._model}' has no chat template, so it cannot be given chat turns: use a chat model, "
                "or set chat: false, which hands the turns over as plain text"
            )
        literals: list[str] = []

        def hide(match: re.Match[str]) -> str:
            literals.append(match.group())
            return f"{_OPEN}{len(literals) - 1}{_CLOSE}"

        hidden = [{"role": turn["role"], "content": self._special.sub(hide, turn["content"])} for turn in messages]
        rendered = self._render(hidden)
        if not literals:
            return self._encode_rendered(rendered)
        ids: list[int] = []
        for position, piece in enumerate(re.split(f"{_OPEN}(\\d+){_CLOSE}", rendered)):
            ids += self.encode_text(literals[int(piece)]) if position % 2 else self._encode_rendered(piece)
        return ids

    def _render(self, messages: list[dict[str, str]]) -> str:
        from jinja2.exceptions import TemplateError

        try:
            rendered: str = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        except TemplateError as error:
            raise InputError(f"the chat template of '{self._model}' refuses these turns: {error}") from error
        return rendered

    def _encode_rendered(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids
