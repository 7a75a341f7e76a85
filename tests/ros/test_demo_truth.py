"""Outputs meet the keyframe they were made from, whatever camera's stamp they carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from gfocc_core.data.occ3d import Occ3dLabels, occ3d_path
from gfocc_core.data.scenes import DatasetError, keyframe_tokens, open_nuscenes
from gfocc_core.data.sensors import global_from_ego
from gfocc_core.taxonomy import FREE_ID
from gfocc_core.training.evaluation import SavedPredictions, evaluate, save_labels
from gfocc_ros.demo.scores import score_fields, score_outputs, total
from gfocc_ros.demo.truth import KeyframeTruth, SceneTruth, scene_cameras
from tests.nuscenes_fixture import CAMERAS, NuscenesFixture, write_nuscenes

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

SCENE = "scene-0001"


def write_truth(dataset: NuscenesFixture, keyframes: int) -> None:
    """Random labels for the first keyframes."""
    random = np.random.default_rng(0)
    tokens = keyframe_tokens(open_nuscenes(dataset.root, dataset.version), SCENE)
    for token in tokens[:keyframes]:
        path = occ3d_path(dataset.root, SCENE, token)
        path.parent.mkdir(parents=True)
        semantics = random.integers(0, 17, (200, 200, 16)).astype(np.uint8)
        semantics[random.random(semantics.shape) < 0.95] = FREE_ID
        seen = random.random(semantics.shape) < 0.5
        np.savez_compressed(path, semantics=semantics, mask_lidar=seen, mask_camera=seen)


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> NuscenesFixture:
    """Three keyframes with sweeps between them; the last one has no ground truth."""
    dataset = write_nuscenes(tmp_path_factory.mktemp("truth") / "data", (SCENE,))
    write_truth(dataset, 2)
    return dataset


@pytest.fixture(scope="module")
def nusc(fixture: NuscenesFixture) -> NuScenes:
    return open_nuscenes(fixture.root, fixture.version)


def reading(nusc: NuScenes, keyframe: int, channel: str) -> dict[str, object]:
    sample = nusc.get("sample", keyframe_tokens(nusc, SCENE)[keyframe])
    return nusc.get("sample_data", sample["data"][channel])


def stamp_ns(nusc: NuScenes, keyframe: int, channel: str) -> int:
    return int(reading(nusc, keyframe, channel)["timestamp"]) * 1000  # type: ignore[call-overload]


@pytest.mark.parametrize("channel", CAMERAS)
def test_every_camera_of_a_keyframe_leads_to_its_truth(nusc: NuScenes, channel: str) -> None:
    truth = SceneTruth(nusc, SCENE)
    found = truth.at(stamp_ns(nusc, 1, channel))
    assert found is not None
    assert found.number == 2
    camera = global_from_ego(nusc, reading(nusc, 1, channel))
    lidar = global_from_ego(nusc, reading(nusc, 1, "LIDAR_TOP"))
    assert torch.allclose(camera @ found.output_from_truth, lidar)
    # At its second keyframe the vehicle of the fixture drives 14.8 m/s.
    distance = found.output_from_truth[:3, 3].norm()
    assert distance == pytest.approx(14.8e-3 * -CAMERAS[channel][1], rel=0.05, abs=1e-6)


def test_sweeps_other_stamps_and_keyframes_without_labels_have_no_truth(nusc: NuScenes) -> None:
    truth = SceneTruth(nusc, SCENE)
    assert len(truth) == 3
    assert truth.at(stamp_ns(nusc, 0, "CAM_BACK") + 1000) is None
    sweep = next(r for r in nusc.sample_data if not r["is_key_frame"])
    assert truth.at(sweep["timestamp"] * 1000) is None
    assert truth.at(stamp_ns(nusc, 2, "CAM_BACK")) is None


def test_damaged_labels_are_named(fixture: NuscenesFixture, nusc: NuScenes, tmp_path: Path) -> None:
    path = occ3d_path(fixture.root, SCENE, keyframe_tokens(nusc, SCENE)[0])
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    try:
        with pytest.raises(DatasetError, match="are corrupt"):
            SceneTruth(nusc, SCENE).at(stamp_ns(nusc, 0, "CAM_BACK"))
    finally:
        path.write_bytes(whole)


def test_the_reference_is_the_camera_nearest_to_the_keyframe(nusc: NuScenes) -> None:
    cameras = scene_cameras(nusc, SCENE)
    assert cameras.reference == "cam_back"
    assert cameras.names == (
        "cam_front_left",
        "cam_front",
        "cam_front_right",
        "cam_back_left",
        "cam_back",
        "cam_back_right",
    )


def test_a_rig_without_lidar_is_driven_but_not_scored(tmp_path: Path) -> None:
    dataset = write_nuscenes(tmp_path / "data", (SCENE,), keyframes=2, sweeps=0)
    readings = json.loads(dataset.table("sample_data").read_text())
    cameras = [r for r in readings if "LIDAR_TOP" not in r["token"]]
    dataset.table("sample_data").write_text(json.dumps(cameras))
    nusc = open_nuscenes(dataset.root, dataset.version)
    assert scene_cameras(nusc, SCENE).reference == "cam_back"
    assert SceneTruth(nusc, SCENE).at(stamp_ns(nusc, 0, "CAM_BACK")) is None


def test_cameras_the_network_does_not_know_come_last(tmp_path: Path) -> None:
    dataset = write_nuscenes(tmp_path / "data", (SCENE,), keyframes=1, sweeps=0)
    sensors = json.loads(dataset.table("sensor").read_text())
    for sensor in sensors:
        sensor["channel"] = sensor["channel"].replace("CAM_FRONT", "CAM_AHEAD")
    dataset.table("sensor").write_text(json.dumps(sensors))
    names = scene_cameras(open_nuscenes(dataset.root, dataset.version), SCENE).names
    assert names[:3] == ("cam_back_left", "cam_back", "cam_back_right")
    assert names[3:] == ("cam_ahead", "cam_ahead_left", "cam_ahead_right")


def test_outputs_score_as_the_evaluation_scores_the_same_labels(tmp_path: Path) -> None:
    """At the stamp of CAM_BACK, which is the lidar's, both look at the same grids."""
    dataset = write_nuscenes(tmp_path / "data", (SCENE,), keyframes=2, sweeps=0)
    write_truth(dataset, 2)
    nusc = open_nuscenes(dataset.root, dataset.version)
    truth, outputs = SceneTruth(nusc, SCENE), {}
    for keyframe, token in enumerate(keyframe_tokens(nusc, SCENE)):
        stamp = stamp_ns(nusc, keyframe, "CAM_BACK")
        found = truth.at(stamp)
        assert found is not None
        outputs[stamp] = found.labels.semantics.clone()
        outputs[stamp][:100] = outputs[stamp][:100].roll(1, 1)
        save_labels(tmp_path / "saved", token, outputs[stamp])
    empty = torch.full((200, 200, 16), FREE_ID, dtype=torch.uint8)
    scored = score_outputs(outputs, truth, empty)
    scores = score_fields(total(each.counts for each in scored.values()))
    reference = evaluate(nusc, [SCENE], SavedPredictions(tmp_path / "saved"))
    assert scores == {
        "miou": round(reference.voxels["miou_a"], 2),
        "iou": round(reference.voxels["iou_a"], 2),
        "rayiou": round(reference.rays["rayiou"], 2),
    }
    assert 0 < scores["miou"] < 99
    of_prior = total(each.prior for each in scored.values() if each.prior is not None)
    assert score_fields(of_prior, "prior_")["prior_iou"] == 0


def test_an_output_of_an_earlier_instant_fits_once_it_is_moved() -> None:
    """The vehicle drove 0.4 m between the output's stamp and the truth's."""
    truth_labels = torch.full((200, 200, 16), FREE_ID, dtype=torch.uint8)
    output = truth_labels.clone()
    truth_labels[120:140, 90:110, 3:8] = 4
    output[121:141, 90:110, 3:8] = 4
    everything = torch.ones(truth_labels.shape, dtype=torch.bool)
    drove = torch.eye(4, dtype=torch.float64)
    drove[0, 3] = 0.4

    class OneTruth:
        def __init__(self, output_from_truth: torch.Tensor) -> None:
            self.truth = KeyframeTruth(
                number=1,
                labels=Occ3dLabels(truth_labels, everything, everything),
                output_from_truth=output_from_truth,
                ray_origins=torch.tensor([[0.0, 0.0, 1.8]]),
            )

        def at(self, stamp_ns: int) -> KeyframeTruth | None:
            return self.truth if stamp_ns == 5 else None

    moved = score_outputs({5: output, 6: output}, OneTruth(drove), None)
    assert list(moved) == [5]
    assert torch.equal(moved[5].labels, truth_labels)
    assert moved[5].counts.headline().iou == pytest.approx(100)
    assert moved[5].prior is None
    unmoved = score_outputs({5: output}, OneTruth(torch.eye(4)), None)
    assert unmoved[5].counts.headline().iou == pytest.approx(100 * 19 / 21)
