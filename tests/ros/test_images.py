"""sensor_msgs images of every supported encoding become the RGB picture they show."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PilImage
from sensor_msgs.msg import CompressedImage, Image

from gfocc_core.images import ImageDecodeError
from gfocc_ros.frames.images import rgb_from_message

HEIGHT, WIDTH = 6, 8
RGB: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
COLOR = (200, 90, 30)
PATTERNS = ("rggb", "bggr", "gbrg", "grbg")


def message(pixels: NDArray[np.generic], encoding: str, padding: int = 0) -> Image:
    """A message of rows of pixels, each row followed by garbage."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    garbage = np.full((len(pixels), padding), 171, np.uint8)
    image = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    image.step = rows.shape[1] + padding
    image.data = np.concatenate([rows, garbage], 1).tobytes()
    return image


def mosaic(pattern: str) -> NDArray[np.uint8]:
    """What a sensor with that colour filter sees of one colour."""
    values = [COLOR["rgb".index(filter_)] for filter_ in pattern]
    return np.tile(np.array(values, np.uint8).reshape(2, 2), (HEIGHT // 2, WIDTH // 2))


def with_alpha(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([rgb, np.full((HEIGHT, WIDTH, 1), 7, np.uint8)], 2)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("rgba8", with_alpha(RGB)),
        ("bgra8", with_alpha(RGB[..., ::-1])),
    ],
)
def test_colour_orders(encoding: str, pixels: NDArray[np.uint8], padding: int) -> None:
    decoded = rgb_from_message(message(pixels, encoding, padding)).pixels
    np.testing.assert_array_equal(decoded.numpy(), RGB)


@pytest.mark.parametrize("padding", [0, 3])
def test_grey_becomes_equal_channels(padding: int) -> None:
    decoded = rgb_from_message(message(RGB[..., 0], "mono8", padding)).pixels
    np.testing.assert_array_equal(decoded.numpy(), np.repeat(RGB[..., :1], 3, 2))


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_bayer_patterns(pattern: str, padding: int) -> None:
    decoded = rgb_from_message(message(mosaic(pattern), f"bayer_{pattern}8", padding)).pixels
    np.testing.assert_array_equal(decoded.numpy(), np.full((HEIGHT, WIDTH, 3), COLOR))


@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize(
    ("encoding", "pixels", "expected"),
    [
        ("rgb16", RGB, RGB),
        ("bgr16", RGB[..., ::-1], RGB),
        ("mono16", RGB[..., 1], np.repeat(RGB[..., 1:2], 3, 2)),
        ("bayer_grbg16", mosaic("grbg"), np.full((HEIGHT, WIDTH, 3), COLOR)),
    ],
)
def test_sixteen_bits_keep_the_upper_byte_of_either_byte_order(
    encoding: str, pixels: NDArray[np.uint8], expected: NDArray[np.uint8], is_bigendian: bool
) -> None:
    wide = pixels.astype(np.uint16) * 256 + 99
    image = message(wide.astype(">u2" if is_bigendian else "<u2"), encoding, padding=4)
    image.is_bigendian = int(is_bigendian)
    image.width = WIDTH
    np.testing.assert_array_equal(rgb_from_message(image).pixels.numpy(), expected)


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"])
@pytest.mark.parametrize("padding", [0, 6])
def test_yuv_422_of_one_colour(encoding: str, padding: int) -> None:
    y, u, v = 117, 90, 180  # ITU-R BT.601, video range, by its formula:
    expected = [
        1.164 * (y - 16) + 1.596 * (v - 128),
        1.164 * (y - 16) - 0.813 * (v - 128) - 0.391 * (u - 128),
        1.164 * (y - 16) + 2.018 * (u - 128),
    ]
    pair = [u, y, v, y] if encoding in ("yuv422", "uyvy") else [y, u, y, v]
    pixels = np.tile(np.array(pair, np.uint8), (HEIGHT, WIDTH // 2)).reshape(HEIGHT, WIDTH, 2)
    decoded = rgb_from_message(message(pixels, encoding, padding)).pixels.numpy()
    assert decoded.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(decoded, np.broadcast_to(expected, decoded.shape), atol=2)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_compressed_image_is_decoded(kind: str) -> None:
    stream = io.BytesIO()
    PilImage.new("RGB", (WIDTH, HEIGHT), COLOR).save(stream, kind, quality=100)
    compressed = CompressedImage(format=kind.lower(), data=stream.getvalue())
    decoded = rgb_from_message(compressed).pixels.numpy()
    np.testing.assert_allclose(decoded, np.broadcast_to(COLOR, decoded.shape), atol=2)
    assert decoded.shape == (HEIGHT, WIDTH, 3)


def _cut(image: Image) -> None:
    image.data = bytes(image.data)[:-1]


def _narrow_step(image: Image) -> None:
    image.step = WIDTH * 3 - 1


def _no_rows(image: Image) -> None:
    image.height = 0


def _foreign(image: Image) -> None:
    image.encoding = "32FC1"


def _odd_yuv(image: Image) -> None:
    image.encoding, image.width = "yuv422", 7


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (_cut, "143 bytes"),
        (_narrow_step, "step is 23"),
        (_no_rows, "empty"),
        (_foreign, "32FC1"),
        (_odd_yuv, "even width, got 7"),
    ],
)
def test_bad_image_says_what_is_wrong(damage, found: str) -> None:  # type: ignore[no-untyped-def]
    image = message(RGB, "rgb8")
    damage(image)
    with pytest.raises(ImageDecodeError, match=found):
        rgb_from_message(image)


def test_compressed_garbage_says_what_is_wrong() -> None:
    with pytest.raises(ImageDecodeError, match="7 bytes"):
        rgb_from_message(CompressedImage(format="jpeg", data=b"garbage"))
