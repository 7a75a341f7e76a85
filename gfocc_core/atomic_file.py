"""Write a file whole or not at all: readers see the old content, the new one, or no file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PARTIAL_SUFFIX = ".partial"
"""Ends the name of a file that is still being written; such files also begin with a dot."""


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Have `write` fill a file beside `path`, flush it to the disk, then move it there.

    Several processes may write the same path at once: the last one to finish wins. A failure of
    any kind (full disk, interrupt) leaves `path` as it was and removes what was written.

    Raises:
        OSError: from the file system; whatever `write` raises.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}")
    try:
        with open(partial, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
