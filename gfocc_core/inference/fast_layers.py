"""Stand-ins for layers of the trained network that are slow on a GPU; same weights, same results."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

_ALIGNMENT = 8
"""Tensor cores take bfloat16 matrices whose rows hold a multiple of as many numbers."""


class CoordinateLinear(nn.Module):
    """A float32 layer of very few inputs as sums of products, which melt into what follows.

    A matrix product over three coordinates leaves nearly all of a GPU idle.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.columns = nn.Parameter(layer.weight.detach().float().t().contiguous(), False)
        self.bias = nn.Parameter(layer.bias.detach().float(), False)

    def forward(self, points: Tensor) -> Tensor:
        """[..., inputs] to [..., outputs]."""
        total = self.bias.expand(*points.shape[:-1], -1)
        for coordinate, column in zip(points.unbind(-1), self.columns, strict=True):
            total = total + coordinate.unsqueeze(-1) * column
        return total


class HalfLinear(nn.Module):
    """A bfloat16 layer among float32 ones where autocast is off."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features.to(self.weight.dtype), self.weight, self.bias).to(features.dtype)


class PaddedLinear(nn.Module):
    """A layer whose number of outputs tensor cores do not take, with unused outputs added."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.outputs = layer.out_features
        missing = -self.outputs % _ALIGNMENT
        self.weight = nn.Parameter(F.pad(layer.weight.detach(), (0, 0, 0, missing)), False)
        self.bias = nn.Parameter(F.pad(layer.bias.detach(), (0, missing)), False)

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight, self.bias)[..., : self.outputs]
