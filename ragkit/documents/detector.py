"""Tables and figures found on the picture of a page by a model, in place of what the PDF itself tells."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

from ragkit.documents.document import Box
from ragkit.documents.pages import Page, PageObject
from ragkit.documents.pdf.geometry import share_inside
from ragkit.errors import InputError, need

KINDS: dict[str, Literal["table", "figure"]] = {
    "table": "table", "picture": "figure", "figure": "figure", "image": "figure", "chart": "figure",
}  # fmt: skip
"""What the labels of DocLayNet, PubLayNet and their kin stand for; other labels (text, title ...) are left out."""

_LEAST_SCORE = 0.5
_SAME = 0.5


class Region(NamedTuple):
    """What a detector found: its label, its box in pixels, and how sure it is, from 0 to 1."""

    label: str
    box: Box
    score: float


class LayoutDetector(Protocol):
    """Finds regions on the pictures of pages."""

    def detect(self, picture: Any) -> Sequence[Region]:
        """Return the regions of a picture of Pillow."""
        ...


class TransformersDetector:
    """An object detector of transformers, such as a DETR or RT-DETR that was trained on DocLayNet."""

    def __init__(self, model: str) -> None:
        need("PIL", "pillow", "a layout detector")
        transformers = need("transformers", "transformers", "a layout detector")
        try:
            self._processor = transformers.AutoImageProcessor.from_pretrained(model)
            self._model = transformers.AutoModelForObjectDetection.from_pretrained(model).eval()
        except (OSError, ValueError) as error:
            raise InputError(f"pages.detector: '{model}' cannot be loaded as an object detector: {error}") from None
        names = {str(name).lower() for name in self._model.config.id2label.values()}
        if not names & KINDS.keys():
            raise InputError(
                f"pages.detector: '{model}' knows no label of {', '.join(KINDS)}: use a model trained on DocLayNet"
            )

    def detect(self, picture: Any) -> Sequence[Region]:
        """Return the regions of a picture, the surest first."""
        import torch

        with torch.inference_mode():
            outputs = self._model(**self._processor(images=picture, return_tensors="pt"))
        sizes = [(picture.height, picture.width)]
        (found,) = self._processor.post_process_object_detection(outputs, threshold=_LEAST_SCORE, target_sizes=sizes)
        names = self._model.config.id2label
        rows = zip(found["labels"].tolist(), found["boxes"].tolist(), found["scores"].tolist(), strict=True)
        regions = [Region(str(names[label]), (x0, y0, x1, y1), score) for label, (x0, y0, x1, y1), score in rows]
        return sorted(regions, key=lambda region: -region.score)


@lru_cache(maxsize=1)
def detector_of(model: str) -> LayoutDetector:
    """Return the detector of a folder or hub id, loaded once in a process."""
    return TransformersDetector(model)


def detected(page: Page, regions: Sequence[Region], dpi: int) -> tuple[PageObject, ...]:
    """Return the objects of a page as a detector sees them.

    An object that the PDF tells of and that overlaps a region by half keeps its text, cells, caption and number, and
    takes the region's box; a region alone is an object without text. Of two regions that overlap by half the surer one
    is kept.

    Args:
        page: the page as the PDF tells it.
        regions: the surest first.
        dpi: resolution of the picture that the regions were found on.
    """
    kept: list[tuple[Literal["table", "figure"], Box, float]] = []
    for region in regions:
        kind = KINDS.get(region.label.lower())
        box = _on_page(region.box, page, dpi)
        if kind and box and not any(_overlap(box, other) > _SAME for _, other, _ in kept):
            kept.append((kind, box, region.score))
    objects = []
    counts = {"table": 0, "figure": 0}
    for kind, box, score in sorted(kept, key=lambda each: (each[1][1], each[1][0])):
        counts[kind] += 1
        name = f"{page.document}#p{page.number}.{kind}{counts[kind]}"
        told = next((one for one in page.objects if one.category == kind and _overlap(box, one.box) > _SAME), None)
        known = {} if told is None else {
            "caption": told.caption, "label": told.label, "span": told.span, "rows": told.rows, "header": told.header,
        }  # fmt: skip
        objects.append(PageObject(name, kind, box, score=round(score, 4), **known))  # type: ignore[arg-type]
    return tuple(objects)


def _overlap(a: Box, b: Box) -> float:
    return max(share_inside(a, b), share_inside(b, a))


def _on_page(box: Box, page: Page, dpi: int) -> Box | None:
    """Return a box in points within the page, None if nothing of it is left."""
    x0, y0, x1, y1 = (round(side * 72 / dpi, 1) for side in box)
    x0, y0, x1, y1 = max(0.0, x0), max(0.0, y0), min(page.width, x1), min(page.height, y1)
    return (x0, y0, x1, y1) if x1 - x0 >= 2 and y1 - y0 >= 2 else None
