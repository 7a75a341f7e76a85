"""Recognise the files that an index was made from without reading all of them again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.splits import SPLITS_FILE
from gfocc_core.data.table_stream import TABLES, table_file

_WHOLE_BELOW = 2**20
_SAMPLES = 16
_SAMPLE_BYTES = 2**14

Fingerprint = Mapping[str, tuple[int, str]]
"""File name -> (size in bytes, digest). Small files are digested whole, of big ones 16 pieces."""


def take_fingerprint(folder: Path) -> dict[str, tuple[int, str]]:
    """The fingerprint of a folder of tables; DatasetError where one is missing."""
    files = [table_file(folder, table) for table in TABLES]
    if (folder / SPLITS_FILE).is_file():
        files.append(folder / SPLITS_FILE)
    return {path.name: _digest(path) for path in files}


def fingerprint_files(root: Path, files: Sequence[Path]) -> dict[str, tuple[int, str]]:
    """The fingerprint of files below a folder, by their path in it; DatasetError where one fails."""
    return {path.relative_to(root).as_posix(): _digest(path) for path in files}


def explain_difference(before: Fingerprint, now: Fingerprint) -> str | None:
    """What changed between two fingerprints, in words; None where nothing did."""
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            return f"{name} is gone"
        if name not in before:
            return f"{name} is new"
        if before[name][0] != now[name][0]:
            return f"{name} has {now[name][0]} bytes and had {before[name][0]}"
        if before[name][1] != now[name][1]:
            return f"{name} has another content"
    return None


def _digest(path: Path) -> tuple[int, str]:
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= _WHOLE_BELOW:
                digest.update(file.read())
            else:
                for piece in range(_SAMPLES):
                    file.seek((size - _SAMPLE_BYTES) * piece // (_SAMPLES - 1))
                    digest.update(file.read(_SAMPLE_BYTES))
    except OSError as error:
        raise DatasetError(f"file '{path}' cannot be read: {error.strerror}") from error
    return size, digest.hexdigest()
