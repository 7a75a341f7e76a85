"""Bags with all that was written to them, for tests of what plays them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rosbags.highlevel import AnyReader

from gfocc_core.data.scenes import open_nuscenes
from gfocc_ros.bags.conversion import convert_scene
from tests.nuscenes_fixture import SCENES, write_nuscenes


@dataclass(frozen=True)
class Bag:
    path: Path
    stamps: dict[str, list[int]]
    """Log times in nanoseconds by topic."""
    cdr: dict[str, list[bytes]]
    types: dict[str, str]

    @property
    def duration_s(self) -> float:
        stamps = [stamp for own in self.stamps.values() for stamp in own]
        return (max(stamps) - min(stamps)) / 1e9

    @property
    def start_ns(self) -> int:
        return min(own[0] for own in self.stamps.values())


def padded(cdr: bytes) -> bytes:
    """The bytes as DDS may carry them: a payload is filled up to a multiple of 4."""
    return cdr + bytes(-len(cdr) % 4)


def load(path: Path) -> Bag:
    stamps: dict[str, list[int]] = defaultdict(list)
    cdr: dict[str, list[bytes]] = defaultdict(list)
    with AnyReader([path]) as reader:
        types = {connection.topic: connection.msgtype for connection in reader.connections}
        for connection, stamp_ns, data in reader.messages():
            stamps[connection.topic].append(stamp_ns)
            cdr[connection.topic].append(padded(bytes(data)))
    return Bag(path, dict(stamps), dict(cdr), types)


def convert_drive(folder: Path) -> dict[str, Bag]:
    """One second of a made-up drive, per storage."""
    dataset = write_nuscenes(folder / "nuscenes", scenes=SCENES[:1], radars=True, annotations=True)
    nusc = open_nuscenes(dataset.root, dataset.version)
    for storage in ("mcap", "sqlite3"):
        convert_scene(nusc, SCENES[0], folder / storage, storage)
    return {storage: load(folder / storage) for storage in ("mcap", "sqlite3")}
