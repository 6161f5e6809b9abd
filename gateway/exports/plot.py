"""The figures of ``gateway stats`` as a picture, SVG or PNG: requests, delays and punctuality by month."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from teleexpertise.activity import Figures, Group
from teleexpertise.texts.words import Words

__all__ = ["NotDrawn", "as_png", "plot"]

_LEFT, _WIDTH, _PANEL, _GAP, _TOP = 70, 760, 170, 74, 64
_WIDE, _HIGH = _LEFT + _WIDTH + 30, _TOP + 3 * (_PANEL + _GAP)
_INK, _GRID, _SOFT = "#1f2a33", "#dfe4e8", "#5f6b76"
_FIRST, _SECOND = "#2b6cb0", "#9bc1e4"
#: Of a long period the last months are drawn.
_MONTHS = 24
_STEPS = 4
#: Pixels per inch, where the picture has 96: sharp on a screen of double density and in print.
_DENSITY = 192


def plot(figures: Figures, words: Words) -> str:
    """The picture as text, three panels over one axis of months. Without any month it says so."""
    months = figures.months[-_MONTHS:]
    box, look = f'viewBox="0 0 {_WIDE} {_HIGH}"', f'font-family="sans-serif" fill="{_INK}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE}" height="{_HIGH}" {box} {look}>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(_LEFT, 30, words.of("statistics", "title"), size=18, weight="bold"),
    ]
    if told := _elsewhere(figures, words):
        parts.append(_text(_LEFT, 46, told))
    if not months:
        parts.append(_text(_LEFT, _TOP, words.of("statistics", "nothing"), size=13))
        return "\n".join([*parts, "</svg>"]) + "\n"
    panels: tuple[tuple[str, str, tuple[tuple[str, Callable[[Group], float | None]], ...]], ...] = (
        (
            "volumes",
            "",
            (("asked", lambda group: group.asked), ("finalised", lambda group: group.finalised)),
        ),
        (
            "delays",
            " h",
            (
                ("median", lambda group: group.answer.median),
                ("ninetieth", lambda group: group.answer.ninetieth),
            ),
        ),
        ("punctuality", " %", (("share", lambda group: _percent(group.share)),)),
    )
    for number, (name, unit, series) in enumerate(panels):
        top = _TOP + number * (_PANEL + _GAP) + 20
        values = [[read(month) for month in months] for _, read in series]
        ceiling = 100.0 if name == "punctuality" else _round_up(max(v or 0 for row in values for v in row))
        parts += _axis(top, words.of("statistics", name), ceiling, unit)
        parts += _legend(top, [words.of("statistics", key) for key, _ in series])
        parts += _bars(top, values, ceiling, unit, [month.name for month in months])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _elsewhere(figures: Figures, words: Words) -> str:
    """What of the picture other operators hold, and how many of theirs are not in it."""
    found = figures.elsewhere
    said = (("elsewhere", found.counted), ("untold", found.untold))
    return " ".join(words.of("statistics", key).format(count=count) for key, count in said if count)


class NotDrawn(Exception):
    """The programs that draw a PNG are not there, or failed."""


def as_png(svg: str) -> bytes:
    """A picture of :func:`plot` in pixels, twice its size: WeasyPrint lays it out, ``pdftoppm`` draws it, as
    they do with reports. Raises :class:`NotDrawn`.
    """
    # Loaded here: the libraries take longer than everything else that a command does.
    from weasyprint import HTML

    from gateway.workers.rasters import drawn_pages
    from teleexpertise.report.printing import ImagesOnly

    page = f"<style>@page {{ size: {_WIDE}px {_HIGH}px; margin: 0 }} svg {{ display: block }}</style>{svg}"
    paper = HTML(string=page, url_fetcher=ImagesOnly({})).write_pdf()
    drawn = next(drawn_pages(paper, "-r", str(_DENSITY), "-f", "1", "-l", "1"), None)
    if drawn is None:
        raise NotDrawn("`pdftoppm` (poppler-utils) is not there, or failed")
    picture = io.BytesIO()
    drawn.save(picture, "PNG", optimize=True, dpi=(_DENSITY, _DENSITY))
    return picture.getvalue()


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _round_up(value: float) -> float:
    """The next of 4, 8, 12, 20, 40, 80, 120 ... above: four even steps with round labels."""
    unit = 1.0
    while unit * 10 * _STEPS < value:
        unit *= 10
    return next(unit * step * _STEPS for step in (1, 2, 3, 5, 10) if unit * step * _STEPS >= value)


def _text(
    x: float, y: float, words: str, *, size: int = 11, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )


def _axis(top: float, title: str, ceiling: float, unit: str) -> list[str]:
    found = [_text(_LEFT, top - 14, title, size=13, weight="bold")]
    for step in range(_STEPS + 1):
        y = top + _PANEL * (1 - step / _STEPS)
        found.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_LEFT + _WIDTH}" y2="{y:.1f}" stroke="{_GRID}"/>')
        found.append(_text(_LEFT - 8, y + 4, f"{ceiling * step / _STEPS:g}{unit}", anchor="end"))
    return found


def _legend(top: float, names: Sequence[str]) -> list[str]:
    """The names of the series at the right, above the panel; one needs none."""
    found: list[str] = []
    x = float(_LEFT + _WIDTH)
    for colour, name in reversed(list(zip((_FIRST, _SECOND), names, strict=False))) if len(names) > 1 else ():
        x -= 7 * len(name)
        found.append(_text(x, top - 14, name))
        found.append(f'<rect x="{x - 16:.1f}" y="{top - 24:.1f}" width="11" height="11" fill="{colour}"/>')
        x -= 40
    return found


def _bars(
    top: float, values: Sequence[Sequence[float | None]], ceiling: float, unit: str, names: Sequence[str]
) -> list[str]:
    found: list[str] = []
    slot = _WIDTH / len(names)
    width = min(28.0, slot * 0.7 / len(values))
    every = max(1, -(-len(names) // 12))
    for number, name in enumerate(names):
        left = _LEFT + number * slot + (slot - width * len(values)) / 2
        for index, row in enumerate(values):
            value = row[number]
            if value is None:
                continue
            tall = _PANEL * value / ceiling
            found.append(
                f'<rect x="{left + index * width:.1f}" y="{top + _PANEL - tall:.1f}" width="{width - 1:.1f}" '
                f'height="{tall:.1f}" fill="{(_FIRST, _SECOND)[index]}">'
                f"<title>{escape(name)}: {value:.3g}{unit}</title></rect>"
            )
        if number % every == 0:
            found.append(_text(_LEFT + (number + 0.5) * slot, top + _PANEL + 17, name, anchor="middle"))
    found.append(
        f'<line x1="{_LEFT}" y1="{top + _PANEL}" x2="{_LEFT + _WIDTH}" y2="{top + _PANEL}" stroke="{_SOFT}"/>'
    )
    return found
