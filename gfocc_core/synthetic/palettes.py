"""Colours of the two worlds: validation looks like training in kind, not in its tones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gfocc_core.synthetic.ground_colors import Tone
from gfocc_core.synthetic.parts import Array

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """Base colours, RGB 0 to 255; `shade` varies them from thing to thing."""

    facades: tuple[Color, ...]
    bricks: tuple[Color, ...]
    roofs: tuple[Color, ...]
    metals: tuple[Color, ...]
    cars: tuple[Color, ...]
    freight: tuple[Color, ...]
    """Trucks, trailers, containers."""
    buses: tuple[Color, ...]
    machines: tuple[Color, ...]
    clothes: tuple[Color, ...]
    skin: tuple[Color, ...]
    leaves: tuple[Color, ...]
    barks: tuple[Color, ...]
    asphalt: tuple[float, float]
    """Range of its brightness."""
    paving: tuple[Color, ...]
    plazas: tuple[Color, ...]
    grass: tuple[Color, ...]
    soils: tuple[Color, ...]


PALETTES: dict[str, Palette] = {
    "train": Palette(
        facades=(
            *((196, 184, 160), (170, 164, 158), (205, 196, 184), (150, 112, 92)),
            *((128, 136, 146), (214, 203, 170), (176, 142, 112), (98, 104, 112), (222, 220, 214)),
        ),
        bricks=((142, 74, 58), (164, 96, 74), (118, 66, 56), (176, 128, 98)),
        roofs=((122, 66, 52), (84, 82, 84), (104, 92, 84), (64, 68, 76)),
        metals=((120, 124, 128), (84, 88, 92), (60, 66, 64), (158, 160, 160)),
        cars=(
            *((232, 232, 230), (222, 222, 224), (24, 24, 26), (34, 36, 40), (120, 124, 130)),
            *((168, 172, 176), (150, 26, 28), (28, 58, 122), (70, 78, 86), (96, 30, 34)),
            *((196, 188, 172), (36, 74, 54), (224, 176, 40)),
        ),
        freight=((236, 236, 234), (200, 60, 44), (36, 84, 150), (226, 196, 60), (130, 134, 138)),
        buses=((200, 40, 44), (236, 236, 236), (44, 110, 170), (232, 160, 40)),
        machines=((238, 178, 22), (228, 150, 30), (216, 188, 60)),
        clothes=(
            *((32, 34, 42), (60, 66, 86), (150, 40, 44), (210, 208, 204), (44, 82, 130)),
            *((92, 96, 92), (180, 150, 110), (50, 100, 72), (228, 170, 60), (110, 60, 110)),
        ),
        skin=((224, 178, 148), (196, 146, 112), (140, 94, 68), (92, 60, 44)),
        leaves=((62, 96, 40), (84, 112, 46), (50, 80, 42), (104, 120, 54), (136, 124, 48)),
        barks=((92, 74, 58), (112, 98, 84), (74, 60, 48)),
        asphalt=(58, 118),
        paving=((164, 160, 152), (142, 142, 142), (178, 168, 150), (126, 122, 118)),
        plazas=((158, 122, 102), (172, 164, 150), (134, 130, 138), (180, 150, 120)),
        grass=((92, 118, 54), (112, 126, 66), (78, 104, 50), (138, 134, 78)),
        soils=((150, 134, 106), (126, 108, 84), (170, 158, 136)),
    ),
    "val": Palette(
        facades=(
            *((186, 170, 150), (156, 160, 166), (212, 206, 200), (158, 124, 110)),
            *((112, 122, 124), (206, 190, 152), (160, 132, 98), (84, 90, 102), (198, 202, 196)),
        ),
        bricks=((150, 84, 64), (128, 72, 66), (168, 108, 84), (160, 118, 104)),
        roofs=((112, 74, 62), (74, 72, 78), (96, 90, 92), (72, 64, 60)),
        metals=((110, 116, 122), (92, 92, 90), (52, 58, 62), (146, 150, 154)),
        cars=(
            *((226, 228, 232), (214, 212, 208), (18, 20, 24), (42, 42, 46), (108, 112, 118)),
            *((156, 158, 160), (172, 34, 40), (40, 72, 140), (58, 70, 82), (84, 40, 52)),
            *((182, 176, 164), (30, 88, 84), (210, 120, 40)),
        ),
        freight=((228, 230, 232), (180, 48, 52), (50, 96, 132), (206, 176, 84), (112, 118, 124)),
        buses=((176, 36, 60), (226, 228, 230), (36, 124, 136), (214, 180, 52)),
        machines=((226, 166, 32), (236, 190, 40), (206, 140, 44)),
        clothes=(
            *((28, 30, 34), (74, 76, 94), (166, 56, 48), (196, 198, 200), (56, 92, 120)),
            *((104, 104, 98), (166, 138, 104), (64, 110, 90), (214, 184, 80), (126, 72, 98)),
        ),
        skin=((214, 170, 142), (184, 136, 104), (150, 104, 78), (84, 56, 42)),
        leaves=((70, 100, 50), (76, 104, 38), (58, 88, 54), (98, 112, 46), (126, 112, 52)),
        barks=((100, 84, 70), (84, 70, 60), (120, 104, 88)),
        asphalt=(52, 108),
        paving=((154, 152, 148), (150, 146, 138), (168, 162, 154), (118, 118, 120)),
        plazas=((148, 116, 108), (164, 160, 154), (144, 134, 124), (170, 146, 126)),
        grass=((98, 116, 60), (104, 120, 54), (86, 106, 60), (130, 126, 72)),
        soils=((142, 130, 110), (134, 114, 88), (160, 150, 132)),
    ),
}


def pick(rng: np.random.Generator, colors: tuple[Color, ...], spread: float = 8.0) -> Color:
    """One of the colours, its brightness and hue varied a little."""
    return shade(rng, colors[int(rng.integers(len(colors)))], spread)


def shade(rng: np.random.Generator, color: Color, spread: float = 8.0) -> Color:
    """The colour with random brightness (deviation `spread`) and a little hue."""
    value = np.array(color) + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    r, g, b = np.clip(value, 4, 250)
    return int(r), int(g), int(b)


def ground_tones(rng: np.random.Generator, palette: Palette) -> dict[str, Tone]:
    """One scene's ground; its sidewalks may look much like its asphalt."""
    asphalt = _asphalt(rng, palette)
    side = _asphalt(rng, palette) if rng.random() < 0.5 else asphalt
    paving = pick(rng, palette.paving)
    if rng.random() < 0.2:
        paving = shade(rng, (round(asphalt.color[0]) + 12,) * 3, 6.0)
    return {
        "asphalt": asphalt,
        "side_asphalt": side,
        "lot": _asphalt(rng, palette),
        "sidewalk": _tone(paving, 0.06, rng.uniform(3, 7)),
        "plaza": _tone(pick(rng, palette.plazas), 0.07, rng.uniform(4, 9)),
        "island": _tone(pick(rng, (*palette.plazas, *palette.paving)), 0.07, rng.uniform(4, 9)),
        "grass": _grass(rng, palette),
        "gravel": _tone(pick(rng, ((142, 140, 136), (128, 120, 112))), 0.08, rng.uniform(12, 20)),
        "sand": _tone(pick(rng, ((196, 178, 140), (180, 160, 124))), 0.08, rng.uniform(4, 9)),
        "dirt": _tone(pick(rng, palette.soils), 0.14, rng.uniform(6, 12)),
    }


def _asphalt(rng: np.random.Generator, palette: Palette) -> Tone:
    level = float(rng.uniform(*palette.asphalt))
    warm = float(rng.uniform(-5, 5))
    return _tone((level + warm, level, level - warm), 0.09, rng.uniform(4, 9))


def _grass(rng: np.random.Generator, palette: Palette) -> Tone:
    green = np.array(pick(rng, palette.grass), np.float64)
    dry = np.array(pick(rng, palette.soils), np.float64)
    toward = (dry - green) * float(rng.uniform(0.15, 0.6)) + rng.normal(0, 4)
    return Tone(_triple(green), _triple(toward), float(rng.uniform(8, 14)))


def _tone(color: tuple[float, ...], blotch: float, grain: float) -> Tone:
    return Tone(_triple(color), _triple(np.array(color) * blotch), float(grain))


def _triple(values: Array | tuple[float, ...]) -> tuple[float, float, float]:
    r, g, b = (float(value) for value in values)
    return r, g, b
