"""Images land where the pixel affine says they do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gfocc_core.config import ImageConfig, preset
from gfocc_core.geometry import CameraRig
from gfocc_core.preprocess import place_image, preprocess
from tests.core.conftest import MakeFrame, make_rig


def test_nuscenes_geometry_is_the_papers() -> None:
    placement = place_image((900, 1600), preset("paper").image)
    assert placement.scale == pytest.approx(0.44)
    assert placement.resized == (396, 704)
    assert (placement.left, placement.top) == (0, 140)


@pytest.mark.parametrize("size", [(900, 1600), (480, 640), (720, 720), (1080, 1920), (97, 211)])
def test_any_image_covers_the_input(size: tuple[int, int]) -> None:
    config = ImageConfig(height=128, width=352)
    placement = place_image(size, config)
    assert placement.resized[0] - placement.top == config.height
    assert 0 <= placement.left <= placement.resized[1] - config.width


@pytest.mark.parametrize("size", [(900, 1600), (480, 640), (200, 900)])
def test_a_bright_spot_appears_where_the_view_projects_it(
    size: tuple[int, int], make_frame: MakeFrame
) -> None:
    config = ImageConfig(height=128, width=352)
    rig = make_rig(1, size)
    u, v = size[1] * 0.5, size[0] * 0.8
    image = torch.zeros(*size, 3, dtype=torch.uint8)
    image[int(v) - 6 : int(v) + 6, int(u) - 6 : int(u) + 6] = 255
    frame = make_frame(1, rig=rig, images=(image,))
    network_input, view = preprocess(frame, config, "cpu")
    brightness = network_input[0, 0].sum(0)
    brightness = brightness - brightness.min()
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(352.0), indexing="ij")
    seen = [float((grid * brightness).sum() / brightness.sum()) + 0.5 for grid in (columns, rows)]
    expected = view.affine[0, 0] @ torch.tensor([u, v]) + view.shift[0, 0]
    assert seen == pytest.approx(expected.tolist(), abs=0.6)


def test_normalisation(make_frame: MakeFrame) -> None:
    config = ImageConfig(height=32, width=64)
    rig = make_rig(1, (64, 128))
    image = torch.tensor([10, 100, 200], dtype=torch.uint8).expand(64, 128, 3)
    network_input, _ = preprocess(make_frame(1, rig=rig, images=(image,)), config, "cpu")
    expected = [
        (value - mean) / std
        for value, mean, std in zip((10, 100, 200), config.mean, config.std, strict=True)
    ]
    assert network_input[0, 0].mean((1, 2)).tolist() == pytest.approx(expected, abs=1e-4)


def test_a_missing_camera_becomes_a_zero_image_that_sees_nothing(make_frame: MakeFrame) -> None:
    frame = make_frame(2, valid=(True, False))
    network_input, view = preprocess(frame, ImageConfig(height=32, width=64), "cpu")
    assert float(network_input[0, 1].abs().sum()) == 0
    assert float(network_input[0, 0].abs().sum()) > 0
    assert view.valid.tolist() == [[True, False]]


def test_cameras_of_different_sizes_share_one_input(make_frame: MakeFrame) -> None:
    base = make_rig(2)
    sizes = ((90, 160), (60, 80))
    rig = CameraRig(base.names, base.intrinsics, base.ego_from_cam, sizes)
    images = tuple(torch.zeros(*size, 3, dtype=torch.uint8) for size in sizes)
    frame = replace(make_frame(2), rig=rig, images=images)
    network_input, view = preprocess(frame, ImageConfig(height=32, width=64), "cpu")
    assert tuple(network_input.shape) == (1, 2, 3, 32, 64)
    assert view.affine[0, :, 0, 0].tolist() == pytest.approx([0.4, 0.8])
