"""Train the encoder of `ragkit.models.word_images` on pages that are generated for it.

    python -m ragkit.tuning.word_images FOLDER [--pdf 'corpora/fieldguide/*.pdf'] [--minutes 12]

Words of a vocabulary (that of the embedded encoder's tokenizer, numbers, amounts) are set on pages in many faces and
sizes, drawn, and found again by `word_boxes`; a box that overlaps a word by most of both is a pair of a picture and a
spelling. Pages of PDFs that are named are drawn and used the same way. The loss contrasts the pairs of a batch in both
directions; pairs of the same word do not count against each other.
"""

import argparse
import math
import random
import re
import time
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import InputError, need
from ragkit.models.word_boxes import WordBox, cut_words, word_boxes
from ragkit.models.word_images import save
from ragkit.models.word_network import network

FACES = ("helv", "hebo", "heit", "hebi", "tiro", "tibo", "tiit", "tibi", "cour", "cobo", "coit")
_EDGE = re.compile(r"^\W+|\W+$")
_ENOUGH = 0.6
_BATCH = 512


class Pairs(NamedTuple):
    """Pictures of words and the words."""

    pictures: NDArray[np.uint8]
    words: list[str]


def vocabulary() -> list[str]:
    """Return the whole words of the embedded encoder's tokenizer."""
    from transformers import AutoTokenizer

    from ragkit.models.embedded import locate

    known = AutoTokenizer.from_pretrained(locate("embedded:all-minilm-l6-v2")[0]).get_vocab()
    return sorted(word for word in known if word.isascii() and word.isalpha() and len(word) > 1)


def generated_page(dice: random.Random, words: Sequence[str]) -> Any:
    """Return a PDF of one page of words in random faces, sizes and colours."""
    pymupdf = need("pymupdf", "pymupdf", "generating pages")
    pdf = pymupdf.open()
    page = pdf.new_page(width=595, height=842)
    y = 40.0
    while y < 800:
        size = dice.choice((7, 8, 9, 9.5, 10, 10, 11, 11, 12, 14, 18, 24, 36))
        face = dice.choice(FACES)
        y += size * dice.uniform(1.15, 1.5)
        dark = dice.random() < 0.12
        if dark:
            shade = dice.uniform(0, 0.35)
            page.draw_rect((30, y - 1.1 * size, 565, y + 0.4 * size), color=None, fill=(shade, shade, shade + 0.1))
        ink = (1, 1, 1) if dark else tuple(dice.choice((0, 0, 0, 0.3, 0.5)) * dice.random() for _ in range(3))
        x, line = 36.0, []
        while x < 540:
            word = _word(dice, words)
            x += pymupdf.get_text_length(word + " ", face, size)
            line.append(word)
        page.insert_text((36, y), " ".join(line[:-1]) or line[0], fontname=face, fontsize=size, color=ink)
    return pdf


def _word(dice: random.Random, words: Sequence[str]) -> str:
    kind = dice.random()
    if kind < 0.10:
        return dice.choice((str(dice.randint(0, 99)), f"{dice.uniform(0, 100):.1f}%", str(dice.randint(1950, 2030))))
    if kind < 0.16:
        return dice.choice(
            (f"${dice.randint(1, 99_999):,}", f"{dice.randint(1000, 9_999_999):,}", f"({dice.randint(1, 999)})")
        )
    word = dice.choice(words)
    case = dice.random()
    word = word.upper() if case < 0.15 else word.capitalize() if case < 0.45 else word
    return word + dice.choice((",", ".", ":", ";", ")")) if dice.random() < 0.12 else word


def pairs_of(page: Any, dpi: int) -> Iterator[tuple[NDArray[np.float32], str]]:
    """Return the pictures of the words of a page that has a text layer, with the words."""
    image = need("PIL.Image", "pillow", "pictures of words")
    pixels = page.get_pixmap(dpi=dpi, colorspace="gray")
    grey = image.frombytes("L", (pixels.width, pixels.height), pixels.samples)
    boxes = word_boxes(np.asarray(grey))
    scale = dpi / 72
    written = [
        (*(scale * side for side in word[:4]), _EDGE.sub("", word[4]).casefold()) for word in page.get_text("words")
    ]
    if not boxes or not written:
        return
    places = np.array([word[:4] for word in written])
    chosen: list[WordBox] = []
    spelt: list[str] = []
    for box in boxes:
        across = np.minimum(places[:, 2], box.x1) - np.maximum(places[:, 0], box.x0)
        down = np.minimum(places[:, 3], box.y1) - np.maximum(places[:, 1], box.y0)
        shared = np.clip(across, 0, None) * (down > 0.3 * (box.y1 - box.y0))
        best = int(shared.argmax())
        wide = places[best, 2] - places[best, 0]
        if shared[best] > 0.75 * wide and shared[best] > 0.75 * (box.x1 - box.x0) and len(written[best][4]) > 0:
            chosen.append(box)
            spelt.append(written[best][4])
    yield from zip(cut_words(grey, chosen), spelt, strict=True)


def collect(folder_patterns: Sequence[str], pages: int, seed: int, words: Sequence[str]) -> Pairs:
    """Return the pairs of generated pages and of the pages of PDFs.

    Raises:
        InputError: a pattern matches no file.
    """
    pymupdf = need("pymupdf", "pymupdf", "reading PDF files")
    dice = random.Random(seed)  # noqa: S311 - for layouts
    found: list[tuple[NDArray[np.float32], str]] = []
    for _ in range(pages):
        with generated_page(dice, words) as pdf:
            found += pairs_of(pdf[0], dice.choice((100, 120, 150, 150, 150, 200)))
    for pattern in folder_patterns:
        names = sorted(glob(pattern))  # noqa: PTH207 - a pattern of the command line
        if not names:
            raise InputError(f"'{pattern}' matches no file")
        for name in names:
            with pymupdf.open(name) as pdf:
                for page in pdf:
                    found += pairs_of(page, 150)
    pictures = np.stack([picture for picture, _ in found])
    return Pairs((pictures * 255).astype(np.uint8), [word for _, word in found])


def _spoiled(pictures: Any, torch: Any, generator: Any) -> Any:
    """Return pictures as scanners and screens show them: noisy, blurred, paler, moved."""
    count = len(pictures)
    moved = torch.roll(pictures, int(torch.randint(-2, 3, (), generator=generator)), dims=2)
    if torch.rand((), generator=generator) < 0.4:
        moved = torch.nn.functional.avg_pool2d(moved[:, None], 3, stride=1, padding=1)[:, 0]
    strength = 0.15 * torch.rand(count, 1, 1, generator=generator)
    pale = 0.6 + 0.4 * torch.rand(count, 1, 1, generator=generator)
    return (moved * pale + strength * torch.randn(moved.shape, generator=generator)).clamp(0, 1)


def train(pairs: Pairs, minutes: float, seed: int, on_step: Any = print) -> tuple[Any, dict[str, Any]]:
    """Train for some minutes; returns the network and facts: steps, loss, how often a picture's own word is nearest.

    A twentieth of the pairs is held out for the last of these.
    """
    import torch

    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    made = network()
    rows = torch.randperm(len(pairs.words), generator=generator)
    held, own = rows[: len(rows) // 20], rows[len(rows) // 20 :]
    pictures = torch.from_numpy(pairs.pictures)
    optimizer = torch.optim.AdamW(made.parameters(), lr=2e-3, weight_decay=1e-3)
    begun, step, mean = time.monotonic(), 0, 0.0
    made.train()
    while (spent := (time.monotonic() - begun) / 60) < minutes:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * max(0.02, 0.5 * (1 + math.cos(math.pi * spent / minutes)))
        chosen = own[torch.randint(len(own), (_BATCH,), generator=generator)]
        words = [pairs.words[number] for number in chosen.tolist()]
        seen = made.look(_spoiled(pictures[chosen].float() / 255, torch, generator))
        likeness = made.heat.exp().clamp(max=50) * seen @ made.spell(words).T
        numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
        same = torch.tensor([numbers[word] for word in words])
        others = (same[:, None] == same[None]) & ~torch.eye(_BATCH, dtype=torch.bool)
        likeness = likeness.masked_fill(others, -1e4)
        targets = torch.arange(_BATCH)
        loss = (
            torch.nn.functional.cross_entropy(likeness, targets)
            + torch.nn.functional.cross_entropy(likeness.T, targets)
        ) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        mean = loss.item() if step == 1 else 0.98 * mean + 0.02 * loss.item()
        if step % 50 == 0:
            on_step(f"{step} steps, {spent:.1f} minutes, loss {mean:.3f}")
    made.eval()
    with torch.inference_mode():
        spelt = sorted(set(pairs.words))
        seen = made.look(pictures[held[:2000]].float() / 255)
        nearest = (seen @ made.spell(spelt).T).argmax(1).tolist()
    right = [spelt[number] == pairs.words[place] for number, place in zip(nearest, held.tolist(), strict=False)]
    facts = {
        "pairs": len(pairs.words),
        "steps": step,
        "loss": round(mean, 4),
        "own_word_is_nearest": round(float(np.mean(right)), 4),
        "of_words": len(spelt),
    }
    return made, facts


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pdf", action="append", default=[], help="PDFs with a text layer to learn from too")
    parser.add_argument("--pages", type=int, default=250, help="generated pages")
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pairs = collect(options.pdf, options.pages, options.seed, vocabulary())
    print(f"{len(pairs.words)} pairs", flush=True)  # noqa: T201 - a command
    made, facts = train(pairs, options.minutes, options.seed, lambda text: print(text, flush=True))  # noqa: T201
    save(
        made,
        options.folder,
        facts | {"minutes": options.minutes, "generated_pages": options.pages, "seed": options.seed},
    )
    print(facts)  # noqa: T201


if __name__ == "__main__":
    main()
