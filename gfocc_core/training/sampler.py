"""The order of a run's samples: shuffled per epoch, shared among processes, resumable anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch.utils.data import Sampler


class ResumableSampler(Sampler[int]):
    """Indices of one process; the order depends on the seed and the epoch alone."""

    def __init__(
        self,
        length: int,
        *,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        on_epoch: Callable[[int], None] | None = None,
    ) -> None:
        """Args: on_epoch: called with every new epoch, so that the data set can follow."""
        if length < 1:
            raise ValueError(f"length must be positive, got {length}")
        self._length, self._shuffle, self._seed = length, shuffle, seed
        self._rank, self._world_size = rank, world_size
        self._on_epoch = on_epoch
        self._epoch, self._start = 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls it before every epoch."""
        self._epoch = epoch
        if self._on_epoch is not None:
            self._on_epoch(epoch)

    def resume(self, epoch: int, start: int) -> None:
        """The next pass continues an epoch after its first `start` indices of this process."""
        self.set_epoch(epoch)
        self._start = start

    def __len__(self) -> int:
        """Indices a process gets in a whole epoch; the last ones repeat the first to fill up."""
        return -(-self._length // self._world_size)

    def __iter__(self) -> Iterator[int]:
        order = torch.arange(self._length)
        if self._shuffle:
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
            order = torch.randperm(self._length, generator=generator)
        padded = order.repeat(self._world_size)[: len(self) * self._world_size]
        mine = padded[self._rank :: self._world_size].tolist()
        start, self._start = self._start, 0
        yield from mine[start:]
