"""Training items hold what the data set says, in the right frames, the same on every run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from torch.utils.data import DataLoader, default_collate

from gfocc_core.config import ImageConfig
from gfocc_core.data.augmentation import NO_AUGMENTATION, AugmentationConfig, draw_placement
from gfocc_core.data.frames import NUSCENES_CAMERAS, load_frame
from gfocc_core.data.image_warp import load_image
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.occ3d import occ3d_path
from gfocc_core.data.scenes import keyframe_tokens, open_nuscenes
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.data.training_loader import training_loader
from gfocc_core.data.training_steps import draw_steps
from gfocc_core.data.weak_labels import LabelGeometry, StoreHeader, WeakLabels
from gfocc_core.geometry import invert_transform, transform_points
from gfocc_core.grid import OCC3D_GRID
from tests.core.training_recording import IMAGE, KEYFRAMES, Recording
from tests.core.weak_label_fixture import SIZES, VOCABULARY
from tests.nuscenes_fixture import SCENES


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """To be read; tests that damage one make their own."""
    return Recording(tmp_path_factory.mktemp("recording"))


@pytest.fixture
def damaged(tmp_path: Path) -> Recording:
    return Recording(tmp_path, keyframes=3)


@pytest.fixture(scope="module")
def nusc(recording: Recording) -> NuScenes:
    return open_nuscenes(recording.files.root, recording.files.version)


def assert_same(one: Any, other: Any) -> None:
    """Two items or batches hold the same."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == other[name].dtype, name
            assert torch.equal(value, other[name]), name
        else:
            assert value == other[name], name


def test_an_item_has_the_promised_shapes(recording: Recording) -> None:
    item = recording.dataset(history=2, renders=4)[5]
    found = {
        name: (value.dtype, tuple(value.shape))
        for name, value in item.items()
        if isinstance(value, torch.Tensor)
    }
    assert found == {
        "images": (torch.uint8, (3, 6, 3, 20, 48)),
        "camera_valid": (torch.bool, (3, 6)),
        "ego_from_cam": (torch.float32, (3, 6, 4, 4)),
        "intrinsics": (torch.float32, (3, 6, 3, 3)),
        "affine": (torch.float32, (6, 2, 2)),
        "shift": (torch.float32, (6, 2)),
        "color": (torch.float32, (3, 4)),
        "global_from_ego": (torch.float64, (3, 4, 4)),
        "steps": (torch.int64, (4,)),
        "label_semantics": (torch.uint8, (4, 6, 16, 32)),
        "label_depth": (torch.float32, (4, 6, 16, 32)),
        "label_valid": (torch.bool, (4,)),
        "label_ego_from_cam": (torch.float32, (4, 6, 4, 4)),
        "label_intrinsics": (torch.float32, (4, 6, 3, 3)),
    }
    assert (item["token"], item["scene"]) == (recording.index.tokens[5], SCENES[0])


def test_every_keyframe_is_an_item(recording: Recording) -> None:
    dataset = recording.dataset(history=0, renders=1)
    assert len(dataset) == 2 * KEYFRAMES
    assert [dataset[number]["token"] for number in range(len(dataset))] == list(
        recording.index.tokens
    )
    second = recording.dataset(scenes=[SCENES[1]], history=0, renders=1)
    assert second[0]["token"] == recording.index.tokens[KEYFRAMES]


def test_history_is_the_frames_before_as_the_devkit_reads_them(
    recording: Recording, nusc: NuScenes
) -> None:
    item = recording.dataset(history=3)[6]
    tokens = keyframe_tokens(nusc, SCENES[0])[3:7]
    for age, token in enumerate(tokens):
        frame = load_frame(nusc, token)
        torch.testing.assert_close(item["global_from_ego"][age], frame.global_from_ego)
        torch.testing.assert_close(item["ego_from_cam"][age], frame.rig.ego_from_cam)
        torch.testing.assert_close(item["intrinsics"][age], frame.rig.intrinsics)
    assert item["camera_valid"].all()


def test_before_the_scenes_start_its_first_keyframe_repeats(recording: Recording) -> None:
    dataset = recording.dataset(history=3)
    item = dataset[KEYFRAMES + 1]  # the second keyframe of the second scene
    assert item["scene"] == SCENES[1]
    for name in ("images", "global_from_ego", "ego_from_cam"):
        first, *rest, current = item[name]
        assert all(torch.equal(first, other) for other in rest)
        assert not torch.equal(first, current)
    torch.testing.assert_close(
        item["global_from_ego"][0], recording.index.global_from_ego[KEYFRAMES]
    )


def test_images_are_those_files_placed_by_the_items_affine(recording: Recording) -> None:
    for augmentation in (None, NO_AUGMENTATION):
        dataset = recording.dataset(history=1, augmentation=augmentation, seed=4)
        item = dataset[3]
        generator = np.random.default_rng((4, 0, 3))
        for camera, name in enumerate(NUSCENES_CAMERAS):
            placement = draw_placement(
                generator, SIZES[name], IMAGE, augmentation or AugmentationConfig()
            )
            torch.testing.assert_close(item["affine"][camera], placement.affine.float())
            torch.testing.assert_close(item["shift"][camera], placement.shift.float())
            for age, position in enumerate((2, 3)):
                expected = np.empty((3, 20, 48), np.uint8)
                path = Path(str(recording.index.image_file(position, camera)))
                load_image(path.read_bytes(), placement, expected)
                np.testing.assert_array_equal(item["images"][age, camera], expected)


def test_one_draw_serves_a_cameras_history(tmp_path: Path) -> None:
    recording = Recording(tmp_path, keyframes=3)
    for camera in range(6):
        files = [Path(str(recording.index.image_file(position, camera))) for position in range(3)]
        for file in files[1:]:
            shutil.copy(files[0], file)
    item = recording.dataset(history=2)[2]
    for age in range(2):
        assert torch.equal(item["images"][age], item["images"][2])
    affines = {tuple(affine.flatten().tolist()) for affine in item["affine"]}
    assert len(affines) == 6  # but each camera has its own


def test_label_cameras_are_in_the_current_ego_frame(recording: Recording, nusc: NuScenes) -> None:
    tokens = keyframe_tokens(nusc, SCENES[0])
    item = recording.dataset(renders=7)[4]
    now = item["global_from_ego"][-1]
    assert sorted(item["steps"].tolist()) == sorted({*item["steps"].tolist()})
    for row, step in enumerate(item["steps"].tolist()):
        frame = load_frame(nusc, tokens[4 + step])
        global_from_cam = frame.global_from_ego @ frame.rig.ego_from_cam.double()
        # kilometres from the map's origin, and right to a millimetre
        torch.testing.assert_close(
            now @ item["label_ego_from_cam"][row].double(), global_from_cam, atol=1e-3, rtol=0
        )
    torch.testing.assert_close(item["label_ego_from_cam"][0], item["ego_from_cam"][-1])


def test_labels_are_those_of_the_steps(recording: Recording) -> None:
    item = recording.dataset()[4]
    for row, step in enumerate(item["steps"].tolist()):
        labels = recording.labels.read(recording.index.tokens[4 + step])
        np.testing.assert_array_equal(item["label_semantics"][row], labels.semantics)
        np.testing.assert_array_equal(item["label_depth"][row], labels.depth)
    assert item["label_valid"].all()


def test_label_intrinsics_are_those_of_the_raster(recording: Recording) -> None:
    item = recording.dataset()[0]
    point = torch.tensor([0.7, -0.3, 5.0])
    for camera, raster in enumerate(recording.labels.header.geometry.cameras):
        full = item["intrinsics"][-1, camera] @ point
        small = item["label_intrinsics"][0, camera] @ point
        cut = torch.tensor([raster.left, raster.top])
        torch.testing.assert_close(small[:2] / small[2], full[:2] / full[2] * raster.scale - cut)


@pytest.mark.keyframe
def test_real_lidar_falls_on_the_labelled_depth(keyframe_dir: Path, tmp_path: Path) -> None:
    path = keyframe_dir / "weak_labels.npz"
    if not path.is_file():
        pytest.skip(f"the keyframe has no weak labels: {path} does not exist")
    with np.load(path) as archive:
        labels = WeakLabels(archive["semantics"], archive["lidar_depth"])
        cameras = [str(name) for name in archive["cameras"]]
    version = next(folder.parent.name for folder in sorted(keyframe_dir.glob("*/scene.json")))
    index = SceneIndex(keyframe_dir, *build_index(keyframe_dir, version))
    keyframe = index.keyframe(0)
    sizes = {name: keyframe.image_sizes[index.cameras.index(name)] for name in cameras}
    raster = ImageConfig(height=labels.semantics.shape[1], width=labels.semantics.shape[2])
    header = StoreHeader(
        {"semantics": "a", "depth": "lidar"}, VOCABULARY, LabelGeometry.covering(sizes, raster)
    )
    store = LabelStore.create(tmp_path / "labels", header)
    store.write(keyframe.token, labels)
    item = TrainingDataset(index, store, index.scenes, ImageConfig())[0]
    assert item["images"].float().std() > 10
    points = torch.from_numpy(LidarPointCloud.from_file(keyframe.lidar_file).points[:3].T).double()
    in_ego = transform_points(keyframe.ego_from_lidar, points)
    agreeing = total = 0
    for camera in range(len(cameras)):
        cam_from_ego = invert_transform(item["label_ego_from_cam"][0, camera].double())
        in_camera = transform_points(cam_from_ego, in_ego)
        in_camera = in_camera[in_camera[:, 2] > 1]
        on_raster = in_camera @ item["label_intrinsics"][0, camera].double().T
        u, v = (on_raster[:, :2] / on_raster[:, 2:]).floor().long().T
        inside = (u >= 0) & (u < raster.width) & (v >= 0) & (v < raster.height)
        depth = item["label_depth"][0, camera][v[inside], u[inside]]
        expected = in_camera[inside, 2]
        # a nearer point may have taken the pixel
        agreeing += int(((depth > 0) & (depth < expected * 1.01 + 0.05)).sum())
        total += len(depth)
    assert total > 1000
    assert agreeing / total > 0.98


@given(
    count=st.integers(1, 40),
    data=st.data(),
    horizon=st.integers(0, 8),
    renders=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_steps_stay_within_scene_and_horizon(
    count: int, data: st.DataObject, horizon: int, renders: int, seed: int
) -> None:
    keyframes = range(100, 100 + count)
    position = data.draw(st.sampled_from(keyframes))
    steps = draw_steps(np.random.default_rng(seed), position, keyframes, horizon, renders)
    assert len(steps) == renders
    assert steps[0] == 0
    possible = {
        step for step in range(-horizon, horizon + 1) if step and position + step in keyframes
    }
    others = steps[1:]
    assert set(others) <= (possible or {0})
    assert len(set(others)) == min(len(others), len(possible or {0}))  # repeats only if it must


def test_all_steps_are_drawn_alike() -> None:
    drawn = [
        step
        for seed in range(1500)
        for step in draw_steps(np.random.default_rng(seed), 20, range(40), 6, 7)[1:]
    ]
    counts = np.bincount(np.array(drawn) + 6, minlength=13)
    assert counts[6] == 0
    assert (np.abs(np.delete(counts, 6) / 750 - 1) < 0.15).all()


def test_a_scene_of_one_keyframe_repeats_it(tmp_path: Path) -> None:
    item = Recording(tmp_path, keyframes=1).dataset(renders=3)[0]
    assert item["steps"].tolist() == [0, 0, 0]
    assert torch.equal(item["label_depth"][0], item["label_depth"][2])
    assert all(torch.equal(images, item["images"][0]) for images in item["images"])


def test_the_draw_depends_on_seed_epoch_and_number(recording: Recording) -> None:
    dataset = recording.dataset(seed=1)
    first = dataset[5]
    dataset[7]
    assert_same(dataset[5], first)
    assert_same(recording.dataset(seed=1)[5], first)
    others = [recording.dataset(seed=2)[5], dataset[6]]
    dataset.set_epoch(1)
    others.append(dataset[5])
    for other in others:
        assert not torch.equal(other["affine"], first["affine"])
    dataset.set_epoch(0)
    assert_same(dataset[5], first)


def test_workers_draw_what_this_process_draws_in_every_epoch(recording: Recording) -> None:
    dataset = recording.dataset(history=1, renders=2)
    loader = training_loader(dataset, batch_size=4, workers=2, sampler=[3, 8, 1, 12, 0, 17])
    plain = DataLoader(dataset, batch_size=4, sampler=[3, 8, 1, 12, 0, 17])
    seen = []
    for epoch in range(2):
        dataset.set_epoch(epoch)
        batches = list(loader)
        for batch, expected in zip(batches, plain, strict=True):
            assert_same(batch, expected)
            assert batch["images"].is_contiguous()
        seen.append(batches[0]["affine"])
    assert not torch.equal(*seen)


def test_batches_stay_as_they_were(recording: Recording) -> None:
    dataset = recording.dataset(history=0, renders=1)
    loader = training_loader(dataset, batch_size=2, workers=0)
    kept = list(loader)
    assert sum(len(batch["token"]) for batch in kept) == len(dataset)
    for number, batch in enumerate(kept):
        assert_same(batch, default_collate([dataset[2 * number], dataset[2 * number + 1]]))


def test_occ3d_labels_come_where_they_are(damaged: Recording) -> None:
    token = damaged.index.tokens[0]
    path = occ3d_path(damaged.files.root, SCENES[0], token)
    path.parent.mkdir(parents=True)
    random = np.random.default_rng(0)
    semantics = random.integers(0, 18, OCC3D_GRID.shape, dtype=np.uint8)
    mask = random.integers(0, 2, OCC3D_GRID.shape, dtype=np.uint8)
    np.savez_compressed(path, semantics=semantics, mask_lidar=mask * 0, mask_camera=mask)
    dataset = damaged.dataset(occ3d=True)
    np.testing.assert_array_equal(dataset[0]["occ3d_semantics"], semantics)
    np.testing.assert_array_equal(dataset[0]["occ3d_mask"], mask.astype(bool))
    assert not dataset[1]["occ3d_mask"].any()
    assert default_collate([dataset[0], dataset[1]])["occ3d_mask"].shape == (2, *OCC3D_GRID.shape)
    assert "occ3d_mask" not in damaged.dataset()[0]
