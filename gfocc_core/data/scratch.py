"""Memory that the reads of a thread share.

The C library hands big blocks back to the system as soon as they are free and gets them anew, page
by page: for readers of many small files that costs more than decoding does.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class Scratch(threading.local):
    """Arrays by name; each thread has its own, valid until it asks for the same name again."""

    def __init__(self) -> None:
        self._kept: dict[str, npt.NDArray[Any]] = {}

    def array(
        self, name: str, shape: tuple[int, ...], dtype: type[np.generic] = np.uint8
    ) -> npt.NDArray[Any]:
        """An array of any content."""
        kept = self._kept.get(name)
        if kept is None or kept.shape != shape or kept.dtype != dtype:
            kept = self._kept[name] = np.empty(shape, dtype)
        return kept

    def read_file(self, path: Path) -> memoryview:
        """All bytes of a file; OSError."""
        with open(path, "rb", buffering=0) as file:
            wanted = os.fstat(file.fileno()).st_size
            kept = self._kept.get("file")
            if kept is None or len(kept) <= wanted:
                kept = self._kept["file"] = np.empty(wanted + wanted // 4 + 1, np.uint8)
            room, size = kept.data, 0
            while count := file.readinto(room[size:]):
                size += count
        return room[:size]
