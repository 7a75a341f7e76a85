"""Decoding is exact for whole images and refuses damaged ones."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gfocc_core.images import ImageDecodeError, decode_image


def encode(kind: str) -> tuple[bytes, np.ndarray]:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue(), pixels


def test_png_is_exact_rgb() -> None:
    data, pixels = encode("PNG")
    assert np.array_equal(decode_image(data).numpy(), pixels)


@pytest.mark.keyframe
def test_a_real_camera_image_has_its_size(keyframe_dir: Path) -> None:
    path = next((keyframe_dir / "samples" / "CAM_FRONT").glob("*.jpg"))
    image = decode_image(path.read_bytes())
    assert tuple(image.shape) == (900, 1600, 3)
    assert float(image.float().std()) > 10


@pytest.mark.parametrize("keep", [0, 3, 100, 0.5, 0.9])
def test_cut_off_images_are_refused(keep: float) -> None:
    data, _ = encode("JPEG")
    cut = data[: int(keep if keep >= 3 else keep * len(data))]
    with pytest.raises(ImageDecodeError, match=f"{len(cut)} bytes"):
        decode_image(cut)


def test_bytes_that_are_no_image_are_refused() -> None:
    with pytest.raises(ImageDecodeError, match="cannot decode"):
        decode_image(b"not an image at all" * 50)
