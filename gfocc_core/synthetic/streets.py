"""Roads with their cross-sections, and where they meet.

Lateral places are metres to the left of a road's axis; arc lengths run along it. Traffic keeps
right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gfocc_core.synthetic.curves import Curve, crossings

Span = tuple[float, float]


@dataclass(frozen=True)
class Side:
    """What lies between the outermost lane and the plots; widths in metres, 0 where absent."""

    parking: float = 0.0
    verge: float = 0.0
    sidewalk: float = 0.0


@dataclass(frozen=True, eq=False)
class Road:
    """A road of constant cross-section along an axis."""

    axis: Curve
    forward: int
    """Lanes along the axis: right of it, or centred on it where `backward` is 0."""
    backward: int
    lane_width: float
    left: Side
    right: Side
    median: float = 0.0
    speed: float = 10.0
    """What its traffic drives, m/s."""

    @property
    def lanes_edge(self) -> Span:
        """Lateral places of the lanes' outer edges: (left > 0, right < 0)."""
        if not self.backward:
            half = self.forward * self.lane_width / 2
            return half, -half
        half = self.median / 2
        return half + self.backward * self.lane_width, -half - self.forward * self.lane_width

    @property
    def curbs(self) -> Span:
        """Lateral places of both curbs, parking lanes included."""
        left, right = self.lanes_edge
        return left + self.left.parking, right - self.right.parking

    @property
    def walks(self) -> tuple[Span, Span]:
        """(inner, outer) lateral places of the left and the right sidewalk, verge excluded."""
        left, right = self.curbs
        left_inner, right_inner = left + self.left.verge, right - self.right.verge
        return (
            (left_inner, left_inner + self.left.sidewalk),
            (right_inner, right_inner - self.right.sidewalk),
        )

    @property
    def forward_offsets(self) -> list[float]:
        """Lateral places of the forward lanes' centres, innermost first."""
        first = self.lanes_edge[0] if not self.backward else -self.median / 2
        return [first - (lane + 0.5) * self.lane_width for lane in range(self.forward)]

    @property
    def backward_offsets(self) -> list[float]:
        return [self.median / 2 + (lane + 0.5) * self.lane_width for lane in range(self.backward)]

    @cached_property
    def lanes(self) -> tuple[Curve, ...]:
        """Centre lines in driving direction: forward ones, then backward ones."""
        forward = [self.axis.beside(left) for left in self.forward_offsets]
        back = [self.axis.beside(left).backwards() for left in self.backward_offsets]
        return (*forward, *back)


@dataclass(frozen=True)
class Junction:
    """Where two roads cross or one ends at the other."""

    roads: tuple[int, int]
    arcs: tuple[float, float]
    """Arc length of the crossing on each road."""
    reach: tuple[float, float]
    """On each road the distance from the crossing to where its lanes run undisturbed again."""


@dataclass(frozen=True)
class Zebra:
    """A crossing for pedestrians, square to a road."""

    road: int
    arc: float
    """Of its middle, on the road's axis."""
    width: float
    """Along the road, metres."""


def find_junctions(roads: Sequence[Road], corner: float) -> tuple[Junction, ...]:
    """All junctions of roads whose curbs are rounded with radius `corner` metres."""
    found = []
    for i, first in enumerate(roads):
        for j in range(i + 1, len(roads)):
            second = roads[j]
            for at_first, at_second in crossings(first.axis, second.axis):
                angle = first.axis.yaw_at(at_first) - second.axis.yaw_at(at_second)
                slant = max(abs(np.sin(angle)), 0.4)
                skew = abs(np.cos(angle))
                widths = [max(abs(curb) for curb in road.curbs) for road in (first, second)]
                reach = (
                    float((widths[1] + skew * widths[0]) / slant + 0.75 * corner),
                    float((widths[0] + skew * widths[1]) / slant + 0.75 * corner),
                )
                found.append(Junction((i, j), (at_first, at_second), reach))
    return tuple(found)


def open_spans(
    road: int, length: float, junctions: Sequence[Junction], extra: float = 0.0
) -> list[Span]:
    """Stretches of a road (arc lengths) outside its junctions, which keep `extra` metres more."""
    blocked = sorted(
        (junction.arcs[k] - junction.reach[k] - extra, junction.arcs[k] + junction.reach[k] + extra)
        for junction in junctions
        for k in (0, 1)
        if junction.roads[k] == road
    )
    spans, start = [], 0.0
    for low, high in blocked:
        if low > start:
            spans.append((start, low))
        start = max(start, high)
    if length > start:
        spans.append((start, length))
    return spans
