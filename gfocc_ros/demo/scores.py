"""Score what arrived on the topics against the truth, beside the prior on the same keyframes."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gfocc_core.grid import OCC3D_GRID
from gfocc_core.metrics.iou import check_ids
from gfocc_core.metrics.label_resampling import resample_labels
from gfocc_core.metrics.sample_counts import SampleCounts, count_predictions
from gfocc_ros.demo.error import DemoError
from gfocc_ros.demo.truth import KeyframeTruth, SceneTruth

_WORKERS = 2
"""Ray casting keeps one core busy per keyframe."""


@dataclass(frozen=True)
class ScoredOutput:
    """An output whose stamp is a keyframe's."""

    truth: KeyframeTruth
    labels: Tensor
    """uint8 [X, Y, Z] as published, but in the truth's ego frame."""
    counts: SampleCounts
    prior: SampleCounts | None


def score_outputs(
    outputs: Mapping[int, Tensor], truth: SceneTruth, prior: Tensor | None
) -> dict[int, ScoredOutput]:
    """Compare outputs (stamp in ns -> labels [X, Y, Z]) with the truth where there is one.

    Raises:
        DatasetError: the truth's labels are damaged.
    """
    matched = {stamp: found for stamp in outputs if (found := truth.at(stamp)) is not None}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="score") as pool:
            scored = pool.map(lambda stamp: _score(outputs[stamp], matched[stamp], prior), matched)
            return dict(zip(matched, scored, strict=True))
    finally:
        torch.set_num_threads(threads)


def total(counts: Iterable[SampleCounts]) -> SampleCounts | None:
    """All counts added up; None if there are none."""
    every = list(counts)
    return functools.reduce(operator.add, every) if every else None


def score_fields(counts: SampleCounts | None, prefix: str = "") -> dict[str, float | None]:
    """`miou`, `iou` and `rayiou` in per cent for the JSON line; None where nothing was to score."""
    names = [f"{prefix}{name}" for name in ("miou", "iou", "rayiou")]
    if counts is None:
        return dict.fromkeys(names)
    scores = counts.headline()
    values = (scores.miou, scores.iou, scores.rayiou)
    return {
        name: None if math.isnan(value) else round(value, 2)
        for name, value in zip(names, values, strict=True)
    }


def read_prior(path: Path) -> Tensor:
    """The most frequent label per voxel, uint8 [X, Y, Z], from `labels` of an npz.

    Raises:
        DemoError: the file is damaged or of another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            labels = torch.from_numpy(archive["labels"])
        check_ids("labels", labels)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DemoError(f"voxel prior '{path}' cannot be read: {error}") from error
    if tuple(labels.shape) != OCC3D_GRID.shape:
        raise DemoError(
            f"voxel prior '{path}' must be {list(OCC3D_GRID.shape)}, got {list(labels.shape)}"
        )
    return labels


def _score(labels: Tensor, truth: KeyframeTruth, prior: Tensor | None) -> ScoredOutput:
    aligned = resample_labels(labels, truth.output_from_truth)
    predictions = [aligned] if prior is None else [aligned, prior]
    target = truth.labels
    counts = count_predictions(predictions, target.semantics, target.mask_camera, truth.ray_origins)
    return ScoredOutput(truth, aligned, counts[0], counts[1] if prior is not None else None)
