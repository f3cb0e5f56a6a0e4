"""Pages searched by what their words look like: a vector for each picture of a word, none of which is ever read.

A small convolutional network turns the picture of a word into a vector near to that of its spelling, which comes from
the word's letters in ones, twos and threes. A page is the list of its words' pictures, a query the list of its words.

Source of the idea: Almazán et al. 2014, Word spotting and recognition with embedded attributes, doi
10.1109/TPAMI.2014.2339814 (pictures and spellings of words in one space); scored by late interaction as in Faysse et
al. 2024, ColPali, arXiv 2407.01449.
"""

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from ragkit.engine.calls import Batching, Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, need
from ragkit.models.base import PageEncoder
from ragkit.models.devices import check
from ragkit.models.embedded import identify
from ragkit.models.local_weights import LocalWeights
from ragkit.models.word_boxes import HEIGHT, WIDTH, cut_words, word_boxes
from ragkit.models.word_network import BUCKETS, WordNetwork, network

_WEIGHTS, _SETTINGS = "model.safetensors", "word_images.json"
_WORD = re.compile(r"[^\W_]+(?:[.,'’&/-][^\W_]+)*")
_AT_ONCE = 512


@models.register("word-image-encoder")
class WordImageEncoder(PageEncoder, LocalWeights):
    """The trained network of a folder: queries and pictures of pages as lists of words' vectors of length 1.

    `model` is a folder that `ragkit.tuning.word_images` has written, or `embedded:words`, which comes along.
    """

    _weights: Any = PrivateAttr(default=None)

    def describe(self) -> dict[str, Any]:
        return {"model": identify(str(self._folder())), "words": 1}

    def fingerprint(self) -> str:
        return json.dumps({"class": type(self).__name__, "device": self.resolved_device, **self.describe()})

    def batching(self) -> Batching:
        return Batching(requests=16, tokens=1_000_000_000)

    def open(self) -> None:
        check(self.device, self.resolved_device)
        self._weights = load(self._folder()).to(self.resolved_device).eval()

    def close(self) -> None:
        self._weights = None
        self._opened = False

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        import torch

        with torch.inference_mode():
            if op == "embed_tokens":
                return [Reply(self._spelt(request.args["text"])) for request in batch]
            return [Reply(self._seen(request.payload.open())) for request in batch]

    def _spelt(self, text: str) -> NDArray[np.float32]:
        words = list(dict.fromkeys(query_words(text)))
        found: NDArray[np.float32] = self._weights.spell(words, self.resolved_device).cpu().numpy()
        return found

    def _seen(self, picture: Any) -> NDArray[np.float32]:
        import torch

        grey = picture.convert("L")
        pictures = torch.from_numpy(cut_words(grey, word_boxes(np.asarray(grey))))
        parts = [self._weights.look(part.to(self.resolved_device)).cpu() for part in pictures.split(_AT_ONCE)]
        vectors: NDArray[np.float32] = (
            torch.cat(parts).numpy() if parts else np.zeros((0, self._weights.size), np.float32)
        )
        return vectors

    def _folder(self) -> Path:
        folder = (
            Path(__file__).parents[1] / "adapters" / "words" if self.model == "embedded:words" else Path(self.model)
        )
        if not (folder / _WEIGHTS).is_file():
            raise InputError(f"'{self.model}' is no encoder of words' pictures: {folder} holds no {_WEIGHTS}")
        return folder


def query_words(text: str) -> list[str]:
    """Return the words of a query that a page is searched for, without stop words unless there are no others."""
    words = [match.group().casefold() for match in _WORD.finditer(text)]
    kept = [word for word in words if word not in _stopwords()]
    return kept or words


@cache
def _stopwords() -> frozenset[str]:
    return frozenset(need("bm25s.stopwords", "bm25s", "queries for pictures of words").STOPWORDS_EN_PLUS)


def load(folder: Path) -> WordNetwork:
    """Return the network of a folder."""
    from safetensors.torch import load_file

    settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    made = network(settings["size"])
    made.load_state_dict(load_file(folder / _WEIGHTS))
    return made


def save(made: WordNetwork, folder: Path, facts: dict[str, Any]) -> None:
    """Write a network into a folder, with facts about its training."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.to(torch.float32).contiguous() for name, value in made.state_dict().items()}, folder / _WEIGHTS
    )
    settings = {"size": made.size, "height": HEIGHT, "width": WIDTH, "buckets": BUCKETS} | facts
    (folder / _SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
