"""Attention among many tokens through a few learned ones: cost linear in their number.

Source: Set Transformer's induced set attention block (Lee et al., ICML 2019), as laid
out in ALGORITHM 3.5.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InducedAttention(nn.Module):
    """Queries attend to keys through `inducing_points` learned points."""

    def __init__(self, channels: int, heads: int, inducing_points: int, dropout: float) -> None:
        super().__init__()
        self.inducing_points = nn.Parameter(torch.empty(inducing_points, channels))
        nn.init.xavier_uniform_(self.inducing_points)
        self.gather = nn.MultiheadAttention(channels, heads, dropout, batch_first=True)
        self.gather_norm = nn.LayerNorm(channels)
        self.gather_ff = _feed_forward(channels, dropout)
        self.gather_ff_norm = nn.LayerNorm(channels)
        self.spread = nn.MultiheadAttention(channels, heads, dropout, batch_first=True)
        self.spread_norm = nn.LayerNorm(channels)
        self.spread_ff = _feed_forward(channels, dropout)
        self.spread_ff_norm = nn.LayerNorm(channels)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Queries [B, N, C] and keys [B, M, C] -> updated queries [B, N, C]."""
        return self.attend(queries, self.summarize(keys))

    def summarize(self, keys: Tensor) -> Tensor:
        """What the learned points gather from keys [B, M, C]: [B, points, C], whoever asks."""
        points = self.inducing_points.expand(len(keys), -1, -1)
        gathered, _ = self.gather(points, keys, keys, need_weights=False)
        gathered = self.gather_norm(gathered + points)
        return self.gather_ff_norm(self.gather_ff(gathered) + gathered)

    def attend(self, queries: Tensor, summary: Tensor) -> Tensor:
        """Queries [B, N, C], updated from a summary of the keys."""
        spread, _ = self.spread(queries, summary, summary, need_weights=False)
        spread = self.spread_norm(spread + queries)
        return self.spread_ff_norm(self.spread_ff(spread) + spread)


def _feed_forward(channels: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(channels, channels),
        nn.LeakyReLU(),
        nn.Linear(channels, channels),
        nn.Dropout(dropout),
    )
