"""Without temporal attention every frame stands alone; configurations from before know nothing of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from gfocc_core.checkpoint import load_checkpoint, save_checkpoint
from gfocc_core.config import Config, preset
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.predictor import OccupancyPredictor
from tests.core.conftest import MakeFrame


def network_of(config: Config, temporal_attention: bool) -> tuple[GaussianFlowNetwork, Config]:
    torch.manual_seed(0)
    model = replace(config.model, temporal_attention=temporal_attention)
    config = replace(config, model=model)
    return GaussianFlowNetwork(config.model, config.grid).eval(), config


def densities(network: GaussianFlowNetwork, config: Config, make_frame: MakeFrame) -> torch.Tensor:
    """Of the second frame, after two different first ones: [2, X, Y, Z]."""
    found = []
    for first in (1, 2):
        predictor = OccupancyPredictor(network, config, "cpu")
        predictor.predict(make_frame(seed=first))
        found.append(predictor.predict(make_frame(stamp=0.5, seed=3)).density)
    return torch.stack(found)


def test_only_with_temporal_attention_the_past_matters(
    small_config: Config, make_frame: MakeFrame
) -> None:
    with_past = densities(*network_of(small_config, True), make_frame)
    without = densities(*network_of(small_config, False), make_frame)
    assert not torch.equal(with_past[0], with_past[1])
    assert torch.equal(without[0], without[1])
    assert without.max() > 0.05


def test_it_costs_one_attention_per_block_and_survives_a_checkpoint(
    small_config: Config, tmp_path: Path
) -> None:
    full, _ = network_of(small_config, True)
    network, config = network_of(small_config, False)
    missing = full.state_dict().keys() - network.state_dict().keys()
    assert missing
    assert all(".temporal_attention." in name for name in missing)
    save_checkpoint(tmp_path / "net.safetensors", network.state_dict(), config)
    loaded, read = load_checkpoint(tmp_path / "net.safetensors")
    assert read == config
    assert loaded.state_dict().keys() == network.state_dict().keys()


def test_a_configuration_without_the_field_has_temporal_attention() -> None:
    values = json.loads(preset("tiny").to_json())
    del values["model"]["temporal_attention"]
    assert Config.from_dict(values) == preset("tiny")
