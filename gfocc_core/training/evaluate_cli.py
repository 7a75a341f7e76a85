"""The command line of training/evaluate.py."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from gfocc_core.atomic_file import write_atomically
from gfocc_core.checkpoint import CheckpointError
from gfocc_core.config import ConfigError
from gfocc_core.data.scenes import DatasetError
from gfocc_core.predictor import OccupancyPredictor, resolve_device
from gfocc_core.training.baselines import PriorPredictions, untrained_predictor
from gfocc_core.training.evaluation import (
    OnlinePredictions,
    Predictions,
    SavedPredictions,
    evaluate,
    score_table,
)
from gfocc_core.training.keyframe_progress import keyframe_progress
from gfocc_core.training.keyframe_source import add_dataset_options, open_dataset
from gfocc_core.training.scene_choice import scenes_of


def main(argv: list[str] | None = None) -> int:
    """Print the table; returns 2 with one line on stderr when something given cannot be used."""
    arguments = _parse(argv)
    try:
        _run(arguments)
    except (DatasetError, CheckpointError, ConfigError, ValueError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="evaluate", description="Score occupancy against Occ3D ground truth."
    )
    add_dataset_options(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="safetensors checkpoint to run")
    source.add_argument("--predictions", type=Path, help="folder of saved predictions to score")
    source.add_argument("--prior", type=Path, help="voxel prior, from training/make_prior.py")
    source.add_argument(
        "--untrained",
        metavar="NETWORK",
        help="random weights of a preset (tiny, paper) or of a training configuration (.yaml)",
    )
    scenes = parser.add_mutually_exclusive_group()
    scenes.add_argument("--split", help="split to score, e.g. val; default: every scene")
    scenes.add_argument("--scenes", nargs="+", help="names of the scenes to score")
    parser.add_argument("--save-predictions", type=Path, help="folder to write <token>.npz into")
    parser.add_argument("--json", type=Path, help="file to write the scores to")
    parser.add_argument("--neighborhood", type=int, help="voxel reach of a Gaussian")
    parser.add_argument("--threshold", type=float, help="density from which on a voxel is occupied")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:<number>")
    return parser.parse_args(argv)


def _run(arguments: argparse.Namespace) -> None:
    dataset = open_dataset(arguments)
    scenes = arguments.scenes or scenes_of(dataset, arguments.split)
    with keyframe_progress(dataset, scenes, "scoring") as on_keyframe:
        scores = evaluate(
            dataset,
            scenes,
            _predictions(arguments),
            save_to=arguments.save_predictions,
            on_keyframe=on_keyframe,
        )
    print(score_table(scores))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        text = (scores.to_json() + "\n").encode()
        write_atomically(arguments.json, lambda stream: stream.write(text))


def _predictions(arguments: argparse.Namespace) -> Predictions:
    changes = {
        name: value
        for name in ("neighborhood", "threshold")
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.checkpoint is None and arguments.untrained is None:
        if changes:
            raise ConfigError(f"--{next(iter(changes))} needs --checkpoint or --untrained")
        if arguments.predictions is not None:
            return SavedPredictions(arguments.predictions)
        return PriorPredictions(arguments.prior, resolve_device(arguments.device))
    if arguments.untrained is not None:
        predictor = untrained_predictor(arguments.untrained, arguments.device)
    else:
        predictor = OccupancyPredictor.from_checkpoint(arguments.checkpoint, arguments.device)
    occupancy = replace(predictor.config.occupancy, **changes)
    predictor.config = replace(predictor.config, occupancy=occupancy)
    return OnlinePredictions(predictor)
