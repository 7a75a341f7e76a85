"""The command line of training/train.py: YAML configuration, any field overridable."""

from __future__ import annotations

import sys

from jsonargparse import ArgumentParser, Namespace

from gfocc_core.data.scenes import DatasetError
from gfocc_core.training.config import TrainingConfig
from gfocc_core.training.run import RunError, train


def main(argv: list[str] | None = None) -> int:
    """Train; returns 0, or 2 with one line on stderr when something given cannot be used."""
    parser = training_parser()
    arguments = parser.parse_args(argv)
    resume = arguments.pop("resume")
    try:
        exported = train(_config(parser, arguments), resume=resume)
    except (RunError, DatasetError, ValueError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    print(f"weights for the node: {exported}")
    return 0


def training_parser() -> ArgumentParser:
    """`--config FILE`, `--resume`, and an option for every field of TrainingConfig."""
    parser = ArgumentParser(prog="train", description="Train from weak 2D labels.")
    parser.add_argument("--config", action="config", help="YAML file; options override it")
    parser.add_argument("--resume", action="store_true", help="go on where run.out stopped")
    parser.add_class_arguments(TrainingConfig)
    return parser


def _config(parser: ArgumentParser, arguments: Namespace) -> TrainingConfig:
    arguments.pop("config", None)
    ready = parser.instantiate(arguments)
    return TrainingConfig(**{name: ready[name] for name in TrainingConfig.__dataclass_fields__})
