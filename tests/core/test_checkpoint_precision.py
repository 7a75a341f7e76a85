"""Half-precision checkpoints: half the size, almost the same network, exact where metres matter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gfocc_core.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from gfocc_core.config import Config, preset
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.predictor import OccupancyPredictor
from tests.core.conftest import MakeFrame


def network_of(config: Config) -> GaussianFlowNetwork:
    torch.manual_seed(0)
    return GaussianFlowNetwork(config.model, config.grid)


def test_tiny_stays_below_10_mb(tmp_path: Path) -> None:
    config = preset("tiny")
    network, path = network_of(config), tmp_path / "tiny.safetensors"
    save_checkpoint(path, network.state_dict(), config, precision="float16")
    assert path.stat().st_size <= 10e6
    loaded, _ = load_checkpoint(path)
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}


def test_means_norms_and_biases_are_exact_and_matrices_are_close(
    small_config: Config, tmp_path: Path
) -> None:
    network, path = network_of(small_config), tmp_path / "half.safetensors"
    save_checkpoint(path, network.state_dict(), small_config, precision="float16")
    stored, loaded = load_file(path), load_checkpoint(path)[0].state_dict()
    rounded = 0
    for name, tensor in network.state_dict().items():
        if tensor.ndim < 2 or name == "initial_means":
            assert torch.equal(loaded[name], tensor), name
        else:
            assert stored[name].dtype == torch.float16, name
            torch.testing.assert_close(loaded[name], tensor, rtol=1e-3, atol=1e-6)
            rounded += not torch.equal(loaded[name], tensor)
    assert rounded > 20


def test_the_predictions_hardly_change(
    small_config: Config, tmp_path: Path, make_frame: MakeFrame
) -> None:
    network, path = network_of(small_config), tmp_path / "half.safetensors"
    save_checkpoint(path, network.state_dict(), small_config, precision="float16")
    exact = OccupancyPredictor(network, small_config, "cpu")
    half = OccupancyPredictor.from_checkpoint(path, "cpu")
    for stamp in (0.0, 0.5):
        frame = make_frame(stamp=stamp, x=stamp, seed=int(2 * stamp))
        expected, found = exact.predict(frame), half.predict(frame)
        assert expected.density.max() > 0.05
        assert float((found.density - expected.density).abs().max()) < 0.02
        assert float((found.labels == expected.labels).float().mean()) > 0.98


def test_a_weight_beyond_half_precision_is_named_and_nothing_is_written(
    small_config: Config, tmp_path: Path
) -> None:
    weights = network_of(small_config).state_dict()
    weights["flow.layers.0.weight"] = torch.full_like(weights["flow.layers.0.weight"], 1e5)
    path = tmp_path / "half.safetensors"
    with pytest.raises(CheckpointError, match=r"'flow\.layers\.0\.weight' does not fit float16"):
        save_checkpoint(path, weights, small_config, precision="float16")
    assert not path.exists()
    save_checkpoint(path, weights, small_config)
    assert path.is_file()
