"""Where words stand on the picture of a page, without reading them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import need

HEIGHT, WIDTH = 32, 128
"""Of the picture of a word, in pixels; a longer word is made narrower."""

_CONTRAST = 60
_REACH = 15
_DARK = 110
_LOWEST, _HIGHEST = 4, 140
_WIDEST = 600
_MOST = 2000
_SOLID = 0.7
_GAP = 0.13  # of the height of letters, on each side

Grey = NDArray[np.uint8]


class WordBox(NamedTuple):
    """A word, in pixels, and whether it is light on a dark ground."""

    x0: int
    y0: int
    x1: int
    y1: int
    inverted: bool = False


def word_boxes(page: Grey) -> list[WordBox]:
    """Return boxes around what looks like words: rows of marks of a letter's height with little space between.

    At most 2,000 of them, those from the top of the page.

    Args:
        page: a picture in shades of grey, of 100 to 200 dpi for printed text of usual size.
    """
    ndimage: Any = need("scipy.ndimage", "scipy", "finding words on pictures")
    # The ground around a letter is the lightest near it or, in an area that is dark on the whole, the darkest.
    shade = ndimage.uniform_filter(page, 4 * _REACH)
    deep = shade < _DARK
    ground = ndimage.maximum_filter(page, _REACH).astype(np.int16)
    boxes = [WordBox(*box) for box in _words(ndimage, (ground - page > _CONTRAST) & ~deep)]
    if deep.any():
        ground = ndimage.minimum_filter(page, _REACH).astype(np.int16)
        boxes += [WordBox(*box, inverted=True) for box in _words(ndimage, (page - ground > _CONTRAST) & deep)]
    return sorted(boxes, key=lambda box: (box.y0, box.x0))[:_MOST]


def _words(ndimage: Any, ink: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Return the boxes of words in a mask of ink."""
    marks = _boxes(ndimage, ink)
    tall, wide = marks[:, 3] - marks[:, 1], marks[:, 2] - marks[:, 0]
    letters = marks[(tall >= _LOWEST) & (tall <= _HIGHEST) & (wide <= _WIDEST)]
    if not len(letters):
        return []
    usual = float(np.median(letters[:, 3] - letters[:, 1]))
    joined = np.zeros(ink.shape, np.bool_)
    for x0, y0, x1, y1 in letters.tolist():
        reach = max(1, round(_GAP * max(y1 - y0, 0.7 * usual)))
        joined[y0:y1, max(0, x0 - reach) : x1 + reach] = True
    words = _boxes(ndimage, joined)
    tall, wide = words[:, 3] - words[:, 1], words[:, 2] - words[:, 0]
    kept = words[(tall >= 0.6 * min(usual, 12.0)) & (tall <= _HIGHEST) & (wide >= 0.8 * tall) & (wide <= _WIDEST)]
    # What is nearly all ink is a bar or the edge of a dark area.
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in kept.tolist() if ink[y0:y1, x0:x1].mean() < _SOLID]


def _boxes(ndimage: Any, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (x0, y0, x1, y1) of each connected part of a mask."""
    labels, count = ndimage.label(mask)
    slices = ndimage.find_objects(labels, count)
    found = [(across.start, down.start, across.stop, down.stop) for down, across in slices]
    return np.array(found, np.int64).reshape(-1, 4)


def cut_words(page: Any, boxes: list[WordBox]) -> NDArray[np.float32]:
    """Return the pictures of words, shape (words, HEIGHT, WIDTH): 1 is ink, 0 is ground.

    Args:
        page: the picture in shades of grey, of Pillow.
        boxes: of the words.
    """
    pictures = np.zeros((len(boxes), HEIGHT, WIDTH), np.float32)
    for number, box in enumerate(boxes):
        tall = box.y1 - box.y0
        # With room for the dots and tails that stand apart.
        top, bottom = max(0, box.y0 - round(0.3 * tall)), min(page.height, box.y1 + round(0.15 * tall))
        left, right = max(0, box.x0 - 1), min(page.width, box.x1 + 1)
        width = min(WIDTH, max(4, round((right - left) * HEIGHT / (bottom - top))))
        cut = page.crop((left, top, right, bottom)).resize((width, HEIGHT))
        shades = np.asarray(cut, np.float32)
        shades = shades if box.inverted else 255 - shades
        low, high = float(shades.min()), float(shades.max())
        pictures[number, :, :width] = (shades - low) / max(high - low, 1.0)
    return pictures
