"""`make demo`: a drive becomes a bag, the bag is played into the node, what it publishes is scored.

Without a dataset of your own the drive is a short one of the synthetic world, unseen in training.
Converter, player and node run as separate processes over DDS; this one only listens.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rclpy
import yaml
from ament_index_python.packages import get_package_share_directory

from gfocc_core.command_line import BAD_INPUT, INTERRUPTED
from gfocc_core.data.scenes import DatasetError, open_nuscenes, scene_names
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.report.comparison_sheet import DriveScores
from gfocc_ros.demo.collector import DemoCollector
from gfocc_ros.demo.drive import convert_to_bag, play, running_node, wait_until_ready
from gfocc_ros.demo.error import DemoError
from gfocc_ros.demo.pictures import Drive, draw_pictures
from gfocc_ros.demo.scene import DemoScene, SceneOrder, generated_scene, given_scene
from gfocc_ros.demo.scores import read_prior, score_fields, score_outputs, total
from gfocc_ros.demo.truth import SceneTruth, scene_cameras
from gfocc_ros.publishing.cloud_reader import labels_from_cloud
from gfocc_ros.shipped_assets import CHECKPOINT, PRIOR, shipped_asset

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

FRAMES = 24
"""Keyframes of the generated drive: 12 s."""
SEED = 2024
"""Of the generated drive; no training scene has it."""


def main(argv: list[str] | None = None) -> int:
    """Run the demo; prints one JSON object as the last line. Returns 2 on bad input."""
    arguments = _parse(argv)
    try:
        print(json.dumps(_run(arguments)))
    except (DemoError, DatasetError) as error:
        print(f"gfocc_demo: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("gfocc_demo: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


@dataclass(frozen=True)
class _Weights:
    """What the node loads, and what to say about it on the pictures."""

    checkpoint: Path | None
    note: str


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gfocc_demo", description=__doc__)
    parser.add_argument(
        "--dataroot",
        type=Path,
        help="dataset in the nuScenes v1.0 schema; default: a synthetic drive, generated",
    )
    parser.add_argument("--version", help="its version, e.g. v1.0-mini; default: the only one")
    parser.add_argument("--scene", help="its scene; default: the only one")
    parser.add_argument(
        "--checkpoint", type=Path, help="default: the shipped one, or else random weights"
    )
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder for artefacts")
    parser.add_argument(
        "--frames", type=int, default=FRAMES, help=f"keyframes to generate (default {FRAMES})"
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, help=f"of the generated drive (default {SEED})"
    )
    return parser.parse_args(argv)


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    weights = _weights(arguments.checkpoint, synthetic=arguments.dataroot is None)
    source = _source(arguments)
    nusc = open_nuscenes(source.dataroot, source.version)
    scene = source.scene or _only_scene(nusc)
    bag = arguments.out / "bag"
    arguments.out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(bag, ignore_errors=True)
    _say(f"converting {source.dataroot} ({source.version}, {scene}) to {bag}")
    convert_to_bag(source.dataroot, source.version, scene, bag)
    rclpy.init()
    try:
        summary = _drive(source, nusc, scene, bag, weights, arguments.out)
    finally:
        rclpy.try_shutdown()
    return summary | {"seconds": round(time.monotonic() - began, 1)}


def _weights(given: Path | None, *, synthetic: bool) -> _Weights:
    if given is not None:
        if not given.is_file():
            raise DemoError(f"checkpoint '{given}' does not exist")
        return _Weights(given, "")
    shipped = shipped_asset(CHECKPOINT)
    if shipped is None:
        _say(f"no {CHECKPOINT}: RANDOM weights, so the pictures show NOISE, not the scene")
        return _Weights(None, "random weights: noise")
    if not synthetic:
        _say("the shipped weights have seen the synthetic world only; give a CHECKPOINT of yours")
        return _Weights(shipped, "weights learned in the synthetic world only")
    return _Weights(shipped, "")


def _source(arguments: argparse.Namespace) -> DemoScene:
    if arguments.dataroot is not None:
        return given_scene(arguments.dataroot, arguments.version, arguments.scene)
    order = SceneOrder(arguments.frames, arguments.seed)
    _say(f"a synthetic drive of {order.frames} keyframes, seed {order.seed}")
    return generated_scene(arguments.out, order)


def _only_scene(nusc: NuScenes) -> str:
    names = scene_names(nusc)
    if len(names) != 1:
        raise DemoError(
            f"the dataset has {len(names)} scenes: name one with SCENE; it holds: "
            + ", ".join(names)
        )
    return names[0]


def _drive(
    source: DemoScene, nusc: NuScenes, scene: str, bag: Path, weights: _Weights, out: Path
) -> dict[str, Any]:
    params_file = Path(get_package_share_directory("gfocc_ros")) / "config" / "occupancy.yaml"
    parameters = yaml.safe_load(params_file.read_text())["/**"]["ros__parameters"]
    cameras = scene_cameras(nusc, scene)
    overrides = [
        f"cameras:=[{', '.join(cameras.names)}]",
        f"reference_camera:={cameras.reference}",
    ]
    if weights.checkpoint is not None:
        overrides.append(f"checkpoint:={weights.checkpoint}")
    collector = DemoCollector(
        cameras.names,
        cameras.reference,
        fixed_frame=parameters["fixed_frame"],
        base_frame=parameters["base_frame"],
        slop_s=parameters["slop_s"],
    )
    try:
        with running_node(params_file, overrides) as node:
            wait_until_ready(collector, node)
            _say("node is ready, playing the bag")
            play(bag, collector, node)
        truth = SceneTruth(nusc, scene)
        prior = shipped_asset(PRIOR) if source.is_synthetic else None
        summary = _summarise(collector, truth, scene, prior, weights, out)
    finally:
        collector.close()
    return summary | {"bag": str(bag), "node_exit_code": node.exit_code}


def _summarise(
    collector: DemoCollector,
    truth: SceneTruth,
    scene: str,
    prior: Path | None,
    weights: _Weights,
    out: Path,
) -> dict[str, Any]:
    outputs = collector.outputs
    labels = {output.stamp_ns: labels_from_cloud(output.cloud, OCC3D_GRID) for output in outputs}
    _say(f"{collector.frames} frames played, {len(outputs)} outputs received; scoring and drawing")
    scored = score_outputs(labels, truth, None if prior is None else read_prior(prior))
    prediction = total(each.counts for each in scored.values())
    of_prior = total(each.prior for each in scored.values() if each.prior is not None)
    scores = DriveScores(len(scored), prediction, of_prior) if prediction else None
    drive = Drive(scene, len(truth), collector, labels, scored, scores, weights.note)
    pictures = draw_pictures(drive, out)
    latencies = [output.latency_ms for output in outputs if output.latency_ms is not None]
    return {
        "scene": scene,
        "frames": collector.frames,
        "outputs": len(outputs),
        "grids": collector.grids,
        "occupied_points": outputs[-1].cloud.width,
        "latency_ms": round(statistics.median(latencies), 1) if latencies else None,
        "scored": len(scored),
        **score_fields(prediction),
        **score_fields(of_prior, "prior_"),
        "weights": str(weights.checkpoint) if weights.checkpoint else "random",
        "pictures": [str(picture) for picture in pictures],
    }


def _say(text: str) -> None:
    print(f"[demo] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
