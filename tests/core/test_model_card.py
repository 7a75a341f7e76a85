"""The model card holds what was measured, for all three rows, and refuses half a record."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gfocc_core.report.model_card import HEADLINES, model_card
from gfocc_core.taxonomy import CLASS_NAMES
from tests.conftest import ROOT


def scores(offset: float) -> dict[str, Any]:
    """Made-up scores in which every number tells where it belongs."""
    values: dict[str, Any] = {field: offset + n for n, (_, field) in enumerate(HEADLINES)}
    values |= {"keyframes": 40, "classes": CLASS_NAMES, "moving_voxels": 7}
    values["per_class_a"] = [None, *(offset + 0.01 * n for n in range(1, 18))]
    values["per_class_b"] = [offset + 0.5 + 0.01 * n for n in range(18)]
    values["rayiou_per_class"] = [
        [offset + 0.2 * t + 0.01 * n for n in range(17)] for t in range(3)
    ]
    return values


def summary(**config: Any) -> dict[str, Any]:
    """A run's summary; config: what differs."""
    return {
        "steps": 3000,
        "batch": 8,
        "minutes": 12.345,
        "device": "GPU X",
        "processes": 1,
        "date": "2025-01-02",
        "torch": "2.9",
        "config": {
            "data": {"dataroot": "/secret/place", "batch_size": 8},
            "run": {"out": "/secret/out", "seed": 3},
            "use_flow": True,
            **config,
        },
    }


@pytest.fixture
def record() -> dict[str, Any]:
    return {
        "title": "A tiny network",
        "description": "Not for roads.",
        "checkpoint": {"file": "tiny.safetensors", "bytes": 8_192_008, "sha256": "ab12"},
        "training": [summary()],
        "data": {
            "seed": 17,
            "out": "/secret/data",
            "world": {"length": 5.5, "note": "a|b", "cameras": [{"fx": 1}] * 6},
        },
        "scores": {"model": scores(50), "prior": scores(20), "untrained": scores(1)},
    }


def row_of(card: str, name: str) -> list[str]:
    (line,) = [line for line in card.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_each_row_has_its_own_scores(record: dict[str, Any]) -> None:
    card = model_card(record)
    assert row_of(card, "this checkpoint") == [f"{50 + n:.2f}" for n in range(len(HEADLINES))]
    assert row_of(card, "voxel prior")[0] == "20.00"
    assert row_of(card, "same network, untrained")[4] == "5.00"
    assert "mIoU A 2.5 times and RayIoU 2.2 times" in card
    car = row_of(card, "car")
    assert car[:3] == ["50.04", "20.04", "1.04"]
    assert car[3:6] == ["50.54", "20.54", "1.54"]
    assert car[6:] == ["50.24", "20.24", "1.24"]
    assert row_of(card, "others")[:3] == ["-", "-", "-"]


def test_data_and_training_are_told_and_local_paths_are_not(record: dict[str, Any]) -> None:
    card = model_card(record)
    assert row_of(card, "minutes") == ["12.3"]
    assert "| world.length | 5.5 |" in card
    assert "a\\|b" in card
    assert "| world.cameras | 6, see the record |" in card
    assert "8.2 MB" in card
    assert "secret" not in card
    assert json.loads(card.split("```json")[1].split("```")[0])["data"] == {"batch_size": 8}


def test_runs_in_a_row_stand_side_by_side_and_tell_what_changed(record: dict[str, Any]) -> None:
    record["training"].append({**summary(initial_weights="w", use_flow=False), "minutes": 4.0})
    card = model_card(record)
    assert row_of(card, "minutes") == ["12.3", "4.0"]
    changes = card.split("Run 2 differs")[1]
    assert "| use_flow | True -> False |" in changes
    assert "batch_size" not in changes


def test_a_model_without_a_score_to_compare_says_so(record: dict[str, Any]) -> None:
    for field in ("miou_a", "rayiou"):
        record["scores"]["prior"][field] = None
    assert "Against the prior: not comparable." in model_card(record)


@pytest.mark.parametrize(
    ("section", "field"), [("training", "minutes"), ("checkpoint", "sha256"), ("scores", "prior")]
)
def test_a_missing_part_is_named(record: dict[str, Any], section: str, field: str) -> None:
    broken = copy.deepcopy(record)
    part = broken[section]
    del (part[0] if isinstance(part, list) else part)[field]
    with pytest.raises(ValueError, match=f"lacks '{field}'"):
        model_card(broken)


@pytest.fixture(scope="module")
def command() -> ModuleType:
    path = ROOT / "training" / "write_model_card.py"
    spec = importlib.util.spec_from_file_location("write_model_card", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arguments(record: dict[str, Any], folder: Path) -> list[str]:
    (folder / "tiny.safetensors").write_bytes(b"weights")
    parts = {"summary": record["training"][0], "data": record["data"], **record["scores"]}
    flags = ["--checkpoint", str(folder / "tiny.safetensors"), "--title", "T"]
    flags += ["--description", "D", "--out", str(folder / "card.md")]
    for name, content in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
        flags += [f"--{name}", str(folder / f"{name}.json")]
    return flags


def test_the_command_writes_the_card_and_its_record(
    command: ModuleType, record: dict[str, Any], tmp_path: Path
) -> None:
    assert command.main(arguments(record, tmp_path)) == 0
    written = json.loads((tmp_path / "card.json").read_text())
    assert written["checkpoint"]["bytes"] == 7
    assert (tmp_path / "card.md").read_text() == model_card(written)
    assert "secret" not in (tmp_path / "card.json").read_text()


def test_a_file_that_is_no_json_is_named_and_nothing_is_written(
    command: ModuleType, record: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = arguments(record, tmp_path)
    (tmp_path / "prior.json").write_text("{")
    assert command.main(flags) == 2
    assert f"'{tmp_path / 'prior.json'}' is not JSON" in capsys.readouterr().err
    assert not (tmp_path / "card.md").exists()
