"""Section 8's canonical camera: where images lie on its canvas, and how its depth becomes metres."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gfocc_core.config import ImageConfig
from gfocc_core.data.weak_labels import LabelGeometry
from gfocc_core.labelling.canonical import (
    CanonicalCamera,
    CanonicalDepth,
    CanvasPlace,
    metres_of,
    to_canvas,
)
from gfocc_core.labelling.depth import NetworkDepth
from gfocc_core.labelling.protocols import LabellingError

CAMERA = CanonicalCamera()


class Constant:
    """Says the same canonical depth everywhere but in the padding, and keeps what it saw."""

    name = "constant"

    def __init__(self, metres: float = 10.0, in_padding: float | None = None) -> None:
        self.metres, self.in_padding = metres, in_padding
        self.seen = torch.empty(0)

    def predict(self, pixels: Tensor) -> Tensor:
        self.seen = pixels
        depth = torch.full((len(pixels), *pixels.shape[2:]), self.metres)
        if self.in_padding is not None:
            depth[(pixels == 0).all(1)] = self.in_padding
        return depth


def intrinsics(*focals: float) -> Tensor:
    matrices = torch.eye(3, dtype=torch.float64).repeat(len(focals), 1, 1)
    matrices[:, 0, 0] = torch.tensor(focals, dtype=torch.float64)
    return matrices


def blank(*size: int) -> Tensor:
    return torch.full((*size, 3), 200, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("size", "place"),
    [
        # 1064 / 1600 = 0.665 < 616 / 900; 900 * 0.665 = 598.5; 616 - 598 = 18 rows of padding
        ((900, 1600), CanvasPlace(0.665, 598, 1064, 0, 9)),
        ((616, 1064), CanvasPlace(1.0, 616, 1064, 0, 0)),
        # upright: 616 / 1600 = 0.385; 900 * 0.385 = 346.5; (1064 - 346) / 2 = 359
        ((1600, 900), CanvasPlace(0.385, 616, 346, 359, 0)),
        ((308, 532), CanvasPlace(2.0, 616, 1064, 0, 0)),
    ],
)
def test_images_keep_their_aspect_in_the_middle(size: tuple[int, int], place: CanvasPlace) -> None:
    assert CanvasPlace.of(*size, CAMERA) == place


def test_around_the_image_lies_the_mean_colour() -> None:
    camera = CanonicalCamera(height=40, width=60)
    place = CanvasPlace.of(50, 50, camera)
    seen = to_canvas(torch.full((50, 50, 3), 255, dtype=torch.uint8), place, camera)
    assert not seen[:, :, :10].any()
    assert not seen[:, :, 50:].any()
    white = (255 - torch.tensor(camera.mean)) / torch.tensor(camera.std)
    torch.testing.assert_close(seen[:, :, 10:50], white.view(3, 1, 1).expand(3, 40, 40))


def test_metres_are_canonical_depth_times_the_scaled_focal_length() -> None:
    place = CanvasPlace.of(900, 1600, CAMERA)
    canvas = torch.arange(616.0)[:, None].expand(616, 1064)
    # fx * resize / 1000 = 1200 * 0.665 / 1000 = 0.798
    found = metres_of(canvas, place, 1200.0, CAMERA)
    assert found.shape == (598, 1064)
    torch.testing.assert_close(found[:, 0], 0.798 * torch.arange(9.0, 607.0))
    torch.testing.assert_close(metres_of(canvas, place, 2400.0, CAMERA), 2 * found)
    other = replace(CAMERA, focal=500.0)
    torch.testing.assert_close(metres_of(canvas, place, 1200.0, other), 2 * found)


def test_half_precision_is_left_before_the_scale() -> None:
    canvas = torch.full((616, 1064), 199.0, dtype=torch.bfloat16)
    found = metres_of(canvas, CanvasPlace.of(900, 1600, CAMERA), 1266.4, CAMERA)
    torch.testing.assert_close(found, torch.full((598, 1064), 199 * 1266.4 * 0.665 / 1000))


def test_cameras_of_different_sizes_and_focal_lengths_are_one_batch() -> None:
    network = Constant()
    maps = CanonicalDepth(network).estimate([blank(900, 1600), blank(60, 60)], intrinsics(800, 90))
    assert network.seen.shape == (2, 3, 616, 1064)
    assert [tuple(metres.shape) for metres in maps] == [(598, 1064), (616, 616)]
    assert maps[0].unique().tolist() == pytest.approx([10 * 800 * 0.665 / 1000])
    assert maps[1].unique().tolist() == pytest.approx([10 * 90 * (616 / 60) / 1000])


def test_labels_have_the_rasters_size_and_nothing_of_the_padding() -> None:
    sizes = {"wide": (900, 1600), "upright": (900, 500)}
    geometry = LabelGeometry.covering(sizes, ImageConfig(height=64, width=96))
    labeller = NetworkDepth(CanonicalDepth(Constant(10, in_padding=299)), torch.device("cpu"))
    images = [blank(*size) for size in sizes.values()]
    labels = labeller.label(images, geometry, intrinsics(1000, 2000))
    assert labels.shape == (2, 64, 96)
    for camera, metres, scale, focal in zip(
        geometry.cameras, labels, (0.665, 616 / 900), (1, 2), strict=True
    ):
        columns = (torch.arange(96) + 0.5 + camera.left) / camera.scale
        rows = (torch.arange(64) + 0.5 + camera.top) / camera.scale
        height, width = camera.image_size
        inside = ((rows > 0) & (rows < height))[:, None] & (columns > 0) & (columns < width)
        assert inside.any()
        torch.testing.assert_close(
            metres[inside], torch.full_like(metres[inside], 10 * focal * scale)
        )
        assert not metres[~inside].any()


def test_what_is_farther_than_300_m_is_put_there() -> None:
    geometry = LabelGeometry.covering({"c": (32, 64)}, ImageConfig(height=16, width=32))
    labeller = NetworkDepth(CanonicalDepth(Constant(400)), torch.device("cpu"))
    found = labeller.label([blank(32, 64)], geometry, intrinsics(1000))
    assert found.unique().tolist() == [300.0]


def test_a_network_that_returns_another_size_is_named() -> None:
    class Coarse(Constant):
        def predict(self, pixels: Tensor) -> Tensor:
            return super().predict(pixels)[:, ::4, ::4]

    with pytest.raises(
        LabellingError, match=r"constant must return \[1, 616, 1064\], got \[1, 154"
    ):
        CanonicalDepth(Coarse()).estimate([blank(90, 160)], intrinsics(100))


@pytest.mark.parametrize("name", ["height", "width", "focal"])
def test_an_impossible_canonical_camera_is_refused(name: str) -> None:
    with pytest.raises(LabellingError, match=f"{name} must be positive, got 0"):
        CanonicalCamera(**{name: 0})
