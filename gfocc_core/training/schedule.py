"""Learning rate over a run: linear warm-up, a constant stretch, then a cosine (ALGORITHM 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW and its schedule; the defaults are the paper's."""

    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    means_factor: float = 1.0
    """Times the learning rate for the Gaussians' initial means, which are metres, not weights.
    Other than 1, weight decay leaves them alone."""
    gradient_clip: float = 5.0
    """Largest norm of the gradient of all parameters."""
    warmup_steps: int = 200
    warmup_factor: float = 0.001
    """Share of the learning rate at step 0."""
    constant_share: float = 0.5
    """Share of the run after which the cosine begins."""
    final_factor: float = 0.01
    """Share of the learning rate at the end."""

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"optimizer.learning_rate must be positive, got {self.learning_rate}")
        if not self.means_factor > 0:
            raise ValueError(f"optimizer.means_factor must be positive, got {self.means_factor}")
        if not 0 <= self.constant_share <= 1:
            raise ValueError(
                f"optimizer.constant_share must be in [0, 1], got {self.constant_share}"
            )
        if self.warmup_steps < 0:
            raise ValueError(f"optimizer.warmup_steps must be >= 0, got {self.warmup_steps}")


def learning_rate_factor(config: OptimizerConfig, step: int, total_steps: int) -> float:
    """What the learning rate is multiplied by at an optimizer step."""
    if step < config.warmup_steps:
        progress = step / config.warmup_steps
        return config.warmup_factor + (1 - config.warmup_factor) * progress
    begin = max(config.warmup_steps, config.constant_share * total_steps)
    if step < begin or total_steps <= begin:
        return 1.0
    progress = min(1.0, (step - begin) / (total_steps - begin))
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.final_factor + (1 - config.final_factor) * cosine
