"""Configurations survive JSON and refuse what they do not know."""

from __future__ import annotations

import json

import pytest

from gfocc_core.config import PRESETS, Config, ConfigError, preset


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_json_round_trip(name: str) -> None:
    assert Config.from_json(preset(name).to_json()) == preset(name)


def test_the_paper_preset_has_the_papers_sizes() -> None:
    config = preset("paper")
    model = config.model
    assert (model.channels, model.heads, model.points, model.blocks) == (256, 8, 8, 3)
    assert (model.gaussians, model.inducing_points, model.dropout) == (10_000, 500, 0.1)
    assert (config.image.height, config.image.width) == (256, 704)
    assert config.grid.upper == pytest.approx((40.0, 40.0, 5.4))


def test_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown preset 'huge', known: paper, tiny"):
        preset("huge")


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("model", "channel", 64, "channel"),
        ("model", "channels", "wide", "channels"),
        ("model", "channels", 102, "multiple of model.heads"),
        ("model", "gaussians", 0, "gaussians must be positive, got 0"),
        ("model", "dropout", 1.5, "dropout must be in"),
        ("grid", "shape", [200, 0, 16], "grid.shape"),
        ("grid", "voxel_size", -0.4, "grid.voxel_size must be positive, got -0.4"),
        ("occupancy", "threshold", 3.0, "threshold must be in"),
        ("temporal", "max_gap", 0.0, "max_gap must be positive"),
    ],
)
def test_bad_values_are_named(section: str, field: str, value: object, message: str) -> None:
    values = json.loads(preset("tiny").to_json())
    values[section][field] = value
    with pytest.raises(ConfigError, match=message):
        Config.from_dict(values)


@pytest.mark.parametrize("text", ["{", "[1, 2]", '"paper"'])
def test_text_that_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="JSON"):
        Config.from_json(text)


def test_whole_numbers_are_taken_for_floats() -> None:
    assert Config.from_dict({"temporal": {"max_gap": 3}}).temporal.max_gap == 3.0
