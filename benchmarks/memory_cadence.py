#!/usr/bin/env python3
"""What the rhythm of memory is worth when frames come faster than the network learned with.

Scores a checkpoint at the keyframes of some scenes, with memory of several ages: from keyframes
only, and from all camera images, attending to the frame before or to the one about an interval
back. Generates synthetic scenes whose cameras run at 12 Hz, unless it is given a dataset.

Only a checkpoint that was trained with data.history > 0 has learned to use its past: for others the
first row, without memory, scores like the rest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cadence_frames import CameraRateScene, scene_of, scenes_at_camera_rate
from kernel_report import ROOT, header

from gfocc_core.checkpoint import CheckpointError
from gfocc_core.data.frames import load_frame
from gfocc_core.data.scenes import DatasetError, open_nuscenes
from gfocc_core.predictor import OccupancyPredictor, resolve_device
from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.synthetic.export import generate
from gfocc_core.training.evaluation import ScoreTally
from gfocc_core.training.scene_choice import scenes_of
from gfocc_core.training.scored_keyframes import scored_keyframes

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes


@dataclass(frozen=True)
class Way:
    """How frames come and what they remember."""

    name: str
    camera_rate: bool
    """Whether the images between keyframes are predicted too."""
    memory_interval: float | None
    """Seconds; None: every keyframe stands alone."""


@dataclass(frozen=True)
class Row:
    """A way's scores at the keyframes, per cent."""

    way: str
    frames: int
    """Predicted, of which `keyframes` scored."""
    keyframes: int
    memory_age_s: float | None
    """Median of the keyframes that had memory."""
    miou: float
    iou: float
    rayiou: float
    moving_miou: float
    moving_iou: float
    """Occupied or free around objects in motion."""
    seconds: float


def main() -> int:
    parser = _parser()
    given = parser.parse_args()
    try:
        given.device = resolve_device(given.device)
        with tempfile.TemporaryDirectory() as folder:
            nusc, scenes = _dataset(given, Path(folder))
            rows = _rows(given, nusc, scenes)
        about = header(given.device, given.commit)
        if given.json:
            report = {**about, "scenes": scenes, "rows": [asdict(row) for row in rows]}
            given.json.write_text(json.dumps(report, indent=2) + "\n")
    except (DatasetError, CheckpointError, ValueError) as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"'{error.filename}' cannot be used: {error.strerror}")
    _print(about, scenes, rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    checkpoint = ROOT / "assets" / "tiny_synthetic.safetensors"
    parser.add_argument("--checkpoint", type=Path, default=checkpoint)
    parser.add_argument("--dataroot", type=Path, help="a dataset with sweeps and gts/")
    parser.add_argument("--version", default="v1.0-synthetic", help="of --dataroot")
    parser.add_argument("--split", help="of --dataroot; default: every scene")
    made = parser.add_argument_group("the dataset made where none is given")
    made.add_argument("--scenes", type=int, default=2, help="default: 2")
    made.add_argument("--keyframes", type=int, default=20, help="per scene (default: 20)")
    made.add_argument("--keyframe-interval", type=float, default=0.5, help="s (default: 0.5)")
    made.add_argument("--between", type=int, default=5, help="images per camera between keyframes")
    made.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--commit", help="of a copy of the code without git")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    return parser


def _dataset(given: argparse.Namespace, folder: Path) -> tuple[NuScenes, tuple[str, ...]]:
    """The dataset and the scenes to score; what has to be made is made in the folder."""
    if given.dataroot is not None:
        nusc = open_nuscenes(given.dataroot, given.version)
        return nusc, scenes_of(nusc, given.split)
    if given.between < 1:
        raise ValueError(f"--between must be >= 1, got {given.between}")
    config = SyntheticConfig(
        out=folder / "made",
        scenes=0,
        val_scenes=given.scenes,
        frames=given.keyframes,
        seed=given.seed,
        height=128,
        width=352,
        keyframe_interval=given.keyframe_interval,
        sweeps_per_keyframe=given.between,
        label_stores=(),
    )
    print("generating the scenes ...", file=sys.stderr)
    nusc = open_nuscenes(config.out, generate(config).name)
    return nusc, scenes_of(nusc, None)


def _rows(given: argparse.Namespace, nusc: NuScenes, scenes: Sequence[str]) -> list[Row]:
    predictor = OccupancyPredictor.from_checkpoint(given.checkpoint, given.device)
    at_camera_rate = scenes_at_camera_rate(nusc, scenes)
    learned = predictor.config.temporal.memory_interval
    ways = (
        Way("keyframes, no memory", camera_rate=False, memory_interval=None),
        Way("keyframes", camera_rate=False, memory_interval=learned),
        Way("all images, the frame before", camera_rate=True, memory_interval=0.0),
        Way(f"all images, {learned:g} s back", camera_rate=True, memory_interval=learned),
    )
    rows = []
    for way in ways:
        rows.append(_row(predictor, nusc, at_camera_rate, way))
        print(f"{way.name}: done in {rows[-1].seconds:.0f} s", file=sys.stderr)
    return rows


def _row(
    predictor: OccupancyPredictor, nusc: NuScenes, scenes: dict[str, CameraRateScene], way: Way
) -> Row:
    """Run a way over all scenes; scores as training/evaluate.py counts them."""
    if way.memory_interval is not None:
        temporal = replace(predictor.config.temporal, memory_interval=way.memory_interval)
        predictor.config = replace(predictor.config, temporal=temporal)
    predictor.reset()
    tally, ages, count, newest_ns = ScoreTally(), [], 0, 0
    began = time.perf_counter()
    for keyframe in scored_keyframes(nusc, tuple(scenes)):
        frames = iter([load_frame(nusc, keyframe.token)])
        if way.camera_rate and keyframe.number:
            frames = scenes[scene_of(nusc, keyframe.token)].frames_up_to(keyframe.token, newest_ns)
        for frame in frames:
            if way.memory_interval is None:
                predictor.reset()
            found = predictor.predict(frame)
            newest_ns = frame.stamp_ns
            count += 1
        if predictor.memory_age_s is not None:
            ages.append(predictor.memory_age_s)
        tally.add(found.labels, keyframe.truth(nusc, found.labels.device))
    scores = tally.scores()
    return Row(
        way=way.name,
        frames=count,
        keyframes=scores.keyframes,
        memory_age_s=statistics.median(ages) if ages else None,
        miou=scores.voxels["miou_a"],
        iou=scores.voxels["iou_a"],
        rayiou=scores.rays["rayiou"],
        moving_miou=scores.moving["moving_miou"],
        moving_iou=scores.moving["moving_iou"],
        seconds=time.perf_counter() - began,
    )


def _print(about: dict[str, str], scenes: Sequence[str], rows: Sequence[Row]) -> None:
    print("## Memory of several ages, scored at the keyframes\n")
    print("; ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    print(f"- scenes: {', '.join(scenes)}")
    print("- per cent; mIoU and IoU of convention A; moving: around objects in motion\n")
    print(
        "| frames | predicted | scored | memory, s | mIoU | IoU | RayIoU | moving mIoU "
        "| moving IoU |"
    )
    print("|---|" + "---:|" * 8)
    for row in rows:
        age = "-" if row.memory_age_s is None else f"{row.memory_age_s:.3f}"
        print(
            f"| {row.way} | {row.frames} | {row.keyframes} | {age} | {row.miou:.2f} "
            f"| {row.iou:.2f} | {row.rayiou:.2f} | {row.moving_miou:.2f} | {row.moving_iou:.2f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
