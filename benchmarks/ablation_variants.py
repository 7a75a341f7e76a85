"""What the ablations change: each variant is the base configuration with one thing different."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gfocc_core.training.config import TrainingConfig

Change = Callable[[TrainingConfig], TrainingConfig]


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    description: str
    change: Change


def _without_flow(config: TrainingConfig) -> TrainingConfig:
    return replace(config, use_flow=False)


def _without_temporal_attention(config: TrainingConfig) -> TrainingConfig:
    model = replace(config.network.model, temporal_attention=False)
    network = replace(config.network, model=model)
    return replace(config, network=network, data=replace(config.data, history=0))


def _without_depth(config: TrainingConfig) -> TrainingConfig:
    return replace(config, loss=replace(config.loss, depth_weight=0.0, empty_weight=0.0))


def _gaussians(factor: float) -> Change:
    def change(config: TrainingConfig) -> TrainingConfig:
        model = config.network.model
        model = replace(model, gaussians=round(factor * model.gaussians))
        return replace(config, network=replace(config.network, model=model))

    return change


VARIANTS: dict[str, Variant] = {
    "full": Variant("the base configuration", lambda config: config),
    "no_flow": Variant("Gaussians stay where they are in every rendered frame", _without_flow),
    "no_temporal_attention": Variant(
        "every frame stands alone; the history it would ignore is not loaded",
        _without_temporal_attention,
    ),
    "no_depth": Variant(
        "no loss reads depth labels, apart from dropping far pixels", _without_depth
    ),
    "gaussians_half": Variant("half as many Gaussians", _gaussians(0.5)),
    "gaussians_2x": Variant("twice as many Gaussians", _gaussians(2)),
    "gaussians_4x": Variant("four times as many Gaussians", _gaussians(4)),
}
DEFAULT_VARIANTS = tuple(name for name in VARIANTS if name != "gaussians_half")
