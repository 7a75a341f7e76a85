"""Colour jitter: what each part does to colours, and that it is off by default."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from gfocc_core.config import ConfigError
from gfocc_core.data.color_jitter import LUMA, ColorJitterConfig, apply_color, draw_color


def colored(config: ColorJitterConfig, *rgb: float, seed: int = 0) -> torch.Tensor:
    image = torch.tensor(rgb).view(1, 3, 1, 1)
    color = draw_color(np.random.default_rng(seed), config)[None]
    return apply_color(color, image).flatten()


def test_colors_stay_by_default() -> None:
    images = torch.randint(0, 256, (2, 4, 6, 3, 5, 7), dtype=torch.uint8)
    color = draw_color(np.random.default_rng(0), ColorJitterConfig()).expand(2, -1, -1)
    torch.testing.assert_close(apply_color(color, images), images.float(), atol=1e-3, rtol=0)


def test_brightness_multiplies_all_channels_alike() -> None:
    changed = colored(ColorJitterConfig(brightness=0.5), 40.0, 80.0, 120.0)
    factor = changed[0] / 40
    assert 0.5 <= factor <= 1.5
    assert abs(factor - 1) > 1e-3
    torch.testing.assert_close(changed, factor * torch.tensor([40.0, 80.0, 120.0]))


def test_contrast_keeps_middle_grey() -> None:
    config = ColorJitterConfig(contrast=0.8)
    torch.testing.assert_close(colored(config, 127.5, 127.5, 127.5), torch.full((3,), 127.5))
    low, high = colored(config, 100.0, 100.0, 100.0), colored(config, 155.0, 155.0, 155.0)
    torch.testing.assert_close(low + high, torch.full((3,), 255.0))
    assert not torch.allclose(low, torch.full((3,), 100.0))


def test_saturation_keeps_the_brightness() -> None:
    luma = torch.tensor(LUMA)
    before = torch.tensor([60.0, 120.0, 90.0])
    after = colored(ColorJitterConfig(saturation=0.5), *before.tolist())
    torch.testing.assert_close(after @ luma, before @ luma)
    assert not torch.allclose(after, before, atol=1)


def test_hue_turns_the_color_and_keeps_its_brightness_and_saturation() -> None:
    before = (140.0, 100.0, 90.0)
    after = colored(ColorJitterConfig(hue_degrees=90), *before).tolist()
    old, new = (colorsys.rgb_to_yiq(*color) for color in (before, after))
    assert new[0] == pytest.approx(old[0], abs=0.5)
    assert np.hypot(*new[1:]) == pytest.approx(np.hypot(*old[1:]), abs=0.5)
    assert abs(np.arctan2(new[2], new[1]) - np.arctan2(old[2], old[1])) > 0.05


def test_every_item_of_a_batch_has_its_own_colors() -> None:
    config = ColorJitterConfig(brightness=0.5)
    generator = np.random.default_rng(1)
    color = torch.stack([draw_color(generator, config) for _ in range(2)])
    images = torch.full((2, 1, 2, 3, 4, 4), 100, dtype=torch.uint8)
    both = apply_color(color, images)
    for index in range(2):
        alone = apply_color(color[index : index + 1], images[index : index + 1])
        torch.testing.assert_close(both[index], alone[0])
    assert not torch.allclose(both[0], both[1])


def test_colors_stay_in_range() -> None:
    config = ColorJitterConfig(brightness=1, contrast=1, saturation=1, hue_degrees=180)
    for seed in range(20):
        changed = colored(config, 255.0, 0.0, 128.0, seed=seed)
        assert changed.min() >= 0
        assert changed.max() <= 255


@pytest.mark.parametrize(
    ("name", "value"), [("brightness", -0.1), ("contrast", 2.0), ("hue_degrees", 200.0)]
)
def test_a_strength_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"augmentation\.color\.{name} must be in"):
        ColorJitterConfig(**{name: value})
