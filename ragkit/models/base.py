"""What a stage can ask of a model: the doors of language models, encoders and rerankers."""

import math
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ragkit.engine.calls import Category, Reply, Resource
from ragkit.engine.component import Component
from ragkit.engine.state import Documents
from ragkit.errors import InputError


class Message(TypedDict):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class Picture(Protocol):
    """A picture that is made when it is asked for: `ragkit.documents.page_image.PageImage`, say."""

    @property
    def key(self) -> str:
        """What names the picture's content: the same key, the same picture."""
        ...

    def open(self) -> Any:
        """Return the picture as an RGB image of Pillow."""
        ...

    def png(self) -> bytes:
        """Return the picture as PNG."""
        ...


_SLOT_OPEN, _SLOT_CLOSE = "\ue0f2", "\ue0f3"
SLOT = re.compile(f"{_SLOT_OPEN}(\\d+){_SLOT_CLOSE}")
"""Where a picture stands in the text of a prompt, with its number among the prompt's pictures from 0."""


def slot(number: int) -> str:
    """Return what stands for a picture in the text of a prompt."""
    return f"{_SLOT_OPEN}{number}{_SLOT_CLOSE}"


def without_slots(text: str) -> str:
    """Return a text of unknown origin that cannot be taken for the place of a picture."""
    return text.replace(_SLOT_OPEN, "").replace(_SLOT_CLOSE, "")


TextKind = Literal["query", "passage"]

Prompt = str | Sequence[Message]
"""Plain text to continue, or the turns of a chat (a chat model gets plain text as one user turn)."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A generated text.

    Attributes:
        text: without the prompt and without the stop string.
        finish: `stop` (end token or stop string) or `length` (cut at `max_new_tokens`).
        logprob: mean log-probability of the generated tokens; None where the model does not tell.
    """

    text: str
    finish: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice a model made among fixed texts; `logprobs` are normalised over the choices, None if unknown."""

    label: str
    logprobs: dict[str, float] | None = None

    def probability(self, label: str) -> float:
        """Return the probability of a label among the choices; where the model does not tell, 1 for the chosen one."""
        if self.logprobs is None:
            return float(label == self.label)
        return math.exp(self.logprobs[label])


class Price(Component):
    """What tokens cost, in any currency, per million."""

    input: float = Field(ge=0, allow_inf_nan=False, description="of a million prompt tokens")
    output: float = Field(ge=0, allow_inf_nan=False, description="of a million tokens that the model writes")


class LanguageModel(Resource):
    """Generates text and chooses between fixed texts.

    Attributes:
        price: what its tokens cost, for the metric `cost`; no answer depends on it, so it is not in the fingerprint.
        takes_contrast: whether it can weigh what it says against what it says after a second prompt.
        takes_grammar: whether it can be held to a grammar while it writes.
        takes_pictures: whether prompts may hold pictures.
    """

    category: ClassVar[Category] = "model"
    takes_contrast: ClassVar[bool] = False
    takes_grammar: ClassVar[bool] = False
    takes_pictures: ClassVar[bool] = False

    price: Price | None = None

    def cost(self, reply: Reply) -> float | None:
        if self.price is None:
            return None
        return (reply.prompt_tokens * self.price.input + reply.completion_tokens * self.price.output) / 1_000_000

    async def generate(
        self,
        prompt: Prompt,
        *,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        draw: int = 0,
        stop: Sequence[str] = (),
        schema: dict[str, Any] | None = None,
        grammar: str | None = None,
        contrast_prompt: Prompt | None = None,
        pictures: Sequence[Picture] = (),
    ) -> Generation:
        """Generate a continuation or a reply.

        Args:
            prompt: text or chat turns.
            max_new_tokens: the most tokens to generate.
            temperature: 0 is greedy; above it the draw is determined by `seed` and `draw`.
            seed: of the sampling; not used when greedy.
            draw: number of the draw, to sample the same prompt several times.
            stop: texts that end the generation.
            schema: JSON Schema that the text must follow.
            grammar: Lark grammar that the text must follow (local models only).
            contrast_prompt: the prompt without what should matter (passages), for guides with `prompt: contrast`.
            pictures: of the prompt, which holds a `slot` for each, in their order.

        Raises:
            RagkitError: a remote model broke the schema in every attempt, or a grammar, contrast or pictures are not
                supported, or the prompt's slots are not those of the pictures.
        """
        args = self._prompt_args(prompt, contrast_prompt) | {"max_new_tokens": max_new_tokens}
        if temperature > 0:
            args |= {"temperature": temperature, "seed": seed, "draw": draw}
        if stop:
            args["stop"] = list(stop)
        if schema is not None:
            args["schema"] = schema
        if grammar is not None:
            args["grammar"] = grammar
        if pictures:
            if not self.takes_pictures:
                raise InputError(f"{type(self).__name__} takes no pictures: give it text, or use a model that sees")
            check_slots(prompt, len(pictures))
            args["pictures"] = [picture.key for picture in pictures]
        reply = await self.call("generate", args, tuple(pictures) or None)
        return Generation(**reply.value, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens)

    async def choose(self, prompt: Prompt, choices: Sequence[str], *, contrast_prompt: Prompt | None = None) -> Choice:
        """Choose the most probable of fixed texts as the continuation of the prompt.

        A text's probability is that of all of its tokens, so a longer text is less probable than one it begins with.
        """
        args = self._prompt_args(prompt, contrast_prompt) | {"choices": list(choices)}
        return Choice(**(await self.call("choose", args)).value)

    async def likelihood(self, prompt: Prompt, text: str) -> float:
        """Return how probable a text is as the continuation of the prompt: the mean log-probability of its tokens.

        Raises:
            RagkitError: the model does not tell the probabilities of texts that it did not write.
        """
        args = self._prompt_args(prompt, None) | {"text": text}
        return float((await self.call("likelihood", args)).value)

    def _prompt_args(self, prompt: Prompt, contrast_prompt: Prompt | None) -> dict[str, Any]:
        """Return the prompts of a call as JSON values."""
        args: dict[str, Any] = {"prompt": _json(prompt)}
        if contrast_prompt is not None:
            if not self.takes_contrast:
                raise InputError(
                    f"{type(self).__name__} takes no contrast prompt: use a model of provider transformers with a guide"
                )
            args["contrast_prompt"] = _json(contrast_prompt)
        return args

    async def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, for packing a prompt under a budget."""
        return int((await self.call("count_tokens", {"text": text}, metered=False)).value)


def check_slots(prompt: Prompt, pictures: int) -> None:
    """See that a prompt holds a slot for each of its pictures, in their order.

    Raises:
        InputError: it leaves some out, repeats them or has them in another order.
    """
    texts = [prompt] if isinstance(prompt, str) else [message["content"] for message in prompt]
    found = [int(number) for text in texts for number in SLOT.findall(text)]
    if found != list(range(pictures)):
        raise InputError(f"the prompt has slots for the pictures {found}, but there are {pictures} pictures, from 0")


def _json(prompt: Prompt) -> str | list[dict[str, Any]]:
    return prompt if isinstance(prompt, str) else [dict(message) for message in prompt]


class Encoder(Resource):
    """Turns texts into vectors."""

    category: ClassVar[Category] = "encoder"

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what an index must know of its encoder: id, revision, prefixes, pooling, max length, dtype ...

        Two encoders with the same description give the same vectors.
        """

    async def embed(self, text: str, kind: TextKind = "query") -> NDArray[np.float32]:
        """Return the vector of a text, shape (dimension,), float32, with the encoder's prefix for its kind."""
        reply = await self.call("embed", {"text": text, "kind": kind})
        vector = np.asarray(reply.value, dtype=np.float32).view()
        vector.flags.writeable = False  # several questions may share it
        return vector


class ImageEncoder(Encoder):
    """Turns texts and pictures into vectors of one space (CLIP and its kin)."""

    async def embed_image(self, picture: Picture) -> NDArray[np.float32]:
        """Return the vector of a picture, shape (dimension,), float32."""
        reply = await self.call("embed_image", {"image": picture.key}, payload=picture)
        vector = np.asarray(reply.value, dtype=np.float32).view()
        vector.flags.writeable = False
        return vector


class SparseVector(NamedTuple):
    """The dimensions of a text that are not 0, ascending, int32, and their weights, float32."""

    dimensions: NDArray[np.int32]
    weights: NDArray[np.float32]


class SparseEncoder(Resource):
    """Turns texts into vectors that are mostly 0, with a dimension for each term of a vocabulary (learned sparse)."""

    category: ClassVar[Category] = "encoder"
    called: ClassVar[str] = "a learned sparse encoder"

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what an index must know of its encoder; two with the same description give the same vectors."""

    async def embed_sparse(self, text: str, kind: TextKind = "query") -> SparseVector:
        """Return the vector of a text."""
        return sparse_vector((await self.call("embed_sparse", {"text": text, "kind": kind})).value)


def sparse_vector(reply: Mapping[str, Any]) -> SparseVector:
    """Return the vector of an `embed_sparse` reply, which holds lists of `dimensions` and `weights`."""
    return SparseVector(np.array(reply["dimensions"], np.int32), np.array(reply["weights"], np.float32))


class MultiVectorEncoder(Resource):
    """Turns texts into a vector for each token (late interaction)."""

    category: ClassVar[Category] = "encoder"
    called: ClassVar[str] = "a multi-vector encoder"

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what an index must know of its encoder; two with the same description give the same vectors."""

    async def embed_tokens(self, text: str, kind: TextKind = "query") -> NDArray[np.float32]:
        """Return the vectors of the tokens of a text, shape (tokens, dimension), float32."""
        vectors = np.asarray((await self.call("embed_tokens", {"text": text, "kind": kind})).value, np.float32).view()
        vectors.flags.writeable = False  # several questions may share them
        return vectors


class PageEncoder(MultiVectorEncoder):
    """Turns texts into a vector for each token and pictures into a vector for each patch (ColPali and its kin)."""

    async def embed_patches(self, picture: Picture) -> NDArray[np.float32]:
        """Return the vectors of the patches of a picture, shape (patches, dimension), float32."""
        reply = await self.call("embed_patches", {"image": picture.key}, payload=picture)
        vectors = np.asarray(reply.value, np.float32).view()
        vectors.flags.writeable = False
        return vectors


class Reranker(Resource):
    """Scores how well a passage serves a query."""

    category: ClassVar[Category] = "reranker"

    async def score(self, query: str, text: str) -> float:
        """Return the relevance of a text for a query; higher is better, the scale is the model's own."""
        return float((await self.call("score", {"query": query, "text": text})).value)


class Compressor(Resource):
    """Orders, drops or shortens the passages that were found for a query."""

    category: ClassVar[Category] = "reranker"
    called: ClassVar[str] = "a document compressor"

    @abstractmethod
    async def compress(self, query: str, documents: Documents) -> Documents:
        """Return the passages that are kept, best first, each with a score and perhaps with less text."""


ENTAILMENT: tuple[str, str, str] = ("entailment", "neutral", "contradiction")


class EntailmentModel(Resource):
    """Says whether a text entails a statement (natural language inference)."""

    category: ClassVar[Category] = "nli"

    async def entail(self, premise: str, hypothesis: str) -> Choice:
        """Return which of `ENTAILMENT` holds between a premise and a hypothesis, with log-probabilities."""
        return Choice(**(await self.call("entail", {"premise": premise, "hypothesis": hypothesis})).value)


class TextClassifier(Resource):
    """Says which of its labels a text has."""

    category: ClassVar[Category] = "nli"

    async def classify(self, text: str) -> Choice:
        """Return the label of a text, with the log-probabilities of all labels."""
        return Choice(**(await self.call("classify", {"text": text})).value)


class Premise(NamedTuple):
    """A text that may entail something, with its title; an empty title where it has none."""

    title: str
    text: str


class JointEntailmentModel(EntailmentModel):
    """Judges several premises of one hypothesis together: one may tell what another is about."""

    async def entail_each(self, premises: Sequence[Premise], hypothesis: str) -> list[Choice]:
        """Return for each premise which of `ENTAILMENT` holds, with log-probabilities."""
        args = {"premises": [list(premise) for premise in premises], "hypothesis": hypothesis}
        return [Choice(**choice) for choice in (await self.call("entail_each", args)).value]


class RewardModel(Resource):
    """Says how good a completion of a prompt is, as people's or a judge's preferences taught it."""

    category: ClassVar[Category] = "reward"

    async def grade(self, prompt: Prompt, completion: str) -> float:
        """Return how good a completion is; higher is better, only differences mean something."""
        return float((await self.call("grade", {"prompt": _json(prompt), "completion": completion})).value)


@dataclass(frozen=True, slots=True)
class ToolCard:
    """What an agent has to know of a tool.

    Attributes:
        description: what it does and when it is of use.
        schema: JSON Schema of the object of its arguments.
    """

    description: str
    schema: Mapping[str, Any]


class Tool(Resource):
    """Does something for an agent: computes, looks something up, asks a service."""

    category: ClassVar[Category] = "tool"

    @abstractmethod
    def card(self) -> ToolCard:
        """Return what it does and what arguments it takes."""

    async def use(self, arguments: Mapping[str, Any]) -> str:
        """Use the tool and return what it says.

        Raises:
            Exception: whatever the tool raises, for arguments that it does not take, say.
        """
        return str((await self.call("use", {"arguments": dict(arguments)})).value)
