"""Lidar and radar clouds in the bag: the points of the files, whole and unfiltered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud, RadarPointCloud

from gfocc_core.data.scenes import DatasetError, open_nuscenes
from gfocc_ros.bags.conversion import convert_scene
from tests.nuscenes_fixture import RADARS, SCENES, write_nuscenes
from tests.ros.bag_contents import Logged, base_from_sensor, on_topic, points_of
from tests.ros.bag_scene import SCENE, FullScene, full_scene, readings_of


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> FullScene:
    return full_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def nusc(scene: FullScene) -> NuScenes:
    return scene.nusc


@pytest.fixture
def bag(scene: FullScene) -> list[Logged]:
    return scene.bag


def test_lidar_points_are_those_of_the_file(bag: list[Logged], nusc: NuScenes) -> None:
    clouds = on_topic(bag, "/lidar_top/points")
    readings = readings_of(nusc, "LIDAR_TOP")
    assert clouds.keys() == readings.keys()
    for stamp_ns, cloud in clouds.items():
        path = Path(nusc.dataroot, readings[stamp_ns]["filename"])
        expected = LidarPointCloud.from_file(str(path)).points
        points = points_of(cloud)
        assert points.dtype.names == ("x", "y", "z", "intensity", "ring")
        for row, name in enumerate(("x", "y", "z", "intensity")):
            np.testing.assert_array_equal(points[name], expected[row])
        assert points["ring"].dtype == np.uint16
        np.testing.assert_array_equal(points["ring"], np.fromfile(path, "<f4")[4::5])
        assert cloud.header.frame_id == "lidar_top"


def test_radar_points_have_every_field_and_no_filter(bag: list[Logged], nusc: NuScenes) -> None:
    for channel in RADARS:
        clouds = on_topic(bag, f"/{channel.lower()}/points")
        readings = readings_of(nusc, channel)
        assert clouds.keys() == readings.keys()
        for stamp_ns, cloud in clouds.items():
            path = Path(nusc.dataroot, readings[stamp_ns]["filename"])
            everything = list(range(256))
            expected = RadarPointCloud.from_file(str(path), everything, everything, everything)
            points = points_of(cloud)
            assert points.dtype.names is not None
            assert len(points.dtype.names) == RadarPointCloud.nbr_dims()
            for row, name in enumerate(points.dtype.names):
                np.testing.assert_array_equal(points[name], expected.points[row])
            assert cloud.header.frame_id == channel.lower()
        base_from_sensor(bag, channel.lower())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes are not rows of 20"),
        (bytes(99), "99 bytes are not rows of 20"),
        (np.full(5, np.nan, "<f4").tobytes(), "NaN or infinite"),
        (np.array([1, 2, 3, 4, -1], "<f4").tobytes(), "ring must be 0 to 65535, got -1 to -1"),
    ],
)
def test_damaged_lidar_file_is_named_and_leaves_nothing(
    tmp_path: Path, content: bytes, said: str
) -> None:
    dataset = write_nuscenes(tmp_path / "nuscenes", SCENES[:1])
    path = max(dataset.root.glob("samples/LIDAR_TOP/*"))
    path.write_bytes(content)
    nusc = open_nuscenes(dataset.root, dataset.version)
    with pytest.raises(DatasetError) as caught:
        convert_scene(nusc, SCENE, tmp_path / "bag")
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["nuscenes"]
