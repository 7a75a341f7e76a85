"""What kind of surface lies where: painted hard-edged, bottom layer first."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.curves import Curve
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.street_plan import StreetPlan
from gfocc_core.synthetic.streets import Road, Span, open_spans

SURFACES: tuple[tuple[str, int], ...] = (
    ("asphalt", 11),
    ("side_asphalt", 11),
    ("lot", 11),
    ("sidewalk", 13),
    ("plaza", 12),
    ("island", 12),
    ("grass", 14),
    ("gravel", 14),
    ("sand", 14),
    ("dirt", 14),
)
"""Name and Occ3D label of every surface; a canvas holds indices into this."""
SURFACE_INDEX = {name: index for index, (name, _) in enumerate(SURFACES)}
SURFACE_LABELS = np.array([label for _, label in SURFACES], np.uint8)
DRIVEABLE = tuple(index for index, label in enumerate(SURFACE_LABELS) if label == 11)
SHIFT = 4
"""Fraction bits of the pixel coordinates given to OpenCV."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A map of surfaces; pixel [0, 0]'s outer corner lies at `lower`."""

    lower: tuple[float, float]
    resolution: float
    surfaces: npt.NDArray[np.uint8]
    """[Y, X] uint8 index into SURFACES; painted in place."""

    def pixels(self, xy: Array) -> npt.NDArray[np.int32]:
        """World points [..., 2] as OpenCV's fixed-point pixel coordinates, int32."""
        place = (xy - np.asarray(self.lower)) / self.resolution - 0.5
        return np.round(np.clip(place, -9000, 90000) * (1 << SHIFT)).astype(np.int32)

    def fill(self, corners: Array, surface: str) -> None:
        """Paint the polygon [K, 2], metres."""
        color = (SURFACE_INDEX[surface],)
        cv2.fillPoly(self.surfaces, [self.pixels(corners)], color, shift=SHIFT)

    def strip(self, axis: Curve, edges: Span, surface: str, span: Span | None = None) -> None:
        """Paint between two parallels of an axis, over a span of its arc length."""
        if abs(edges[0] - edges[1]) > 0.05:
            self.fill(outline(axis, edges, span or (0.0, axis.length)), surface)


def outline(axis: Curve, edges: Span, span: Span) -> Array:
    """Polygon [K, 2] between two parallels of an axis over a span of its arc length."""
    arcs = np.linspace(*span, max(int(abs(span[1] - span[0])), 1) + 1)
    return np.vstack([axis.at(arcs, edges[0]), axis.at(arcs[::-1], edges[1])])


def paint_streets(
    canvas: Canvas, rng: np.random.Generator, plan: StreetPlan, swept: list[Array]
) -> None:
    """Sidewalks, verges, carriageways with rounded corners, medians; the ego's way stays free.

    `swept` are polygons [K, 2] of what the ego drives over: always road.
    """
    verge = str(rng.choice(["grass", "grass", "grass", "dirt", "gravel", "island"]))
    for index, road in enumerate(plan.roads):
        for curb, (inner, outer) in zip(road.curbs, road.walks, strict=True):
            canvas.strip(road.axis, (0.0, outer), "sidewalk" if inner != outer else "asphalt")
            for span in open_spans(index, road.axis.length, plan.junctions):
                canvas.strip(road.axis, (curb, inner), verge, span)
    if all(side.sidewalk for road in plan.roads for side in (road.left, road.right)):
        _round_corners(canvas, plan, (*DRIVEABLE, SURFACE_INDEX["sidewalk"]), "sidewalk")
    for road in plan.roads[::-1]:
        main = road in plan.roads[: plan.legs]
        canvas.strip(road.axis, road.curbs, "asphalt" if main else "side_asphalt")
    _round_corners(canvas, plan, DRIVEABLE, "asphalt")
    for index, road in enumerate(plan.roads):
        _paint_median(canvas, rng, plan, index, road)
    for corners in swept:
        canvas.fill(corners, "asphalt")


def _paint_median(
    canvas: Canvas, rng: np.random.Generator, plan: StreetPlan, index: int, road: Road
) -> None:
    if not road.median:
        return
    surface = str(rng.choice(["island", "island", "grass", "gravel"]))
    half = road.median / 2
    for low, high in open_spans(index, road.axis.length, plan.junctions, extra=1.0):
        cuts = sorted(
            (zebra.arc - zebra.width / 2, zebra.arc + zebra.width / 2)
            for zebra in plan.zebras
            if zebra.road == index and low < zebra.arc < high
        )
        for start, end in zip(
            [low, *(c[1] for c in cuts)], [*(c[0] for c in cuts), high], strict=True
        ):
            if end - start > 2.0:
                canvas.strip(road.axis, (half - 0.1, 0.1 - half), surface, (start, end))


def _round_corners(canvas: Canvas, plan: StreetPlan, kinds: tuple[int, ...], surface: str) -> None:
    """Close the corners of the given surfaces at all junctions with the plan's curb radius."""
    radius = plan.corner / canvas.resolution
    for junction in plan.junctions:
        axis = plan.roads[junction.roads[0]].axis
        center = (axis.at(junction.arcs[0]) - np.asarray(canvas.lower)) / canvas.resolution
        extent = (max(junction.reach) + 6.0) / canvas.resolution
        rows, columns = _window(canvas, center, extent + 2 * radius)
        view = canvas.surfaces[rows, columns]
        if view.size == 0:
            continue
        outside = np.isin(view, kinds, invert=True).astype(np.uint8)
        near = cv2.distanceTransform(outside, cv2.DIST_L2, 5) <= radius
        closed = cv2.distanceTransform(near.astype(np.uint8), cv2.DIST_L2, 5) > radius
        y, x = np.ogrid[rows, columns]
        disc = (x - center[0]) ** 2 + (y - center[1]) ** 2 < extent**2
        view[closed & disc & (outside > 0)] = SURFACE_INDEX[surface]


def _window(canvas: Canvas, center: Array, half: float) -> tuple[slice, slice]:
    rows, columns = canvas.surfaces.shape
    low = np.clip(center - half, 0, (columns, rows)).astype(int)
    high = np.clip(center + half, 0, (columns, rows)).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])
