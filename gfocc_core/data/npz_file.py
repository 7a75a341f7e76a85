"""Reads npz files from several threads of one process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_ONE_AT_A_TIME = threading.Lock()
"""numpy parses array headers with ast.literal_eval, which in CPython before 3.13 fails now and then
when two threads do it at once (SystemError, python/cpython issue 106905)."""


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an npz file by name; raises what numpy.load does, never unpickles."""
    with _ONE_AT_A_TIME, np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
