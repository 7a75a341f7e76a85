"""What is drawn onto surfaces: lane markings, crossings, joints, patches, cracks, stains."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.curves import Curve, unit
from gfocc_core.synthetic.ground_labels import (
    DRIVEABLE,
    SHIFT,
    Canvas,
    outline,
)
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.street_plan import StreetPlan
from gfocc_core.synthetic.streets import Road, Span, open_spans

_LINE = 0.13
"""Width of lane markings, metres."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Coverage [Y, X] uint8 of each kind of mark, 255 where full; the canvas's pixels."""

    canvas: Canvas
    white: npt.NDArray[np.uint8]
    yellow: npt.NDArray[np.uint8]
    dark: npt.NDArray[np.uint8]

    @classmethod
    def none(cls, canvas: Canvas) -> Marks:
        shape = canvas.surfaces.shape
        return cls(canvas, *(np.zeros(shape, np.uint8) for _ in range(3)))

    def area(self, layer: npt.NDArray[np.uint8], corners: Array, strength: int = 255) -> None:
        pixels = self.canvas.pixels(corners)
        cv2.fillPoly(layer, [pixels], (strength,), lineType=cv2.LINE_AA, shift=SHIFT)

    def line(
        self, layer: npt.NDArray[np.uint8], points: Array, strength: int, width: int = 1
    ) -> None:
        """A thin line, `width` pixels wide."""
        pixels = self.canvas.pixels(points)
        cv2.polylines(layer, [pixels], False, (strength,), width, cv2.LINE_AA, SHIFT)

    def along(
        self, layer: npt.NDArray[np.uint8], axis: Curve, left: float, span: Span, width: float
    ) -> None:
        self.area(layer, outline(axis, (left + width / 2, left - width / 2), span))


def draw_marks(marks: Marks, rng: np.random.Generator, plan: StreetPlan) -> None:
    """Markings of all roads in one scene's style, then the traces of use."""
    middle = marks.yellow if rng.random() < 0.4 else marks.white
    edge_lines = bool(rng.random() < 0.5)
    dash, gap = float(rng.uniform(1.5, 4.0)), float(rng.uniform(2.5, 7.0))
    for index, road in enumerate(plan.roads):
        stopping = [z.width + 1.2 for z in plan.zebras if z.road == index]
        extra = max(stopping, default=0.8)
        unmarked = index >= plan.legs and rng.random() < 0.35
        for span in open_spans(index, road.axis.length, plan.junctions, extra):
            if not unmarked:
                _draw_lanes(marks, road, span, middle, edge_lines, (dash, gap))
            _draw_stop_lines(marks, road, span)
    _draw_zebras(marks, plan)
    _draw_joints(marks, rng, plan)
    _draw_wear(marks, rng, plan)
    on_road = np.isin(marks.canvas.surfaces, DRIVEABLE)
    for layer in (marks.white, marks.yellow):
        layer[~on_road] = 0


def _draw_lanes(
    marks: Marks,
    road: Road,
    span: Span,
    middle: npt.NDArray[np.uint8],
    edge_lines: bool,
    rhythm: tuple[float, float],
) -> None:
    left, right = road.lanes_edge
    axis = road.axis
    if road.backward and not road.median:
        if road.forward + road.backward > 2:
            for offset in (0.15, -0.15):
                marks.along(middle, axis, offset, span, _LINE)
        else:
            _dashes(marks, middle, axis, 0.0, span, rhythm)
    inner = [o - road.lane_width / 2 for o in road.forward_offsets[:-1]]
    inner += [o + road.lane_width / 2 for o in road.backward_offsets[:-1]]
    for offset in inner:
        _dashes(marks, marks.white, axis, offset, span, rhythm)
    if edge_lines:
        for offset in (left - 0.15, right + 0.15):
            marks.along(marks.white, axis, offset, span, _LINE)
    for side, edge, sign in ((road.left, left, 1), (road.right, right, -1)):
        if side.parking and not edge_lines:
            arcs = np.arange(span[0] + 1, span[1] - 1, 5.8)
            for arc in arcs:
                ends = axis.at([arc, arc], [edge, edge + sign * side.parking])
                marks.line(marks.white, ends, 200)


def _dashes(
    marks: Marks,
    layer: npt.NDArray[np.uint8],
    axis: Curve,
    left: float,
    span: Span,
    rhythm: tuple[float, float],
) -> None:
    dash, gap = rhythm
    for arc in np.arange(span[0], span[1] - dash, dash + gap):
        marks.along(layer, axis, left, (arc, arc + dash), _LINE)


def _draw_stop_lines(marks: Marks, road: Road, span: Span) -> None:
    """Where lanes enter a junction; ends of the road have none."""
    left, right = road.lanes_edge
    middle_left, middle_right = road.median / 2, -road.median / 2
    if span[1] < road.axis.length - 1 and road.forward:
        upper = middle_right if road.backward else left
        marks.area(
            marks.white, outline(road.axis, (upper - 0.2, right + 0.2), (span[1] - 0.4, span[1]))
        )
    if span[0] > 1 and road.backward:
        lower = (left - 0.2, middle_left + 0.2)
        marks.area(marks.white, outline(road.axis, lower, (span[0], span[0] + 0.4)))


def _draw_zebras(marks: Marks, plan: StreetPlan) -> None:
    for zebra in plan.zebras:
        road = plan.roads[zebra.road]
        left, right = road.curbs
        span = (zebra.arc - zebra.width / 2, zebra.arc + zebra.width / 2)
        for layer in (marks.white, marks.yellow):
            marks.area(layer, outline(road.axis, (left, right), span), 0)
        for offset in np.arange(right + 0.3, left - 0.5, 1.0):
            marks.area(marks.white, outline(road.axis, (offset + 0.5, offset), span))


def _draw_joints(marks: Marks, rng: np.random.Generator, plan: StreetPlan) -> None:
    """Joints across and along the sidewalks, and the darker line of every curb."""
    pitch, strength = float(rng.uniform(0.7, 2.0)), int(rng.integers(15, 60))
    curb = int(rng.integers(40, 130))
    for index, road in enumerate(plan.roads):
        spans = open_spans(index, road.axis.length, plan.junctions)
        for (inner, outer), edge in zip(road.walks, road.curbs, strict=True):
            for low, high in spans if inner != outer else ():
                arcs = np.arange(low, high, pitch)
                ends = np.stack([road.axis.at(arcs, inner), road.axis.at(arcs, outer)], 1)
                pixels = marks.canvas.pixels(ends)
                cv2.polylines(marks.dark, list(pixels), False, (strength,), 1, cv2.LINE_AA, SHIFT)
                along = np.arange(low, high, 1.0)
                marks.line(marks.dark, road.axis.at(along, (inner + outer) / 2), strength)
                marks.line(marks.dark, road.axis.at(along, edge), curb)
    hide = np.isin(marks.canvas.surfaces, DRIVEABLE)
    marks.dark[hide] = 0


def _draw_wear(marks: Marks, rng: np.random.Generator, plan: StreetPlan) -> None:
    """Repaired rectangles, cracks, manholes and oil on the roads, dirt on the sidewalks."""
    amount = float(rng.uniform(0.2, 1.4))
    for road in plan.roads:
        left, right = road.curbs
        for _ in range(int(amount * road.axis.length / 18)):
            arc, offset = rng.uniform(0, road.axis.length), rng.uniform(right + 1, left - 1)
            at, yaw = road.axis.at(arc, offset), float(road.axis.yaw_at(arc))
            draw = (_patch, _crack, _manhole, _stain)[rng.choice(4, p=(0.25, 0.35, 0.15, 0.25))]
            draw(marks, rng, at, yaw)
        for (inner, outer), _ in zip(road.walks, road.curbs, strict=True):
            for _ in range(int(amount * road.axis.length / 25) if inner != outer else 0):
                at = road.axis.at(
                    rng.uniform(0, road.axis.length),
                    rng.uniform(min(inner, outer), max(inner, outer)),
                )
                _stain(marks, rng, at, 0.0)


def _patch(marks: Marks, rng: np.random.Generator, at: Array, yaw: float) -> None:
    half = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * rng.uniform((0.6, 0.4), (4.0, 1.4))
    turn = np.stack([unit(yaw), unit(yaw + np.pi / 2)])
    marks.area(marks.dark, at + half @ turn, int(rng.integers(20, 70)))


def _crack(marks: Marks, rng: np.random.Generator, at: Array, yaw: float) -> None:
    heading = yaw + rng.choice([0.0, np.pi / 2]) + np.cumsum(rng.normal(0, 0.5, 16))
    strength, width = int(rng.integers(50, 130)), int(rng.integers(1, 3))
    marks.line(marks.dark, at + np.cumsum(unit(heading) * 0.5, 0), strength, width)


def _manhole(marks: Marks, rng: np.random.Generator, at: Array, yaw: float) -> None:
    angles = np.linspace(0, 2 * np.pi, 17)[:-1]
    marks.area(marks.dark, at + unit(angles) * 0.36, int(rng.integers(60, 130)))


def _stain(marks: Marks, rng: np.random.Generator, at: Array, yaw: float) -> None:
    angles = np.linspace(0, 2 * np.pi, 13)[:-1]
    radii = rng.uniform(0.25, 1.0) * rng.uniform(0.6, 1.3, (12, 1))
    marks.area(marks.dark, at + unit(angles) * radii, int(rng.integers(12, 45)))
