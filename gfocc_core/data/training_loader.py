"""A data loader that makes training batches in the memory they are sent through.

A worker decodes images and labels straight into the shared memory of the batch. torch's default
collation of a TrainingDataset gives the same batches; it copies every pixel once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info

from gfocc_core.data.training_dataset import TrainingDataset
from gfocc_core.data.training_item import TrainingItem

Batch = dict[str, Any]
"""TrainingItem's entries with a leading batch dimension; strings are lists."""


def training_loader(
    dataset: TrainingDataset,
    *,
    batch_size: int,
    workers: int,
    sampler: Iterable[int] | None = None,
    drop_last: bool = False,
) -> DataLoader[Batch]:
    """Load batches of items in worker processes, into pinned memory where there is a GPU.

    Args:
        dataset: Its set_epoch reaches the workers, which live on from epoch to epoch.
        batch_size: Items per batch.
        workers: Processes; 0 loads in this one.
        sampler: Numbers of the items, in their order; all in their own order if not given.
        drop_last: Leave out a last batch that is not full.
    """
    return DataLoader(
        _WholeBatches(dataset),
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        collate_fn=_as_it_is,
    )


class _WholeBatches(Dataset[Batch]):
    def __init__(self, dataset: TrainingDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """What torch's fetcher asks for a whole batch."""
        large = {
            name: _empty((len(numbers), *shape), dtype)
            for name, (shape, dtype) in self._dataset.large_tensors().items()
        }
        items: list[TrainingItem] = [
            self._dataset.fill_item(number, {name: rows[row] for name, rows in large.items()})
            for row, number in enumerate(numbers)
        ]
        small = [{k: v for k, v in item.items() if k not in large} for item in items]
        return {**default_collate(small), **large}


def _as_it_is(batch: Any) -> Any:
    return batch


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor, in shared memory if it is to leave this process."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    size = torch.Size(shape).numel() * dtype.itemsize
    # torch's own collation gets its memory so; there is no public way that does not copy.
    storage = torch.UntypedStorage._new_shared(size)
    return torch.empty(0, dtype=dtype).set_(storage).view(shape)
