"""Images decoded at a fraction of their size show the world where full-size ones show it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage
from sensor_msgs.msg import Image

from gfocc_core.config import ImageConfig
from gfocc_core.frame import Frame
from gfocc_core.preprocess import preprocess
from gfocc_ros.frames.camera_stream import StampedImage
from gfocc_ros.frames.drops import DropCounters
from gfocc_ros.frames.frame_assembler import ImageSet
from gfocc_ros.frames.frame_builder import FrameBuilder, ImageMessage
from tests.ros.camera_messages import camera_info, compressed_image
from tests.ros.known_poses import KnownPoses

STAMP_NS = 5_000_000_000
INPUT = replace(ImageConfig(), height=128, width=352)
FOCAL = 300.0
TOLERANCE = 0.2
"""Input pixels: sizes are rounded to whole pixels; a wrong corner would be off by 0.4."""


def blob(size: tuple[int, int], x: float, y: float) -> NDArray[np.uint8]:
    """A white Gaussian spot around a point (pixels, from the picture's corner) on black."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    bright = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 12.0**2))
    return np.repeat(bright[..., None], 3, 2).round().astype(np.uint8)


def message_of(pixels: NDArray[np.uint8], transport: str) -> ImageMessage:
    if transport in ("JPEG", "PNG"):
        stream = io.BytesIO()
        PilImage.fromarray(pixels).save(stream, transport)
        return compressed_image("front", STAMP_NS, stream.getvalue())
    height, width = pixels.shape[:2]
    channels = 1 if transport.startswith(("bayer", "mono")) else 3
    image = Image(height=height, width=width, encoding=transport, step=width * channels)
    image.data = pixels[..., :channels].tobytes()
    image.header = compressed_image("front", STAMP_NS).header
    return image


def built(pixels: NDArray[np.uint8], transport: str, input_size: tuple[int, int] | None) -> Frame:
    size = (pixels.shape[1], pixels.shape[0])
    builder = FrameBuilder(("front",), 1, KnownPoses(), DropCounters(), input_size=input_size)
    images = {"front": StampedImage(STAMP_NS, 0.0, message_of(pixels, transport))}
    infos = {"front": camera_info("front", STAMP_NS, focal=FOCAL, size=size)}
    frame = builder.build(ImageSet(STAMP_NS, 0.0, images, 0), infos)
    builder.close()
    assert frame is not None
    return frame


def spot_and_projection(frame: Frame, point_in_camera: torch.Tensor) -> tuple[float, float]:
    """Distances (input pixels, x and y) from the spot's centre to where its point is projected."""
    pixels, view = preprocess(frame, INPUT, "cpu")
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (INPUT.mean, INPUT.std))
    weight = (pixels[0, 0] * std + mean)[1].clamp(min=3) - 3
    rows, columns = torch.meshgrid(
        torch.arange(INPUT.height) + 0.5, torch.arange(INPUT.width) + 0.5, indexing="ij"
    )
    centre = [float((weight * axis).sum() / weight.sum()) for axis in (columns, rows)]
    ego_from_cam = frame.rig.ego_from_cam[0]
    point = (ego_from_cam @ torch.cat([point_in_camera, torch.ones(1)]).double())[:3].float()
    position, visible = view.project(point.view(1, 1, 3))
    assert bool(visible.all())
    u, v = position.flatten().tolist()
    return abs(u * INPUT.width - centre[0]), abs(v * INPUT.height - centre[1])


@pytest.mark.parametrize("transport", ["JPEG", "PNG", "rgb8", "bgr8", "mono8", "bayer_rggb8"])
@pytest.mark.parametrize(
    ("size", "reduced"),
    [
        ((900, 1600), (225, 400)),
        ((450, 800), (225, 400)),
        ((600, 800), (300, 400)),
        ((902, 1602), (451, 801)),
    ],
)
def test_spot_lies_where_its_point_is_projected(
    transport: str, size: tuple[int, int], reduced: tuple[int, int]
) -> None:
    height, width = size
    x, y = 0.8 * width, 0.85 * height
    frame = built(blob(size, x, y), transport, (INPUT.height, INPUT.width))
    assert frame.rig.image_sizes == (reduced,)
    assert tuple(frame.images[0].shape) == (*reduced, 3)
    depth = 10.0
    ray = torch.tensor([(x - width / 2) / FOCAL, (y - height / 2) / FOCAL, 1.0])
    off = spot_and_projection(frame, ray * depth)
    assert max(off) < TOLERANCE
    whole = built(blob(size, x, y), "JPEG", None)
    assert whole.rig.image_sizes == (size,)
    assert max(spot_and_projection(whole, ray * depth)) < TOLERANCE


def test_reduced_and_full_frames_have_the_same_view() -> None:
    pixels = blob((900, 1600), 800, 600)
    _, full = preprocess(built(pixels, "JPEG", None), INPUT, "cpu")
    _, reduced = preprocess(built(pixels, "JPEG", (INPUT.height, INPUT.width)), INPUT, "cpu")
    points = torch.rand(1, 500, 3, generator=torch.Generator().manual_seed(0)) * 40 - 10
    (there, seen), (here, seen_here) = full.project(points), reduced.project(points)
    assert torch.equal(seen, seen_here)
    assert int(seen.sum()) > 20
    torch.testing.assert_close(here[seen], there[seen], rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(901, 1600), (900, 1601), (200, 600)])
def test_image_that_cannot_be_divided_or_is_small_keeps_its_size(size: tuple[int, int]) -> None:
    frame = built(blob(size, 100, 100), "JPEG", (INPUT.height, INPUT.width))
    assert frame.rig.image_sizes == (size,)
