"""The command line of training/choose_threshold.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gfocc_core.checkpoint import CheckpointError, with_config
from gfocc_core.config import ConfigError
from gfocc_core.data.scenes import DatasetError
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.training.keyframe_progress import keyframe_progress
from gfocc_core.training.keyframe_source import (
    KeyframeDataset,
    add_dataset_options,
    open_dataset,
)
from gfocc_core.training.scene_choice import scenes_of
from gfocc_core.training.threshold import (
    CRITERIA,
    THRESHOLDS,
    best_threshold,
    score_thresholds,
    threshold_table,
)


def main(argv: list[str] | None = None) -> int:
    """Write the checkpoint; returns 2 with one line on stderr when something cannot be used."""
    arguments = _parse(argv)
    try:
        _run(arguments)
    except (DatasetError, CheckpointError, ConfigError, ValueError, OSError) as error:
        print(f"choose_threshold: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="choose_threshold",
        description="Score density thresholds of a checkpoint against Occ3D ground truth, and "
        "write the checkpoint with the best one in its configuration.",
    )
    add_dataset_options(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, help="safetensors checkpoint")
    parser.add_argument("--split", required=True, help="split to choose on; not the one to report")
    parser.add_argument("--scenes", nargs="+", help="of the split only these scenes")
    parser.add_argument(
        "--every", type=int, default=4, help="score every so many keyframes; default: %(default)s"
    )
    parser.add_argument(
        "--thresholds",
        type=float,
        nargs="+",
        default=THRESHOLDS,
        help=f"densities to try; default: {' '.join(f'{value:g}' for value in THRESHOLDS)}",
    )
    parser.add_argument(
        "--by", choices=CRITERIA, default="miou", help="what to maximise; default: %(default)s"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="checkpoint to write or replace; may be the given"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<number>")
    return parser.parse_args(argv)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.out.is_dir():
        raise ValueError(f"--out '{arguments.out}' is a folder, not a file to write")
    predictor = OccupancyPredictor.from_checkpoint(arguments.checkpoint, arguments.device)
    dataset = open_dataset(arguments)
    scenes = _scenes(dataset, arguments.split, arguments.scenes)
    with keyframe_progress(dataset, scenes, "scoring") as on_keyframe:
        scores = score_thresholds(
            dataset,
            scenes,
            predictor,
            arguments.thresholds,
            every=arguments.every,
            on_keyframe=on_keyframe,
        )
    chosen = best_threshold(scores, arguments.by)
    print(threshold_table(scores, chosen))
    occupancy = replace(predictor.config.occupancy, threshold=chosen)
    with_config(arguments.checkpoint, replace(predictor.config, occupancy=occupancy), arguments.out)
    before = predictor.config.occupancy.threshold
    print(f"wrote {arguments.out}: threshold {chosen:g}, was {before:g}")
    if len(scores) > 1 and chosen in (min(scores), max(scores)):
        print(f"the best lies at an end of the thresholds tried; try some beyond {chosen:g}")


def _scenes(dataset: KeyframeDataset, split: str, only: Sequence[str] | None) -> tuple[str, ...]:
    """In the dataset's order; raises DatasetError for an unknown split or a scene outside of it."""
    scenes = scenes_of(dataset, split)
    if only is None:
        return scenes
    outside = [scene for scene in only if scene not in scenes]
    if outside:
        raise DatasetError(f"scene '{outside[0]}' is not in split '{split}'")
    return tuple(scene for scene in scenes if scene in only)
