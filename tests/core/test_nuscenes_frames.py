"""nuScenes through nuscenes-devkit into Frames, and the Occ3D labels beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from pyquaternion import Quaternion
from scipy.spatial import cKDTree

from gfocc_core.data.frames import NUSCENES_CAMERAS, iter_frames, load_frame
from gfocc_core.data.occ3d import occ3d_path, read_occ3d
from gfocc_core.data.scenes import DatasetError, keyframe_tokens, open_nuscenes, scene_names
from gfocc_core.frame import Frame
from gfocc_core.grid import OCC3D_GRID
from tests.nuscenes_fixture import SCENES, NuscenesFixture, write_nuscenes

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> NuscenesFixture:
    """A synthetic dataset to read; tests that damage one write their own."""
    return write_nuscenes(tmp_path_factory.mktemp("nuscenes"))


@pytest.fixture(scope="module")
def nusc(dataset: NuscenesFixture) -> NuScenes:
    return open_nuscenes(dataset.root, dataset.version)


@pytest.fixture
def damaged(tmp_path: Path) -> NuscenesFixture:
    """A dataset of the test's own, to be damaged."""
    return write_nuscenes(tmp_path / "nuscenes")


@pytest.fixture(scope="module")
def keyframe(keyframe_dir: Path) -> NuScenes:
    version = next(path.parent.name for path in sorted(keyframe_dir.glob("*/scene.json")))
    return open_nuscenes(keyframe_dir, version)


def matrix_of(record: dict[str, Any]) -> Array:
    """4x4 transform of a nuScenes pose record, by pyquaternion."""
    matrix: Array = Quaternion(record["rotation"]).transformation_matrix
    matrix[:3, 3] = record["translation"]
    return matrix


def reading_of(nusc: NuScenes, sample_token: str, channel: str) -> dict[str, Any]:
    token = nusc.get("sample", sample_token)["data"][channel]
    reading: dict[str, Any] = nusc.get("sample_data", token)
    return reading


def edit(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the records of a table."""
    records = json.loads(path.read_text())
    change(records)
    path.write_text(json.dumps(records))


def pixels_of_lidar(nusc: NuScenes, frame: Frame, camera: str, sample_token: str) -> Array:
    """(u, v, depth) of the keyframe's lidar points in front of a camera, by the Frame's rig."""
    lidar = reading_of(nusc, sample_token, "LIDAR_TOP")
    ego_from_lidar = matrix_of(nusc.get("calibrated_sensor", lidar["calibrated_sensor_token"]))
    points = LidarPointCloud.from_file(nusc.get_sample_data_path(lidar["token"])).points[:3]
    index = frame.rig.names.index(camera)
    cam_from_ego = np.linalg.inv(frame.rig.ego_from_cam[index].double().numpy())
    homogeneous = np.vstack([points, np.ones(points.shape[1])])
    in_camera = (cam_from_ego @ ego_from_lidar @ homogeneous)[:3]
    in_camera = in_camera[:, in_camera[2] > 0.5]
    u, v, _ = frame.rig.intrinsics[index].double().numpy() @ in_camera / in_camera[2]
    return np.stack([u, v, in_camera[2]], axis=-1)


@pytest.mark.keyframe
@pytest.mark.parametrize("camera", NUSCENES_CAMERAS)
def test_lidar_falls_where_the_devkit_projects_it(keyframe: NuScenes, camera: str) -> None:
    for sample in keyframe.sample:
        frame = load_frame(keyframe, sample["token"])
        ours = pixels_of_lidar(keyframe, frame, camera, sample["token"])
        pixels, depth, image = keyframe.explorer.map_pointcloud_to_image(
            sample["data"]["LIDAR_TOP"], sample["data"][camera], min_dist=1.0
        )
        theirs = np.stack([pixels[0], pixels[1], depth], axis=-1)
        distance, _ = cKDTree(ours).query(theirs)
        assert len(theirs) > 100
        assert distance.max() < 0.1  # pixels, and metres of depth

        def count_inside(
            margin: float, ours: Array = ours, size: tuple[int, int] = image.size
        ) -> int:
            u, v, z = ours.T
            inside = (u > 1 + margin) & (u < size[0] - 1 - margin)
            inside &= (v > 1 + margin) & (v < size[1] - 1 - margin)
            return int((inside & (z > 1 + margin)).sum())

        assert count_inside(0.1) <= len(theirs) <= count_inside(-0.1)


@pytest.mark.keyframe
def test_real_images_are_rgb_of_their_own_size(keyframe: NuScenes) -> None:
    token = keyframe.sample[0]["token"]
    frame = load_frame(keyframe, token)
    assert frame.rig.names == NUSCENES_CAMERAS
    assert frame.valid == (True,) * 6
    for name, image, size in zip(frame.rig.names, frame.images, frame.rig.image_sizes, strict=True):
        path = keyframe.get_sample_data_path(reading_of(keyframe, token, name)["token"])
        expected = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        assert image.dtype == torch.uint8
        assert tuple(image.shape) == (*size, 3) == expected.shape
        assert np.abs(image.numpy().astype(int) - expected).mean() < 1


@pytest.mark.keyframe
def test_opening_a_dataset_prints_nothing(
    keyframe_dir: Path, keyframe: NuScenes, capfd: pytest.CaptureFixture[str]
) -> None:
    open_nuscenes(keyframe_dir, keyframe.version)
    assert capfd.readouterr() == ("", "")


@pytest.mark.keyframe
def test_real_labels_agree_with_the_sweep(keyframe_dir: Path, keyframe: NuScenes) -> None:
    sample = keyframe.sample[0]
    scene = keyframe.get("scene", sample["scene_token"])["name"]
    path = occ3d_path(keyframe_dir, scene, sample["token"])
    if not path.is_file():
        pytest.skip(f"the keyframe has no labels: {path} does not exist")
    labels = read_occ3d(path)
    assert tuple(labels.semantics.shape) == OCC3D_GRID.shape
    assert labels.semantics.dtype == torch.uint8
    assert labels.mask_lidar.dtype == labels.mask_camera.dtype == torch.bool
    lidar = reading_of(keyframe, sample["token"], "LIDAR_TOP")
    ego_from_lidar = matrix_of(keyframe.get("calibrated_sensor", lidar["calibrated_sensor_token"]))
    points = LidarPointCloud.from_file(keyframe.get_sample_data_path(lidar["token"])).points[:3]
    in_ego = torch.from_numpy((ego_from_lidar[:3, :3] @ points).T + ego_from_lidar[:3, 3])
    index = OCC3D_GRID.index_of(in_ego)
    beside_the_vehicle = in_ego[:, :2].norm(dim=1) > 3
    index = index[OCC3D_GRID.contains(index) & beside_the_vehicle]
    hit = labels.semantics[index[:, 0], index[:, 1], index[:, 2]]
    assert float((hit != 17).float().mean()) > 0.8


def test_frames_are_the_keyframes_in_order(nusc: NuScenes, dataset: NuscenesFixture) -> None:
    assert scene_names(nusc) == SCENES
    for scene in SCENES:
        tokens = keyframe_tokens(nusc, scene)
        frames = list(iter_frames(nusc, scene))
        stamps = [frame.stamp_ns for frame in frames]
        lidar = [reading_of(nusc, token, "LIDAR_TOP") for token in tokens]
        assert stamps == [reading["timestamp"] * 1000 for reading in lidar]
        assert np.diff(stamps).tolist() == [500_000_000] * (dataset.keyframes - 1)
        assert {frame.scene for frame in frames} == {scene}


def test_reference_pose_is_the_lidars(nusc: NuScenes) -> None:
    for token, frame in zip(
        keyframe_tokens(nusc, SCENES[1]), iter_frames(nusc, SCENES[1]), strict=True
    ):
        pose = nusc.get("ego_pose", reading_of(nusc, token, "LIDAR_TOP")["ego_pose_token"])
        assert frame.global_from_ego.dtype == torch.float64
        np.testing.assert_allclose(frame.global_from_ego, matrix_of(pose), atol=1e-9)


def test_each_camera_has_the_ego_pose_of_its_own_stamp(nusc: NuScenes) -> None:
    token = keyframe_tokens(nusc, SCENES[0])[1]
    frame = load_frame(nusc, token)
    moved = {}
    for index, camera in enumerate(frame.rig.names):
        reading = reading_of(nusc, token, camera)
        mount = nusc.get("calibrated_sensor", reading["calibrated_sensor_token"])
        pose = matrix_of(nusc.get("ego_pose", reading["ego_pose_token"]))
        expected = np.linalg.inv(frame.global_from_ego.numpy()) @ pose @ matrix_of(mount)
        found = frame.rig.ego_from_cam[index]
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(
            frame.rig.intrinsics[index], np.float32(mount["camera_intrinsic"])
        )
        moved[camera] = np.linalg.norm(found.numpy()[:3, 3] - mount["translation"])
    assert moved["CAM_BACK"] < 1e-5  # fires at the lidar's stamp
    assert moved["CAM_FRONT_LEFT"] > 8.0 * 0.043  # 43 ms earlier, at more than 8 m/s


def test_cameras_come_in_the_order_asked_for(nusc: NuScenes) -> None:
    token = keyframe_tokens(nusc, SCENES[0])[0]
    everything = load_frame(nusc, token)
    two = load_frame(nusc, token, ("CAM_BACK", "CAM_FRONT"))
    assert two.rig.names == ("CAM_BACK", "CAM_FRONT")
    for image, pose, name in zip(two.images, two.rig.ego_from_cam, two.rig.names, strict=True):
        index = everything.rig.names.index(name)
        assert torch.equal(image, everything.images[index])
        assert torch.equal(pose, everything.rig.ego_from_cam[index])


def test_missing_dataroot_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"dataroot '.*/nowhere' is not a folder"):
        open_nuscenes(tmp_path / "nowhere", "v1.0-mini")


def test_unknown_version_lists_what_exists(dataset: NuscenesFixture) -> None:
    with pytest.raises(DatasetError, match=rf"version 'v9'.* holds: {dataset.version}"):
        open_nuscenes(dataset.root, "v9")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "corrupt"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "corrupt"),
        (lambda path: path.write_text('{"token": "a"}'), "corrupt"),
        (lambda path: path.write_text('[{"name": "a"}]'), "corrupt"),
    ],
    ids=["missing", "truncated", "binary", "object", "without-token"],
)
@pytest.mark.parametrize("table", ["sample_data", "calibrated_sensor"])
def test_damaged_table_is_named(
    damaged: NuscenesFixture, table: str, damage: Callable[[Path], object], said: str
) -> None:
    damage(damaged.table(table))
    with pytest.raises(DatasetError, match=rf"{table}\.json' is {said}"):
        open_nuscenes(damaged.root, damaged.version)


def test_record_without_a_field_is_named(damaged: NuscenesFixture) -> None:
    edit(damaged.table("sample"), lambda records: records[1].pop("next"))
    with pytest.raises(DatasetError, match=r"sample\.json' is corrupt: record '.*' lacks next"):
        open_nuscenes(damaged.root, damaged.version)


def test_tables_that_do_not_fit_together_are_an_error(damaged: NuscenesFixture) -> None:
    edit(damaged.table("sensor"), lambda records: records[0].update(token="renamed"))
    with pytest.raises(DatasetError, match=r"do not fit together.*sensor-"):
        open_nuscenes(damaged.root, damaged.version)


def test_unknown_scene_lists_what_exists(nusc: NuScenes) -> None:
    with pytest.raises(DatasetError, match=r"scene 'scene-9'.*scene-0001, scene-0002"):
        iter_frames(nusc, "scene-9")


def test_samples_in_a_circle_are_an_error(damaged: NuscenesFixture) -> None:
    edit(damaged.table("sample"), lambda records: records[1].update(next=records[0]["token"]))
    nusc = open_nuscenes(damaged.root, damaged.version)
    with pytest.raises(DatasetError, match=r"circle"):
        keyframe_tokens(nusc, SCENES[0])


def change_first(**values: Any) -> Callable[[list[dict[str, Any]]], None]:
    """Overwrite fields of those records that belong to the first keyframe's front camera."""

    def change(records: list[dict[str, Any]]) -> None:
        own = [r for r in records if r["token"].startswith(f"{SCENES[0]}-CAM_FRONT")]
        for record in own:
            if "FRONT_" not in record["token"]:
                record.update(values)

    return change


@pytest.mark.parametrize(
    ("table", "values", "said"),
    [
        ("sample_data", {"ego_pose_token": "gone"}, r"ego_pose\.json' has no record .*'gone'"),
        ("sample_data", {"height": 40}, r"image '.*CAM_FRONT.*' is 64x36, but .* 64x40"),
        ("sample_data", {"width": None}, r"CAM_FRONT.*positive integers.*width None"),
        ("ego_pose", {"rotation": [0, 0, 0, 0]}, r"ego_pose '.*CAM_FRONT.*quaternion"),
        ("ego_pose", {"translation": [1, float("nan"), 0]}, r"ego_pose '.*CAM_FRONT.*nan"),
        (
            "calibrated_sensor",
            {"camera_intrinsic": [[0, 0, 32], [0, 50, 18], [0, 0, 1]]},
            r"camera_intrinsic.*CAM_FRONT.*positive focal lengths",
        ),
        ("calibrated_sensor", {"camera_intrinsic": []}, r"camera_intrinsic.*CAM_FRONT.*3 x 3"),
    ],
)
def test_impossible_record_is_named(
    damaged: NuscenesFixture, table: str, values: dict[str, Any], said: str
) -> None:
    edit(damaged.table(table), change_first(**values))
    nusc = open_nuscenes(damaged.root, damaged.version)
    with pytest.raises(DatasetError, match=said):
        next(iter_frames(nusc, SCENES[0]))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file"),
        (lambda path: path.write_bytes(b""), "is corrupt"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "is corrupt"),
        (lambda path: path.write_bytes(b"GIF89a" + bytes(50)), "is corrupt"),
    ],
    ids=["missing", "empty", "truncated", "no-image"],
)
def test_damaged_image_is_named(
    damaged: NuscenesFixture, damage: Callable[[Path], object], said: str
) -> None:
    nusc = open_nuscenes(damaged.root, damaged.version)
    token = keyframe_tokens(nusc, SCENES[0])[1]
    path = Path(nusc.get_sample_data_path(reading_of(nusc, token, "CAM_BACK_LEFT")["token"]))
    damage(path)
    with pytest.raises(DatasetError, match=rf"'{path}'.*{said}"):
        load_frame(nusc, token)


def test_keyframe_without_a_camera_says_which_it_has(nusc: NuScenes) -> None:
    with pytest.raises(DatasetError, match=r"no CAM_TOP; it has: CAM_BACK, .*LIDAR_TOP"):
        load_frame(nusc, keyframe_tokens(nusc, SCENES[0])[0], ("CAM_TOP",))


def write_labels(path: Path, **changes: Array | None) -> Path:
    """A labels.npz of the right format, then changed; None leaves an array out."""
    arrays: dict[str, Any] = {
        "semantics": np.full(OCC3D_GRID.shape, 17, np.uint8),
        "mask_lidar": np.ones(OCC3D_GRID.shape, np.uint8),
        "mask_camera": np.zeros(OCC3D_GRID.shape, bool),
        **changes,
    }
    np.savez_compressed(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


def test_labels_come_back_with_their_types(tmp_path: Path) -> None:
    semantics = np.random.default_rng(0).integers(0, 18, OCC3D_GRID.shape)
    labels = read_occ3d(write_labels(tmp_path / "labels.npz", semantics=semantics))
    np.testing.assert_array_equal(labels.semantics, semantics)
    assert labels.semantics.dtype == torch.uint8
    assert bool(labels.mask_lidar.all())
    assert not bool(labels.mask_camera.any())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mask_camera": None}, "lack mask_camera; they hold: semantics, mask_lidar"),
        ({"semantics": np.zeros((2, 3, 4), np.uint8)}, r"semantics.*\[200, 200, 16\].*\[2, 3, 4\]"),
        ({"semantics": np.full(OCC3D_GRID.shape, 18)}, "semantics.*0 to 17, got 18 to 18"),
        ({"mask_lidar": np.zeros(OCC3D_GRID.shape)}, "mask_lidar.*integers, got float64"),
    ],
)
def test_wrong_labels_are_named(
    tmp_path: Path, changes: dict[str, Array | None], said: str
) -> None:
    path = write_labels(tmp_path / "labels.npz", **changes)
    with pytest.raises(DatasetError, match=said) as caught:
        read_occ3d(path)
    assert str(path) in str(caught.value)


def test_damaged_labels_are_named(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "labels.npz")
    whole = path.read_bytes()
    plain = tmp_path / "array.npy"
    np.save(plain, np.zeros(3))
    for content in (whole[: len(whole) // 2], b"", plain.read_bytes(), b"text" * 100):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=rf"labels '{path}' are corrupt"):
            read_occ3d(path)
    shutil.rmtree(tmp_path)
    with pytest.raises(DatasetError, match=rf"labels '{path}' are missing"):
        read_occ3d(path)
