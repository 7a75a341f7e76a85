"""docs/bring_your_own_data.md, command by command, with a synthetic robot of four cameras."""

from __future__ import annotations

import functools
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml

from gfocc_core.checkpoint import load_checkpoint
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.recording_calibration import read_calibration
from gfocc_core.data.recording_poses import COLUMNS
from gfocc_core.data.scenes import open_nuscenes, scene_names
from gfocc_core.geometry import invert_transform
from gfocc_core.labelling.cli import labels_parser
from gfocc_core.labelling.models import REGISTERED
from gfocc_core.training.cli import training_parser
from tests.ros.outputs_ear import Ear
from tests.ros.ros2_stand_in import PREPARED

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "bring_your_own_data.md"
CAMERAS = ("front", "left", "back", "right")
DRIVES = ("drive_01", "drive_02")
HEIGHT, WIDTH = 64, 176
KEYFRAMES = 4
IMAGES = 2 * KEYFRAMES - 1
VERSION = "v1.0-synthetic"


@dataclass
class Robot:
    """A synthetic robot: what it would record, and the truth about it."""

    root: Path
    settings: dict[str, str]
    """Of the page's first block, as the test has them."""

    @property
    def data(self) -> Path:
        return Path(self.settings["DATA"])

    @property
    def recordings(self) -> Path:
        return self.data / "recordings"

    @property
    def index(self) -> SceneIndex:
        return SceneIndex.load(self.data / "index", self.recordings)

    def shell(self, commands: str) -> subprocess.Popen[str]:
        """bash in the repository with the page's settings, `ros2` and `python` ours."""
        environment = os.environ | {
            "PATH": f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            PREPARED: str(self.root / "drives"),
            "ROS_LOG_DIR": str(self.root),
            "OMP_NUM_THREADS": "1",
        }
        settings = "".join(f"{k}={shlex.quote(v)}\n" for k, v in self.settings.items())
        text = f"set -eu\n{settings}{commands}"
        return subprocess.Popen(
            ["bash", "-c", text],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, commands: str) -> str:
        process = self.shell(commands)
        try:
            output, _ = process.communicate(timeout=600)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, f"{commands}\n{output}"
        return output


def blocks() -> list[str]:
    """The page's commands, in their order."""
    return re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def page_settings() -> dict[str, str]:
    """What the page's first block sets."""
    found = re.findall(r"^(\w+)=(.*)$", blocks()[0], re.MULTILINE)
    return {name: " ".join(shlex.split(value)) for name, value in found}


def make_robot(root: Path) -> Robot:
    """Drive the synthetic world twice, record it, and put the commands where a shell finds them."""
    synthetic = [sys.executable, "-m", "gfocc_core.synthetic", "--out", str(root / "world")]
    synthetic += ["--rig", "four_cameras", "--scenes", "1", "--val_scenes", "1"]
    synthetic += ["--frames", str(KEYFRAMES), "--sweeps_per_keyframe", "1", "--seed", "5"]
    synthetic += ["--height", str(HEIGHT), "--width", str(WIDTH)]
    subprocess.run(synthetic, check=True, cwd=ROOT)
    scenes = scene_names(open_nuscenes(root / "world", VERSION))
    convert = [sys.executable, "-m", "gfocc_ros.nuscenes_to_rosbag", "--version", VERSION]
    convert += ["--dataroot", str(root / "world"), "--topics", "cameras"]
    for scene, drive in zip(scenes, DRIVES, strict=True):
        command = [*convert, "--scene", scene, "--out", str(root / "drives" / drive)]
        subprocess.run(command, check=True, cwd=ROOT)
    (root / "bin").mkdir()
    for name, target in (("python", ""), ("ros2", " -m tests.ros.ros2_stand_in")):
        script = root / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{target} "$@"\n')
        script.chmod(0o755)
    return Robot(root, settings_for(root))


def settings_for(root: Path) -> dict[str, str]:
    """The page's settings, but for the places and what makes it take hours."""
    config = yaml.safe_load((ROOT / "training" / "configs" / "synthetic_tiny.yaml").read_text())
    config["network"]["image"].update(height=HEIGHT, width=WIDTH)
    config["data"].update(renders=2, workers=0)
    config["run"].update(precision="32-true")
    (root / "small.yaml").write_text(yaml.safe_dump(config))
    settings = {
        "DATA": str(root / "robot"),
        "CAMERAS": " ".join(CAMERAS),
        "CONFIG": str(root / "small.yaml"),
        "TRAINING": "--data.batch_size 2 --run.max_steps 2 --run.accelerator cpu",
        "SEMANTICS": "--model tests.core.label_plugins:bright_classes --device cpu",
        "DEPTH": "--model tests.core.label_plugins:random_depth --device cpu",
    }
    assert settings.keys() == page_settings().keys()
    return settings


def write_own_labels(robot: Robot) -> dict[str, npt.NDArray[np.uint8]]:
    """The exact labels of the synthetic world as PNGs by token; returns the classes by token."""
    exact = LabelStore.open(robot.root / "world" / "weak_labels" / "exact")
    names = exact.header.geometry.names
    nusc = open_nuscenes(robot.root / "world", VERSION)
    drive_of = dict(zip((scene["token"] for scene in nusc.scene), DRIVES, strict=True))
    written = {}
    for sample in nusc.sample:
        labels = exact.read(sample["token"])
        token = f"{drive_of[sample['scene_token']]}-{sample['timestamp'] * 1000}"
        depth = np.round(labels.depth * 1000).clip(0, 65535).astype(np.uint16)
        for kind, arrays in (("semantics", labels.semantics), ("depth", depth)):
            folder = robot.data / "own" / kind / token
            folder.mkdir(parents=True)
            for name, array in zip(names, arrays, strict=True):
                assert cv2.imwrite(str(folder / f"{name}.png"), array)
        written[token] = np.stack([labels.semantics[names.index(name)] for name in CAMERAS])
    return written


def hear_occupancy(robot: Robot, commands: str) -> set[int]:
    """Run commands that bring the node up; returns the stamps of the clouds that it sends."""
    with Ear() as ear:
        process = robot.shell(commands)
        try:
            ear.wait_for(lambda: len(ear.clouds) >= 2, "two clouds of occupancy", 120)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate(timeout=60)
    return {cloud.stamp_ns for cloud in ear.clouds}


@pytest.mark.slow
def test_the_page_leads_from_a_bag_to_occupancy(tmp_path: Path) -> None:
    robot = make_robot(tmp_path)
    outputs: dict[str, str] = {}
    truth: dict[str, npt.NDArray[np.uint8]] = {}
    heard: set[int] = set()
    variables = ""
    for commands in blocks()[1:]:
        if "ros2 launch" in commands:
            heard |= hear_occupancy(robot, variables + commands)
            continue
        if "own/semantics" in commands:
            truth = write_own_labels(robot)
        outputs[commands] = robot.run(variables + commands)
        variables += "".join(re.findall(r"^[A-Z]+=.*\n", commands, re.MULTILINE))

    (converted,) = [text for commands, text in outputs.items() if "bag_to_recording" in commands]
    assert all(f"{camera} {IMAGES}" in converted for camera in CAMERAS)
    check_index(robot)
    check_labels(robot, truth)
    check_training(robot)
    validation = robot.index.positions_of_scene(DRIVES[1])
    first, last = (robot.index.keyframe(validation[n]).stamp_ns for n in (0, -1))
    assert len(heard) >= 2
    assert all(first <= stamp <= last for stamp in heard)


def check_index(robot: Robot) -> None:
    """The same keyframes, cameras and motion as in the tables of the world."""
    index, world = robot.index, SceneIndex(robot.root, *build_index(robot.root / "world", VERSION))
    assert index.cameras == CAMERAS
    assert index.splits == {"train": DRIVES[:1], "val": DRIVES[1:]}
    assert len(index) == len(world) == 2 * KEYFRAMES  # the bags hold an image between two
    for drive, scene in zip(DRIVES, world.scenes, strict=True):
        mine, true = index.positions_of_scene(drive), world.positions_of_scene(scene)
        close = functools.partial(torch.testing.assert_close, atol=1e-6, rtol=0)
        close(motion(index, mine), motion(world, true))
        found, expected = index.cameras_at(mine), world.cameras_at(true)
        columns = [world.cameras.index(camera) for camera in CAMERAS]
        assert found.valid.all()
        close(found.intrinsics, expected.intrinsics[:, columns])
        close(found.ego_at_cam_from_cam, expected.ego_at_cam_from_cam[:, columns])


def motion(index: SceneIndex, positions: range) -> torch.Tensor:
    """Poses [K, 4, 4] of a scene's keyframes, seen from the first."""
    poses = index.global_from_ego[positions.start : positions.stop]
    return invert_transform(poses[0]) @ poses


def check_labels(robot: Robot, truth: dict[str, npt.NDArray[np.uint8]]) -> None:
    made, own = (LabelStore.open(robot.data / name) for name in ("labels", "own_labels"))
    assert made.tokens() == own.tokens() == tuple(sorted(robot.index.tokens))
    assert made.header.geometry.names == own.header.geometry.names == CAMERAS
    assert set(made.header.models) == {"semantics", "depth"}
    for token in robot.index.tokens:
        assert np.array_equal(own.read(token).semantics, truth[token])
    assert (robot.data / "labels.png").stat().st_size > 1000


def check_training(robot: Robot) -> None:
    start, _ = load_checkpoint(ROOT / "assets" / "tiny_synthetic.safetensors")
    trained, config = load_checkpoint(robot.data / "runs" / "from_shipped" / "last.safetensors")
    moved = (trained.initial_means - start.initial_means).norm(dim=-1).mean()
    assert 0 < moved < 1  # metres: it began where the shipped weights are
    assert (config.image.height, config.image.width) == (HEIGHT, WIDTH)
    assert (robot.data / "runs" / "from_imagenet" / "best.safetensors").is_file()


def test_the_settings_of_the_page_name_what_exists() -> None:
    settings = page_settings()
    given = [
        f"--{name}=there" for name in ("data.dataroot", "data.index", "data.labels", "run.out")
    ]
    config = ["--config", str(ROOT / settings["CONFIG"])]
    training_parser().parse_args([*config, *given, *settings["TRAINING"].split()])
    labels = labels_parser(ROOT / "training" / "configs")
    common = ["--dataroot", "d", "--index", "i", "--out", "o"]
    semantics = labels.parse_args(["semantics", *common, *settings["SEMANTICS"].split()])
    depth = labels.parse_args(["depth", *common, *settings["DEPTH"].split()])
    assert semantics.detector in REGISTERED["detector"]
    assert semantics.segmenter in REGISTERED["segmenter"]
    assert depth.model in REGISTERED["depth"]


def test_the_calibration_and_the_poses_of_the_page_are_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "calibration.yaml").write_text(example)
    (camera,) = read_calibration(tmp_path / "calibration.yaml")
    assert (camera.name, camera.image_size, camera.looks_steeply) == ("front", (720, 1280), False)
    assert f"`{','.join(COLUMNS)}`" in PAGE.read_text()
