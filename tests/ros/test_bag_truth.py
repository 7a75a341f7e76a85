"""Ground truth in the bag: the labels, and on real data how lidar, boxes and labels fit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import points_in_box

from gfocc_core.data.frames import iter_frames
from gfocc_core.data.scenes import DatasetError, keyframe_tokens, open_nuscenes
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.taxonomy import COLORS
from gfocc_ros.bags.conversion import convert_scene
from tests.nuscenes_fixture import SCENES, write_nuscenes
from tests.ros.bag_contents import (
    Logged,
    base_from_sensor,
    global_from_base,
    matrix_from,
    on_topic,
    points_of,
    read_bag,
    xyz_of,
)
from tests.ros.bag_scene import (
    CAR,
    GROUND,
    SCENE,
    FullScene,
    full_scene,
    keyframe_stamps,
    write_truth,
)

ADD = 0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> FullScene:
    return full_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def nusc(scene: FullScene) -> NuScenes:
    return scene.nusc


@pytest.fixture
def bag(scene: FullScene) -> list[Logged]:
    return scene.bag


def test_ground_truth_is_the_occupied_voxels_in_their_colors(
    bag: list[Logged], nusc: NuScenes
) -> None:
    clouds = on_topic(bag, "/ground_truth/occupancy")
    assert sorted(clouds) == keyframe_stamps(nusc)
    for index, (_, cloud) in enumerate(sorted(clouds.items())):
        assert cloud.header.frame_id == "base_link"
        points = points_of(cloud)
        assert Counter(points["label"].tolist()) == {GROUND: 400, CAR: 1}
        car = points[points["label"] == CAR][0]
        corner = np.array([-40, -40, -1]) + 0.4 * np.array([120 + index, 100, 3])
        np.testing.assert_allclose([car["x"], car["y"], car["z"]], corner + 0.2, atol=1e-5)
        for point in (car, points[points["label"] == GROUND][0]):
            packed = int(np.asarray(point["rgb"]).view(np.uint32))
            assert (packed >> 16, packed >> 8 & 255, packed & 255) == COLORS[point["label"]]
        assert (car["mask_lidar"], car["mask_camera"]) == (1, 0)
        np.testing.assert_array_equal(points["mask_lidar"], points["x"] > 0)


def test_damaged_truth_is_named(tmp_path: Path) -> None:
    dataset = write_nuscenes(tmp_path / "nuscenes", SCENES[:1])
    write_truth(dataset, SCENE)
    labels = max(dataset.root.glob(f"gts/{SCENE}/*/labels.npz"))
    labels.write_bytes(labels.read_bytes()[:100])
    nusc = open_nuscenes(dataset.root, dataset.version)
    with pytest.raises(DatasetError, match=r"labels\.npz' are corrupt"):
        convert_scene(nusc, SCENE, tmp_path / "bag")
    assert not (tmp_path / "bag").exists()


def counted_by_devkit(nusc: NuScenes, sample: dict[str, Any]) -> list[int]:
    path, boxes, _ = nusc.get_sample_data(sample["data"]["LIDAR_TOP"])
    points = LidarPointCloud.from_file(path).points[:3]
    return [int(points_in_box(box, points).sum()) for box in boxes]


@pytest.mark.keyframe
def test_real_lidar_boxes_and_truth_fit_each_other(keyframe_dir: Path, tmp_path: Path) -> None:
    """Through the bag's own tf, boxes hold the lidar points that the devkit finds in them."""
    version = next(path.parent.name for path in sorted(keyframe_dir.glob("*/scene.json")))
    nusc = open_nuscenes(keyframe_dir, version)
    scene = nusc.scene[0]["name"]
    convert_scene(nusc, scene, tmp_path / "bag")
    bag = read_bag(tmp_path / "bag")
    poses = global_from_base(bag)
    stamp_ns, cloud = max(on_topic(bag, "/lidar_top/points").items())
    map_from_lidar = poses[stamp_ns] @ base_from_sensor(bag, "lidar_top")
    points = xyz_of(cloud) @ map_from_lidar[:3, :3].T + map_from_lidar[:3, 3]
    found = []
    for marker in on_topic(bag, "/annotations")[stamp_ns].markers:
        if marker.action == ADD:
            box = matrix_from(marker.pose.position, marker.pose.orientation)
            inside = np.abs((points - box[:3, 3]) @ box[:3, :3])
            half = np.array([marker.scale.x, marker.scale.y, marker.scale.z]) / 2
            found.append(int((inside <= half).all(1).sum()))
    sample = nusc.get("sample", keyframe_tokens(nusc, scene)[-1])
    counted = counted_by_devkit(nusc, sample)
    assert sum(counted) > 100
    pairs = zip(found, counted, strict=True)
    assert all(abs(mine - theirs) <= 2 for mine, theirs in pairs)  # Points on a face.
    truth = on_topic(bag, "/ground_truth/occupancy").get(stamp_ns)
    if truth is not None:
        in_base = np.linalg.inv(poses[stamp_ns]) @ np.c_[points, np.ones(len(points))].T
        occupied = np.floor((xyz_of(truth) - OCC3D_GRID.lower) / 0.4).astype(int)
        hit = np.floor((in_base.T[:, :3] - OCC3D_GRID.lower) / 0.4).astype(int)
        inside_grid = ((hit >= 0) & (hit < OCC3D_GRID.shape)).all(1)
        # The lidar's returns from the vehicle itself are no part of the truth.
        outside_ego = np.linalg.norm(in_base[:2], axis=0) > 3
        voxels = set(map(tuple, occupied))
        shares = [tuple(index) in voxels for index in hit[inside_grid & outside_ego]]
        assert np.mean(shares) > 0.8
    (frame, *_) = iter_frames(nusc, scene)
    assert frame.stamp_ns in poses
