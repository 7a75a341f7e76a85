"""Ablations: each variant changes one thing, the command trains, skips, refuses and tabulates."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from gfocc_core.config import preset
from gfocc_core.training.config import DataConfig, RunConfig, TrainingConfig
from gfocc_core.training.losses import LossConfig
from tests.conftest import ROOT
from tests.core.trainable_fixture import as_flags, write_trainable


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


BASE = TrainingConfig(
    DataConfig(Path("d"), Path("i"), Path("l")),
    RunConfig(Path("o")),
    preset("tiny"),
    LossConfig(empty_weight=0.1),
)


def leaves(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    return {
        k: v for name, value in values.items() for k, v in leaves(value, f"{prefix}.{name}").items()
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", {}),
        ("no_flow", {".use_flow": False}),
        ("no_temporal_attention", {".network.model.temporal_attention": False, ".data.history": 0}),
        ("no_depth", {".loss.depth_weight": 0, ".loss.empty_weight": 0}),
        ("gaussians_half", {".network.model.gaussians": 1200}),
        ("gaussians_2x", {".network.model.gaussians": 4800}),
        ("gaussians_4x", {".network.model.gaussians": 9600}),
    ],
)
@pytest.mark.usefixtures("benchmarks")
def test_a_variant_changes_what_its_name_says(name: str, expected: dict[str, Any]) -> None:
    from ablation_variants import VARIANTS

    before, after = leaves(asdict(BASE)), leaves(asdict(VARIANTS[name].change(BASE)))
    assert {k: v for k, v in after.items() if v != before[k]} == expected


@pytest.mark.usefixtures("benchmarks")
def test_every_run_has_the_same_steps_and_no_validation(tmp_path: Path) -> None:
    from ablations import Ablations

    ablations = Ablations(replace(BASE, run=replace(BASE.run, epochs=3)), tmp_path, 700)
    configs = [ablations.config_of(name) for name in ("full", "no_flow")]
    assert [config.run.max_steps for config in configs] == [700, 700]
    assert [config.data.val_split for config in configs] == [None, None]
    assert configs[0].run.out != configs[1].run.out


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("ablations")
    return ["--out", str(root / "out"), "--jobs", "2", *as_flags(write_trainable(root))]


def ablate(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "ablations.py"), *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_variants_are_trained_once_scored_and_tabulated(flags: list[str]) -> None:
    out = Path(flags[1])
    two = ["--steps", "2", "--variants", "full", "no_temporal_attention"]
    done = ablate(*flags, *two)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((out / "ablations.json").read_text())
    assert [result["variant"] for result in results] == ["full", "no_temporal_attention"]
    assert all(result["steps"] == 2 and result["frame_ms"] > 0 for result in results)
    table = (out / "ablations.md").read_text()
    assert "| full | " in table
    assert f"| {results[1]['iou_a']:.2f} |" in table
    weights = [out / result["variant"] / "run" / "last.safetensors" for result in results]
    before = [path.stat().st_mtime_ns for path in weights]

    (out / "full" / "result.json").unlink()
    again = ablate(*flags, *two)
    assert again.returncode == 0, again.stderr
    assert "full: training" in again.stdout
    assert "no_temporal_attention: training" not in again.stdout
    assert [path.stat().st_mtime_ns for path in weights] == before
    rerun = json.loads((out / "ablations.json").read_text())
    assert rerun[0]["miou_a"] == results[0]["miou_a"]

    other = ablate(*flags, "--steps", "3", "--variants", "full")
    assert other.returncode == 2
    assert "is of another configuration; use another --out" in other.stderr


@pytest.mark.slow
def test_a_variant_that_fails_is_named_and_the_others_go_on(
    flags: list[str], tmp_path: Path
) -> None:
    broken = ["--loss.semantic_weight=1e39", "--steps", "1", "--variants", "full"]
    done = ablate(*flags, *broken, "--out", str(tmp_path))
    assert done.returncode == 1
    assert "full: failed (2)" in done.stdout
    assert "loss is not finite" in done.stdout
    assert not (tmp_path / "ablations.md").exists()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--steps", "0"], "--steps and --jobs must be at least 1"),
        (["--steps", "1", "--variants", "no_wheels"], "no_wheels"),
        (["--steps", "1", "--data.val_split=null"], "data.val_split must name"),
    ],
)
@pytest.mark.usefixtures("benchmarks")
def test_bad_input_is_named(
    flags: list[str], extra: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from ablations import main

    try:
        code: object = main([*flags, *extra])
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    assert message in capsys.readouterr().err
