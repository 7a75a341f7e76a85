"""What every object of the world is made of: solid boxes, elliptic cylinders and ellipsoids.

One description serves all: meshes for the images and lidar, overlap tests for the voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

BOX, CYLINDER, ELLIPSOID = 0, 1, 2

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One solid primitive in its object's frame (x forward, y left, z up, metres)."""

    kind: int
    """BOX, CYLINDER (axis along the part's z) or ELLIPSOID."""
    center: tuple[float, float, float]
    half: tuple[float, float, float]
    """Half extents along the part's own axes; radii where it is round."""
    color: tuple[int, int, int]
    """Base colour, RGB 0 to 255; the material's texture modulates it."""
    material: str = "plain"
    """A name of `materials.MATERIALS`."""
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Yaw, pitch, roll of the part in its object, radians (Rz Ry Rx)."""


@dataclass(frozen=True)
class ObjectModel:
    """A kind of object: origin on the ground below its centre, x forward."""

    label: int
    """Occ3D id of all its parts; 0 is `others`."""
    parts: tuple[Part, ...]
    category: str = ""
    """nuScenes category such as `vehicle.car`; empty for what nuScenes does not annotate."""
    size: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0))
    """Length, width, height of the bounding box in metres; computed from the parts if zero."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("an object model needs at least one part")
        if self.size == (0.0, 0.0, 0.0):
            low, high = bounds_of(self.parts)
            size = (
                2 * max(-low[0], high[0]),
                2 * max(-low[1], high[1]),
                high[2],
            )
            object.__setattr__(self, "size", tuple(float(edge) for edge in size))


def rotation_from_angles(angles: npt.ArrayLike) -> Array:
    """Rotation matrices [..., 3, 3] = Rz(yaw) Ry(pitch) Rx(roll) of angles [..., 3] in radians."""
    yaw, pitch, roll = np.moveaxis(np.asarray(angles, np.float64), -1, 0)
    cy, sy, cp, sp, cr, sr = (
        *(np.cos(yaw), np.sin(yaw)),
        *(np.cos(pitch), np.sin(pitch)),
        *(np.cos(roll), np.sin(roll)),
    )
    rows = (
        *(cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        *(sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        *(-sp, cp * sr, cp * cr),
    )
    return np.stack(rows, -1).reshape(*np.shape(yaw), 3, 3)


def pose_from(position: npt.ArrayLike, angles: npt.ArrayLike) -> Array:
    """Rigid transforms [..., 4, 4] from positions [..., 3] (m) and angles [..., 3] (yaw, pitch, roll)."""
    position = np.asarray(position, np.float64)
    pose = np.zeros((*position.shape[:-1], 4, 4))
    pose[..., :3, :3] = rotation_from_angles(angles)
    pose[..., :3, 3] = position
    pose[..., 3, 3] = 1
    return pose


def bounds_of(parts: Sequence[Part]) -> tuple[Array, Array]:
    """Lowest and highest corner [3] of the parts' oriented boxes in the object's frame."""
    centers = np.array([part.center for part in parts], np.float64)
    rotations = rotation_from_angles([part.angles for part in parts])
    reach = np.einsum("pij,pj->pi", np.abs(rotations), np.array([p.half for p in parts]))
    return (centers - reach).min(0), (centers + reach).max(0)
