"""Layers made faster for inference compute what the trained layers compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gfocc_core.inference.fast_layers import CoordinateLinear, HalfLinear, PaddedLinear


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_coordinates_as_a_matrix_product() -> None:
    layer, points = nn.Linear(3, 64), torch.randn(2, 50, 3)
    torch.testing.assert_close(CoordinateLinear(layer)(points), layer(points))


@pytest.mark.parametrize("outputs", [1, 3, 8, 17])
def test_padding_adds_no_output(outputs: int) -> None:
    layer, features = nn.Linear(32, outputs), torch.randn(5, 32)
    padded = PaddedLinear(layer)
    assert padded.weight.shape[0] % 8 == 0
    torch.testing.assert_close(padded(features), layer(features))


def test_half_precision_ends_at_the_layer() -> None:
    layer, features = nn.Linear(32, 16), torch.randn(5, 32)
    found = HalfLinear(layer.bfloat16())(features)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, layer.float()(features), rtol=0.05, atol=0.05)
