"""Keeps moving things apart: rectangles over time, each on a common clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gfocc_core.synthetic.curves import unit
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.room import Room


@dataclass(frozen=True, eq=False)
class Course:
    """A rectangle's way: centres [T, 2], headings [T], half length and half width in metres."""

    xy: Array
    yaw: Array
    half: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Clearance:
    """All courses granted so far."""

    room: Room
    granted: list[Course] = field(default_factory=list)

    def grant(self, courses: Sequence[Course], margin: float) -> bool:
        """Grant courses that stay `margin` metres from all granted and off standing things.

        All or none; those that ask together, such as a truck and its trailer, may be close.
        """
        for course in courses:
            if not self._off_standing_things(course):
                return False
            if any(_too_near(course, other, margin) for other in self.granted):
                return False
        self.granted.extend(courses)
        return True

    def _off_standing_things(self, course: Course) -> bool:
        length, width = course.half
        along = np.linspace(-1, 1, max(int(length / 0.4), 2) + 1) * length
        across = np.linspace(-1, 1, max(int(width / 0.2), 2) + 1) * width
        grid = np.stack(np.meshgrid(along, across), -1).reshape(-1, 2)
        rim = (np.abs(grid[:, 0]) > length - 0.01) | (np.abs(grid[:, 1]) > width - 0.01)
        spots = grid[rim]
        ahead, left = unit(course.yaw)[:, None], unit(course.yaw + np.pi / 2)[:, None]
        points = course.xy[:, None] + spots[:, :1] * ahead + spots[:, 1:] * left
        return bool(self.room.free_at(points).all())


def _too_near(first: Course, second: Course, margin: float) -> bool:
    """Whether two courses' rectangles ever come closer than a margin (separating axes)."""
    apart = second.xy - first.xy
    reach = np.hypot(*first.half) + np.hypot(*second.half) + margin
    close = (apart**2).sum(1) < reach**2
    if not close.any():
        return False
    apart = apart[close]
    frames = [
        np.stack([unit(course.yaw[close]), unit(course.yaw[close] + np.pi / 2)], 1)
        for course in (first, second)
    ]
    cosines = np.abs(np.einsum("tij,tkj->tik", *frames))
    near = np.ones(len(apart), bool)
    for frame, own, other, turned in (
        (frames[0], first.half, second.half, cosines),
        (frames[1], second.half, first.half, cosines.transpose(0, 2, 1)),
    ):
        gap = (
            np.abs(np.einsum("tij,tj->ti", frame, apart)) - np.array(own) - turned @ np.array(other)
        )
        near &= (gap < margin).all(1)
    return bool(near.any())
