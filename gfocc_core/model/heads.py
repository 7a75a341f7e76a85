"""From features to the Gaussians' properties and to their motion (ALGORITHM 3.7, 3.8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from gfocc_core.config import ModelConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.taxonomy import DYNAMIC_IDS


class PropertyHeads(nn.Module):
    """Semantics, opacity, scale and rotation of each Gaussian."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.semantics = _property_head(config.channels, config.classes)
        self.opacity = _property_head(config.channels, 1)
        self.scale = _property_head(config.channels, 3)
        self.rotation = _property_head(config.channels, 4)

    def forward(self, means: Tensor, features: Tensor) -> Gaussians:
        """Means [B, N, 3] (m) and features [B, N, C] -> Gaussians with a leading [B]."""
        return Gaussians(
            means=means,
            scales=self.scale(features).sigmoid(),
            quats=F.normalize(self.rotation(features), dim=-1),
            opacities=self.opacity(features).sigmoid().squeeze(-1),
            logits=self.semantics(features),
            features=features,
        )


class FlowHead(nn.Module):
    """Where each moving Gaussian is some steps before or after now; ego motion is not part of it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, self.horizon = config.channels, config.flow_horizon
        self.step_embedding = nn.Embedding(2 * config.flow_horizon + 1, channels)
        layers: list[nn.Module] = [nn.Linear(2 * channels, 3 * channels), nn.LeakyReLU()]
        for _ in range(3):
            layers += [nn.Linear(3 * channels, 3 * channels), nn.LeakyReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(3 * channels, 3))

    def offsets(self, features: Tensor, steps: Tensor) -> Tensor:
        """Offsets [B, S, N, 3] in metres, current ego frame, of features [B, N, C] at steps [B, S].

        Raises:
            ValueError: a step lies outside -horizon to horizon; checked for steps on the CPU,
                since looking at a GPU's would stall it.
        """
        if steps.device.type == "cpu" and steps.numel() and int(steps.abs().max()) > self.horizon:
            raise ValueError(
                f"steps must lie in -{self.horizon} to {self.horizon}, got {steps.tolist()}"
            )
        count, gaussians = steps.shape[1], features.shape[1]
        embedding = self.step_embedding(steps + self.horizon)
        pairs = torch.cat(
            [
                features.unsqueeze(1).expand(-1, count, -1, -1),
                embedding.unsqueeze(2).expand(-1, -1, gaussians, -1),
            ],
            -1,
        )
        return self.layers(pairs)

    def forward(self, gaussians: Gaussians, steps: Tensor) -> Tensor:
        """As `offsets`, but zero for Gaussians whose most likely class does not move and at step 0."""
        moving = is_dynamic(gaussians.logits)
        if steps.device.type == "cpu":
            offsets = self._offsets_of(moving, gaussians.features, steps)
        else:  # to look which ones move would stall a GPU for longer than all of them take
            offsets = self.offsets(gaussians.features, steps)
        moves = moving.unsqueeze(1) & (steps != 0).unsqueeze(2)
        return offsets * moves.unsqueeze(-1)

    def _offsets_of(self, chosen: Tensor, features: Tensor, steps: Tensor) -> Tensor:
        """`offsets` of the chosen (bool [B, N]) Gaussians; zero for the others."""
        batch, member = chosen.nonzero(as_tuple=True)
        found = features.new_zeros(*chosen.shape, steps.shape[1], 3)
        # A batch of its own for each: [M, 1, C] at steps [M, S] are [M, S, 1, 3].
        own = self.offsets(features[batch, member].unsqueeze(1), steps[batch])
        found[batch, member] = own.squeeze(2).to(found.dtype)
        return found.transpose(1, 2)


def is_dynamic(logits: Tensor) -> Tensor:
    """Whether the most likely class moves by itself: [..., K] logits -> bool [...]."""
    best = logits.argmax(-1)
    # Comparing with numbers: a table of ids would wait for a copy to the device.
    return torch.stack([best == class_id - 1 for class_id in DYNAMIC_IDS]).any(0)


def _property_head(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(channels, 2 * channels),
        nn.LeakyReLU(),
        nn.Linear(2 * channels, 2 * channels),
        nn.LeakyReLU(),
        nn.Linear(2 * channels, outputs),
    )
