"""A folder that is filled over several runs, by one process at a time, and knows what it is made from."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gfocc_ros.bags.command import BagError

SOURCE_FILE: Final = "source.json"
"""What a folder is made from: two folders of equal source become the same."""


def read_source(folder: Path) -> Mapping[str, Any] | None:
    """What a folder was made from; None where it does not say."""
    try:
        content: Mapping[str, Any] = json.loads((folder / SOURCE_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return content


@contextmanager
def unfinished_folder(folder: Path, source: Mapping[str, Any]) -> Iterator[Path]:
    """A folder that this process alone fills; emptied first if it was begun from another source.

    Raises BagError where another process is at it.
    """
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BagError(f"another process is writing '{folder}'") from None
        if read_source(folder) != source:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            (folder / SOURCE_FILE).write_text(json.dumps(source, indent=1) + "\n")
        yield folder
    finally:
        os.close(descriptor)
