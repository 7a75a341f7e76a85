"""Make sure that weak labels and the index of a dataset speak of the same cameras and classes.

For training datasets, before the first item is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gfocc_core.data.index import SceneIndex
from gfocc_core.data.weak_labels import LabelStoreError, StoreHeader


def check_vocabulary(header: StoreHeader, vocabulary: Sequence[str]) -> None:
    """Raise LabelStoreError, naming the first id that differs, for another vocabulary."""
    found, wanted = list(header.vocabulary), list(vocabulary)
    if len(found) != len(wanted):
        raise LabelStoreError(
            f"the labels' vocabulary has {len(found)} names, expected {len(wanted)}"
        )
    for number, (name, expected) in enumerate(zip(found, wanted, strict=True)):
        if name != expected:
            raise LabelStoreError(
                f"in the labels' vocabulary id {number} is '{name}', expected '{expected}'"
            )


def camera_columns(header: StoreHeader, index: SceneIndex) -> list[int]:
    """Where the labels' cameras stand in the index; LabelStoreError for one it does not know."""
    unknown = [name for name in header.geometry.names if name not in index.cameras]
    if unknown:
        raise LabelStoreError(
            f"the labels have camera {unknown[0]}, which the dataset lacks; it has: "
            + ", ".join(index.cameras)
        )
    return [index.cameras.index(name) for name in header.geometry.names]


def check_image_sizes(
    header: StoreHeader, index: SceneIndex, columns: Sequence[int], scene: str
) -> None:
    """Raise LabelStoreError where a scene has images of another size than the labels were made of."""
    positions = index.positions_of_scene(scene)
    for camera, column in zip(header.geometry.cameras, columns, strict=True):
        found = index.image_sizes[positions[0] : positions[-1] + 1, column]
        wrong = (found != 0).any(-1) & (found != np.array(camera.image_size)).any(-1)
        if wrong.any():
            height, width = found[wrong][0]
            raise LabelStoreError(
                f"the labels of {camera.name} are for images of {camera.image_size[1]}x"
                f"{camera.image_size[0]}, scene '{scene}' has {width}x{height}"
            )
