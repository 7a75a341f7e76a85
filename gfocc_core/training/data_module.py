"""Loaders of a run's clips; knows how far an epoch has come, so that a run can be resumed in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import lightning
from lightning.pytorch.loops.progress import _ProcessedTracker
from torch.utils.data import DataLoader

from gfocc_core.data.augmentation import NO_AUGMENTATION
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.data.training_loader import Batch, training_loader
from gfocc_core.training.config import DataConfig, TrainingConfig
from gfocc_core.training.sampler import ResumableSampler


class LabelledClips(lightning.LightningDataModule):
    """Training and validation clips of one index and one label store."""

    def __init__(self, config: TrainingConfig) -> None:
        """Open index and labels; raises DatasetError where they cannot be used."""
        super().__init__()
        self._config = config
        data = config.data
        self._index = SceneIndex.load(data.index, data.dataroot)
        self._labels = LabelStore.open(data.labels)
        self._training = self._clips(data, data.train_split, training=True)
        self._validation = (
            None if data.val_split is None else self._clips(data, data.val_split, training=False)
        )
        self._epoch, self._batches_done = 0, 0

    def training_frames(self) -> TrainingDataset:
        """The training split without past and future: much cheaper to look through."""
        alone = replace(self._config.data, history=0, renders=1)
        return self._clips(alone, alone.train_split, training=True)

    def train_dataloader(self) -> DataLoader[Batch]:
        sampler = self._sampler(self._training, shuffle=True)
        sampler.resume(self._epoch, self._batches_done * self._config.data.batch_size)
        return self._loader(self._training, sampler)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        if self._validation is None:
            return []
        return self._loader(self._validation, self._sampler(self._validation, shuffle=False))

    def state_dict(self) -> dict[str, Any]:
        assert self.trainer is not None
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        finished = progress.is_last_batch
        # "processed", since checkpoints are written before a batch counts as "completed"
        done = 0 if finished else cast("_ProcessedTracker", progress.current).processed
        return {"epoch": self.trainer.current_epoch + int(finished), "batches_done": done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._epoch, self._batches_done = state_dict["epoch"], state_dict["batches_done"]

    def _clips(self, data: DataConfig, split: str, *, training: bool) -> TrainingDataset:
        return TrainingDataset(
            self._index,
            self._labels,
            self._index.scenes_of_split(split),
            self._config.network.image,
            data.augmentation if training else NO_AUGMENTATION,
            history=data.history,
            horizon=data.horizon,
            renders=data.renders,
            occ3d=self._config.loss.occupancy_weight > 0,
            seed=self._config.run.seed,
        )

    def _sampler(self, clips: TrainingDataset, *, shuffle: bool) -> ResumableSampler:
        assert self.trainer is not None
        return ResumableSampler(
            len(clips),
            shuffle=shuffle,
            seed=self._config.run.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            on_epoch=clips.set_epoch if shuffle else None,
        )

    def _loader(self, clips: TrainingDataset, sampler: ResumableSampler) -> DataLoader[Batch]:
        data = self._config.data
        return training_loader(
            clips, batch_size=data.batch_size, workers=data.workers, sampler=sampler
        )
