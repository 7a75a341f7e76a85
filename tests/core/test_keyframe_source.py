"""Scores of any dataset: by its tables or its index, with whatever cameras it has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from gfocc_core.data.frames import dataset_cameras, load_frame
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.index_file import write_index
from gfocc_core.data.indexed_frames import iter_indexed_frames, load_indexed_frame
from gfocc_core.data.lidar_positions import lidar_positions
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.occ3d import occ3d_path
from gfocc_core.data.recording_cli import main as index_recordings
from gfocc_core.data.scenes import DatasetError, keyframe_tokens, open_nuscenes
from gfocc_core.taxonomy import FREE_ID
from gfocc_core.training.evaluate_cli import main as evaluate
from gfocc_core.training.keyframe_source import keyframe_source
from gfocc_core.training.prior_cli import main as make_prior
from gfocc_core.training.threshold_cli import main as choose_threshold
from tests.core.recording_fixture import CAMERAS, HEIGHT, WIDTH, steady, write_recording
from tests.core.trainable_fixture import VAL_SPLIT, write_trainable
from tests.nuscenes_fixture import SCENES, VERSION, write_nuscenes


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in the nuScenes schema with truth; its folder is `data`, its index `index`."""
    root = tmp_path_factory.mktemp("dataset")
    write_trainable(root)
    return root


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("network") / "small.yaml"
    model = {"backbone": "resnet10t", "channels": 16, "heads": 2, "points": 2, "blocks": 1}
    model |= {"inducing_points": 8, "gaussians": 40}
    content = {"network": {"model": model, "image": {"height": 32, "width": 64}}}
    path.write_text(yaml.safe_dump(content))
    return str(path)


def scores(folder: Path, *options: str) -> dict[str, object]:
    out = folder / "scores.json"
    assert evaluate([*options, "--device", "cpu", "--json", str(out)]) == 0
    found: dict[str, object] = json.loads(out.read_text())
    return found


def test_tables_and_index_give_the_same_scores(dataset: Path, network: str, tmp_path: Path) -> None:
    common = ["--dataroot", str(dataset / "data"), "--split", VAL_SPLIT, "--untrained", network]
    by_tables = scores(tmp_path, *common, "--version", VERSION)
    by_index = scores(tmp_path, *common, "--index", str(dataset / "index"))
    assert by_tables["keyframes"] == 2
    assert by_index == by_tables  # nothing moves in this dataset: that too is equal


def test_tables_and_index_give_the_same_frames_and_places(dataset: Path) -> None:
    nusc = open_nuscenes(dataset / "data", VERSION)
    index = SceneIndex.load(dataset / "index", dataset / "data")
    tables, indexed = keyframe_source(nusc), keyframe_source(index)
    assert indexed.scenes() == tables.scenes() == SCENES
    assert indexed.splits() == tables.splits()
    for scene in SCENES:
        assert indexed.tokens(scene) == tables.tokens(scene) == keyframe_tokens(nusc, scene)
        origins = indexed.ray_origins(scene)
        torch.testing.assert_close(origins, lidar_positions(nusc, scene))
        for token in indexed.tokens(scene):
            mine, theirs = indexed.frame(token), tables.frame(token)
            assert mine.rig.names == theirs.rig.names
            assert (mine.stamp_ns, mine.scene, mine.valid) == (
                theirs.stamp_ns,
                theirs.scene,
                theirs.valid,
            )
            for image, other in zip(mine.images, theirs.images, strict=True):
                assert torch.equal(image, other)
            torch.testing.assert_close(mine.rig.ego_from_cam, theirs.rig.ego_from_cam)
            torch.testing.assert_close(mine.global_from_ego, theirs.global_from_ego)
            assert indexed.truth_file(scene, token) == tables.truth_file(scene, token)


def test_a_dataset_of_other_cameras_is_read_in_the_order_of_its_index(tmp_path: Path) -> None:
    write_nuscenes(tmp_path, keyframes=2, sweeps=0)
    table = tmp_path / VERSION / "sensor.json"
    sensors = json.loads(table.read_text())
    for sensor in sensors:
        new = {"CAM_FRONT_LEFT": "nose", "CAM_FRONT_RIGHT": "arm"}.get(sensor["channel"])
        sensor["channel"] = new or sensor["channel"]
    table.write_text(json.dumps(sensors))
    write_index(tmp_path / "index", *build_index(tmp_path, VERSION))
    nusc = open_nuscenes(tmp_path, VERSION)
    index = SceneIndex.load(tmp_path / "index", tmp_path)
    expected = ("CAM_FRONT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT", "arm", "nose")
    assert dataset_cameras(nusc) == index.cameras == expected
    assert load_frame(nusc, index.tokens[0]).rig.names == expected


@pytest.fixture
def recording(tmp_path: Path) -> SceneIndex:
    """A recording of 6 keyframes with made-up truth; `left` is missing in the third."""
    drive = steady()
    late = np.asarray(drive.images["left"]) + 0.045
    images = {**drive.images, "left": [t for t in late if not 0.9 < t < 1.15]}
    write_recording(tmp_path / "data" / "drive", type(drive)(images, drive.poses))
    options = ["--dataroot", str(tmp_path / "data"), "--out", str(tmp_path / "index")]
    assert index_recordings(options) == 0
    index = SceneIndex.load(tmp_path / "index", tmp_path / "data")
    random = np.random.default_rng(0)
    for token in index.tokens:
        path = occ3d_path(index.dataroot, "drive", token)
        path.parent.mkdir(parents=True)
        semantics = np.full((200, 200, 16), FREE_ID, np.uint8)
        semantics[:, :, 2] = random.integers(0, FREE_ID, (200, 200))
        mask = random.random(semantics.shape) < 0.5
        np.savez_compressed(path, semantics=semantics, mask_lidar=mask, mask_camera=mask)
    return index


def test_a_frame_of_a_recording_goes_without_the_camera_that_is_missing(
    recording: SceneIndex,
) -> None:
    frames = list(iter_indexed_frames(recording, "drive"))
    assert [frame.valid[1] for frame in frames] == [True, True, False, True, True, True]
    assert all(frame.rig.names == CAMERAS for frame in frames)
    assert frames[0].images[0].shape == (HEIGHT, WIDTH, 3)


def test_rayiou_looks_from_the_middle_of_the_cameras_where_there_is_no_lidar(
    recording: SceneIndex,
) -> None:
    first = keyframe_source(recording).ray_origins("drive")[0]
    # mounted at x = 1, 2, 3 and 4; the vehicle stands at the origin
    torch.testing.assert_close(first, torch.tensor([2.5, 0.5, 1.5], dtype=torch.float64))


def test_a_recording_with_truth_is_scored_and_gets_prior_and_threshold(
    recording: SceneIndex, network: str, tmp_path: Path
) -> None:
    common = ["--dataroot", str(recording.dataroot), "--index", str(tmp_path / "index")]
    found = scores(tmp_path, *common, "--split", "train", "--untrained", network)
    assert found["keyframes"] == 6
    assert found["rayiou"] is not None
    assert found["moving_miou"] is None  # nothing is annotated
    prior = str(tmp_path / "prior.npz")
    assert make_prior([*common, "--split", "train", "--out", prior]) == 0
    assert scores(tmp_path, *common, "--prior", prior)["iou_b"] == 100


def test_dataset_options_that_cannot_be_are_told(
    recording: SceneIndex, network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--dataroot", str(recording.dataroot), "--untrained", network]
    for both in ([], ["--index", "i", "--version", "v"]):
        with pytest.raises(SystemExit):
            evaluate([*common, *both])
    assert evaluate([*common, "--index", str(tmp_path / "none")]) == 2
    assert "index_nuscenes.py or training/index_recording.py" in capsys.readouterr().err
    index = ["--index", str(tmp_path / "index")]
    assert evaluate([*common, *index, "--split", "val"]) == 2
    assert "split 'val' has no scene in this dataset, which has: train" in capsys.readouterr().err
    options = ["--dataroot", str(recording.dataroot), *index, "--split", "train"]
    out = ["--checkpoint", str(tmp_path / "none"), "--out", str(tmp_path / "o.safetensors")]
    assert choose_threshold([*options, *out]) == 2


def test_a_damaged_or_resized_image_is_named(recording: SceneIndex) -> None:
    path = Path(recording.image_file(0, 0) or "")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=f"image '{path}' is corrupt"):
        load_indexed_frame(recording, 0)
    Image.new("RGB", (64, 48)).save(path)
    with pytest.raises(DatasetError, match=f"image '{path}' is 64x48, but the index says 32x24"):
        load_indexed_frame(recording, 0)
    path.unlink()
    with pytest.raises(DatasetError, match=f"image '{path}' cannot be read"):
        load_indexed_frame(recording, 0)
