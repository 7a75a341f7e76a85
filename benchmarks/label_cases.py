"""Weak labels to measure the store with: of the real keyframe, and of synthetic scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from gfocc_core.config import ImageConfig
from gfocc_core.data.label_codec import RELATIVE_ERROR
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.training_dataset import WEAK_VOCABULARY
from gfocc_core.data.weak_labels import LabelGeometry, StoreHeader, WeakLabels
from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.synthetic.export import generate
from gfocc_core.synthetic.label_noise import LabelNoise


@dataclass(frozen=True)
class Case:
    """Labels to measure, all of one header."""

    name: str
    header: StoreHeader
    labels: Sequence[WeakLabels]


def real_cases(folder: Path) -> list[Case]:
    """The real keyframe's rows."""
    with np.load(folder / "weak_labels.npz") as archive:
        given = WeakLabels(archive["semantics"], archive["lidar_depth"].astype(np.float32))
        names = [str(name) for name in archive["cameras"]]
    raster = ImageConfig(height=given.depth.shape[1], width=given.depth.shape[2])
    geometry = LabelGeometry.covering(dict.fromkeys(names, (900, 1600)), raster)
    models = {"semantics": "deeplab", "depth": "lidar"}
    header = StoreHeader(models, WEAK_VOCABULARY, geometry)
    random = np.random.default_rng(0)
    dense = np.stack([spread(metres, random) for metres in given.depth])
    return [
        Case("real, as given", header, [given]),
        Case("real, dense depth", header, [WeakLabels(given.semantics, dense)]),
    ]


def spread(sparse: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.float32]:
    """The nearest lidar point's depth at every pixel, blurred and with a network's fine noise."""
    empty = (sparse == 0).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(int(nearest.max()) + 1, np.float32)
    by_label[nearest[sparse > 0]] = sparse[sparse > 0]
    noise = LabelNoise()
    smooth = cv2.GaussianBlur(by_label[nearest], (0, 0), noise.depth_blur)
    rough = random.normal(0, noise.depth_noise, sparse.shape).astype(np.float32)
    dense: npt.NDArray[np.float32] = smooth * np.exp(rough)
    return dense


def synthetic_cases(folder: Path, scenes: int, frames: int) -> list[Case]:
    """The generated scenes' rows."""
    config = SyntheticConfig(out=folder, scenes=scenes, val_scenes=0, frames=frames)
    generate(config)
    cases = []
    for store_name, name in (("exact", "synthetic exact"), ("degraded", "synthetic noisy")):
        store = LabelStore.open(folder / "weak_labels" / store_name)
        labels = [within_steps(store.read(token)) for token in store.tokens()]
        cases.append(Case(name, store.header, labels))
    return cases


def within_steps(labels: WeakLabels) -> WeakLabels:
    """Undo the store's rounding of depth, which measures of error and size must meet anew.

    Depth that comes from a store lies on its scale; here it gets a random place within its step.
    """
    random = np.random.default_rng(0)
    half = 0.999 * np.log1p(RELATIVE_ERROR)
    place = random.uniform(-half, half, labels.depth.shape)
    return WeakLabels(labels.semantics, (labels.depth * np.exp(place)).astype(np.float32))
