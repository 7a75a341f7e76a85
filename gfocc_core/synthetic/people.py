"""Pedestrians: adults, children, workers; and the riders that two_wheelers seats."""

from __future__ import annotations

import numpy as np

from gfocc_core.synthetic.palettes import Color, Palette, pick
from gfocc_core.synthetic.parts import ObjectModel, Part
from gfocc_core.synthetic.shapes import Triple, ball, bar, box, post

_VEST: Color = (236, 132, 28)
_HELMET: Color = (240, 214, 60)
_HAIR: tuple[Color, ...] = ((34, 26, 22), (70, 48, 32), (126, 96, 62), (150, 146, 142))


def make_pedestrian(
    rng: np.random.Generator, palette: Palette, walking: bool, kind: str = "adult"
) -> ObjectModel:
    """A person, striding or standing. kind: adult, child or construction_worker."""
    height = float(rng.uniform(1.05, 1.45) if kind == "child" else rng.normal(1.74, 0.08))
    height = float(np.clip(height, 1.0, 1.95))
    legs, coat = pick(rng, palette.clothes), pick(rng, palette.clothes)
    if kind == "construction_worker":
        coat = _VEST
    girth = height / 1.75 * float(rng.uniform(0.9, 1.15))
    stride = float(rng.uniform(0.16, 0.27)) * height / 1.75 if walking else 0.05
    hip, shoulder = height * 0.5, height * 0.82
    parts = [
        bar((0, 0.09, hip), (stride, 0.1, 0.04), 0.15 * girth, legs, "cloth"),
        bar((0, -0.09, hip), (-stride, -0.1, 0.04), 0.15 * girth, legs, "cloth"),
        box((stride + 0.05, 0.1, 0.04), (0.26, 0.1, 0.08), (40, 34, 30)),
        box((0.05 - stride, -0.1, 0.04), (0.26, 0.1, 0.08), (40, 34, 30)),
        ball(
            (0, 0, (hip + shoulder) / 2),
            (0.3 * girth, 0.46 * girth, (shoulder - hip) * 1.3),
            coat,
            "cloth",
        ),
    ]
    for side in (1, -1):
        hand = (-side * stride * 0.8, side * 0.29 * girth, hip * 0.98)
        parts.append(
            bar((0, side * 0.23 * girth, shoulder - 0.03), hand, 0.11 * girth, coat, "cloth")
        )
    parts += _head(rng, palette, (0.02, 0.0, height - 0.12), kind == "construction_worker")
    if kind == "adult" and rng.random() < 0.25:
        parts.append(
            box((-0.2, 0, shoulder - 0.18), (0.18, 0.32, 0.42), pick(rng, palette.clothes), "cloth")
        )
    if kind == "adult" and rng.random() < 0.2:
        skirt = (0.0, 0.0, hip - 0.12)
        parts.append(post(skirt, 0.44 * girth, 0.55, coat, "cloth"))
    return ObjectModel(7, tuple(parts), f"human.pedestrian.{kind}")


def _head(rng: np.random.Generator, palette: Palette, at: Triple, helmet: bool) -> list[Part]:
    cover = _HELMET if helmet else _HAIR[int(rng.integers(len(_HAIR)))]
    return [
        ball(at, (0.2, 0.17, 0.25), pick(rng, palette.skin)),
        ball((at[0] - 0.025, at[1], at[2] + 0.04), (0.22, 0.2, 0.2), cover),
    ]


def seated_rider(
    rng: np.random.Generator, palette: Palette, seat: Triple, grip: Triple, helmet: bool
) -> list[Part]:
    """A rider's parts from the saddle to the handlebar; feet reach down beside the frame."""
    coat, legs = pick(rng, palette.clothes), pick(rng, palette.clothes)
    shoulder = (seat[0] + 0.28, 0.0, seat[2] + 0.5)
    middle = ((seat[0] + shoulder[0]) / 2, 0.0, (seat[2] + shoulder[2]) / 2)
    lean = float(np.arctan2(shoulder[0] - seat[0], shoulder[2] - seat[2]))
    parts = [ball(middle, (0.28, 0.42, 0.72), coat, "cloth", (0.0, lean, 0.0))]
    for side in (1, -1):
        knee = (seat[0] + 0.36, side * 0.14, seat[2] - 0.12)
        parts.append(bar((seat[0], side * 0.1, seat[2]), knee, 0.14, legs, "cloth"))
        parts.append(bar(knee, (seat[0] + 0.2, side * 0.15, seat[2] - 0.52), 0.12, legs, "cloth"))
        hand = (grip[0], side * 0.24, grip[2])
        parts.append(bar((shoulder[0], side * 0.19, shoulder[2]), hand, 0.1, coat, "cloth"))
    head = (shoulder[0] + 0.08, 0.0, shoulder[2] + 0.22)
    return [*parts, *_head(rng, palette, head, helmet)]
