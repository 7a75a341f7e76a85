"""The parts of many objects as arrays, placed in a frame of choice: what the overlap tests work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.parts import BOX, CYLINDER, Array, rotation_from_angles
from gfocc_core.synthetic.world import WorldObject


@dataclass(frozen=True)
class PlacedParts:
    """P parts in one frame."""

    kinds: npt.NDArray[np.int64]
    """[P] BOX, CYLINDER or ELLIPSOID."""
    centers: Array
    """[P, 3] metres."""
    rotations: Array
    """[P, 3, 3] frame_from_part; columns are the part's axes."""
    half: Array
    """[P, 3] half extents or radii along the part's axes, metres."""
    labels: npt.NDArray[np.uint8]
    """[P] Occ3D ids."""
    owners: npt.NDArray[np.int64]
    """[P] index of the object among those given to `of`."""

    def __len__(self) -> int:
        return len(self.kinds)

    @classmethod
    def of(cls, objects: Sequence[WorldObject]) -> PlacedParts:
        """All parts of the objects, each still in its own object's frame."""
        parts = [part for item in objects for part in item.model.parts]
        counts = [len(item.model.parts) for item in objects]
        return cls(
            kinds=np.array([part.kind for part in parts], np.int64),
            centers=np.array([part.center for part in parts], np.float64).reshape(-1, 3),
            rotations=rotation_from_angles(
                np.array([part.angles for part in parts], np.float64).reshape(-1, 3)
            ),
            half=np.array([part.half for part in parts], np.float64).reshape(-1, 3),
            labels=np.repeat(np.array([item.model.label for item in objects], np.uint8), counts),
            owners=np.repeat(np.arange(len(objects)), counts),
        )

    def moved(self, poses: Array) -> PlacedParts:
        """In another frame: `poses` [4, 4] moves all, [objects, 4, 4] each object's parts."""
        pose = poses if poses.ndim == 2 else poses[self.owners]
        rotation, shift = pose[..., :3, :3], pose[..., :3, 3]
        return PlacedParts(
            kinds=self.kinds,
            centers=(rotation @ self.centers[..., None])[..., 0] + shift,
            rotations=rotation @ self.rotations,
            half=self.half,
            labels=self.labels,
            owners=self.owners,
        )

    def select(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> PlacedParts:
        return PlacedParts(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def joined(self, other: PlacedParts) -> PlacedParts:
        """Both, one after the other; owners keep the numbers they have."""
        return PlacedParts(
            *(
                np.concatenate([getattr(self, field.name), getattr(other, field.name)])
                for field in fields(self)
            )
        )

    def reach(self) -> Array:
        """[P, 3] half extents of the parts along the frame's axes: their tight upright boxes."""
        axes = np.abs(self.rotations) * self.half[:, None, :]
        round_axes = np.sqrt(np.square(axes).sum(-1))
        rim = np.sqrt(np.square(axes[..., :2]).sum(-1)) + axes[..., 2]
        kinds = self.kinds[:, None]
        return np.where(kinds == BOX, axes.sum(-1), np.where(kinds == CYLINDER, rim, round_axes))
