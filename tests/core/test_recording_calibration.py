"""calibration.yaml: what is read, and what is refused by file and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from gfocc_core.data.recording_calibration import read_calibration, write_calibration
from gfocc_core.data.scenes import DatasetError
from gfocc_core.geometry import transform_from, transform_points
from tests.core.recording_fixture import CAMERAS, cameras

ONE: dict[str, Any] = {
    "name": "front",
    "width": 1280,
    "height": 720,
    "intrinsics": {"fx": 640.0, "fy": 641, "cx": 639.5, "cy": 360.5},
    "vehicle_from_camera": {
        "translation": {"x": 1.9, "y": 0, "z": 1.35},
        "rotation": {"x": -0.5, "y": 0.5, "z": -0.5, "w": 0.5},
    },
}


def changed(**values: Any) -> dict[str, Any]:
    return {"cameras": [ONE | values]}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_a_camera_is_read_with_its_pinhole_matrix_and_its_pose(tmp_path: Path) -> None:
    (camera,) = read_calibration(write(tmp_path / "c.yaml", changed(distortion="none")))
    assert camera.image_size == (720, 1280)
    assert camera.matrix.tolist() == [[640, 0, 639.5], [0, 641, 360.5], [0, 0, 1]]
    pose = torch.from_numpy(camera.pose)
    ahead = torch.tensor([[0.0, 0.0, 10.0], [0.0, 1.0, 10.0]], dtype=torch.float64)
    in_vehicle = transform_points(transform_from(pose[:3], pose[3:]), ahead)
    expected = [[11.9, 0.0, 1.35], [11.9, 0.0, 0.35]]  # the camera's y is down
    torch.testing.assert_close(in_vehicle, torch.tensor(expected, dtype=torch.float64))
    assert not camera.looks_steeply


def test_the_matrix_may_be_given_instead_of_four_numbers(tmp_path: Path) -> None:
    rows = [[640, 0, 639.5], [0, 641, 360.5], [0, 0, 1]]
    content = changed(intrinsics=rows, distortion=[0, 0, 0, 0, 0])
    (camera,) = read_calibration(write(tmp_path / "c.yaml", content))
    assert camera.matrix.tolist() == rows


def test_a_pose_of_the_cameras_body_is_noticed(tmp_path: Path) -> None:
    mount = ONE["vehicle_from_camera"] | {"rotation": {"x": 0, "y": 0, "z": 0, "w": 1}}
    (camera,) = read_calibration(write(tmp_path / "c.yaml", changed(vehicle_from_camera=mount)))
    assert camera.looks_steeply


def test_what_is_written_is_read_alike_and_in_the_same_order(tmp_path: Path) -> None:
    write_calibration(tmp_path / "c.yaml", cameras())
    found = read_calibration(tmp_path / "c.yaml")
    assert [camera.name for camera in found] == list(CAMERAS)
    for camera, written in zip(found, cameras(), strict=True):
        assert np.array_equal(camera.matrix, written.matrix)
        assert np.array_equal(camera.pose, written.pose)


def mounted(**rotation: float) -> dict[str, Any]:
    mount = ONE["vehicle_from_camera"]
    return changed(vehicle_from_camera=mount | {"rotation": mount["rotation"] | rotation})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cameras: [", "is not YAML"),
        ({}, "missing required field `cameras`"),
        ({"cameras": []}, "cameras is empty"),
        ({"cameras": [ONE, ONE]}, r"cameras\[1\].name 'front' is given to two cameras"),
        (changed(name="../up"), r"cameras\[0\].name must be letters"),
        (changed(width=0), r"cameras\[0\] \(front\).width must be positive, got 0"),
        (changed(height="high"), r"Expected `int`, got `str` - at `cameras\[0\].height`"),
        (changed(heigth=3), "unknown field `heigth`"),
        (changed(intrinsics={"fx": 1.0}), r"`fy` - at `cameras\[0\].intrinsics`"),
        (changed(intrinsics=[[1.0, 0, 0]]), "must be fx, fy, cx, cy or 3 rows of 3"),
        (changed(intrinsics=[[1, 0, 5], [0, 1, 5], [0, 0, 2]]), "0 0 1 in the last row"),
        (
            changed(intrinsics={"fx": -1.0, "fy": 1.0, "cx": 0.0, "cy": 0.0}),
            "positive focal lengths",
        ),
        (
            changed(intrinsics={"fx": float("nan"), "fy": 1.0, "cx": 0.0, "cy": 0.0}),
            "must be finite",
        ),
        (mounted(w=0.9), r"rotation must be a unit quaternion, its length is 1\.2"),
        (mounted(w=float("inf")), "rotation must be a unit quaternion"),
        (changed(distortion=[0.1, 0.0, 0.0, 0.0]), r"\(front\).distortion must be none"),
        (changed(distortion="plumb_bob"), "bag_to_recording rectifies"),
    ],
)
def test_what_is_wrong_is_named(content: Any, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "calibration.yaml", content)
    with pytest.raises(DatasetError, match=message) as caught:
        read_calibration(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"calibration .*none\.yaml' cannot be read"):
        read_calibration(tmp_path / "none.yaml")
