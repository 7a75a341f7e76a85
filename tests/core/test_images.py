"""Decoding is exact for whole images and refuses damaged ones."""

from __future__ import annotations

import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from gfocc_core.images import ImageDecodeError, decode_image, decode_reduced, reduction_for
from gfocc_core.jpeg import check_jpeg, decode_jpeg
from gfocc_core.jpeg_on_device import decode_jpegs, decodes_jpegs


def encode(kind: str) -> tuple[bytes, NDArray[np.uint8]]:
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


@pytest.mark.parametrize(
    ("size", "input_size", "expected"),
    [
        ((900, 1600), (256, 704), 2),
        ((900, 1600), (128, 352), 4),
        ((1080, 1920), (100, 200), 8),
        ((900, 1600), (900, 1600), 1),
        ((900, 1600), (450, 800), 2),
        ((900, 1600), (451, 800), 1),
        ((900, 1604), (100, 100), 4),
        ((901, 1600), (100, 100), 1),
        ((100, 100), (256, 704), 1),
    ],
)
def test_reduction_divides_exactly_and_fills_the_input(
    size: tuple[int, int], input_size: tuple[int, int], expected: int
) -> None:
    assert reduction_for(size, input_size) == expected


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_reduced_pixels_are_means_of_blocks(kind: str, reduction: int) -> None:
    rows, columns = np.mgrid[0:160, 0:240]
    smooth = np.stack([rows, columns, (rows + columns) // 2], 2).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(smooth).save(stream, kind, quality=95)
    image = decode_reduced(stream.getvalue(), (160 // reduction, 240 // reduction))
    assert (image.reduction, image.full_size) == (reduction, (160, 240))
    blocks = smooth.reshape(160 // reduction, reduction, 240 // reduction, reduction, 3)
    off = np.abs(image.pixels.numpy() - blocks.mean((1, 3)))
    assert off.mean() < 1.0


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_cut_off_images_are_refused_at_reduced_size_too(keep: float) -> None:
    data, _ = encode("JPEG")
    with pytest.raises(ImageDecodeError, match="cannot decode"):
        decode_reduced(data[: int(keep * len(data))], (5, 5))


def test_depth_is_no_picture() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(stream, "PNG")
    with pytest.raises(ImageDecodeError, match="I;16"):
        decode_image(stream.getvalue())


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    stream = io.BytesIO()
    kind = "JPEG" if mode in ("L", "CMYK") else "PNG"
    Image.new("RGB", (16, 8), (100, 100, 100)).convert(mode).save(stream, kind)
    pixels = decode_reduced(stream.getvalue(), (4, 8)).pixels
    assert tuple(pixels.shape) == (4, 8, 3)
    assert int((pixels.int() - 100).abs().max()) <= 3


def test_a_jpeg_that_ends_amid_its_blocks_is_refused() -> None:
    data, _ = encode("JPEG")
    middle = len(data) // 2
    damaged = data[:middle] + b"\xff\xd9" + data[middle:]
    with pytest.raises(ImageDecodeError, match="cannot decode"):
        decode_reduced(damaged, (5, 5))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_whole_jpegs_pass_the_check_and_damaged_ones_do_not(
    mode: str, options: dict[str, object]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (160, 240, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", **options)
    data = stream.getvalue()
    check_jpeg(data)
    middle = len(data) // 2
    cut, hole = data[:middle], data[: middle - 500] + data[middle + 500 :]
    for damaged in (cut, cut + b"\xff\xd9", hole, data[:50], b""):
        with pytest.raises(ValueError, match=r".+"):
            check_jpeg(damaged)


def test_the_cpu_decodes_no_jpegs_as_a_device() -> None:
    assert not decodes_jpegs(torch.device("cpu"), 6)


def test_jpegs_of_different_sizes_are_unpacked_at_once() -> None:
    smooth = np.stack(np.mgrid[0:40, 0:60], 2).astype(np.uint8)[..., [0, 1, 1]]
    streams = io.BytesIO(), io.BytesIO()
    Image.fromarray(smooth).save(streams[0], "JPEG", quality=95)
    Image.fromarray(smooth[:24]).convert("L").save(streams[1], "JPEG", quality=95)
    files = [streams[0].getvalue(), memoryview(bytearray(streams[1].getvalue()))]
    colour, gray = decode_jpegs(files, torch.device("cpu"))
    assert float((colour.int() - torch.from_numpy(smooth).int()).abs().float().mean()) < 2
    assert tuple(gray.shape) == (24, 60, 3)
    assert torch.equal(gray[..., 0], gray[..., 2])


def test_a_jpeg_that_claims_to_be_huge_is_refused_before_memory_is_asked_for() -> None:
    data, _ = encode("JPEG")
    at = data.index(b"\xff\xc0") + 5
    huge = data[:at] + b"\xea\x60\xea\x60" + data[at + 4 :]
    with pytest.raises(ImageDecodeError, match="60000 x 60000 pixels"):
        decode_image(huge)


def test_python_runs_on_while_a_jpeg_is_unpacked() -> None:
    """A switch interval without end: the test goes on only while the decoder has let go."""
    stream = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (2000, 3000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    rounds = 0
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        with ThreadPoolExecutor(1) as pool:
            decoding = pool.submit(decode_jpeg, stream.getvalue(), (2000, 3000), 8)
            while not decoding.done():
                time.sleep(1e-4)
                rounds += 1
    finally:
        sys.setswitchinterval(usual)
    assert decoding.result().shape == (2000, 3000, 3)
    assert rounds > 10


@pytest.mark.gpu
def test_page_locked_pixels_are_the_same() -> None:
    data, _ = encode("JPEG")
    image = decode_reduced(data, (10, 10), page_locked=True)
    assert image.pixels.is_pinned()
    assert torch.equal(image.pixels, decode_reduced(data, (10, 10)).pixels)


@pytest.mark.gpu
@pytest.mark.keyframe
def test_a_gpu_unpacks_real_images_as_the_cpu_does_and_survives_damaged_ones(
    keyframe_dir: Path,
) -> None:
    device = torch.device("cuda")
    assert decodes_jpegs(device, 6)
    files = [path.read_bytes() for path in sorted(keyframe_dir.glob("samples/CAM_*/*.jpg"))]
    assert len(files) == 6
    for _ in range(3):
        decode_jpegs([data[: len(data) // 2] + data[-2:] for data in files], device)
        for found, data in zip(decode_jpegs(files, device), files, strict=True):
            assert found.device.type == "cuda"
            off = (found.cpu().int() - decode_image(data).int()).abs()
            assert float(off.float().mean()) < 0.5
            assert int(off.max()) < 32
    with pytest.raises(RuntimeError):
        decode_jpegs([b"no JPEG"], device)
