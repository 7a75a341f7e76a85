"""The look all pictures share: paper, ink, type sizes and how numbers are written."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gfocc_core.taxonomy import COLORS, FREE_ID

Color = tuple[int, int, int]

PAPER: Color = (250, 250, 248)
PANEL: Color = (236, 238, 240)
"""Ground of a view: where nothing is."""
INK: Color = (32, 36, 42)
MUTED: Color = (112, 118, 126)
ACCENT: Color = (200, 30, 60)

MARGIN = 20
TITLE, BODY, SMALL = 24, 15, 12
"""Type sizes in pixels."""

PALETTE: NDArray[np.uint8] = np.array([*COLORS[:FREE_ID], PANEL], np.uint8)
"""RGB of each id; free is the panel's ground."""


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own face: there on every machine."""
    return ImageFont.load_default(size)


def write(
    canvas: Image.Image,
    place: tuple[float, float],
    text: str,
    size: int = BODY,
    color: Color = INK,
    anchor: str = "la",
) -> None:
    """Put a line of text; `anchor` as in Pillow (`la`: left, ascender)."""
    ImageDraw.Draw(canvas).text(place, text, fill=color, font=font(size), anchor=anchor)


def tag(canvas: Image.Image, place: tuple[int, int], text: str, size: int = SMALL) -> None:
    """A caption on top of a picture, legible on any ground."""
    draw = ImageDraw.Draw(canvas, "RGBA")
    left, top, right, bottom = draw.textbbox(place, text, font=font(size))
    draw.rounded_rectangle((left - 5, top - 3, right + 5, bottom + 3), 4, fill=(20, 22, 26, 190))
    draw.text(place, text, fill=(255, 255, 255, 255), font=font(size))


def percent(value: float) -> str:
    """A score with one decimal, or a dash where there was nothing to score."""
    return "-" if math.isnan(value) else f"{value:.1f}"
