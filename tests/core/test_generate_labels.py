"""training/generate_labels.py: what whole runs make, alone, in shares and in several processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gfocc_core.config import ImageConfig
from gfocc_core.data.augmentation import NO_AUGMENTATION
from gfocc_core.data.index_file import write_index
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.labelling.cli import main
from gfocc_core.labelling.devices import gpu_environments, run_per_device
from gfocc_core.labelling.progress import duration
from gfocc_core.labelling.protocols import LabellingError
from gfocc_core.labelling.share import Shard, chosen_positions
from tests.conftest import ROOT
from tests.core.label_commands import SCRIPT, LabelledDataset
from tests.nuscenes_fixture import SCENES, VERSION


@pytest.fixture
def dataset(tmp_path: Path) -> LabelledDataset:
    return LabelledDataset(tmp_path)


def test_both_kinds_are_made_joined_and_trained_on(
    dataset: LabelledDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    ramp = np.linspace(0, 250, 36)[:, None] + np.zeros(64)
    for camera in range(6):
        Image.fromarray(ramp.astype(np.uint8)).save(dataset.image(2, camera), quality=95)
    assert dataset.semantics("s") == 0
    assert dataset.depth("d") == 0
    both = str(dataset.root / "both")
    parts = ("--semantics", str(dataset.root / "s"), "--depth", str(dataset.root / "d"))
    assert main(["import", *parts, "--out", both], script=SCRIPT) == 0
    assert "6 keyframes written" in capsys.readouterr().out
    store = dataset.store("both")
    assert set(store.tokens()) == set(dataset.index.tokens)
    items = TrainingDataset(
        dataset.index,
        store,
        dataset.index.scenes,
        ImageConfig(height=16, width=32),
        NO_AUGMENTATION,
        history=0,
        horizon=0,
        renders=1,
    )
    item = items[2]
    assert item["label_valid"].tolist() == [True]
    # the network's class is the brightness of the pixel: labels lie on the image
    brightness = item["images"][0].float().mean(1) * 17 / 256
    assert (brightness - item["label_semantics"][0] - 0.5).abs().max() < 1
    assert (item["label_depth"] > 0).all()


def test_shards_share_the_work_without_overlap(dataset: LabelledDataset) -> None:
    index = dataset.index
    shares = [chosen_positions(index, (), Shard(number, 4)) for number in range(4)]
    assert sorted(position for share in shares for position in share) == list(range(6))
    for shard in (Shard(), Shard(1, 3)):
        parts = [chosen_positions(index, (), part) for part in shard.split(2)]
        assert sorted(parts[0] + parts[1]) == chosen_positions(index, (), shard)
    assert dataset.depth("d", "--shard", "1/2") == 0
    assert set(dataset.store("d").tokens()) == {index.tokens[number] for number in (1, 3, 5)}
    assert dataset.depth("d", "--shard", "0/2", "--scenes", SCENES[1]) == 0
    assert set(dataset.store("d").tokens()) == {index.tokens[n] for n in (1, 3, 5)} | {
        index.tokens[position] for position in list(index.positions_of_scene(SCENES[1]))[::2]
    }


def test_several_processes_are_started_and_their_exit_code_is_the_worst(
    dataset: LabelledDataset,
) -> None:
    command = [sys.executable, str(SCRIPT), *dataset.depth_arguments("d", "--devices", "2")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "depth 0/2: 3/3 keyframes" in done.stderr
    assert "depth 1/2: 3/3 keyframes" in done.stderr
    assert len(dataset.store("d").tokens()) == 6
    worse = [sys.executable, "-c", "import sys; sys.exit(sys.argv[-1] == '1/2')"]
    assert run_per_device(worse, Shard(), [{}, {}]) == 1


def test_a_keyframe_without_one_camera_has_no_labels_there(tmp_path: Path) -> None:
    dataset = LabelledDataset(tmp_path)
    table = dataset.dataroot / VERSION / "sample_data.json"
    records = json.loads(table.read_text())
    name = dataset.image(2, 3).relative_to(dataset.dataroot).as_posix()
    table.write_text(json.dumps([r for r in records if r["filename"] != name]))
    write_index(dataset.root / "index", *build_index(dataset.dataroot, VERSION))
    assert dataset.depth("d") == 0
    assert dataset.depth("whole") == 0
    labels = dataset.store("d").read(dataset.index.tokens[2])
    assert [bool(depth.any()) for depth in labels.depth] == [True] * 3 + [False] + [True] * 2


def test_the_raster_can_come_from_a_training_configuration(dataset: LabelledDataset) -> None:
    config = ROOT / "training/configs/tiny.yaml"
    assert dataset.depth("d", "--raster", str(config), "--shard", "0/6") == 0
    assert dataset.store("d").header.geometry.shape == (6, 128, 352)


def test_gpus_are_shared_out_among_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = gpu_environments({"CUDA_VISIBLE_DEVICES": "3,5,7"}, 2)
    assert shown == [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "5"}]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for environment in ({}, {"CUDA_VISIBLE_DEVICES": "3"}):
        with pytest.raises(LabellingError, match="devices is 2, but 1 GPUs are visible"):
            gpu_environments(environment, 2)


def test_durations_are_hours_minutes_seconds() -> None:
    assert duration(3 * 3600 + 7 * 60 + 9.4) == "3:07:09"
