"""The command `python -m gfocc_core.synthetic`: its options and how it ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gfocc_core.data.index import SceneIndex
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.synthetic import VERSION
from gfocc_core.synthetic.__main__ import main
from gfocc_core.synthetic.keyframe import KeyframeMaker
from tests.core.street_dataset import use_the_street


@pytest.fixture(autouse=True)
def _hand_made_world(monkeypatch: pytest.MonkeyPatch) -> None:
    use_the_street(monkeypatch)


def test_another_rig_from_a_file(tmp_path: Path) -> None:
    camera = {"width": 640, "height": 400, "fx": 300, "fy": 300.0, "cx": 320.0, "cy": 200.0}
    mount = {"translation": [1.5, 0, 1.4], "rotation": [0.5, -0.5, 0.5, -0.5]}
    rig = {
        "cameras": [{"name": "nose", **camera, **mount}],
        "lidar": {"translation": [1.0, 0.0, 1.9], "rotation": [1.0, 0.0, 0.0, 0.0]},
    }
    path = tmp_path / "rig.yaml"
    path.write_text(yaml.safe_dump(rig))
    out = tmp_path / "d"
    options = ["--scenes=1", "--val_scenes=0", "--frames=1", "--height=40", "--width=96"]
    arguments = [f"--out={out}", f"--rig={path}", "--processes=1", *options]
    assert main(arguments) == 0
    index = SceneIndex(out, *build_index(out, VERSION))
    assert index.cameras == ("nose",)
    np.testing.assert_allclose(index.keyframe(0).cameras.intrinsics[0, 0, 0], 300 * 96 / 640)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--scene=3", "--scene=3"),
        ("--scenes=many", "scenes"),
        ("--scenes=-1", "scenes must be 0 to"),
        ("--height=4", "height must be 16 to 4096, got 4"),
        ("--rig=unicycle", "rig 'unicycle' is neither a file nor one of four_cameras, nuscenes"),
        ("--label_noise.strength=-1", "label_noise.strength must be 0 or more, got -1"),
        ("--world.max_slope=2", "max_slope must lie in"),
        ("--label_stores=[perfect]", "label_stores"),
        ("--config=missing.yaml", "missing.yaml"),
    ],
)
def test_bad_options_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, message: str
) -> None:
    try:
        code: Any = main([f"--out={tmp_path / 'd'}", option])
    except SystemExit as end:
        code = end.code
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "d").exists()


def test_options_override_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"scenes": 1, "val_scenes": 0, "frames": 7, "seed": 5}))
    size = ["--height=32", "--width=88", "--processes=1", "--label_stores=[exact]"]
    assert main([f"--config={file}", f"--out={tmp_path / 'd'}", "--frames=1", *size]) == 0
    settings = json.loads((tmp_path / "d" / "dataset.json").read_text())["config"]
    assert (settings["frames"], settings["seed"]) == (1, 5)
    assert os.listdir(tmp_path / "d" / "weak_labels") == ["exact"]


def test_ctrl_c_ends_with_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: KeyframeMaker, number: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(KeyframeMaker, "make", interrupt)
    assert main([f"--out={tmp_path / 'd'}", "--frames=1", "--processes=1"]) == 130
