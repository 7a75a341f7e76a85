#!/usr/bin/env python3
"""Whether the flow head knows how things move: its velocities and forecasts against annotations.

Runs a checkpoint online over the keyframes of some scenes of a dataset in the nuScenes schema with
Occ3D labels, such as gfocc_core.synthetic makes. Velocities are those over ground in the axes of
the ego frame. A forecast k steps ahead is compared with the ground truth k keyframes later, in that
keyframe's ego frame.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from flow_forecast import ForecastRow, ForecastTally, Moment
from flow_objects import annotated_objects
from flow_velocity import VelocityRow, VelocityTally
from kernel_report import ROOT, header
from torch import Tensor

from gfocc_core.checkpoint import CheckpointError
from gfocc_core.data.frames import load_frame
from gfocc_core.data.scenes import DatasetError, open_nuscenes
from gfocc_core.gaussians import Gaussians
from gfocc_core.predictor import OccupancyPredictor, resolve_device
from gfocc_core.training.scene_choice import scenes_of
from gfocc_core.training.scored_keyframes import scored_keyframes

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

STEPS = (1, 2, 4, 6)
"""Keyframes ahead that the flow is scored at, as far as its head reaches."""


@dataclass(frozen=True)
class Found:
    keyframes: int
    seconds: float
    velocity: list[VelocityRow]
    forecast: list[ForecastRow]


def main() -> int:
    parser = _parser()
    given = parser.parse_args()
    try:
        if given.scenes is not None and given.scenes < 1:
            raise ValueError(f"--scenes must be >= 1, got {given.scenes}")
        given.device = resolve_device(given.device)
        nusc = open_nuscenes(given.dataroot, given.version)
        scenes = scenes_of(nusc, given.split)[: given.scenes]
        predictor = OccupancyPredictor.from_checkpoint(given.checkpoint, given.device)
        found = measure(predictor, nusc, scenes)
        about = header(given.device, given.commit) | {"checkpoint": given.checkpoint.name}
        if given.json:
            report = {**about, "scenes": scenes, **_without_nan(asdict(found))}
            given.json.write_text(json.dumps(report, indent=2) + "\n")
    except (DatasetError, CheckpointError, ValueError) as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"'{error.filename}' cannot be used: {error.strerror}")
    _print(about, scenes, found)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    checkpoint = ROOT / "assets" / "tiny_synthetic.safetensors"
    parser.add_argument("--checkpoint", type=Path, default=checkpoint)
    parser.add_argument("--dataroot", type=Path, required=True, help="the dataset, with gts/")
    parser.add_argument("--version", default="v1.0-synthetic", help="of --dataroot")
    parser.add_argument("--split", help="of --dataroot; default: every scene")
    parser.add_argument("--scenes", type=int, help="only so many of them; default: all")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--commit", help="of a copy of the code without git")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    return parser


@torch.inference_mode()
def measure(predictor: OccupancyPredictor, nusc: NuScenes, scenes: Sequence[str]) -> Found:
    """Run a predictor over scenes.

    Raises:
        DatasetError: something of a keyframe is missing or damaged.
        ValueError: the predictor's grid is not the ground truth's.
    """
    config, began = predictor.config, time.perf_counter()
    steps = tuple(step for step in STEPS if step <= config.model.flow_horizon)
    motion = {step: VelocityTally(step, config) for step in steps}
    forecasts, count = ForecastTally(config), 0
    past: deque[Moment] = deque(maxlen=max(steps) + 1)
    for keyframe in scored_keyframes(nusc, scenes):
        if keyframe.number == 0:
            past.clear()
            print(f"{count} keyframes done ...", file=sys.stderr)
        frame = load_frame(nusc, keyframe.token)
        labels = predictor.predict(frame).labels
        gaussians = _copy_of_last(predictor)
        ahead = predictor.forecast([step * config.temporal.frame_interval for step in steps])
        truth = keyframe.truth(nusc, labels.device)
        now = Moment(
            global_from_ego=frame.global_from_ego,
            objects=annotated_objects(nusc, keyframe.token),
            moving=truth.moving,
            gaussians=gaussians,
            ahead={0: labels} | {step: it.labels for step, it in zip(steps, ahead, strict=True)},
        )
        past.appendleft(now)
        offsets = _offsets(predictor, gaussians, steps)
        for tally, offset in zip(motion.values(), offsets, strict=True):
            tally.add(now.objects, gaussians, offset, truth.labels)
        for step in (0, *steps):
            if step < len(past):
                forecasts.add(step, past[step], now, truth.labels)
        count += 1
    rows = [row for tally in motion.values() for row in tally.rows()]
    return Found(count, time.perf_counter() - began, rows, forecasts.rows())


def _copy_of_last(predictor: OccupancyPredictor) -> Gaussians:
    last = predictor.gaussians
    assert last is not None
    return replace(last, **{f.name: getattr(last, f.name).clone() for f in fields(last)})


def _offsets(predictor: OccupancyPredictor, gaussians: Gaussians, steps: Sequence[int]) -> Tensor:
    """Metres [S, N, 3] at some steps ahead, zero for what does not move by itself."""
    batch = replace(
        gaussians, **{f.name: getattr(gaussians, f.name)[None] for f in fields(gaussians)}
    )
    wanted = torch.tensor([steps], device=gaussians.means.device)
    return predictor.network.flow(batch, wanted)[0]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _print(about: dict[str, str], scenes: Sequence[str], found: Found) -> None:
    print("## The flow head against annotations\n")
    print("; ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    print(f"- {found.keyframes} keyframes of {', '.join(scenes)}, in {found.seconds:.0f} s")
    print("- speeds in m/s, over ground; an object counts once in every keyframe that sees it\n")
    print(
        "| step | objects | seen | matched | different | speed = error of standing still "
        "| flow's speed | flow's error | recovered % | right way % | correlation ahead | aside "
        "| rise, m |"
    )
    print("|---:|---|" + "---:|" * 11)
    for row in found.velocity:
        counts = f"{row.seen} | {row.matched} | {row.instances}"
        speeds = " | ".join(_cell(it) for it in (row.speed, row.flow_speed, row.error))
        shares = f"{_cell(row.recovered, 1)} | {_cell(row.right_way, 1)}"
        rest = (row.correlation_ahead, row.correlation_aside, row.rise)
        print(
            f"| {row.step} | {row.group} | {counts} | {speeds} | {shares} | "
            + " | ".join(_cell(it) for it in rest)
            + " |"
        )
    print("\n- per cent, of voxels in view around what moves or moved; dynamic: any such id\n")
    print("| ahead, s | dynamic classes | keyframes | voxels | mIoU | dynamic IoU | IoU |")
    print("|---:|---|" + "---:|" * 5)
    for ahead in found.forecast:
        scores = (ahead.moving_miou, ahead.moving_dynamic_iou, ahead.moving_iou)
        print(
            f"| {ahead.seconds:g} | {ahead.way} | {ahead.keyframes} | {ahead.voxels} | "
            + " | ".join(_cell(it) for it in scores)
            + " |"
        )


def _cell(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
