"""The world as data: ground, objects on it, the ego's drive, the light. Building it is layout's work.

World frame: x east, y north, z up, metres; it is the dataset's global frame. Time is in seconds
from the scene's first keyframe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.parts import Array, ObjectModel, pose_from


@dataclass(frozen=True)
class Trajectory:
    """A motion sampled at increasing times, linear in between, at rest before and after."""

    times: Array
    """[K] seconds."""
    positions: Array
    """[K, 3] metres, world frame."""
    angles: Array
    """[K, 3] yaw (unwrapped), pitch, roll in radians; the object's frame in the world."""

    def __post_init__(self) -> None:
        count = len(self.times)
        if self.positions.shape != (count, 3) or self.angles.shape != (count, 3) or not count:
            raise ValueError(
                f"a trajectory needs [K], [K, 3] and [K, 3], got {self.times.shape}, "
                f"{self.positions.shape} and {self.angles.shape}"
            )

    @classmethod
    def fixed(cls, position: npt.ArrayLike, angles: npt.ArrayLike) -> Trajectory:
        """An object that never moves."""
        return cls(
            np.zeros(1),
            np.asarray(position, np.float64).reshape(1, 3),
            np.asarray(angles, np.float64).reshape(1, 3),
        )

    @property
    def moves(self) -> bool:
        return len(self.times) > 1 and bool(np.ptp(self.positions, axis=0).max() > 0)

    def pose_at(self, time: float) -> Array:
        """world_from_object [4, 4] at a time."""
        return pose_from(self._at(self.positions, time), self._at(self.angles, time))

    def velocity_at(self, time: float, span: float = 0.1) -> Array:
        """Velocity [3] in m/s, world frame, over `span` seconds around a time."""
        before = self._at(self.positions, time - span / 2)
        return (self._at(self.positions, time + span / 2) - before) / span

    def _at(self, values: Array, time: float) -> Array:
        return np.stack([np.interp(time, self.times, column) for column in values.T])


@dataclass(frozen=True)
class WorldObject:
    """An object at its place or on its way."""

    model: ObjectModel
    path: Trajectory


@dataclass(frozen=True)
class Ground:
    """A height field painted with labels and colours; images are [row, column] = [y, x]."""

    lower: tuple[float, float]
    """World x, y of the outer corner of pixel [0, 0] of every image."""
    resolution: float
    """Edge of a pixel of labels and colours, metres."""
    labels: npt.NDArray[np.uint8]
    """[Y, X] Occ3D ids of flat surfaces (11 to 14)."""
    colors: npt.NDArray[np.uint8]
    """[Y, X, 3] RGB."""
    height_resolution: float
    """Distance of the height samples, metres."""
    heights: npt.NDArray[np.float32]
    """[Yh, Xh] z at lower + [column, row] * height_resolution; bilinear in between."""

    def label_at(self, xy: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Labels uint8 [...] at points [..., 2]; beyond the border the border's."""
        column, row = np.moveaxis((xy - np.asarray(self.lower)) / self.resolution, -1, 0)
        rows, columns = self.labels.shape
        return self.labels[
            np.clip(row.astype(np.int64), 0, rows - 1),
            np.clip(column.astype(np.int64), 0, columns - 1),
        ]

    def height_at(self, xy: npt.NDArray[Any]) -> Array:
        """Heights [...] at points [..., 2], bilinear; beyond the border the border's."""
        place = (np.asarray(xy, np.float64) - np.asarray(self.lower)) / self.height_resolution
        rows, columns = self.heights.shape
        column = np.clip(place[..., 0], 0, columns - 1.001)
        row = np.clip(place[..., 1], 0, rows - 1.001)
        c, r = column.astype(np.int64), row.astype(np.int64)
        fc, fr = column - c, row - r
        h = self.heights
        low = h[r, c] * (1 - fc) + h[r, c + 1] * fc
        high = h[r + 1, c] * (1 - fc) + h[r + 1, c + 1] * fc
        return np.asarray(low * (1 - fr) + high * fr, np.float64)


@dataclass(frozen=True)
class Lighting:
    """Daylight of a scene; colours are linear RGB around 1."""

    to_sun: tuple[float, float, float]
    """Unit vector towards the sun, world frame."""
    sun: tuple[float, float, float]
    ambient: tuple[float, float, float]
    sky_horizon: tuple[float, float, float]
    """0 to 1."""
    sky_zenith: tuple[float, float, float]
    haze_distance: float
    """Metres at which a surface has faded to 1/e of its contrast into the horizon's colour."""


@dataclass(frozen=True)
class World:
    """One scene; the same seed gives the same."""

    name: str
    ground: Ground
    objects: tuple[WorldObject, ...]
    ego: Trajectory
    """world_from_ego of the ego frame (REP-103 base_link: on the ground, below the rear axle)."""
    lighting: Lighting
    seed: int
    """For what sensors and labels draw later (noise)."""
