"""Typed configuration of everything a checkpoint fixes, with the presets `paper` and `tiny`.

A configuration is data: it travels as JSON inside a checkpoint and comes back checked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import dacite

from gfocc_core.grid import VoxelGrid
from gfocc_core.taxonomy import NUM_PREDICTED_CLASSES


class ConfigError(ValueError):
    """A configuration names an unknown field, misses one or holds a value of the wrong kind."""


def _require_positive(section: str, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ConfigError(f"{section}.{name} must be positive, got {value}")


@dataclass(frozen=True)
class ImageConfig:
    """The network's input raster; every image is resized to cover it, bottom-aligned."""

    height: int = 256
    width: int = 704
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Subtracted from RGB values of 0 to 255."""
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """RGB values are divided by it."""

    def __post_init__(self) -> None:
        _require_positive("image", {"height": self.height, "width": self.width})


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the network (ALGORITHM 3); the defaults are the paper's."""

    backbone: str = "resnet50"
    """Any timm model with feature maps at strides 8, 16 and 32."""
    channels: int = 256
    heads: int = 8
    levels: int = 3
    points: int = 8
    """Samples per head and level of the image cross attention."""
    blocks: int = 3
    inducing_points: int = 500
    gaussians: int = 10_000
    cameras: int = 6
    """Camera embeddings; a frame may bring fewer cameras, not more."""
    classes: int = NUM_PREDICTED_CLASSES
    dropout: float = 0.1
    flow_horizon: int = 6
    """The flow head knows the steps -flow_horizon to flow_horizon."""
    temporal_attention: bool = True
    """False: a decoder without memory; every frame stands alone."""

    def __post_init__(self) -> None:
        sizes = {
            name: value
            for name, value in asdict(self).items()
            if name not in ("backbone", "dropout", "temporal_attention")
        }
        _require_positive("model", sizes)
        if self.channels % self.heads:
            raise ConfigError(
                f"model.channels must be a multiple of model.heads, got {self.channels} and {self.heads}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout must be in [0, 1), got {self.dropout}")


@dataclass(frozen=True)
class OccupancyConfig:
    """From Gaussians to labels (ALGORITHM 6)."""

    neighborhood: int = 4
    """A Gaussian reaches the voxels up to this many away from its own, on each axis."""
    threshold: float = 0.05
    """A voxel is occupied from this density on."""
    density_floor: float = 1e-3
    """Density below it becomes 0."""
    ceiling_index: int = 11
    """Voxels from this z index on become free."""

    def __post_init__(self) -> None:
        if self.neighborhood < 0:
            raise ConfigError(f"occupancy.neighborhood must be >= 0, got {self.neighborhood}")
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"occupancy.threshold must be in [0, 1], got {self.threshold}")


@dataclass(frozen=True)
class TemporalConfig:
    """When memory holds, and the rhythm it was learned with (ALGORITHM 4)."""

    frame_interval: float = 0.5
    """Seconds between two steps of the flow head."""
    max_gap: float = 2.0
    """Memory older than this many seconds is dropped."""
    memory_interval: float = 0.5
    """A frame attends to the past state whose age is closest to this many seconds; 0: the newest."""

    def __post_init__(self) -> None:
        intervals = {"frame_interval": self.frame_interval, "max_gap": self.max_gap}
        _require_positive("temporal", intervals)
        if not 0 <= self.memory_interval < math.inf:
            raise ConfigError(
                f"temporal.memory_interval must be >= 0 and finite, got {self.memory_interval}"
            )


@dataclass(frozen=True)
class Config:
    """Everything that a checkpoint was trained with and the predictor needs."""

    model: ModelConfig = field(default_factory=ModelConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    grid: VoxelGrid = field(default_factory=VoxelGrid)
    occupancy: OccupancyConfig = field(default_factory=OccupancyConfig)
    temporal: TemporalConfig = field(default_factory=TemporalConfig)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Build from nested mappings; raises ConfigError on unknown fields and wrong types."""
        try:
            return dacite.from_dict(
                cls, values, dacite.Config(strict=True, cast=[tuple], type_hooks={float: _as_float})
            )
        except ConfigError:
            raise
        except (dacite.DaciteError, ValueError, TypeError) as error:
            raise ConfigError(f"configuration: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Inverse of to_json; raises ConfigError."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"configuration is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"configuration must be a JSON object, got {type(values).__name__}")
        return cls.from_dict(values)


def _as_float(value: object) -> object:
    """YAML and JSON write 1.0 as 1; a bool stays wrong."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


PRESETS: dict[str, Config] = {
    "paper": Config(),
    "tiny": Config(
        model=ModelConfig(
            backbone="efficientnet_lite0",
            channels=64,
            heads=4,
            points=4,
            blocks=3,
            inducing_points=128,
            gaussians=2400,
        ),
        image=ImageConfig(
            height=128, width=352, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)
        ),
    ),
}
"""`paper` has the paper's exact sizes; `tiny` runs at 2 Hz and more on two CPU cores."""


def preset(name: str) -> Config:
    """The preset of that name; raises ConfigError that lists the known ones."""
    if name not in PRESETS:
        raise ConfigError(f"unknown preset '{name}', known: {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
