"""The inference benchmark: what it counts as agreement, and that it runs on a CPU."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "inference.py"


@pytest.fixture
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.mark.usefixtures("_benchmarks")
def test_agreement_counts_decisions_and_labels_apart() -> None:
    import inference

    plain = torch.tensor([17, 17, 3, 4, 5], dtype=torch.uint8)
    found = torch.tensor([17, 3, 3, 5, 17], dtype=torch.uint8)
    agreement = inference._agreement([found, plain], [plain, plain])
    assert agreement.occupied_or_free == pytest.approx(8 / 10)
    assert agreement.label_where_both_occupied == pytest.approx(4 / 5)
    assert agreement.occupied == pytest.approx(3 / 5)


@pytest.mark.usefixtures("_benchmarks")
def test_consecutive_frames_share_neither_image_nor_pose_and_keep_their_memory() -> None:
    from inference_stream import DIFFERENT_FRAMES, FrameStream

    stream = FrameStream(2, (9, 16))
    frames = [stream.frame(number) for number in range(DIFFERENT_FRAMES + 1)]
    for before, after in itertools.pairwise(frames):
        assert not torch.equal(before.images[0], after.images[0])
        moved = (after.global_from_ego - before.global_from_ego)[:3, 3].norm()
        assert float(moved) == pytest.approx(4.0, rel=0.01)
        assert 0 < after.stamp_ns - before.stamp_ns < 2e9
    assert torch.equal(frames[0].images[1], frames[-1].images[1])


def test_a_row_on_the_cpu(tmp_path: Path) -> None:
    checkpoint = ROOT / "assets" / "tiny_synthetic.safetensors"
    flags = ["--device", "cpu", "--checkpoint", str(checkpoint), "--images", "90x160", "--stages"]
    flags += ["--frames", "2", "--compared", "1", "--json", str(tmp_path / "report.json")]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *flags], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert row["way"] == "plain float32"
    assert 0 < row["times"]["median_ms"] <= row["times"]["p99_ms"]
    assert 0 < row["agreement"]["occupied"] < 1
    assert sum(row["stages_ms"].values()) < 2 * row["times"]["p99_ms"]
    assert "| 6 | plain float32 |" in done.stdout


@pytest.mark.usefixtures("_benchmarks")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--images", "900"], "must look like 900x1600, got 900"),
        (["--frames", "0"], "--frames must be positive, got 0"),
        (["--device", "cuda:99"], "device 'cuda:99' cannot be used"),
    ],
)
def test_bad_options_are_named(
    flags: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import inference

    monkeypatch.setattr(sys, "argv", ["inference.py", *flags])
    with pytest.raises(SystemExit, match="2"):
        inference.main()
    assert message in capsys.readouterr().err
