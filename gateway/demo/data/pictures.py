"""Pictures for the demonstration: plainly artificial drawings of a skin lesion beside a ruler.

They are drawn from a fixed seed, so that every installation has the same ones, and carry the words that they
are drawings.
"""

from __future__ import annotations

import io
import math
import random
from enum import StrEnum

from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["View", "draw"]

_SEED = 43
_QUALITY = 82
_SKIN = (232, 196, 170)
_BROWNS = ((122, 78, 52), (88, 52, 38), (60, 40, 36))
_BLUISH = (82, 88, 112)
_INK = (40, 52, 60)


class View(StrEnum):
    """The three views that a dermatologist asks for."""

    OVERVIEW = "ensemble"
    CLOSE = "rapprochee"
    DERMOSCOPE = "dermoscopie"


# Width and height in pixels, radius of the lesion, pixels per millimetre of the ruler (0: no ruler).
_FRAMES = {
    View.OVERVIEW: (960, 720, 26, 3),
    View.CLOSE: (960, 720, 150, 33),
    View.DERMOSCOPE: (800, 800, 250, 0),
}


def draw(view: View, caption: str) -> bytes:
    """One view as a JPEG of less than 60 kB; ``caption`` is written into it."""
    width, height, radius, millimetre = _FRAMES[view]
    chance = random.Random(_SEED)  # noqa: S311 - a drawing, not a secret
    image = _skin(width, height, chance)
    _lesion(image, width // 2, height // 2, radius, chance, bluish=view is View.DERMOSCOPE)
    if view is View.DERMOSCOPE:
        image = _through_lens(image)
    pen = ImageDraw.Draw(image)
    if millimetre:
        _ruler(pen, width, height, millimetre)
    ink = "white" if view is View.DERMOSCOPE else _INK
    pen.text((16, 12), caption, fill=ink, font=ImageFont.load_default(18))
    output = io.BytesIO()
    image.save(output, "JPEG", quality=_QUALITY, optimize=True)
    return output.getvalue()


def _skin(width: int, height: int, chance: random.Random) -> Image.Image:
    """A skin-coloured ground with soft light and a few pores."""
    image = Image.new("RGB", (width, height), _SKIN)
    pen = ImageDraw.Draw(image)
    for step in range(width):
        shade = round(18 * math.sin(math.pi * step / width)) - 9
        pen.line((step, 0, step, height), fill=(_SKIN[0] + shade, _SKIN[1] + shade, _SKIN[2] + shade))
    for _ in range(500):
        x, y, size = chance.randrange(width), chance.randrange(height), chance.randint(1, 3)
        pen.ellipse((x, y, x + size, y + size), fill=(214, 174, 150))
    return image.filter(ImageFilter.GaussianBlur(1.2))


def _outline(x: float, y: float, radius: float, chance: random.Random) -> list[tuple[float, float]]:
    """The points of an irregular closed line around a centre."""
    phases = [chance.uniform(0, 2 * math.pi) for _ in range(4)]
    points = []
    for degree in range(0, 360, 4):
        angle = math.radians(degree)
        wave = sum(math.sin((n + 2) * angle + phase) / (n + 2) for n, phase in enumerate(phases))
        reach = radius * (1 + 0.22 * wave)
        points.append((x + reach * math.cos(angle), y + 0.8 * reach * math.sin(angle)))
    return points


def _lesion(image: Image.Image, x: int, y: int, radius: int, chance: random.Random, *, bluish: bool) -> None:
    """Several browns within an irregular outline, its edge softened."""
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    for index, colour in enumerate(_BROWNS):
        shift = radius * 0.14 * index
        pen.polygon(
            _outline(x + shift, y - shift / 2, radius * (1 - 0.26 * index), chance), fill=(*colour, 235)
        )
    if bluish:
        spot = _outline(x - radius * 0.35, y + radius * 0.25, radius * 0.3, chance)
        pen.polygon(spot, fill=(*_BLUISH, 220))
    for _ in range(60):
        angle, reach = chance.uniform(0, 2 * math.pi), radius * 0.85 * math.sqrt(chance.random())
        dot_x, dot_y = x + reach * math.cos(angle), y + 0.8 * reach * math.sin(angle)
        size = max(1.0, radius * chance.uniform(0.01, 0.03))
        pen.ellipse((dot_x - size, dot_y - size, dot_x + size, dot_y + size), fill=(46, 30, 28, 200))
    image.paste(layer, mask=layer.getchannel("A").filter(ImageFilter.GaussianBlur(max(1, radius // 40))))


def _through_lens(image: Image.Image) -> Image.Image:
    """The round field of a dermoscope on black."""
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((40, 40, image.width - 40, image.height - 40), fill=255)
    field = Image.new("RGB", image.size, (16, 16, 18))
    field.paste(image, mask=mask.filter(ImageFilter.GaussianBlur(4)))
    return field


def _ruler(pen: ImageDraw.ImageDraw, width: int, height: int, millimetre: int) -> None:
    """A paper ruler along the lower edge, a longer stroke and a figure at each centimetre."""
    top = height - 96
    pen.rectangle((40, top, width - 40, height - 36), fill=(250, 250, 244), outline=(150, 150, 140))
    font = ImageFont.load_default(15)
    strokes = (width - 160) // millimetre
    for index in range(strokes + 1):
        x = 50 + index * millimetre
        centimetre = index % 10 == 0
        if millimetre < 5 and not centimetre:
            continue
        pen.line((x, top, x, top + (26 if centimetre else 12)), fill=_INK, width=1)
        if centimetre:
            pen.text((x + 3, top + 28), f"{index // 10}", fill=_INK, font=font)
    pen.text((width - 84, top + 36), "cm", fill=_INK, font=font)
