"""From nothing to a scored checkpoint with a model card, with the commands of the README."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SMALL = {
    "network.model.backbone": "resnet10t",
    "network.model.channels": 16,
    "network.model.heads": 2,
    "network.model.gaussians": 300,
    "network.image.height": 32,
    "network.image.width": 96,
    "pretrained_backbone": "false",
    "data.history": 1,
    "data.renders": 2,
    "data.batch_size": 1,
    "data.workers": 0,
    "run.accelerator": "cpu",
    "run.precision": "32-true",
    "run.max_steps": 6,
}


def run(*command: object) -> None:
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_generated_world_trains_scores_and_describes_a_checkpoint(tmp_path: Path) -> None:
    data, index, prior = tmp_path / "data", tmp_path / "index", tmp_path / "prior.npz"
    run(
        *("-m", "gfocc_core.synthetic", "--out", data, "--scenes", 1, "--val_scenes", 1),
        *("--frames", 3, "--seed", 4, "--height", 32, "--width", 96),
    )
    dataset = ("--dataroot", data, "--version", "v1.0-synthetic")
    run("training/index_nuscenes.py", *dataset, "--out", index)
    places = {
        "data.dataroot": data,
        "data.index": index,
        "data.labels": data / "weak_labels" / "degraded",
        "run.out": tmp_path / "run",
    }
    options = [f"--{name}={value}" for name, value in {**SMALL, **places}.items()]
    run("training/train.py", "--config", "training/configs/synthetic_tiny.yaml", *options)
    run("training/make_prior.py", *dataset, "--split", "synthetic_train", "--out", prior)
    sources = {
        "model": ("--checkpoint", tmp_path / "run" / "last.safetensors"),
        "prior": ("--prior", prior),
        "untrained": ("--untrained", "training/configs/synthetic_tiny.yaml"),
    }
    scored: list[object] = []
    for name, source in sources.items():
        path = tmp_path / f"{name}.json"
        flags = ("--split", "synthetic_val", "--device", "cpu", "--json", path)
        run("training/evaluate.py", *dataset, *flags, *source)
        scored += [f"--{name}", path]
    card = tmp_path / "card.md"
    run(
        *("training/write_model_card.py", "--checkpoint", sources["model"][1], *scored),
        *("--summary", tmp_path / "run" / "summary.json", "--data", data / "dataset.json"),
        *("--title", "Small", "--description", "A test.", "--out", card),
    )
    record = json.loads(card.with_suffix(".json").read_text())
    assert {name: scores["keyframes"] for name, scores in record["scores"].items()} == {
        "model": 3,
        "prior": 3,
        "untrained": 3,
    }
    assert [run["steps"] for run in record["training"]] == [6]
    assert record["data"]["config"]["seed"] == 4
    assert record["scores"]["prior"]["per_class_a"][11] > 5  # there is a road ahead
    assert str(tmp_path) not in card.read_text() + card.with_suffix(".json").read_text()
