"""The shipped configurations say what their names promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from gfocc_core.config import preset
from gfocc_core.training.cli import _config, training_parser
from gfocc_core.training.config import TrainingConfig
from gfocc_core.training.imagenet_weights import BACKBONE, normalises_as_trained
from gfocc_core.training.losses import LossConfig
from gfocc_core.training.schedule import OptimizerConfig
from tests.conftest import ROOT

GIVEN = ["--data.dataroot=d", "--data.index=i", "--data.labels=l", "--run.out=o"]


def read(name: str, *options: str) -> TrainingConfig:
    parser = training_parser()
    path = ROOT / "training" / "configs" / name
    arguments = parser.parse_args([f"--config={path}", *GIVEN, *options])
    arguments.pop("resume")
    return _config(parser, arguments)


def test_the_papers_run_has_the_papers_values() -> None:
    config = read("paper.yaml")
    assert config.network == preset("paper")
    assert config.loss == LossConfig()
    assert config.optimizer == OptimizerConfig()
    assert (config.run.epochs, config.run.devices, config.data.batch_size) == (18, 4, 4)
    assert (config.data.history, config.data.horizon, config.data.renders) == (5, 6, 7)


def test_without_depth_only_the_depth_weight_differs() -> None:
    with_depth, without = read("paper.yaml"), read("paper_no_depth.yaml")
    assert without.loss.depth_weight == 0
    assert without.network == with_depth.network
    assert without.optimizer == with_depth.optimizer
    assert without.data == with_depth.data


def test_tiny_is_the_preset_of_that_name() -> None:
    assert read("tiny.yaml").network == preset("tiny")


def test_the_synthetic_run_starts_from_imagenet_and_reads_degraded_labels_of_its_own_splits() -> (
    None
):
    config = read("synthetic_tiny.yaml")
    assert config.pretrained_backbone
    assert config.network.model.backbone == BACKBONE
    assert normalises_as_trained(config.network.image)
    assert (config.network.image.height, config.network.image.width) == (128, 352)
    assert (config.data.train_split, config.data.val_split) == ("synthetic_train", "synthetic_val")
    assert config.loss.occupancy_weight == 0
    assert config.run.export_precision == "float16"


def test_options_override_the_file() -> None:
    config = read("paper.yaml", "--optimizer.learning_rate=0.5", "--data.augmentation.crop=0")
    assert config.optimizer.learning_rate == 0.5
    assert config.data.augmentation.crop == 0
    assert config.data.dataroot == Path("d")


@pytest.mark.parametrize(
    "name", ["paper.yaml", "paper_no_depth.yaml", "tiny.yaml", "synthetic_tiny.yaml"]
)
def test_paths_must_be_given(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "training" / "configs" / name
    with pytest.raises(SystemExit) as exit_:
        training_parser().parse_args([f"--config={path}"])
    assert exit_.value.code == 2
    assert "data" in capsys.readouterr().err
