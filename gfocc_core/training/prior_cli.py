"""The command line of training/make_prior.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gfocc_core.data.scenes import DatasetError
from gfocc_core.taxonomy import FREE_ID
from gfocc_core.training.keyframe_progress import keyframe_progress
from gfocc_core.training.keyframe_source import (
    add_dataset_options,
    keyframe_source,
    open_dataset,
)
from gfocc_core.training.label_file import save_label_file
from gfocc_core.training.scene_choice import scenes_of
from gfocc_core.training.voxel_prior import voxel_prior


def main(argv: list[str] | None = None) -> int:
    """Write the prior; returns 2 with one line on stderr when something given cannot be used."""
    arguments = _parse(argv)
    try:
        print(_run(arguments))
    except (DatasetError, OSError) as error:
        print(f"make_prior: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make_prior",
        description="Most frequent label of each voxel that cameras see, over Occ3D ground truth.",
    )
    add_dataset_options(parser)
    parser.add_argument("--split", required=True, help="split to count over, e.g. train")
    parser.add_argument("--out", type=Path, required=True, help="npz to write or replace")
    return parser.parse_args(argv)


def _run(arguments: argparse.Namespace) -> str:
    dataset = open_dataset(arguments)
    source = keyframe_source(dataset)
    scenes = scenes_of(dataset, arguments.split)
    with keyframe_progress(dataset, scenes, "counting") as count_one:
        labels = voxel_prior(dataset, scenes, count_one)
    save_label_file(arguments.out, labels)
    total = sum(len(source.tokens(scene)) for scene in scenes)
    share = 100 * (labels != FREE_ID).mean()
    return (
        f"wrote {arguments.out}: {total} keyframes of {len(scenes)} scenes, {share:.1f} % occupied"
    )
