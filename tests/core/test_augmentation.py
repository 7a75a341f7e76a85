"""Augmented images land where the drawn affine says, from JPEGs decoded at any scale."""

from __future__ import annotations

import io
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from gfocc_core.config import ConfigError, ImageConfig
from gfocc_core.data.augmentation import (
    NO_AUGMENTATION,
    AugmentationConfig,
    InputPlacement,
    draw_placement,
)
from gfocc_core.data.image_warp import Pixels, decode_for_scale, load_image
from gfocc_core.geometry import CameraRig
from gfocc_core.images import ImageDecodeError
from gfocc_core.preprocess import place_image, preprocess
from tests.core.conftest import MakeFrame, make_rig

PAPER = ImageConfig()
TINY = ImageConfig(height=128, width=352)
FULL = (900, 1600)


def draw(
    seed: int,
    size: tuple[int, int] = FULL,
    image: ImageConfig = PAPER,
    config: AugmentationConfig | None = None,
) -> InputPlacement:
    return draw_placement(np.random.default_rng(seed), size, image, config or AugmentationConfig())


def jpeg(pixels: Pixels, quality: int = 95) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def landscape(size: tuple[int, int] = FULL, seed: int = 0) -> Pixels:
    """A smooth colourful picture: uint8 [H, W, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def load(data: bytes, placement: InputPlacement) -> Pixels:
    out = np.full((3, *placement.size), 77, np.uint8)
    load_image(data, placement, out)
    return out


@pytest.mark.parametrize("image", [PAPER, TINY, ImageConfig(height=256, width=256)])
@pytest.mark.parametrize("size", [FULL, (480, 640), (720, 720), (1080, 1920), (97, 211)])
def test_no_augmentation_is_the_online_placement(size: tuple[int, int], image: ImageConfig) -> None:
    for seed in range(5):
        placement = draw(seed, size, image, NO_AUGMENTATION)
        online = place_image(size, image)
        expected = torch.eye(2, dtype=torch.float64) * online.scale
        assert torch.equal(placement.affine, expected)
        assert placement.shift.tolist() == [-online.left, -online.top]
        assert placement.resized == online.resized


def test_draws_fill_the_papers_ranges() -> None:
    draws = [draw(seed) for seed in range(600)]
    scales = [placement.scale for placement in draws]
    degrees = [math.degrees(placement.rotation) for placement in draws]
    assert 0.38 <= min(scales) < 0.39
    assert 0.54 < max(scales) <= 0.55
    assert -5.4 <= min(degrees) < -5.2
    assert 5.2 < max(degrees) <= 5.4
    for placement in draws:
        assert placement.top == placement.resized[0] - 256  # the bottom is kept
        spare = placement.resized[1] - 704
        assert min(0, spare) <= placement.left <= max(0, spare)
    wide = [p.left / (p.resized[1] - 704) for p in draws if p.resized[1] > 754]
    assert min(wide) < 0.05
    assert max(wide) > 0.95


def test_a_draw_depends_on_the_generator_alone() -> None:
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)
    generator = np.random.default_rng(5)
    first = draw_placement(generator, FULL, PAPER, AugmentationConfig())
    assert first == draw(5)
    assert draw_placement(generator, FULL, PAPER, AugmentationConfig()) != first


def test_rotation_is_about_the_inputs_centre() -> None:
    placement = draw(3, config=AugmentationConfig(rotation_degrees=(5, 5)))
    upright = InputPlacement(
        placement.scale, placement.resized, placement.left, placement.top, 0.0, placement.size
    )
    center = torch.tensor([352.0, 128.0], dtype=torch.float64)
    at_center = (center - upright.shift) / placement.scale
    torch.testing.assert_close(placement.affine @ at_center + placement.shift, center)
    rightwards = placement.affine @ torch.tensor([1.0, 0.0], dtype=torch.float64)
    angle = math.degrees(math.atan2(float(rightwards[1]), float(rightwards[0])))
    assert angle == pytest.approx(5)  # x turns towards y: clockwise to the eye


@pytest.mark.parametrize(
    ("size", "image", "fraction"),
    [
        (FULL, PAPER, 1 / 2),
        (FULL, TINY, 1 / 4),
        (FULL, ImageConfig(height=64, width=176), 1 / 8),
        ((480, 640), PAPER, 1),
        ((451, 803), PAPER, 1),
        ((903, 1605), PAPER, 1 / 2),
    ],
)
def test_a_bright_spot_lands_where_the_affine_says(
    size: tuple[int, int], image: ImageConfig, fraction: float
) -> None:
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    for seed in range(4):
        placement = draw(seed, size, image)
        random = np.random.default_rng(seed)
        target = random.uniform(0.25, 0.75, 2) * (image.width, image.height)
        inverse = torch.linalg.inv(placement.affine)
        x, y = (inverse @ (torch.from_numpy(target) - placement.shift)).tolist()
        radius = 5 / placement.scale
        spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
        data = jpeg(np.repeat(spot[..., None], 3, axis=2).round().astype(np.uint8), 98)
        assert decode_for_scale(data, placement.scale)[2] == fraction
        seen = load(data, placement).astype(float)
        brightness = np.where(seen > 20, seen, 0).sum(0)
        v, u = np.mgrid[: image.height, : image.width] + 0.5
        found = [(axis * brightness).sum() / brightness.sum() for axis in (u, v)]
        assert found == pytest.approx(target.tolist(), abs=0.08)


def resize_crop_rotate(picture: Pixels, placement: InputPlacement) -> Pixels:
    """The same with an image library's three steps: [3, H, W]."""
    height, width = placement.size
    image = Image.fromarray(picture).resize(placement.resized[::-1], Image.Resampling.BILINEAR)
    left, top = placement.left, placement.top
    image = image.crop((left, top, left + width, top + height))
    image = image.rotate(-math.degrees(placement.rotation), Image.Resampling.BILINEAR)
    return np.asarray(image).transpose(2, 0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_the_warp_is_resize_crop_and_rotate(seed: int) -> None:
    placement, picture = draw(seed), landscape(seed=seed)
    difference = np.abs(
        load(jpeg(picture), placement).astype(int) - resize_crop_rotate(picture, placement)
    ).max(0)
    # the library's rotation turns black corners in, where the one warp still has the image
    reached = resize_crop_rotate(np.full_like(picture, 255), placement)[0].copy()
    reached[[0, 1, -2, -1]], reached[:, [0, 1, -2, -1]] = 0, 0
    inside = cv2.erode(reached, np.ones((5, 5), np.uint8)) == 255
    assert inside.mean() > 0.75
    assert np.median(difference[inside]) <= 3
    assert difference[inside].max() <= 12


def test_without_augmentation_the_image_is_the_online_input(make_frame: MakeFrame) -> None:
    picture = landscape()
    rig: CameraRig = make_rig(1, FULL)
    frame = make_frame(1, rig=rig, images=(torch.from_numpy(picture.copy()),))
    config = ImageConfig(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    online = preprocess(frame, config, "cpu")[0][0, 0].numpy()
    difference = np.abs(load(jpeg(picture), draw(0, config=NO_AUGMENTATION)) - online)
    assert difference.mean() < 1
    assert difference.max() < 8


def test_where_the_image_does_not_reach_it_is_black() -> None:
    config = AugmentationConfig(scale=(0.5, 0.5), crop=0, rotation_degrees=(0, 0))
    white = jpeg(np.full((*FULL, 3), 255, np.uint8))
    seen = load(white, draw(0, config=config))  # 352 x 198 in the middle of the bottom
    assert (seen[:, 60:, 178:526] == 255).all()
    assert (seen[:, :56] == 0).all()
    assert (seen[:, :, :174] == 0).all()
    assert (seen[:, :, 530:] == 0).all()


@pytest.mark.keyframe
def test_real_images_are_those_of_the_online_path(keyframe_dir: Path) -> None:
    files = sorted(keyframe_dir.glob("samples/CAM_*/*.jpg"))
    assert files
    for file in files:
        data = file.read_bytes()
        pixels, size, _ = decode_for_scale(data, 1.0)
        placement = draw_placement(np.random.default_rng(0), size, PAPER, NO_AUGMENTATION)
        online = torch.nn.functional.interpolate(
            torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None],
            placement.resized,
            mode="bilinear",
            antialias=True,
        )[0, :, placement.top :, placement.left : placement.left + 704]
        difference = np.abs(load(data, placement).astype(int) - online.numpy())
        assert difference.mean() < 2


def test_jpegs_for_print_are_read_at_full_size() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 32), (200, 100, 50)).convert("CMYK").save(buffer, "JPEG")
    pixels, size, fraction = decode_for_scale(buffer.getvalue(), 0.1)
    assert (pixels.shape, size, fraction) == ((32, 64, 3), (32, 64), 1.0)
    assert np.abs(pixels.astype(int) - (200, 100, 50)).max() <= 3


def test_other_formats_are_read_at_full_size() -> None:
    picture = landscape((90, 160))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    pixels, size, fraction = decode_for_scale(buffer.getvalue(), 0.1)
    np.testing.assert_array_equal(pixels, picture)
    assert (size, fraction) == ((90, 160), 1.0)


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    seen = load(jpeg(landscape()[..., 0]), draw(1))
    assert seen.any()
    np.testing.assert_array_equal(seen[0], seen[2])


def test_a_damaged_jpeg_is_an_error() -> None:
    data = jpeg(landscape())
    middle = len(data) // 2
    overwritten = data[:middle] + b"\xff\xd5" * 8 + data[middle + 16 :]
    for bad in (b"", data[:20], data[:middle], data[:-2], overwritten, b"GIF89a" + bytes(50)):
        with pytest.raises(ImageDecodeError, match=f"of {len(bad)} bytes"):
            load(bad, draw(0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": (1.2, 0.8)}, "augmentation.scale must be low, high, got 1.2, 0.8"),
        ({"scale": (0.0, 1.0)}, "augmentation.scale must be positive, got 0"),
        ({"scale": (0.5, float("inf"))}, "augmentation.scale must be low, high"),
        ({"rotation_degrees": (3, -3)}, "augmentation.rotation_degrees must be low, high"),
        ({"crop": 1.5}, "augmentation.crop must be in 0 to 1, got 1.5"),
    ],
)
def test_impossible_ranges_are_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AugmentationConfig(**changes)  # type: ignore[arg-type]
