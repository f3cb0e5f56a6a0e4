"""The network of `ragkit.models.word_images`: one side for pictures of words, one for their spelling."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

WordNetwork = Any
"""A module of torch with `look`, `spell`, `size` and `heat`: see `network`."""

BUCKETS = 8192
"""Of letters in ones, twos and threes, which are hashed."""


def grams(word: str) -> list[int]:
    """Return the buckets of the letters of a word in ones, twos and threes, with its ends marked."""
    marked = f"<{word}>"
    found = [marked[i : i + n] for n in (1, 2, 3) for i in range(len(marked) - n + 1)]
    # Ones say where they stand: early, in the middle or late.
    found += [f"{letter}{4 * place // len(word)}" for place, letter in enumerate(word)]
    return [int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=4).digest(), "big") % BUCKETS for gram in found]


def network(size: int = 128) -> WordNetwork:
    """Return a network with random weights.

    Args:
        size: dimensions of the vectors.
    """
    import torch
    from torch import nn

    def block(inside: int, out: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inside, out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
        )

    class Words(nn.Module):
        """Pictures and spellings of words as vectors of length 1."""

        def __init__(self) -> None:
            super().__init__()
            self.size = size
            self.layers = nn.Sequential(block(1, 24), block(24, 48), block(48, 96), block(96, 128))
            self.out = nn.Linear(128 * 2 * 8, size)
            self.letters = nn.EmbeddingBag(BUCKETS, size, mode="mean")
            self.spelling = nn.Sequential(nn.Linear(size, 2 * size), nn.ReLU(inplace=True), nn.Linear(2 * size, size))
            self.heat = nn.Parameter(torch.tensor(2.5))

        def look(self, pictures: "Tensor") -> "Tensor":
            """Return the vectors of pictures of shape (words, height, width)."""
            found = self.out(self.layers(pictures[:, None]).flatten(1))
            return nn.functional.normalize(found, dim=1)

        def spell(self, words: Sequence[str], device: str = "cpu") -> "Tensor":
            """Return the vectors of words."""
            lists = [grams(word) for word in words]
            starts = [0]
            for each in lists[:-1]:
                starts.append(starts[-1] + len(each))
            flat = torch.tensor([gram for each in lists for gram in each], dtype=torch.long, device=device)
            if not lists:
                return torch.zeros(0, size, device=device)
            found = self.letters(flat, torch.tensor(starts, device=device))
            return nn.functional.normalize(found + self.spelling(found), dim=1)

    return Words()
