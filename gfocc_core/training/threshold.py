"""Choose from which density on a trained network's voxels count as occupied.

Training does not see the threshold, scores depend on it: it is picked afterwards, on training
scenes. One run of the network scores all candidates, since they differ in the labels only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import torch

from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.taxonomy import FREE_ID
from gfocc_core.training.evaluation import Scores, ScoreTally
from gfocc_core.training.keyframe_source import KeyframeDataset, keyframe_source
from gfocc_core.training.scored_keyframes import scored_keyframes

THRESHOLDS: tuple[float, ...] = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
"""Candidates that cover what trained networks want."""

Criterion = Literal["miou", "iou", "rayiou"]
"""mIoU and IoU of convention A, or RayIoU over 17 ids."""
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)


def score_thresholds(
    dataset: KeyframeDataset,
    scenes: Sequence[str],
    predictor: OccupancyPredictor,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    every: int = 1,
    on_keyframe: Callable[[], None] = lambda: None,
) -> dict[float, Scores]:
    """Score each threshold as `evaluate` would, with one run over the scenes.

    Args:
        predictor: lends its network; its own memory and configuration stay as they are.
        thresholds: densities, 0 to 1.
        every: score every so many keyframes of a scene, the first included; the network runs on
            all, because its memory needs them.
        on_keyframe: called after each keyframe, scored or not.

    Returns:
        Scores per threshold, ascending.

    Raises:
        ValueError: no threshold, one outside of 0 to 1, or `every` below 1.
        DatasetError: an unknown scene, or ground truth or an image is missing.
    """
    candidates = sorted(set(thresholds))
    _check(candidates, every)
    # Labels at the lowest threshold contain those at all others.
    occupancy = replace(predictor.config.occupancy, threshold=candidates[0])
    config = replace(predictor.config, occupancy=occupancy)
    fullest = OccupancyPredictor(predictor.network, config, predictor.device)
    tallies = {threshold: ScoreTally() for threshold in candidates}
    source = keyframe_source(dataset)
    for keyframe in scored_keyframes(dataset, scenes):
        found = fullest.predict(source.frame(keyframe.token))
        if keyframe.number % every == 0:
            truth = keyframe.truth(dataset, found.labels.device)
            for threshold, tally in tallies.items():
                labels = torch.where(found.density >= threshold, found.labels, FREE_ID)
                tally.add(labels, truth)
        on_keyframe()
    return {threshold: tally.scores() for threshold, tally in tallies.items()}


def best_threshold(scores: Mapping[float, Scores], by: Criterion) -> float:
    """The threshold that scores highest; of equals the first.

    Raises:
        ValueError: there was nothing to score.
    """
    values = {threshold: score_by(of, by) for threshold, of in scores.items()}
    known = {threshold: value for threshold, value in values.items() if not math.isnan(value)}
    if not known:
        raise ValueError(f"{by} is undefined at every threshold: there was nothing to score")
    return max(known, key=known.__getitem__)


def score_by(scores: Scores, by: Criterion) -> float:
    """Per cent; NaN where there was nothing to score."""
    if by == "rayiou":
        return float(scores.rays["rayiou"])
    return float(scores.voxels[f"{by}_a"])


def threshold_table(scores: Mapping[float, Scores], chosen: float) -> str:
    """A row per threshold with all criteria, the chosen one marked."""
    rows = [f"{'threshold':>9}{'mIoU A':>9}{'IoU A':>9}{'RayIoU':>9}"]
    for threshold, of in scores.items():
        cells = "".join(f"{score_by(of, by):9.2f}" for by in CRITERIA)
        rows.append(f"{threshold:9g}{cells}" + (" <" if threshold == chosen else ""))
    counted = next(iter(scores.values())).keyframes
    rows.append(f"over {counted} keyframes, per cent; A leaves out others and other_flat")
    return "\n".join(rows)


def _check(candidates: Sequence[float], every: int) -> None:
    if not candidates:
        raise ValueError("thresholds must hold at least one density")
    wrong = [threshold for threshold in candidates if not 0 <= threshold <= 1]
    if wrong:
        raise ValueError(f"thresholds must be in [0, 1], got {wrong[0]}")
    if every < 1:
        raise ValueError(f"every must be >= 1, got {every}")
