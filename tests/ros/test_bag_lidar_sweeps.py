"""A scene's 20 Hz lidar sweeps in the bag: every one, in order, with its ring and its pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes

from gfocc_core.data.scenes import open_nuscenes
from gfocc_ros.bags.content import BagContent
from gfocc_ros.bags.conversion import convert_scene
from tests.nuscenes_fixture import KEYFRAME_S, SCENES, NuscenesFixture, write_nuscenes
from tests.ros.bag_contents import Logged, base_from_sensor, global_from_base, points_of, read_bag
from tests.ros.lidar_sweeps import PERIOD_US, RINGS, add_lidar_sweeps

SCENE = SCENES[0]
TOPIC = "/lidar_top/points"
KEYFRAMES = 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> NuscenesFixture:
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes"), SCENES, keyframes=KEYFRAMES)


@pytest.fixture(scope="module")
def files(dataset: NuscenesFixture) -> dict[int, bytes]:
    """The lidar files by stamp; the other scene has sweeps too."""
    add_lidar_sweeps(dataset, SCENES[1])
    return add_lidar_sweeps(dataset, SCENE)


@pytest.fixture(scope="module")
def nusc(dataset: NuscenesFixture, files: dict[int, bytes]) -> NuScenes:
    return open_nuscenes(dataset.root, dataset.version)


@pytest.fixture(scope="module", params=["mcap", "sqlite3"])
def bag(
    request: pytest.FixtureRequest, nusc: NuScenes, tmp_path_factory: pytest.TempPathFactory
) -> list[Logged]:
    path = tmp_path_factory.mktemp("bag") / "scene"
    convert_scene(nusc, SCENE, path, request.param)
    return read_bag(path)


def test_every_sweep_is_written_at_20_hz_in_order(
    bag: list[Logged], files: dict[int, bytes]
) -> None:
    stamps = [item.stamp_ns for item in bag if item.topic == TOPIC]
    assert stamps == sorted(files)
    assert len(stamps) == round((KEYFRAMES - 1) * KEYFRAME_S * 1e6 / PERIOD_US) + 1
    assert set(np.diff(stamps)) == {PERIOD_US * 1000}
    logged = [item.stamp_ns for item in bag]
    assert logged == sorted(logged), "the sweeps lie between the cameras' images"


def test_every_sweep_has_its_points_with_ring(bag: list[Logged], files: dict[int, bytes]) -> None:
    clouds = {item.stamp_ns: item.message for item in bag if item.topic == TOPIC}
    for stamp_ns, content in files.items():
        points, rows = points_of(clouds[stamp_ns]), np.frombuffer(content, "<f4").reshape(-1, 5)
        for column, name in enumerate(("x", "y", "z", "intensity", "ring")):
            np.testing.assert_array_equal(points[name], rows[:, column])
        assert points["ring"].dtype == np.uint16
        assert set(points["ring"].tolist()) == set(range(RINGS))
        stamp = clouds[stamp_ns].header.stamp
        assert stamp.sec * 1_000_000_000 + stamp.nanosec == stamp_ns


def test_every_sweep_has_the_pose_of_its_own_stamp(
    bag: list[Logged], files: dict[int, bytes], nusc: NuScenes
) -> None:
    base_from_sensor(bag, "lidar_top")
    poses = global_from_base(bag)
    readings = {r["timestamp"] * 1000: r for r in nusc.sample_data if r["channel"] == "LIDAR_TOP"}
    for stamp_ns in files:
        ego = nusc.get("ego_pose", readings[stamp_ns]["ego_pose_token"])
        np.testing.assert_allclose(poses[stamp_ns][:3, 3], ego["translation"], atol=1e-6)


def test_keyframes_only_leave_the_sweeps_out(
    nusc: NuScenes, files: dict[int, bytes], tmp_path: Path
) -> None:
    content = BagContent(("lidar",), keyframes_only=True)
    counts = convert_scene(nusc, SCENE, tmp_path / "bag", content=content)
    assert counts[TOPIC] == KEYFRAMES
    assert counts["/tf"] > len(files)
