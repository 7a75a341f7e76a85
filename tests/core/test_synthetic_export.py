"""The written dataset: what the devkit, the index and training make of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from nuscenes.utils.geometry_utils import view_points

from gfocc_core.config import ImageConfig
from gfocc_core.data.augmentation import NO_AUGMENTATION
from gfocc_core.data.frames import NUSCENES_CAMERAS, load_frame
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.occ3d import occ3d_path, read_occ3d
from gfocc_core.data.scenes import open_nuscenes
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.synthetic import VERSION
from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.taxonomy import FREE_ID
from tests.core.street_dataset import (
    SLOPE,
    build_street,
    use_the_street,
    write_street_dataset,
)
from tests.core.synthetic_worlds import CAR_SPEED


@pytest.fixture(autouse=True)
def _hand_made_world(monkeypatch: pytest.MonkeyPatch) -> None:
    use_the_street(monkeypatch)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> SyntheticConfig:
    return write_street_dataset(tmp_path_factory.mktemp("data") / "d")


@pytest.fixture(scope="module")
def nusc(dataset: SyntheticConfig) -> Any:
    return open_nuscenes(dataset.out, VERSION)


@pytest.fixture(scope="module")
def index(dataset: SyntheticConfig) -> SceneIndex:
    return SceneIndex(dataset.out, *build_index(dataset.out, VERSION))


def test_the_devkit_walks_all_readings(nusc: Any, dataset: SyntheticConfig) -> None:
    assert [scene["name"] for scene in nusc.scene] == ["synthetic-train-0000", "synthetic-val-0000"]
    for scene in nusc.scene:
        sample = nusc.get("sample", scene["first_sample_token"])
        assert set(sample["data"]) == {*NUSCENES_CAMERAS, "LIDAR_TOP"}
        reading, stamps, keys = nusc.get("sample_data", sample["data"]["CAM_BACK"]), [], []
        while True:
            assert (dataset.out / reading["filename"]).is_file()
            stamps.append(reading["timestamp"])
            keys.append(reading["is_key_frame"])
            if not reading["next"]:
                break
            reading = nusc.get("sample_data", reading["next"])
        assert keys == [True, False, True, False, True]
        np.testing.assert_array_equal(np.diff(stamps), 250_000)
        assert stamps[0] == sample["timestamp"] - 10_400


def test_the_devkit_draws_a_sample(
    nusc: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    sample = nusc.sample[1]
    for channel in ("CAM_FRONT", "LIDAR_TOP"):
        picture = tmp_path / f"{channel}.png"
        nusc.render_sample_data(sample["data"][channel], out_path=str(picture), verbose=False)
        assert picture.stat().st_size > 1000


def test_the_map_says_where_one_can_drive(nusc: Any) -> None:
    mask = nusc.map[0]["mask"]
    assert mask.is_on_mask(10.0, 1.0).tolist() == [True]
    log = nusc.get("log", nusc.scene[0]["log_token"])
    assert log["map_token"] == nusc.map[0]["token"]


def test_velocity_of_boxes_is_the_actors(nusc: Any) -> None:
    speeds = set()
    for annotation in nusc.sample_annotation:
        velocity = nusc.box_velocity(annotation["token"])
        attributes = [nusc.get("attribute", t)["name"] for t in annotation["attribute_tokens"]]
        speed = np.linalg.norm(velocity)
        speeds.add(round(float(np.sign(velocity[0]) * speed), 1))
        moving = annotation["category_name"] == "vehicle.car" and speed > 0.1
        assert (attributes == ["vehicle.moving"]) == moving
        if moving:
            np.testing.assert_allclose(abs(velocity[0]), CAR_SPEED, atol=1e-6)
            np.testing.assert_allclose(velocity[2], SLOPE * velocity[0], atol=1e-6)
    assert speeds == {0.0, CAR_SPEED, -CAR_SPEED}


def test_boxes_know_what_the_sensors_saw(nusc: Any, dataset: SyntheticConfig) -> None:
    world = build_street("x", 0)
    sample = nusc.sample[0]
    ahead = next(
        nusc.get("sample_annotation", token)
        for token in sample["anns"]
        if abs(nusc.get("sample_annotation", token)["translation"][0] - 12.0) < 0.1
    )
    assert ahead["visibility_token"] == "4"
    assert ahead["size"] == [1.94, 4.6, pytest.approx(1.73)]
    center = world.objects[6].path.pose_at(0.0) @ [0, 0, 1.73 / 2, 1]
    np.testing.assert_allclose(ahead["translation"], center[:3], atol=1e-9)
    points = np.fromfile(
        dataset.out / nusc.get("sample_data", sample["data"]["LIDAR_TOP"])["filename"], np.float32
    ).reshape(-1, 5)
    _, boxes, _ = nusc.get_sample_data(sample["data"]["LIDAR_TOP"])
    box = next(box for box in boxes if box.token == ahead["token"])
    local = (points[:, :3] - box.center) @ box.rotation_matrix
    inside = (np.abs(local) <= np.array(box.wlh)[[1, 0, 2]] / 2 + 0.05).all(1).sum()
    assert ahead["num_lidar_pts"] > 20
    assert abs(inside - ahead["num_lidar_pts"]) <= 0.15 * ahead["num_lidar_pts"] + 3


def test_projected_boxes_cover_their_pixels(nusc: Any, dataset: SyntheticConfig) -> None:
    store = LabelStore.open(dataset.out / "weak_labels" / "exact")
    cars = covered = 0
    for sample in nusc.sample:
        semantics = store.read(sample["token"]).semantics
        for number, channel in enumerate(store.header.geometry.names):
            _, boxes, intrinsics = nusc.get_sample_data(sample["data"][channel])
            area = np.zeros(semantics.shape[1:], np.uint8)
            for box in boxes:
                corners = box.corners()
                if box.name == "vehicle.car" and corners[2].min() > 0.2:
                    pixels = view_points(corners, intrinsics, normalize=True)[:2].T
                    cv2.fillConvexPoly(area, cv2.convexHull(pixels.astype(np.int32)), 1)
            area = cv2.dilate(area, np.ones((3, 3), np.uint8))
            cars += int((semantics[number] == 4).sum())
            covered += int(((semantics[number] == 4) & (area > 0)).sum())
    assert cars > 300
    assert covered >= 0.99 * cars


def test_index_and_splits(index: SceneIndex) -> None:
    assert index.cameras == NUSCENES_CAMERAS
    assert index.splits == {
        "synthetic_train": ("synthetic-train-0000",),
        "synthetic_val": ("synthetic-val-0000",),
    }
    assert len(index) == 6


@pytest.mark.parametrize("store", ["exact", "degraded"])
def test_training_makes_an_item_of_it(
    index: SceneIndex, dataset: SyntheticConfig, store: str
) -> None:
    training = TrainingDataset(
        index,
        LabelStore.open(dataset.out / "weak_labels" / store),
        index.scenes_of_split("synthetic_train"),
        ImageConfig(height=64, width=176),
        NO_AUGMENTATION,
        history=1,
        horizon=1,
        renders=2,
        occ3d=True,
    )
    assert training.missing_labels == ()
    item = training[1]
    assert item["images"].shape == (2, 6, 3, 64, 176)
    assert item["label_valid"].all()
    assert item["occ3d_mask"].any()
    assert {4, 11, 16} <= set(item["label_semantics"].unique().tolist())


def test_lidar_points_fall_into_occupied_voxels(index: SceneIndex) -> None:
    total = occupied = 0
    for position in range(len(index)):
        key = index.keyframe(position)
        labels = read_occ3d(occ3d_path(index.dataroot, key.scene, key.token))
        points = np.fromfile(key.lidar_file, np.float32).reshape(-1, 5)[:, :3]
        pose = key.ego_from_lidar.numpy()
        points = points @ pose[:3, :3].T + pose[:3, 3]
        voxel = np.floor((points - OCC3D_GRID.lower) / OCC3D_GRID.voxel_size).astype(int)
        voxel = voxel[((voxel >= 0) & (voxel < OCC3D_GRID.shape)).all(1)]
        found = labels.semantics.numpy()[tuple(voxel.T)]
        total += len(found)
        occupied += int((found != FREE_ID).sum())
        assert labels.mask_lidar.numpy()[tuple(voxel[found != FREE_ID].T)].mean() > 0.99
    assert total > 50_000
    assert occupied >= 0.99 * total


def test_depth_labels_are_distances_along_the_rays(
    index: SceneIndex, dataset: SyntheticConfig
) -> None:
    store = LabelStore.open(dataset.out / "weak_labels" / "exact")
    key = index.keyframe(2)
    labels = store.read(key.token)
    height, width = labels.depth.shape[1:]
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    for camera in range(len(index.cameras)):
        rays = (
            np.stack([u, v, np.ones_like(u)], -1)
            @ np.linalg.inv(key.cameras.intrinsics[camera].numpy()).T
        )
        pose = (
            key.cameras.global_from_ego_at_cam[camera] @ key.cameras.ego_at_cam_from_cam[camera]
        ).numpy()
        points = rays * labels.depth[camera][..., None] @ pose[:3, :3].T + pose[:3, 3]
        street = np.isin(labels.semantics[camera], (11, 13)) & (labels.depth[camera] < 60)
        assert street.sum() > 500
        assert np.abs(points[street][:, 2] - SLOPE * points[street][:, 0]).max() < 0.02


def test_frames_have_the_rigs_geometry(nusc: Any) -> None:
    frame = load_frame(nusc, nusc.sample[0]["token"])
    assert frame.rig.image_sizes == ((64, 176),) * 6
    # CAM_FRONT fires 35.5 ms before the lidar, at 5 m/s along x.
    np.testing.assert_allclose(frame.rig.ego_from_cam[1, 0, 3], 1.7008 - 5 * 0.0355, atol=5e-3)


def test_training_and_validation_differ(dataset: SyntheticConfig) -> None:
    train, val = dataset.scene_plans()
    assert (train.palette, val.palette) == ("train", "val")
    assert train.seed != val.seed
    assert replace(dataset, seed=1).scene_plans()[0].seed != train.seed
    assert replace(dataset, scenes=5).scene_plans()[-1].seed == val.seed
