"""The voxel prior and the untrained network go through the same evaluation as a trained one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gfocc_core.config import ConfigError
from gfocc_core.data.occ3d import Occ3dLabels, occ3d_path
from gfocc_core.data.scenes import keyframe_tokens, open_nuscenes, scene_names
from gfocc_core.grid import VoxelGrid
from gfocc_core.training.baselines import untrained_predictor
from gfocc_core.training.evaluate_cli import main as evaluate
from gfocc_core.training.prior_cli import main as make_prior
from gfocc_core.training.voxel_prior import VoxelPrior
from tests.nuscenes_fixture import VERSION, write_nuscenes

ROAD, CAR, FREE = 11, 4, 17


def truth(labels: list[int], seen: list[bool]) -> Occ3dLabels:
    """A row of voxels."""
    semantics = torch.tensor(labels, dtype=torch.uint8).view(-1, 1, 1)
    mask = torch.tensor(seen).view(-1, 1, 1)
    return Occ3dLabels(semantics, ~mask, mask)


def test_the_most_frequent_label_where_cameras_look_wins() -> None:
    prior = VoxelPrior(VoxelGrid(shape=(5, 1, 1)))
    yes, no = True, False
    prior.add(truth([ROAD, ROAD, CAR, CAR, FREE], [yes, yes, yes, no, yes]))
    prior.add(truth([ROAD, CAR, CAR, CAR, FREE], [yes, no, yes, no, yes]))
    prior.add(truth([FREE, CAR, ROAD, CAR, CAR], [yes, no, yes, no, yes]))
    assert prior.labels().ravel().tolist() == [ROAD, ROAD, CAR, FREE, FREE]
    assert prior.labels().dtype == np.uint8


def test_of_several_equally_frequent_ids_the_lowest_is_taken() -> None:
    prior = VoxelPrior(VoxelGrid(shape=(1, 1, 1)))
    prior.add(truth([ROAD], [True]))
    prior.add(truth([CAR], [True]))
    assert prior.labels().item() == CAR


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes of one keyframe with a slab of road and one of cars; splits `one` and `two`."""
    root = tmp_path_factory.mktemp("prior") / "data"
    write_nuscenes(root, keyframes=1, sweeps=0)
    nusc = open_nuscenes(root, VERSION)
    scenes = scene_names(nusc)
    for number, scene in enumerate(scenes):
        semantics = np.full((200, 200, 16), FREE, np.uint8)
        semantics[:, :, 2] = ROAD
        semantics[60 + 20 * number : 120, 90:110, 3:6] = CAR
        mask = np.ones(semantics.shape, bool)
        path = occ3d_path(root, scene, keyframe_tokens(nusc, scene)[0])
        path.parent.mkdir(parents=True)
        np.savez_compressed(path, semantics=semantics, mask_lidar=mask, mask_camera=mask)
    splits = {"one": scenes[:1], "two": scenes[1:]}
    (root / VERSION / "splits.json").write_text(json.dumps(splits))
    return root


def common(dataset: Path) -> list[str]:
    return ["--dataroot", str(dataset), "--version", VERSION]


def test_a_prior_is_made_of_one_split_and_scored_on_another(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, scores = tmp_path / "assets" / "prior.npz", tmp_path / "scores.json"
    assert make_prior([*common(dataset), "--split", "one", "--out", str(path)]) == 0
    assert "1 keyframes of 1 scenes" in capsys.readouterr().out
    options = [*common(dataset), "--prior", str(path), "--json", str(scores), "--device", "cpu"]
    assert evaluate([*options, "--split", "one"]) == 0
    assert json.loads(scores.read_text())["miou_a"] == pytest.approx(100)
    assert evaluate([*options, "--split", "two"]) == 0
    of_two = json.loads(scores.read_text())
    assert of_two["per_class_a"][CAR] == pytest.approx(100 * 40 / 60)
    assert of_two["per_class_a"][ROAD] == pytest.approx(100)
    assert of_two["miou_dynamic"] == of_two["per_class_a"][CAR]
    assert of_two["miou_static"] == of_two["per_class_a"][ROAD]
    assert 0 < of_two["rayiou"] < 100


def test_an_untrained_network_is_scored(dataset: Path, tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(
        "network:\n  model: {backbone: resnet10t, channels: 16, heads: 2, points: 2, blocks: 1,\n"
        "    inducing_points: 8, gaussians: 40}\n  image: {height: 32, width: 64}\n"
    )
    scores = tmp_path / "scores.json"
    options = ["--untrained", str(config), "--device", "cpu", "--json", str(scores)]
    assert evaluate([*common(dataset), *options]) == 0
    found = json.loads(scores.read_text())
    assert found["keyframes"] == 2
    assert found["iou_b"] < 20


def test_random_weights_are_the_same_every_time() -> None:
    first, second = (untrained_predictor("tiny", "cpu").network.initial_means for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        ("network: [1, 2]", "must hold `network` with named values"),
        ("- a\n- b", "must hold `network` with named values"),
        ("network: {model: {width: 3}}", "width"),
        ("network: {model: [", "is not YAML"),
    ],
)
def test_a_bad_network_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        untrained_predictor(str(path), "cpu")


def test_a_name_that_is_no_preset_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'huge' is neither a preset \(paper, tiny\) nor"):
        untrained_predictor("huge", "cpu")


def test_bad_input_is_named(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "prior.npz")
    assert make_prior([*common(dataset), "--split", "three", "--out", out]) == 2
    assert "split 'three' has no scene in this dataset, which has: one," in (
        capsys.readouterr().err
    )
    assert evaluate([*common(dataset), "--prior", out]) == 2
    assert f"prior '{out}' is missing" in capsys.readouterr().err
    Path(out).write_bytes(b"no archive")
    assert evaluate([*common(dataset), "--prior", out]) == 2
    assert f"prior '{out}' cannot be read" in capsys.readouterr().err
