"""Which keyframes of a dataset one process labels, and on which raster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gfocc_core.config import ImageConfig
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.weak_labels import LabelGeometry
from gfocc_core.labelling.protocols import LabellingError


@dataclass(frozen=True)
class Shard:
    """Share number `index` (from 0) of `count` equal ones: every count-th keyframe."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise LabellingError(
                f"shard must be i/n with i from 0 to n - 1, got {self.index}/{self.count}"
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`i/n` -> a shard."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None:
            raise LabellingError(f"shard must be i/n with i from 0 to n - 1, got '{text}'")
        return cls(int(match.group(1)), int(match.group(2)))

    def split(self, parts: int) -> tuple[Shard, ...]:
        """Smaller shards that hold this one's keyframes together."""
        return tuple(
            Shard(self.index + self.count * part, self.count * parts) for part in range(parts)
        )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def chosen_positions(index: SceneIndex, scenes: Sequence[str], shard: Shard) -> list[int]:
    """Positions of the keyframes to label: those of some scenes (none named: all), this share.

    Raises DatasetError for an unknown scene.
    """
    names = dict.fromkeys(scenes or index.scenes)
    positions = [position for name in names for position in index.positions_of_scene(name)]
    return positions[shard.index :: shard.count]


def label_geometry(index: SceneIndex, raster: ImageConfig) -> LabelGeometry:
    """The raster of the whole dataset's cameras, so that all shards agree.

    Raises:
        LabellingError: a camera has images of several sizes, or none at all.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for column, camera in enumerate(index.cameras):
        found = index.image_sizes[:, column]
        different = np.unique(found[(found != 0).any(-1)], axis=0)
        if len(different) != 1:
            listed = ", ".join(f"{width}x{height}" for height, width in different) or "none"
            raise LabellingError(
                f"images of {camera} must have one size for a store of labels, found: {listed}"
            )
        sizes[camera] = (int(different[0, 0]), int(different[0, 1]))
    return LabelGeometry.covering(sizes, raster)
