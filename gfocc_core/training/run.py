"""One training run: builds the parts from the configuration, fits, leaves checkpoints behind."""

from __future__ import annotations

import json
import logging
import platform
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, Timer
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from gfocc_core.atomic_file import write_atomically
from gfocc_core.checkpoint import CheckpointError, load_checkpoint
from gfocc_core.training.config import TrainingConfig
from gfocc_core.training.data_module import LabelledClips
from gfocc_core.training.ema import MovingAverage
from gfocc_core.training.export import CheckpointExport
from gfocc_core.training.imagenet_weights import (
    BACKBONE,
    load_imagenet_weights,
    normalises_as_trained,
)
from gfocc_core.training.initial_means import means_from_labels
from gfocc_core.training.module import NonFiniteLossError, OccupancyLearner

RESUME_FILE = "last.ckpt"
"""Everything a run needs to go on: weights, optimizer, schedule, average, sampler position."""
CULPRITS_FILE = "non_finite_loss.json"
SUMMARY_FILE = "summary.json"
"""What the finished run was: steps, minutes, device, configuration."""

_log = logging.getLogger(__name__)


class RunError(ValueError):
    """A run that cannot begin or go on; names the folder or the reason."""


def train(config: TrainingConfig, *, resume: bool = False) -> Path:
    """Train until the configured end; returns the exported `last.safetensors`.

    Args:
        resume: go on exactly where the last checkpoint in run.out was written.

    Raises:
        RunError: run.out holds a run and resume is not asked for, or the other way round; the
            loss became NaN or infinite (the batch's tokens are then in CULPRITS_FILE).
        ImagenetWeightsError: they are asked for and not installed.
        CheckpointError: initial_weights cannot be used, or belong to another network.model.
        DatasetError: index, images or labels cannot be used.
    """
    out = config.run.out
    checkpoint = out / RESUME_FILE
    if resume and not checkpoint.is_file():
        raise RunError(f"nothing to resume: '{checkpoint}' does not exist")
    if not resume and checkpoint.exists():
        raise RunError(f"'{out}' holds a run already; use --resume or another run.out")
    out.mkdir(parents=True, exist_ok=True)
    data = LabelledClips(config)
    lightning.seed_everything(config.run.seed, verbose=False)
    learner = _learner(config, fresh=not resume)
    if config.initial_means == "labels" and not resume:
        _place_means(learner, data, config)
    average, timer = MovingAverage(), Timer(verbose=False)
    trainer = _trainer(config, average, timer)
    try:
        trainer.fit(learner, data, ckpt_path=str(checkpoint) if resume else None, weights_only=True)
    except NonFiniteLossError as error:
        culprits = out / CULPRITS_FILE
        culprits.write_text(json.dumps({"error": str(error), "tokens": error.tokens}))
        raise RunError(f"{error}; tokens saved in '{culprits}'") from error
    if trainer.is_global_zero:
        _write_summary(config, trainer, timer.time_elapsed() / 60)
    return out / CheckpointExport.LAST


def _learner(config: TrainingConfig, *, fresh: bool) -> OccupancyLearner:
    """The learner with its first weights; those of a run that goes on come from its checkpoint."""
    pretrained = config.pretrained_backbone and fresh
    packaged = pretrained and config.network.model.backbone == BACKBONE
    learner = OccupancyLearner(
        config.network,
        config.loss,
        config.optimizer,
        seed=config.run.seed,
        use_flow=config.use_flow,
        freeze_batch_norm=config.freeze_batch_norm,
        pretrained_backbone=pretrained and not packaged,
    )
    if packaged:
        load_imagenet_weights(learner.network.encoder)
        if not normalises_as_trained(config.network.image):
            _log.warning(
                "the ImageNet weights of %s were trained with another network.image.mean and .std",
                BACKBONE,
            )
    if config.initial_weights is not None and fresh:
        _load_initial_weights(learner, config.initial_weights)
    # Lightning keeps the modes it finds: without this, frozen batch norms would never be frozen.
    return learner.train()


def _place_means(learner: OccupancyLearner, data: LabelledClips, config: TrainingConfig) -> None:
    means = means_from_labels(
        data.training_frames(),
        config.network.grid,
        config.network.model.gaussians,
        config.loss.max_depth,
        config.run.seed,
    )
    with torch.no_grad():
        learner.network.initial_means.copy_(means)


def _load_initial_weights(learner: OccupancyLearner, path: Path) -> None:
    network, config = load_checkpoint(path)
    wanted = asdict(learner.config.model)
    other = [name for name, value in asdict(config.model).items() if value != wanted[name]]
    if other:
        raise CheckpointError(
            f"initial_weights '{path}' differ from this run in network.model."
            + ", network.model.".join(other)
        )
    learner.network.load_state_dict(network.state_dict())


def _write_summary(config: TrainingConfig, trainer: lightning.Trainer, minutes: float) -> None:
    root = trainer.strategy.root_device
    summary = {
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "minutes": minutes,
        "device": torch.cuda.get_device_name(root) if root.type == "cuda" else platform.machine(),
        "processes": trainer.world_size,
        "batch": config.data.batch_size * config.run.accumulate * trainer.world_size,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "torch": torch.__version__,
        "config": asdict(config),
    }
    text = json.dumps(summary, indent=1, default=str).encode()
    write_atomically(config.run.out / SUMMARY_FILE, lambda stream: stream.write(text))


def _trainer(config: TrainingConfig, average: MovingAverage, timer: Timer) -> lightning.Trainer:
    run = config.run
    callbacks: list[Callback] = [
        CheckpointExport(run.out, average, run.export_precision),
        average,
        timer,
        ModelCheckpoint(
            run.out,
            filename="step_{step}",
            auto_insert_metric_name=False,
            every_n_train_steps=run.checkpoint_every,
            save_top_k=0,
            save_last=True,
            enable_version_counter=False,
        ),
        LearningRateMonitor(logging_interval="step"),
        # Showing the loss waits for the GPU: not at every step.
        RichProgressBar(refresh_rate=run.log_every),
    ]
    return lightning.Trainer(
        accelerator=run.accelerator,
        devices=run.devices,
        num_nodes=run.nodes,
        strategy=run.strategy,
        precision=run.precision,
        max_epochs=run.epochs if run.max_steps < 0 else -1,
        max_steps=run.max_steps,
        accumulate_grad_batches=run.accumulate,
        gradient_clip_val=config.optimizer.gradient_clip,
        check_val_every_n_epoch=run.validate_every,
        log_every_n_steps=run.log_every,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=run.out,
        logger=TensorBoardLogger(run.out, name="", version="tensorboard"),
        callbacks=callbacks,
    )
