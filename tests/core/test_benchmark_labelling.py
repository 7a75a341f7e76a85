"""The labelling benchmark runs every stage of real networks on a CPU, and refuses bad arguments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.core.small_networks import specification

SCRIPT = ROOT / "benchmarks" / "labelling.py"


def test_every_stage_is_measured(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    words = tmp_path / "words.yaml"
    words.write_text("classes: [none, car]\nphrases: {car: car, bus: car}\n")
    models = []
    for role, name in (("detector", "grounding-dino-hf"), ("segmenter", "sam-hf")):
        models += [f"--{role}", specification(name, tmp_path / role)]
    models += ["--depth", "tests.core.label_plugins:random_depth"]
    report = tmp_path / "report.json"
    options = ["--images", "90x160", "--cameras", "2", "--boxes", "3", "--repeats", "2"]
    options += ["--vocabulary", str(words), "--json", str(report), "--device", "cpu"]
    command = [sys.executable, str(SCRIPT), *models, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = json.loads(report.read_text())["rows"]
    stages = ["detect 2 phrases", "encode", "segment 3 boxes", "depth"]
    assert [row["stage"] for row in rows] == stages
    for row in rows:
        assert row["times"]["runs"] == 2
        assert row["images_per_s"] == pytest.approx(2000 / row["times"]["median_ms"])
        assert row["peak_mib"] > 50
        assert row["network"] in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --detector, --segmenter or --depth"),
        (("--depth", "x:y", "--cameras", "0"), "--cameras must be positive, got 0"),
        (("--depth", "nobody"), "depth 'nobody' is neither"),
        (("--depth", "x:y", "--keyframe", "/nowhere"), "has no samples/CAM_"),
    ],
)
def test_a_bad_argument_is_named(
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import labelling

    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--device", "cpu", *arguments])
    with pytest.raises(SystemExit) as stop:
        labelling.main()
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
