"""Write messages into a new bag, whole or not at all.

A bag is built in a hidden folder beside its target and moved there as the very last step. What a
killed process left behind is recognised by its lock, which died with it, and removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import yaml
from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.messages import TYPESTORE, serialize, type_name
from gfocc_ros.bags.sensors import TimedMessage

STORAGES: Final[Mapping[str, StoragePlugin]] = {
    "mcap": StoragePlugin.MCAP,
    "sqlite3": StoragePlugin.SQLITE3,
}

# Version 9 writes QoS profiles in a way that Humble's rosbag2 rejects; 8 plays from Humble on.
_BAG_VERSION: Final = 8
_PARTIAL_SUFFIX: Final = ".partial"


class StorageError(BagError):
    """The file system fails, or takes no more: another bag would not fare better."""


def write_bag(
    out: Path,
    storage: str,
    origin: Mapping[str, str],
    messages: Iterable[TimedMessage],
    qos_of: Callable[[str], Qos],
) -> dict[str, int]:
    """Write messages, which come in time order, into a new bag.

    Args:
        out: Folder to create; its missing parents are created too.
        storage: `mcap` or `sqlite3`.
        origin: Kept as custom_data of the bag.
        messages: What to write; whatever it raises leaves nothing behind.
        qos_of: The profile a topic is offered with.

    Returns:
        Number of messages per topic.

    Raises:
        BagError: out exists already, StorageError where the disk is full or fails.
    """
    refuse_existing(out)
    try:
        with _scratch_folder(out) as scratch:
            unfinished = scratch / out.name
            counts = _write(unfinished, storage, origin, messages, qos_of)
            _flush_to_disk(unfinished)
            out.parent.mkdir(parents=True, exist_ok=True)
            refuse_existing(out)
            unfinished.rename(out)
    except OSError as error:
        raise StorageError(f"'{out}' cannot be written: {error.strerror or error}") from error
    except sqlite3.Error as error:
        raise StorageError(f"'{out}' cannot be written: {error}") from error
    except WriterError as error:
        raise BagError(str(error)) from error
    return counts


def refuse_existing(out: Path) -> None:
    """BagError where something stands in a bag's place."""
    if out.exists() or out.is_symlink():
        raise BagError(f"--out '{out}' exists already and is not overwritten")


def is_finished_bag(out: Path, storage: str, origin: Mapping[str, str]) -> bool:
    """Whether a whole bag of this storage and origin stands at out."""
    try:
        metadata: Any = yaml.safe_load((out / "metadata.yaml").read_bytes())
        information = metadata["rosbag2_bagfile_information"]
        files = [out / name for name in information["relative_file_paths"]]
        return (
            information["storage_identifier"] == storage
            and information["custom_data"] == dict(origin)
            and bool(files)
            and all(path.is_file() for path in files)
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return False


def _write(
    path: Path,
    storage: str,
    origin: Mapping[str, str],
    messages: Iterable[TimedMessage],
    qos_of: Callable[[str], Qos],
) -> dict[str, int]:
    writer = Writer(path, version=_BAG_VERSION, storage_plugin=STORAGES[storage])
    for key, value in origin.items():
        writer.set_custom_data(key, value)
    connections: dict[str, Connection] = {}
    counts: Counter[str] = Counter()
    with writer:
        for item in messages:
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(
                    item.topic,
                    type_name(item.message),
                    typestore=TYPESTORE,
                    offered_qos_profiles=[qos_of(item.topic)],
                )
            writer.write(connections[item.topic], item.stamp_ns, serialize(item.message))
            counts[item.topic] += 1
    return dict(counts)


@contextmanager
def _scratch_folder(out: Path) -> Iterator[Path]:
    """A locked folder on out's file system, removed in the end."""
    anchor = _nearest_folder(out)
    prefix = f".{out.name}-"
    with ExitStack() as held:
        with _lock(anchor, fcntl.LOCK_EX) as alone:
            if alone:
                _remove_abandoned(anchor, prefix)
            scratch = Path(tempfile.mkdtemp(_PARTIAL_SUFFIX, prefix, anchor))
            held.callback(shutil.rmtree, scratch, ignore_errors=True)
            held.enter_context(_lock(scratch, fcntl.LOCK_EX | fcntl.LOCK_NB))
        yield scratch


def _remove_abandoned(anchor: Path, prefix: str) -> None:
    for folder in anchor.iterdir():
        if folder.name.startswith(prefix) and folder.name.endswith(_PARTIAL_SUFFIX):
            with _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB) as abandoned:
                if abandoned:
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock(folder: Path, how: int) -> Iterator[bool]:
    """Hold a folder's lock; False where another has it, or where the file system has no locks."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield False
        return
    try:
        yield _try_lock(descriptor, how)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        return False
    return True


def _flush_to_disk(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _nearest_folder(out: Path) -> Path:
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise BagError(f"--out '{out}' cannot be created: '{folder}' is not a folder")
    return folder
