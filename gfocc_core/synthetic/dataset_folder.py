"""The folder that a dataset is written to: who may write, what stands there, what is left over."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from gfocc_core.atomic_file import PARTIAL_SUFFIX, write_atomically
from gfocc_core.data.scenes import DatasetError
from gfocc_core.synthetic import GENERATOR
from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.synthetic.keyframe import PROGRESS_FOLDER

RECORD_FILE = "dataset.json"

_LOCK_FILE = "lock"


@contextmanager
def claimed_folder(config: SyntheticConfig) -> Iterator[None]:
    """Hold the output folder for this configuration; leftovers of a killed run are removed.

    Raises:
        DatasetError: the folder holds something else or a dataset of other settings (named), or
            another run is writing to it.
        OSError: from the file system.
    """
    out = config.out
    settings = _plain({"generator": GENERATOR, "config": config.content()})
    _refuse_others(out, settings)
    progress = out / PROGRESS_FOLDER
    progress.mkdir(parents=True, exist_ok=True)
    with open(progress / _LOCK_FILE, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(f"another run is writing to '{out}'") from error
        for leftover in out.rglob(f".*{PARTIAL_SUFFIX}"):
            if leftover.is_file():
                leftover.unlink(missing_ok=True)
        if not (out / RECORD_FILE).is_file():
            text = json.dumps(settings, indent=1, sort_keys=True) + "\n"
            write_atomically(out / RECORD_FILE, lambda file: file.write(text.encode()))
        yield


def _refuse_others(out: Path, settings: dict[str, Any]) -> None:
    if out.exists() and not out.is_dir():
        raise DatasetError(f"out '{out}' is not a folder")
    record = out / RECORD_FILE
    if not record.is_file():
        strangers = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
        strangers = [name for name in strangers if not _is_ours(name)]
        if strangers:
            raise DatasetError(
                f"out '{out}' holds something else, such as '{strangers[0]}', and no {RECORD_FILE}"
            )
        return
    try:
        found = json.loads(record.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"'{record}' cannot be read: {error}") from error
    difference = _first_difference(found, settings)
    if difference is not None:
        raise DatasetError(f"out '{out}' holds a dataset of other settings: {difference}")


def _is_ours(name: str) -> bool:
    """Whether a run that ended before its first file could have left this."""
    return name == PROGRESS_FOLDER or (name.startswith(".") and name.endswith(PARTIAL_SUFFIX))


def _first_difference(found: Any, wanted: Any, name: str = "") -> str | None:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            label = key if name in ("", "config") else f"{name}.{key}"
            if key not in found or key not in wanted:
                return f"{label} is known to only one of both"
            difference = _first_difference(found[key], wanted[key], label)
            if difference is not None:
                return difference
        return None
    return None if found == wanted else f"{name} is {found} there, not {wanted}"


def _plain(value: Any) -> Any:
    """Dataclasses and tuples as JSON has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
