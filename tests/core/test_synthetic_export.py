"""The written dataset: what the devkit, the index and training make of it; interrupted runs."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from nuscenes.utils.geometry_utils import view_points

from gfocc_core.config import ImageConfig
from gfocc_core.data.augmentation import NO_AUGMENTATION
from gfocc_core.data.frames import NUSCENES_CAMERAS, load_frame
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.occ3d import occ3d_path, read_occ3d
from gfocc_core.data.scenes import DatasetError, open_nuscenes
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.synthetic import VERSION, keyframe
from gfocc_core.synthetic.__main__ import main
from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.synthetic.export import generate
from gfocc_core.synthetic.keyframe import KeyframeMaker
from gfocc_core.synthetic.workers import Chunk, share_out
from gfocc_core.synthetic.world import World
from gfocc_core.taxonomy import FREE_ID
from tests.core.synthetic_worlds import CAR_SPEED, street_world

SLOPE = 0.04
BASE = SyntheticConfig(
    out=Path("unused"), scenes=1, val_scenes=1, frames=3, height=64, width=176, processes=1
)


def build_street(name: str, seed: int, *_: Any) -> World:
    return street_world(name, seed, SLOPE)


@pytest.fixture(autouse=True)
def _hand_made_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyframe, "build_world", build_street)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyntheticConfig]:
    config = replace(BASE, out=tmp_path_factory.mktemp("data") / "d", sweeps_per_keyframe=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyframe, "build_world", build_street)
        generate(config)
    return config


@pytest.fixture(scope="module")
def nusc(dataset: SyntheticConfig) -> Any:
    return open_nuscenes(dataset.out, VERSION)


@pytest.fixture(scope="module")
def index(dataset: SyntheticConfig) -> SceneIndex:
    return SceneIndex(dataset.out, *build_index(dataset.out, VERSION))


def digests(folder: Path) -> dict[str, str]:
    """Content of every file that a reader sees."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


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


class Killed(BaseException):
    pass


def test_an_interrupted_run_goes_on_and_ends_the_same(
    dataset: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(dataset, out=tmp_path / "d")
    made: list[int] = []
    make, write_truth = KeyframeMaker.make, KeyframeMaker._write_truth

    def die_within_a_keyframe(self: KeyframeMaker, *args: Any) -> str:
        if len(made) == 4:
            raise Killed
        return write_truth(self, *args)

    def count(self: KeyframeMaker, number: int) -> None:
        make(self, number)
        made.append(number)

    monkeypatch.setattr(KeyframeMaker, "make", count)
    monkeypatch.setattr(KeyframeMaker, "_write_truth", die_within_a_keyframe)
    with pytest.raises(Killed):
        generate(config)
    assert not (config.out / VERSION).exists()
    (config.out / "samples" / "CAM_FRONT" / ".half.jpg.0.partial").write_bytes(b"cut off")
    monkeypatch.setattr(KeyframeMaker, "_write_truth", write_truth)
    generate(config)
    assert made == [0, 1, 2, 0, 1, 2]
    assert digests(config.out) == digests(dataset.out)
    generate(config)
    assert len(made) == 6


def test_a_file_that_went_missing_is_made_again(tmp_path: Path) -> None:
    config = replace(BASE, out=tmp_path / "d", val_scenes=0, frames=2)
    generate(config)
    before = digests(config.out)
    for name in ("samples/CAM_BACK", "weak_labels/degraded"):
        next(path for path in (config.out / name).iterdir() if path.suffix != ".json").unlink()
    generate(config)
    assert digests(config.out) == before


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 1}, "seed is 0 there, not 1"),
        ({"frames": 4}, "frames is 3 there, not 4"),
        ({"rig": "four_cameras"}, "rig.cameras is"),
        ({"label_noise": replace(BASE.label_noise, missed=0.5)}, "label_noise.missed is 0.08"),
        ({"world": replace(BASE.world, max_slope=0.01)}, "world.max_slope is 0.05 there"),
    ],
)
def test_other_settings_are_refused_by_name(
    dataset: SyntheticConfig, change: dict[str, Any], difference: str
) -> None:
    before = digests(dataset.out)
    with pytest.raises(DatasetError, match=difference):
        generate(replace(dataset, **change))
    assert digests(dataset.out) == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v1.0-mini").mkdir()
    with pytest.raises(DatasetError, match=r"holds something else, such as 'v1\.0-mini'"):
        generate(replace(BASE, out=tmp_path))
    assert os.listdir(tmp_path) == ["v1.0-mini"]
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="is not a folder"):
        generate(replace(BASE, out=tmp_path / "file"))


def test_two_runs_do_not_write_to_one_folder(dataset: SyntheticConfig) -> None:
    from gfocc_core.synthetic.dataset_folder import claimed_folder

    with claimed_folder(dataset), pytest.raises(DatasetError, match="another run is writing"):
        generate(dataset)


def test_another_rig_from_a_file(tmp_path: Path) -> None:
    camera = {"width": 640, "height": 400, "fx": 300, "fy": 300.0, "cx": 320.0, "cy": 200.0}
    mount = {"translation": [1.5, 0, 1.4], "rotation": [0.5, -0.5, 0.5, -0.5]}
    rig = {
        "cameras": [{"name": "nose", **camera, **mount}],
        "lidar": {"translation": [1.0, 0.0, 1.9], "rotation": [1.0, 0.0, 0.0, 0.0]},
    }
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(rig))
    out = tmp_path / "d"
    options = ["--scenes=1", "--val_scenes=0", "--frames=1", "--height=40", "--width=96"]
    arguments = [f"--out={out}", f"--rig={path}", "--processes=1", *options]
    assert main(arguments) == 0
    index = SceneIndex(out, *build_index(out, VERSION))
    assert index.cameras == ("nose",)
    np.testing.assert_allclose(index.keyframe(0).cameras.intrinsics[0, 0, 0], 300 * 96 / 640)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--scene=3", "--scene=3"),
        ("--scenes=many", "scenes"),
        ("--scenes=-1", "scenes must be 0 to"),
        ("--height=4", "height must be 16 to 4096, got 4"),
        ("--rig=unicycle", "rig 'unicycle' is neither a file nor one of four_cameras, nuscenes"),
        ("--label_noise.strength=-1", "label_noise.strength must be 0 or more, got -1"),
        ("--world.max_slope=2", "max_slope must lie in"),
        ("--label_stores=[perfect]", "label_stores"),
        ("--config=missing.yaml", "missing.yaml"),
    ],
)
def test_bad_options_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, message: str
) -> None:
    try:
        code: Any = main([f"--out={tmp_path / 'd'}", option])
    except SystemExit as end:
        code = end.code
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "d").exists()


def test_options_override_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"scenes": 1, "val_scenes": 0, "frames": 7, "seed": 5}))
    size = ["--height=32", "--width=88", "--processes=1", "--label_stores=[exact]"]
    assert main([f"--config={file}", f"--out={tmp_path / 'd'}", "--frames=1", *size]) == 0
    settings = json.loads((tmp_path / "d" / "dataset.json").read_text())["config"]
    assert (settings["frames"], settings["seed"]) == (1, 5)
    assert os.listdir(tmp_path / "d" / "weak_labels") == ["exact"]


def test_ctrl_c_ends_with_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: KeyframeMaker, number: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(KeyframeMaker, "make", interrupt)
    assert main([f"--out={tmp_path / 'd'}", "--frames=1", "--processes=1"]) == 130


def test_scenes_are_shared_out_evenly() -> None:
    plans = replace(BASE, scenes=3, val_scenes=0).scene_plans()
    chunks = [Chunk(plan, (0, 1, 2, 3, 4)) for plan in plans]
    shared = share_out(chunks, 2)
    assert shared == [*chunks[:2], Chunk(plans[2], (0, 1, 2)), Chunk(plans[2], (3, 4))]


def _start(out: Path) -> subprocess.Popen[str]:
    options = ["--scenes=1", "--val_scenes=0", "--frames=40", "--height=32", "--width=88"]
    return subprocess.Popen(
        [sys.executable, "-m", "gfocc_core.synthetic", f"--out={out}", "--processes=2", *options],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # As a terminal does: tests in the background inherit an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _wait_for_keyframes(out: Path, more: int) -> None:
    """Until that many more keyframes are recorded than now."""
    deadline, before = time.monotonic() + 120, None
    while True:
        found = len(list((out / ".progress").glob("*/*.json")))
        before = found if before is None else before
        if found >= before + more:
            return
        assert time.monotonic() < deadline, "no keyframe was made in two minutes"
        time.sleep(0.01)


def _a_worker_of(process: subprocess.Popen[str]) -> int:
    listing = ["pgrep", "-f", "-P", str(process.pid), "spawn_main"]
    return int(
        subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()[0]
    )


@pytest.mark.slow
def test_killed_processes_leave_a_folder_that_can_be_finished(tmp_path: Path) -> None:
    assert _start(tmp_path / "whole").wait(timeout=300) == 0

    broken = tmp_path / "broken"
    killed = _start(broken)
    _wait_for_keyframes(broken, 2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (broken / VERSION).exists()

    bereft = _start(broken)
    _wait_for_keyframes(broken, 2)
    os.kill(_a_worker_of(bereft), signal.SIGKILL)
    assert bereft.wait(timeout=120) == 2
    assert bereft.stderr is not None
    assert "a worker process died" in bereft.stderr.read()

    interrupted = _start(broken)
    _wait_for_keyframes(broken, 2)
    os.killpg(interrupted.pid, signal.SIGINT)
    assert interrupted.wait(timeout=60) == 130
    assert interrupted.stderr is not None
    assert "Traceback" not in interrupted.stderr.read()
    assert not (broken / VERSION).exists()

    assert _start(broken).wait(timeout=300) == 0
    assert digests(broken) == digests(tmp_path / "whole")
