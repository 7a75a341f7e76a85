"""The command line of training/make_prior.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gfocc_core.data.scenes import DatasetError, keyframe_tokens, open_nuscenes
from gfocc_core.taxonomy import FREE_ID
from gfocc_core.training.keyframe_progress import keyframe_progress
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
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes schema, with gts/")
    parser.add_argument("--version", required=True, help="its version, e.g. v1.0-trainval")
    parser.add_argument("--split", required=True, help="split to count over, e.g. train")
    parser.add_argument("--out", type=Path, required=True, help="npz to write or replace")
    return parser.parse_args(argv)


def _run(arguments: argparse.Namespace) -> str:
    nusc = open_nuscenes(arguments.dataroot, arguments.version)
    scenes = scenes_of(nusc, arguments.split)
    with keyframe_progress(nusc, scenes, "counting") as count_one:
        labels = voxel_prior(nusc, scenes, count_one)
    save_label_file(arguments.out, labels)
    total = sum(len(keyframe_tokens(nusc, scene)) for scene in scenes)
    share = 100 * (labels != FREE_ID).mean()
    return (
        f"wrote {arguments.out}: {total} keyframes of {len(scenes)} scenes, {share:.1f} % occupied"
    )
