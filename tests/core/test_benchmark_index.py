"""The index benchmark: its tables are nuScenes', and a small run measures what it says."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gfocc_core.data.frames import NUSCENES_CAMERAS
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.nuscenes_index import build_index
from tests.conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "index.py"


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("generated_tables")


def test_tables_have_trainvals_proportions(tables: ModuleType, tmp_path: Path) -> None:
    # trainval: 850 scenes, 34149 samples, 2631083 records of sensor data
    longer = tables.TRAINVAL_SAMPLES % tables.TRAINVAL_SCENES
    assert 40 * 850 + longer == 34_149
    assert pytest.approx(2_631_083, rel=0.01) == tables.TRAINVAL_SAMPLES * tables.RECORDS_PER_SAMPLE
    counts = tables.write_tables(tmp_path, 2)
    assert vars(counts) == {"scenes": 2, "samples": 82, "sample_data": 82 * 77}
    folder = tmp_path / tables.TABLES_VERSION
    records = {path.stem: json.loads(path.read_text()) for path in folder.iterdir()}
    assert len(records["sample_data"]) == len(records["ego_pose"]) == 82 * 77
    assert sum(record["is_key_frame"] for record in records["sample_data"]) == 82 * 12
    for name, found in records.items():
        assert len({record["token"] for record in found}) == len(found), name
    index = SceneIndex(tmp_path, *build_index(tmp_path, tables.TABLES_VERSION))
    assert index.scenes == ("scene-0001", "scene-0002")
    assert index.cameras == NUSCENES_CAMERAS
    assert len(index) == 82
    keyframe = index.keyframe(81)
    assert None not in keyframe.camera_files
    assert keyframe.image_sizes == ((900, 1600),) * 6


def test_a_small_run_measures_every_step(tmp_path: Path) -> None:
    flags = ["--scenes", "1", "--json", "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *flags], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr  # 1: too slow on a busy machine
    result = json.loads(done.stdout)
    assert (result["scenes"], result["samples"]) == (1, 41)
    for name in ("build_seconds", "write_seconds", "load_seconds", "access_milliseconds"):
        assert 0 < result[name] < 600
    assert result["index_megabytes"] < result["table_megabytes"]
    assert result["program_megabytes"] <= result["peak_megabytes"]
    assert not list(tmp_path.iterdir())


def test_bad_options_are_named(tmp_path: Path) -> None:
    for flags, message in (
        (["--scenes", "0"], "--scenes must be at least 1, got 0"),
        (["--folder", str(tmp_path / "nowhere")], "nowhere"),
    ):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *flags], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert message in done.stderr.splitlines()[-1]
