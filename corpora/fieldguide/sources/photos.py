"""Draws photograph-like pictures for the field guides with numpy; the seed fixes every pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Rng = np.random.Generator
Array = np.ndarray
Params = dict[str, Any]
WIDTH, HEIGHT = 720, 480


def draw_photo(source: Path, target: Path) -> None:
    """Draw the picture that `source` describes into the JPEG file `target`."""
    spec: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    rng = np.random.default_rng(int(spec.get("seed", 0)))
    picture, labels = SCENES[spec["scene"]](rng, dict(spec.get("params") or {}))
    picture = _shade(picture.filter(ImageFilter.GaussianBlur(0.7)), rng)
    labels(ImageDraw.Draw(picture))
    picture.save(target, "JPEG", quality=72, optimize=True)


def _noise(rng: Rng, scales: tuple[int, ...] = (6, 18, 60), size: tuple[int, int] = (WIDTH, HEIGHT)) -> Array:
    """Smooth random field in -1..1: random grids of several cell sizes, blown up and added."""
    total = np.zeros((size[1], size[0]))
    for scale in scales:
        grid = rng.random((size[1] // scale + 2, size[0] // scale + 2)) * 255
        layer = Image.fromarray(grid.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        total += (np.asarray(layer, dtype=float) / 127.5 - 1) / len(scales)
    return total


def _tint(color: Any, light: Array) -> Array:
    """Colour times (1 + light), as an RGB array of floats."""
    return np.asarray(color, dtype=float)[None, None, :] * (1 + light[..., None])


def _image(rgb: Array) -> Image.Image:
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


def _shade(picture: Image.Image, rng: Rng) -> Image.Image:
    """Vignette and a little film grain."""
    rgb = np.asarray(picture, dtype=float)
    y, x = np.mgrid[-1 : 1 : rgb.shape[0] * 1j, -1 : 1 : rgb.shape[1] * 1j]
    return _image(rgb * (1.04 - 0.22 * (x**2 + y**2) / 2)[..., None] + rng.normal(0, 2.0, rgb.shape[:2])[..., None])


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _tag(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int = 20) -> None:
    """Write a white label with a dark edge."""
    draw.text(at, text, font=_font(size), fill="white", stroke_width=2, stroke_fill=(25, 25, 25))


def _tags(params: Params) -> Callable[[ImageDraw.ImageDraw], None]:
    """The free labels of `params: {labels: [[x, y, text], ...]}`; x and y are fractions, a fourth value is the size."""

    def write(draw: ImageDraw.ImageDraw) -> None:
        for x, y, text, *size in params.get("labels", []):
            _tag(draw, (x * WIDTH, y * HEIGHT), str(text), *size)

    return write


def _soil_profile(rng: Rng, params: Params) -> tuple[Image.Image, Any]:
    """Pit face. params: depth (cm), horizons [[name, bottom cm, [r, g, b]], ...], roots (cm)."""
    default = [["A", 25, [78, 58, 42]], ["B", 70, [133, 96, 60]], ["C", 100, [176, 150, 112]]]
    horizons, depth = params.get("horizons", default), float(params.get("depth", 100))
    top = 44
    light = 0.16 * _noise(rng, (3, 7, 24)) + 0.08 * _noise(rng, (90,))
    wavy = np.arange(HEIGHT)[:, None] + 9 * _noise(rng, (40, 120))
    rgb = _tint((150, 180, 205), 0.03 * _noise(rng, (120,)))
    start = 0.0
    for _, bottom, color in horizons:
        begin = top + (HEIGHT - top) * start / depth
        rgb = np.where((wavy >= begin)[..., None], _tint(color, light), rgb)
        start = float(bottom)
    picture = _image(rgb)
    draw = ImageDraw.Draw(picture)
    for _ in range(170):
        x = float(rng.uniform(0, WIDTH))
        draw.line([(x, top + 6), (x + rng.normal(0, 9), top - rng.uniform(8, 40))], fill=(70, 115, 50), width=2)
    reach = float(params.get("roots", depth * 0.6)) / depth * (HEIGHT - top)
    for _ in range(46):
        x, y = float(rng.uniform(110, WIDTH)), float(top)
        end = top + reach * float(rng.uniform(0.25, 1))
        while y < end:
            nx, ny = x + float(rng.normal(0, 5)), y + float(rng.uniform(5, 11))
            draw.line([(x, y), (nx, ny)], fill=(196, 176, 138), width=1)
            x, y = nx, ny

    def labels(pen: ImageDraw.ImageDraw) -> None:
        step = int(params.get("step", 20))
        pen.rectangle([14, top, 40, HEIGHT], fill=(240, 236, 220), outline=(40, 40, 40))
        for cm in range(0, int(depth) + 1, step):
            y = top + (HEIGHT - top) * cm / depth
            pen.rectangle([14, y - 1, 40, y + 1], fill=(160, 30, 25))
            _tag(pen, (46, min(y - 11, HEIGHT - 24)), f"{cm} cm", 18)
        start_cm = 0.0
        for name, bottom, _ in horizons:
            y = top + (HEIGHT - top) * (start_cm + min(float(bottom), depth)) / 2 / depth
            _tag(pen, (WIDTH - 30 - 13 * len(str(name)), y - 13), str(name), 24)
            start_cm = float(bottom)
        _tags(params)(pen)

    return picture, labels


def _leaf(rng: Rng, params: Params) -> tuple[Image.Image, Any]:
    """One leaf. params: color, pattern (none|spots|margin|interveinal|tip|stripes), spots, spot_color."""
    color, spot = params.get("color", [74, 128, 48]), params.get("spot_color", [176, 130, 60])
    pattern = params.get("pattern", "none")
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    u, v = (x - 50) / (WIDTH - 100), (y - HEIGHT / 2) / (HEIGHT * float(params.get("width", 0.32)))
    half = np.sqrt(np.clip(np.sin(np.pi * np.clip(u, 0, 1) ** 0.85), 0, None)) + 0.04 * _noise(rng, (40,))
    inside = (u > 0) & (u < 1) & (np.abs(v) < half)
    rgb = _tint((88, 70, 52), 0.2 * _noise(rng))
    vein = np.abs(np.sin((u * 16 - np.abs(v) * 2.2) * np.pi))
    hurt = np.zeros_like(u)
    if pattern == "margin":
        hurt = np.clip((np.abs(v) / np.maximum(half, 0.05) - 0.72) * 6, 0, 1)
    elif pattern == "interveinal":
        hurt = np.clip(vein * 1.3 - 0.35, 0, 1) * 0.85
    elif pattern == "tip":
        hurt = np.clip((u - 0.55 - 0.3 * (0.5 - np.abs(v))) * 4 + 0.4 * _noise(rng), 0, 1)
    elif pattern == "stripes":
        hurt = np.clip(np.sin(v * 24 + _noise(rng, (60,))) * 1.4, 0, 1) * 0.8
    elif pattern == "spots":
        for _ in range(int(params.get("spots", 28))):
            cx, cy, r = rng.uniform(110, WIDTH - 110), rng.normal(HEIGHT / 2, HEIGHT * 0.13), rng.uniform(7, 21)
            hurt = np.maximum(hurt, np.clip(1.5 - np.hypot(x - cx, (y - cy) * 1.3) / r, 0, 1))
    light = 0.13 * _noise(rng, (4, 12, 50)) - 0.16 * np.clip(1 - vein * 4, 0, 1) + 0.14 * (1 - np.abs(v))
    leaf = _tint(color, light) * (1 - hurt[..., None]) + _tint(spot, light) * hurt[..., None]
    rib = np.abs(v) < 0.035
    leaf = np.where(rib[..., None], _tint((188, 200, 130), light), leaf)
    return _image(np.where(inside[..., None], leaf, rgb)), _tags(params)


def _ground(rng: Rng, color: Any, horizon: int) -> Array:
    """Sky above the horizon line, soil below it."""
    light = 0.2 * _noise(rng, (4, 10, 40))
    rgb = _tint(color, light)
    y = np.arange(horizon)[:, None, None] / max(horizon, 1)
    rgb[:horizon] = (1 - y) * np.array([120, 165, 210.0]) + y * np.array([215, 226, 232.0])
    rgb[:horizon] += 16 * _noise(rng, (30, 90, 160))[:horizon, :, None]
    return rgb


def _rows(rng: Rng, params: Params, water: bool) -> tuple[Image.Image, Any]:
    """Crop rows in perspective. params: soil, green, rows, cover (0..1), horizon (0..1)."""
    horizon = int(HEIGHT * float(params.get("horizon", 0.3)))
    rgb = _ground(rng, params.get("soil", [120, 92, 64]), horizon)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    depth = np.clip((y - horizon) / (HEIGHT - horizon), 0.012, 1)
    phase = (x - WIDTH / 2) / (WIDTH * depth) * float(params.get("rows", 5))
    wave = np.cos(2 * np.pi * phase)
    below = y > horizon
    rgb = np.where(below[..., None], rgb * (1 + 0.2 * wave[..., None]), rgb)
    if water:
        wet = below & (wave < -0.72)
        shine = 0.25 * _noise(rng, (3, 20, 70)) + 0.35 * (1 - depth)
        rgb = np.where(wet[..., None], _tint(params.get("water", [118, 140, 150]), shine), rgb)
    cover = float(params.get("cover", 0.5))
    leafy = below & (wave + 0.45 * _noise(rng, (4, 9, 16)) > 1 - 2 * cover)
    green = _tint(params.get("green", [66, 118, 46]), 0.45 * _noise(rng, (3, 6, 14)) + 0.2 * (wave - 0.5))
    return _image(np.where(leafy[..., None], green, rgb)), _tags(params)


def _field_rows(rng: Rng, params: Params) -> tuple[Image.Image, Any]:
    return _rows(rng, params, water=False)


def _furrow(rng: Rng, params: Params) -> tuple[Image.Image, Any]:
    """Crop on beds with water in the furrows; params as for field_rows, and water."""
    return _rows(rng, {"cover": 0.2, "rows": 3, **params}, water=True)


def _grain(rng: Rng, params: Params) -> tuple[Image.Image, Any]:
    """Heap of kernels. params: color, length, width (pixels), damaged (share), damaged_color."""
    color = np.array(params.get("color", [206, 160, 84]), dtype=float)
    bad = np.array(params.get("damaged_color", [96, 74, 60]), dtype=float)
    a, b = int(params.get("length", 38)), int(params.get("width", 18))
    picture = _image(_tint(color * 0.35, 0.2 * _noise(rng)))
    yy, xx = np.mgrid[-1 : 1 : b * 2j, -1 : 1 : a * 2j]
    inside = Image.fromarray(((xx**2 + yy**2 < 1) * 255).astype(np.uint8))
    for _ in range(int(2600 * 684 / (a * b))):
        tone = (bad if rng.random() < float(params.get("damaged", 0)) else color) * rng.uniform(0.8, 1.15)
        light = 0.35 * (-yy * 0.8 - xx * 0.3) - 0.3 * (np.abs(yy + 0.05) < 0.06) - 0.25 * (xx**2 + yy**2)
        kernel = _image(_tint(tone, light))
        angle = float(rng.uniform(0, 360))
        mask = inside.rotate(angle, expand=True)
        at = (int(rng.uniform(-a, WIDTH)), int(rng.uniform(-a, HEIGHT)))
        picture.paste(kernel.rotate(angle, expand=True), at, mask)
    return picture, _tags(params)


def _cells(rng: Rng, count: int) -> tuple[Array, Array]:
    """Distance to the nearest cell border and the nearest cell's number, for random Voronoi cells."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    x, y = x + 10 * _noise(rng, (16, 40)), y + 10 * _noise(rng, (16, 40))
    first, second = np.full(x.shape, 1e9), np.full(x.shape, 1e9)
    cell = np.zeros(x.shape, dtype=int)
    for i in range(count):
        distance = np.hypot(x - rng.uniform(-40, WIDTH + 40), y - rng.uniform(-40, HEIGHT + 40))
        cell = np.where(distance < first, i, cell)
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return second - first, cell


def _cracked_soil(rng: Rng, params: Params) -> tuple[Image.Image, Any]:
    """Dry cracked ground. params: color, cells, gap (pixels), salt (0..1, white crust)."""
    border, cell = _cells(rng, int(params.get("cells", 42)))
    gap = float(params.get("gap", 7))
    tone = rng.uniform(-0.08, 0.08, 4000)[cell]
    light = 0.14 * _noise(rng, (3, 8, 40)) + tone + 0.1 * np.clip((border - gap) / 20, 0, 1)
    rgb = _tint(params.get("color", [164, 132, 98]), light)
    crust = np.clip(_noise(rng, (12, 40, 110)) * 3 + 2 * float(params.get("salt", 0)) - 1, 0, 1)[..., None]
    rgb = rgb * (1 - crust) + np.array([232, 230, 222.0]) * crust
    return _image(rgb * np.clip((border - gap * 0.3) / gap, 0.16, 1)[..., None]), _tags(params)


def _canopy(rng: Rng, params: Params) -> tuple[Image.Image, Any]:
    """Crop seen from above. params: cover (0..1), color, soil, leaf (pixels)."""
    color = np.array(params.get("color", [72, 126, 48]), dtype=float)
    picture = _image(_tint(params.get("soil", [116, 90, 66]), 0.25 * _noise(rng, (3, 8, 30))))
    draw = ImageDraw.Draw(picture)
    size, cover = float(params.get("leaf", 34)), float(params.get("cover", 0.8))
    for _ in range(int(2400 * cover * (34 / size) ** 2)):
        row = float(rng.integers(0, 7)) / 6
        x, y = float(rng.uniform(0, WIDTH)), row * HEIGHT + float(rng.normal(0, 14 + 34 * cover))
        angle, length = float(rng.uniform(0, 2 * np.pi)), size * float(rng.uniform(0.6, 1.3))
        dx, dy = np.cos(angle) * length, np.sin(angle) * length
        side = (-dy * 0.22, dx * 0.22)
        shape = [(x, y), (x + dx / 2 + side[0], y + dy / 2 + side[1]), (x + dx, y + dy)]
        tone = tuple(int(c) for c in np.clip(color * rng.uniform(0.55, 1.3), 0, 255))
        draw.polygon([*shape, (x + dx / 2 - side[0], y + dy / 2 - side[1])], fill=tone)
        draw.line([(x, y), (x + dx, y + dy)], fill=tuple(min(255, c + 26) for c in tone))
    return picture, _tags(params)


def _insect_trap(rng: Rng, params: Params) -> tuple[Image.Image, Any]:
    """Sticky trap before foliage. params: color, insects (number drawn on the trap)."""
    rgb = _tint((70, 104, 52), 0.5 * _noise(rng, (14, 40, 90)))
    picture = _image(rgb).filter(ImageFilter.GaussianBlur(5))
    card = _image(_tint(params.get("color", [228, 204, 60]), 0.05 * _noise(rng, (5, 60))))
    box = (170, 50, 550, 430)
    picture.paste(card.crop(box), box[:2])
    draw = ImageDraw.Draw(picture)
    draw.line([(360, 0), (360, 50)], fill=(60, 60, 60), width=3)
    for i in range(1, 5):
        draw.line([(170 + 76 * i, 50), (170 + 76 * i, 430)], fill=(150, 130, 40))
        draw.line([(170, 50 + 76 * i), (550, 50 + 76 * i)], fill=(150, 130, 40))
    spots: list[tuple[float, float]] = []
    while len(spots) < int(params.get("insects", 25)):
        x, y = float(rng.uniform(186, 534)), float(rng.uniform(66, 414))
        if all(np.hypot(x - a, y - b) > 19 for a, b in spots):
            spots.append((x, y))
    for x, y in spots:
        angle = float(rng.uniform(0, np.pi))
        dx, dy = 6 * np.cos(angle), 6 * np.sin(angle)
        draw.line([(x - dx, y - dy), (x + dx, y + dy)], fill=(38, 28, 24), width=5)
        draw.line([(x - dy * 0.9, y + dx * 0.9), (x + dy * 0.9, y - dx * 0.9)], fill=(86, 76, 60), width=1)
    return picture, _tags(params)


SCENES: dict[str, Callable[[Rng, Params], tuple[Image.Image, Any]]] = {
    "soil_profile": _soil_profile,
    "leaf": _leaf,
    "field_rows": _field_rows,
    "grain": _grain,
    "cracked_soil": _cracked_soil,
    "canopy": _canopy,
    "insect_trap": _insect_trap,
    "furrow": _furrow,
}
