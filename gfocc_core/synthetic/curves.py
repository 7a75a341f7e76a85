"""Plane curves: the axes of roads, lanes and walks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.parts import Array

STEP = 0.5
"""Distance of a curve's points, metres."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A polyline [K, 2] in metres, K >= 2, addressed by arc length; straight beyond both ends."""

    points: Array

    @classmethod
    def straight(cls, start: npt.ArrayLike, yaw: float, length: float) -> Curve:
        """A straight line from a point, `length` metres towards `yaw`."""
        return cls.bending(start, yaw, [(length, 0.0)])

    @classmethod
    def bending(
        cls, start: npt.ArrayLike, yaw: float, pieces: Sequence[tuple[float, float]]
    ) -> Curve:
        """From (length in m, curvature in 1/m) pieces, to the left positive."""
        lengths = np.array([length for length, _ in pieces])
        ends = np.cumsum(lengths)
        count = max(round(ends[-1] / STEP), 1)
        middles = (np.arange(count) + 0.5) * (ends[-1] / count)
        curvature = np.array([bend for _, bend in pieces])[
            np.minimum(np.searchsorted(ends, middles), len(pieces) - 1)
        ]
        turned = curvature * (ends[-1] / count)
        heading = yaw + np.cumsum(turned) - turned / 2
        steps = unit(heading) * (ends[-1] / count)
        points = np.asarray(start, np.float64) + np.vstack([np.zeros((1, 2)), steps.cumsum(0)])
        return cls(points)

    @cached_property
    def arc(self) -> Array:
        """[K] arc length at every point."""
        steps = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])

    @cached_property
    def yaws(self) -> Array:
        """[K] headings, unwrapped."""
        delta = np.gradient(self.points, axis=0)
        return np.unwrap(np.arctan2(delta[:, 1], delta[:, 0]))

    @property
    def length(self) -> float:
        return float(self.arc[-1])

    def at(self, arc: npt.ArrayLike, left: npt.ArrayLike = 0.0) -> Array:
        """Points [..., 2] at arc lengths [...], moved `left` metres to the left."""
        arc = np.asarray(arc, np.float64)
        inside = np.clip(arc, 0, self.length)
        xy = np.stack([np.interp(inside, self.arc, c) for c in self.points.T], -1)
        yaw = self.yaw_at(arc)
        return (
            xy
            + unit(yaw) * (arc - inside)[..., None]
            + (unit(yaw + np.pi / 2) * np.asarray(left, np.float64)[..., None])
        )

    def yaw_at(self, arc: npt.ArrayLike) -> Array:
        """Headings [...] in radians at arc lengths [...]."""
        return np.interp(np.asarray(arc, np.float64), self.arc, self.yaws)

    def curvature(self) -> Array:
        """[K] 1/m, to the left positive, smoothed over three metres."""
        change = np.gradient(self.yaws, self.arc)
        window = np.ones(7) / 7
        return np.convolve(np.pad(change, 3, mode="edge"), window, "valid")

    def cut(self, start: float, end: float) -> Curve:
        """The stretch between two arc lengths, which may lie beyond the ends."""
        count = max(int(np.ceil((end - start) / STEP)), 1) + 1
        return Curve(self.at(np.linspace(start, end, count)))

    def beside(self, left: npt.ArrayLike) -> Curve:
        """The parallel curve, evenly spaced again; `left` metres, one number or one per point."""
        points = self.at(self.arc, np.broadcast_to(left, self.arc.shape))
        moved = Curve(points)
        return moved.cut(0, moved.length)

    def backwards(self) -> Curve:
        return Curve(self.points[::-1].copy())

    def rounded(self, window: float) -> Curve:
        """Corners softened by a moving average over `window` metres; the ends stay."""
        half = max(round(window / STEP / 2), 1)
        kernel = np.ones(2 * half + 1) / (2 * half + 1)
        ends = STEP * np.arange(1, half + 1)
        longer = np.vstack([self.at(-ends[::-1]), self.points, self.at(self.length + ends)])
        return Curve(np.stack([np.convolve(c, kernel, "valid") for c in longer.T], -1))

    def nearest(self, xy: npt.ArrayLike) -> float:
        """Arc length of the curve's point nearest to a point [2]."""
        return float(self.arc[np.linalg.norm(self.points - np.asarray(xy), axis=1).argmin()])


def unit(yaw: npt.ArrayLike) -> Array:
    """Unit vectors [..., 2] towards headings [...]."""
    yaw = np.asarray(yaw, np.float64)
    vectors = np.empty((*yaw.shape, 2))
    vectors[..., 0], vectors[..., 1] = np.cos(yaw), np.sin(yaw)
    return vectors


def joined(curves: Sequence[Curve]) -> Curve:
    """One evenly spaced curve through all, in order."""
    points = np.vstack([curve.points for curve in curves])
    distinct = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-6
    whole = Curve(points[np.concatenate([[True], distinct])])
    return whole.cut(0, whole.length)


def turn_between(before: Curve, after: Curve, radius: float) -> Curve:
    """From `before` into `after` by an arc of `radius` where their straight ends cross.

    `before` ends and `after` starts straight, near their crossing. Raises ValueError where the
    arc does not fit into them.
    """
    yaw_in, yaw_out = float(before.yaws[-1]), float(after.yaws[0])
    into, out = unit(yaw_in), unit(yaw_out)
    apart = after.points[0] - before.points[-1]
    to_corner = np.linalg.solve(np.stack([into, -out], 1), apart)
    bend = float(np.arctan2(np.sin(yaw_out - yaw_in), np.cos(yaw_out - yaw_in)))
    tangent = radius * abs(np.tan(bend / 2))
    end, start = before.length + to_corner[0] - tangent, to_corner[1] + tangent
    if end <= 0 or start >= after.length:
        raise ValueError(f"a turn of radius {radius:.1f} m does not fit between the curves")
    arc = Curve.bending(before.at(end), yaw_in, [(radius * abs(bend), np.sign(bend) / radius)])
    return joined([before.cut(0, end), arc, after.cut(start, after.length)])


def crossings(first: Curve, second: Curve) -> list[tuple[float, float]]:
    """Arc lengths on both curves of every point where they cross."""
    a, b = (np.vstack([c.points[:-1:4], c.points[-1:]]) for c in (first, second))
    p, r = a[:-1, None], np.diff(a, axis=0)[:, None]
    q, s = b[None, :-1], np.diff(b, axis=0)[None]
    area = r[..., 0] * s[..., 1] - r[..., 1] * s[..., 0]
    area = np.where(np.abs(area) < 1e-9, np.nan, area)  # parallel: every comparison fails
    w = q - p
    t = (w[..., 0] * s[..., 1] - w[..., 1] * s[..., 0]) / area
    u = (w[..., 0] * r[..., 1] - w[..., 1] * r[..., 0]) / area
    found = []
    for i, j in np.argwhere((t >= 0) & (t < 1) & (u >= 0) & (u < 1)):
        point = a[i] + t[i, j] * (a[i + 1] - a[i])
        found.append((first.nearest(point), second.nearest(point)))
    return found
