"""Which markers viewers still show and are to be told to delete."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

REPEATS = 5
"""Messages that carry each DELETE: a slow viewer may miss some and would show it for ever."""


class ShownMarkers(Generic[K]):
    """Keeps the keys of what was sent.

    Markers are replaced and deleted one by one, since DELETEALL in every message makes viewers
    create all of them anew. Only the first message needs it: viewers may still show what an
    earlier run of the node has sent.
    """

    def __init__(self) -> None:
        self.is_first = True
        """Whether nothing was sent yet."""
        self._deletions_left: dict[K, int] = {}

    def replace(self, shown: Collection[K]) -> list[K]:
        """Take in what the next message shows; returns what it has to delete."""
        self.is_first = False
        vanished = [key for key in self._deletions_left if key not in shown]
        for key in vanished:
            self._deletions_left[key] -= 1
            if not self._deletions_left[key]:
                del self._deletions_left[key]
        self._deletions_left.update(dict.fromkeys(shown, REPEATS))
        return vanished
