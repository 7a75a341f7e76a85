"""Read a whole store to find what is damaged, and remove it so that the next run makes it anew."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gfocc_core.atomic_file import PARTIAL_SUFFIX
from gfocc_core.data.label_store import OBJECT_SUFFIX, LabelStore
from gfocc_core.data.weak_labels import LabelStoreError
from gfocc_core.labelling.progress import Progress

_ABANDONED_S = 3600.0
"""A file that has been unfinished for so long is that of a killed process."""


@dataclass(frozen=True)
class Verification:
    """What a store holds that cannot be used."""

    keyframes: int
    damaged: tuple[tuple[str, str], ...]
    """(token, reason)"""
    unfinished: tuple[Path, ...]
    """Files that killed processes left behind; they are never read, but take room."""


def verify_store(store: LabelStore, threads: int = 4) -> Verification:
    """Decode every keyframe, which checks its checksum, header, token and shape."""
    tokens = store.tokens()
    progress = Progress(len(tokens), 0, "verify")
    damaged: list[tuple[str, str]] = []

    def problem_of(token: str) -> str | None:
        try:
            store.read(token)
        except LabelStoreError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(threads, "verify") as pool:
        for token, problem in zip(tokens, pool.map(problem_of, tokens), strict=True):
            if problem is not None:
                damaged.append((token, problem))
            progress.add(0)
    progress.finish()
    return Verification(len(tokens), tuple(damaged), _unfinished(store))


def repair(store: LabelStore, found: Verification) -> int:
    """Remove what cannot be used; returns the number of files removed."""
    files = [store.path / f"{token}{OBJECT_SUFFIX}" for token, _ in found.damaged]
    for file in (*files, *found.unfinished):
        file.unlink(missing_ok=True)
    return len(files) + len(found.unfinished)


def _unfinished(store: LabelStore) -> tuple[Path, ...]:
    before = time.time() - _ABANDONED_S
    found = []
    for file in store.path.glob(f".*{PARTIAL_SUFFIX}"):
        try:
            if file.stat().st_mtime < before:
                found.append(file)
        except FileNotFoundError:  # finished in this moment
            continue
    return tuple(sorted(found))
