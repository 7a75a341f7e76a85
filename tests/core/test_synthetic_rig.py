"""The rigs of the synthetic world: mounts, calibration, sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gfocc_core.config import ImageConfig
from gfocc_core.preprocess import place_image
from gfocc_core.synthetic.rig import RIGS, CameraSpec, ego_from_sensor, intrinsics_of

NUSCENES = RIGS["nuscenes"]
FRONT = NUSCENES.cameras[1]


def test_nuscenes_cameras_stand_in_the_projects_order_and_look_where_their_names_say() -> None:
    yaws = {
        camera.name: np.degrees(np.arctan2(*ego_from_sensor(camera)[[1, 0], 2]))
        for camera in NUSCENES.cameras
    }
    assert list(yaws) == [
        *("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"),
        *("CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"),
    ]
    expected = np.array([55, 0, -55, 108, 180, -110])
    difference = (np.array(list(yaws.values())) - expected + 180) % 360 - 180
    assert np.abs(difference).max() < 3


@pytest.mark.parametrize("name", sorted(RIGS))
def test_mounts_are_rigid_and_images_upright(name: str) -> None:
    for camera in RIGS[name].cameras:
        mount = ego_from_sensor(camera)
        np.testing.assert_allclose(mount[:3, :3] @ mount[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(mount[:3, :3]) == pytest.approx(1)
        assert mount[2, 1] < -0.99, "the image's y axis points down"
        assert 0.8 < mount[2, 3] < 2


def test_the_four_cameras_look_along_the_axes() -> None:
    axes = [ego_from_sensor(camera)[:3, 2] for camera in RIGS["four_cameras"].cameras]
    np.testing.assert_allclose(axes, [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], atol=1e-9)


@pytest.mark.parametrize("name", sorted(RIGS))
@pytest.mark.parametrize("size", [(256, 704), (128, 352), (480, 480), (90, 400)])
def test_resized_cameras_agree_with_the_networks_preprocessing(
    name: str, size: tuple[int, int]
) -> None:
    """Rendering at a size gives the geometry of rendering in full and preprocessing to it."""
    height, width = size
    for camera, small in zip(
        RIGS[name].cameras, RIGS[name].at_size(height, width).cameras, strict=True
    ):
        assert (small.height, small.width) == size
        place = place_image((camera.height, camera.width), ImageConfig(height=height, width=width))
        affine = np.diag([place.scale, place.scale, 1.0])
        affine[:2, 2] = -place.left, -place.top
        np.testing.assert_allclose(intrinsics_of(small), affine @ intrinsics_of(camera), atol=1e-9)
        assert replace(small, width=1, height=1, fx=1, fy=1, cx=0, cy=0) == replace(
            camera, width=1, height=1, fx=1, fy=1, cx=0, cy=0
        )


def test_the_papers_crop_of_the_front_camera() -> None:
    small = FRONT.at_size(256, 704)
    assert small.fx == pytest.approx(0.44 * 1266.42)
    assert small.cy == pytest.approx(0.44 * 491.51 - 140)


def test_cameras_are_hashable_values() -> None:
    assert len({FRONT, replace(FRONT), replace(FRONT, fx=1.0)}) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "CAM_FRONT: width must be positive, got 0"),
        ({"fx": float("nan")}, "CAM_FRONT: fx must be positive, got nan"),
        ({"cx": float("inf")}, "CAM_FRONT: cx must be finite"),
        ({"rotation": (0.0, 0.0, 0.0, 0.0)}, "unit quaternion"),
        ({"rotation": (1.0, 0.0, 0.0)}, "unit quaternion"),
        ({"translation": (1.0, 2.0)}, "three finite metres"),
    ],
)
def test_bad_camera_values_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(FRONT, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rings": 1}, "rings must be at least 2"),
        ({"columns": 0}, "columns at least 1"),
        ({"lowest_deg": 20.0}, "lowest_deg must lie below highest_deg"),
        ({"max_range": -1.0}, "max_range must be positive, got -1"),
    ],
)
def test_bad_lidar_values_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(NUSCENES.lidar, **change)


@pytest.mark.parametrize("cameras", [(), (FRONT, FRONT)])
def test_a_rig_needs_distinct_cameras(cameras: tuple[CameraSpec, ...]) -> None:
    with pytest.raises(ValueError, match="different names"):
        replace(NUSCENES, cameras=cameras)
