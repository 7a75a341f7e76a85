"""The converter's benchmark: its numbers are those of the bags that it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gfocc_core.data.scenes import open_nuscenes
from gfocc_ros.bags.content import BagContent
from gfocc_ros.bags.conversion import convert_scene
from tests.conftest import ROOT
from tests.nuscenes_fixture import SCENES, NuscenesFixture, write_nuscenes

STORAGES = ["mcap", "sqlite3"]


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def dataset(tmp_path: Path) -> NuscenesFixture:
    return write_nuscenes(tmp_path / "nuscenes", SCENES[:1])


def test_every_way_is_reported_with_its_size_and_rate(
    dataset: NuscenesFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rosbag_conversion import main

    words = ["--dataroot", str(dataset.root), "--version", dataset.version, "--rounds", "1"]
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["storage"] for row in rows] == STORAGES * 3
    ways = [BagContent(), BagContent(keyframes_only=True), BagContent(("cameras",))]
    nusc = open_nuscenes(dataset.root, dataset.version)
    for number, (row, content) in enumerate(
        zip(rows, [way for way in ways for _ in STORAGES], strict=True)
    ):
        counts = convert_scene(
            nusc, SCENES[0], tmp_path / f"{number}", row["storage"], content=content
        )
        assert row["messages"] == sum(counts.values())
        assert row["scene_s"] == pytest.approx(1.043, abs=1e-3)  # From CAM_FRONT_LEFT's first on.
        assert row["real_time_factor"] == pytest.approx(row["scene_s"] / row["wall_s"])
        assert row["bytes_per_second"] == pytest.approx(row["bag_bytes"] / row["scene_s"])
    assert rows[0]["bag_bytes"] > rows[2]["bag_bytes"]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert table.count("mcap") == 3
    assert "x real time" in table


def test_bad_dataset_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rosbag_conversion import main

    assert main(["--dataroot", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("rosbag_conversion: error: dataroot")
