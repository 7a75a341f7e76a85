"""Small weak labels for tests: a header for any cameras, and arrays that follow it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gfocc_core.config import ImageConfig
from gfocc_core.data.frames import NUSCENES_CAMERAS
from gfocc_core.data.weak_labels import LabelGeometry, StoreHeader, WeakLabels
from gfocc_core.taxonomy import CLASS_NAMES
from tests.nuscenes_fixture import HEIGHT, WIDTH

VOCABULARY = CLASS_NAMES[:17]
RASTER = ImageConfig(height=16, width=32)
SIZES: dict[str, tuple[int, int]] = dict.fromkeys(NUSCENES_CAMERAS, (HEIGHT, WIDTH))
"""Camera name -> (height, width) of the images of the synthetic nuScenes data set."""


def make_header(
    sizes: Mapping[str, tuple[int, int]] | None = None,
    vocabulary: tuple[str, ...] = VOCABULARY,
    models: Mapping[str, str] | None = None,
) -> StoreHeader:
    """A header of labels that cover RASTER."""
    return StoreHeader(
        models=models or {"semantics": "a segmenter", "depth": "a depth network"},
        vocabulary=vocabulary,
        geometry=LabelGeometry.covering(sizes or SIZES, RASTER),
    )


def random_labels(header: StoreHeader, seed: int = 0) -> WeakLabels:
    """Labels with all ids, depth of 0.1 to 300 m, and a third of the pixels without any."""
    random = np.random.default_rng(seed)
    shape = header.geometry.shape
    semantics = random.integers(0, len(header.vocabulary), shape, dtype=np.uint8)
    depth = np.exp(random.uniform(np.log(0.1), np.log(300), shape)).astype(np.float32)
    return WeakLabels(semantics, np.where(random.random(shape) < 1 / 3, np.float32(0), depth))
