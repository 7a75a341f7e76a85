"""A scene with all that the converter knows, and the bag it becomes: for the tests of its topics."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nuscenes.nuscenes import NuScenes

from gfocc_core.data.scenes import keyframe_tokens, open_nuscenes
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.taxonomy import CLASS_NAMES, FREE_ID
from gfocc_ros.bags.conversion import convert_scene
from tests.nuscenes_fixture import SCENES, NuscenesFixture, write_nuscenes
from tests.ros.bag_contents import Logged, read_bag

SCENE = SCENES[0]
GROUND, CAR = CLASS_NAMES.index("driveable_surface"), CLASS_NAMES.index("car")


@dataclass(frozen=True)
class FullScene:
    """A dataset of one scene with every sensor, boxes and labels, and its bag."""

    dataset: NuscenesFixture
    nusc: NuScenes
    bag: list[Logged]
    """All that the dataset has."""


def full_scene(folder: Path) -> FullScene:
    dataset = write_nuscenes(folder / "nuscenes", SCENES[:1], radars=True, annotations=True)
    write_truth(dataset, SCENE)
    nusc = open_nuscenes(dataset.root, dataset.version)
    convert_scene(nusc, SCENE, folder / "bag")
    return FullScene(dataset, nusc, read_bag(folder / "bag"))


def write_truth(dataset: NuscenesFixture, scene: str) -> None:
    """Labels of every keyframe: a patch of ground, and a car whose place tells the keyframe."""
    samples = json.loads(dataset.table("sample").read_text())
    tokens = [sample["token"] for sample in samples if sample["scene_token"] == f"{scene}-token"]
    for index, token in enumerate(tokens):
        semantics = np.full(OCC3D_GRID.shape, FREE_ID, np.uint8)
        semantics[90:110, 90:110, 2] = GROUND
        semantics[120 + index, 100, 3] = CAR
        seen = np.zeros(OCC3D_GRID.shape, np.uint8)
        seen[100:] = 1
        folder = dataset.root / "gts" / scene / token
        folder.mkdir(parents=True)
        arrays = {"semantics": semantics, "mask_lidar": seen, "mask_camera": 1 - seen}
        np.savez_compressed(folder / "labels.npz", **arrays)


def readings_of(nusc: NuScenes, channel: str) -> dict[int, dict[str, Any]]:
    return {r["timestamp"] * 1000: r for r in nusc.sample_data if r["channel"] == channel}


def keyframe_stamps(nusc: NuScenes) -> list[int]:
    stamps = [nusc.get("sample", t)["timestamp"] * 1000 for t in keyframe_tokens(nusc, SCENE)]
    return sorted(stamps)
