"""Which colour is which class."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from gfocc_core.report.style import BODY, INK, MUTED, SMALL, font, percent, write
from gfocc_core.taxonomy import CLASS_NAMES, COLORS, FREE_ID

ROW_HEIGHT = 24
_SWATCH = 14


def draw_legend_column(
    canvas: Image.Image,
    place: tuple[int, int],
    width: int,
    scores: Sequence[float] | None,
) -> None:
    """One row per class; with scores ([18] per cent, NaN: nothing to score) a column of numbers."""
    x, y = place
    for class_id, name in enumerate(CLASS_NAMES[:FREE_ID]):
        row = y + class_id * ROW_HEIGHT
        _swatch(canvas, (x, row), class_id)
        write(canvas, (x + _SWATCH + 9, row + _SWATCH / 2), _spoken(name), BODY, INK, "lm")
        if scores is not None:
            place_right = (x + width, row + _SWATCH / 2)
            write(canvas, place_right, percent(scores[class_id]), BODY, MUTED, "rm")


def draw_legend_lines(canvas: Image.Image, place: tuple[int, int], width: int) -> int:
    """Classes one after the other, in lines; returns the height."""
    x, y = place
    for class_id, name in enumerate(CLASS_NAMES[:FREE_ID]):
        needed = _SWATCH + 6 + font(SMALL).getlength(_spoken(name)) + 18
        if x + needed > place[0] + width:
            x, y = place[0], y + ROW_HEIGHT
        _swatch(canvas, (x, y), class_id)
        write(canvas, (x + _SWATCH + 6, y + _SWATCH / 2), _spoken(name), SMALL, INK, "lm")
        x += round(needed)
    return y + ROW_HEIGHT - place[1]


def _swatch(canvas: Image.Image, place: tuple[int, int], class_id: int) -> None:
    x, y = place
    box = (x, y, x + _SWATCH, y + _SWATCH)
    ImageDraw.Draw(canvas).rounded_rectangle(box, 3, fill=COLORS[class_id])


def _spoken(name: str) -> str:
    return name.replace("_", " ")
