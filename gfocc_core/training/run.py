"""One training run: builds the parts from the configuration, fits, leaves checkpoints behind."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from gfocc_core.training.config import TrainingConfig
from gfocc_core.training.data_module import LabelledClips
from gfocc_core.training.ema import MovingAverage
from gfocc_core.training.export import CheckpointExport
from gfocc_core.training.module import NonFiniteLossError, OccupancyLearner

RESUME_FILE = "last.ckpt"
"""Everything a run needs to go on: weights, optimizer, schedule, average, sampler position."""
CULPRITS_FILE = "non_finite_loss.json"

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
    learner = OccupancyLearner(
        config.network,
        config.loss,
        config.optimizer,
        seed=config.run.seed,
        use_flow=config.use_flow,
        freeze_batch_norm=config.freeze_batch_norm,
        pretrained_backbone=config.pretrained_backbone,
    )
    average = MovingAverage()
    trainer = _trainer(config, average)
    try:
        trainer.fit(learner, data, ckpt_path=str(checkpoint) if resume else None, weights_only=True)
    except NonFiniteLossError as error:
        culprits = out / CULPRITS_FILE
        culprits.write_text(json.dumps({"error": str(error), "tokens": error.tokens}))
        raise RunError(f"{error}; tokens saved in '{culprits}'") from error
    return out / CheckpointExport.LAST


def _trainer(config: TrainingConfig, average: MovingAverage) -> lightning.Trainer:
    run = config.run
    callbacks: list[Callback] = [
        CheckpointExport(run.out, average),
        average,
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
        RichProgressBar(),
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
