"""The latency benchmark: random weights fill the clouds as asked, and what it cannot do is told."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gfocc_core.config import preset
from gfocc_core.inference import InferenceConfig
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.taxonomy import FREE_ID
from tests.conftest import ROOT

CPU = torch.device("cpu")
SIZE = (90, 160)


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.mark.parametrize("voxels", [2_000, 20_000])
def test_random_weights_occupy_as_many_voxels_as_asked_for(tmp_path: Path, voxels: int) -> None:
    from inference_stream import FrameStream
    from ros_latency_network import write_random_checkpoint

    path, stream = tmp_path / "random.safetensors", FrameStream(2, SIZE)
    threshold = write_random_checkpoint(
        path, preset("tiny"), voxels, stream, CPU, InferenceConfig()
    )
    predictor = OccupancyPredictor.from_checkpoint(path, CPU)
    occupancy = replace(predictor.config.occupancy, threshold=threshold)
    predictor.config = replace(predictor.config, occupancy=occupancy)
    found = [predictor.predict(stream.frame(number)).labels for number in range(4)]
    counts = [int((labels != FREE_ID).sum()) for labels in found]
    assert sum(counts[1:]) / 3 == pytest.approx(voxels, rel=0.01)


def test_more_voxels_than_the_weights_ever_occupy_are_refused() -> None:
    from inference_stream import FrameStream
    from ros_latency_network import threshold_for

    predictor = OccupancyPredictor.from_config(preset("tiny"), CPU)
    with pytest.raises(ValueError, match=r"--voxels 640001: the random weights occupy \d+ at the"):
        threshold_for(predictor, 640_001, FrameStream(2, SIZE))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--checkpoint", "x.safetensors", "--voxels", "5"), "--voxels is for random weights"),
        (("--voxels", "0"), "--voxels must be positive, got 0"),
        (("--tf-rate", "0"), "--tf-rate must be positive, got 0.0"),
        (("--image-age", "-1"), "--image-age must be >= 0, got -1.0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    import ros_latency

    monkeypatch.setattr(sys, "argv", ["ros_latency.py", "--device", "cpu", *words])
    with pytest.raises(SystemExit):
        ros_latency.main()
    assert told in capsys.readouterr().err
