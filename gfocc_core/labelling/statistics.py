"""What a store's labels are like: classes, coverage, depth, bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gfocc_core.data.label_codec import MAX_DEPTH, MIN_DEPTH
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.weak_labels import WeakLabels
from gfocc_core.labelling.engine import object_size

QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
_BINS = 2000
_EDGES = np.geomspace(MIN_DEPTH, MAX_DEPTH, _BINS + 1)


@dataclass(frozen=True)
class StoreStatistics:
    """Of the keyframes that were looked into."""

    keyframes: int
    """All of the store."""
    looked_into: int
    bytes_per_keyframe: float
    class_pixels: npt.NDArray[np.int64]
    """[V] pixels of each id."""
    labelled_share: npt.NDArray[np.float64]
    """[C] share of each camera's pixels with a semantic label."""
    depth_share: npt.NDArray[np.float64]
    """[C] share of each camera's pixels with depth."""
    depth_quantiles: tuple[float, ...]
    """Metres at QUANTILES, to half a percent; empty where there is no depth."""


def gather_statistics(store: LabelStore, most: int) -> StoreStatistics | None:
    """Look into at most so many keyframes, spread evenly over the tokens; None for an empty store.

    Raises LabelStoreError where one of them is damaged.
    """
    tokens = store.tokens()
    if not tokens:
        return None
    step = max(1, len(tokens) / most)
    chosen = [tokens[int(number * step)] for number in range(min(most, len(tokens)))]
    geometry = store.header.geometry
    cameras = len(geometry.cameras)
    classes = np.zeros(len(store.header.vocabulary), np.int64)
    labelled, deep = np.zeros(cameras), np.zeros(cameras)
    histogram, size = np.zeros(_BINS, np.int64), 0
    labels = WeakLabels.empty(geometry)
    for token in chosen:
        store.read(token, labels)
        classes += np.bincount(labels.semantics.reshape(-1), minlength=len(classes))
        labelled += (labels.semantics > 0).mean((1, 2))
        deep += (labels.depth > 0).mean((1, 2))
        some = labels.depth[labels.depth > 0].clip(MIN_DEPTH, MAX_DEPTH)
        histogram += np.histogram(some, _EDGES)[0]
        size += object_size(store, token)
    count = len(chosen)
    return StoreStatistics(
        len(tokens),
        count,
        size / count,
        classes,
        labelled / count,
        deep / count,
        _quantiles(histogram),
    )


def _quantiles(histogram: npt.NDArray[np.int64]) -> tuple[float, ...]:
    total = int(histogram.sum())
    if not total:
        return ()
    below = np.concatenate([[0], histogram.cumsum()]) / total
    return tuple(float(np.exp(np.interp(share, below, np.log(_EDGES)))) for share in QUANTILES)
