"""Convert one scene of a nuScenes dataset into a bag; for the command and for other programs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gfocc_core.data.fingerprint import take_fingerprint
from gfocc_ros.bags.content import BagContent
from gfocc_ros.bags.file import refuse_existing, write_bag
from gfocc_ros.bags.scene import SceneStream, topic_qos
from gfocc_ros.bags.sensors import TimedMessage

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

Progress = Callable[[int, int], None]
"""Called with the number of sensor files written so far and in all."""


def ignore_progress(done: int, total: int) -> None:
    """Where nobody asks for the progress."""


def convert_scene(
    nusc: NuScenes,
    scene_name: str,
    out: Path,
    storage: str = "mcap",
    on_progress: Progress = ignore_progress,
    content: BagContent | None = None,
) -> dict[str, int]:
    """Write one scene into a new bag, whole or not at all.

    Args:
        nusc: The dataset, from open_nuscenes.
        scene_name: Which scene.
        out: Folder to create; its missing parents are created too.
        storage: `mcap` or `sqlite3`.
        on_progress: Called while it goes on; what it raises ends the conversion.
        content: What of the scene; None: all that the dataset has.

    Returns:
        Number of messages per topic.

    Raises:
        DatasetError: unknown scene, or something it needs is missing or damaged.
        BagError: out exists already, or the storage fails.
    """
    refuse_existing(out)
    content = content or BagContent()
    stream = SceneStream(nusc, scene_name, content)
    origin = origin_of(nusc, scene_name, content)
    return write_bag(out, storage, origin, _reporting(stream, on_progress), topic_qos)


def origin_of(nusc: NuScenes, scene_name: str, content: BagContent) -> dict[str, str]:
    """What a bag says of where it comes from: two bags of equal origin hold the same."""
    tables = hashlib.blake2b(digest_size=16)
    for name, (size, digest) in sorted(take_fingerprint(Path(nusc.table_root)).items()):
        tables.update(f"{name} {size} {digest}\n".encode())
    return {
        "source": "nuScenes",
        "version": str(nusc.version),
        "scene": scene_name,
        "tables": tables.hexdigest(),
        "content": content.describe(),
    }


def _reporting(stream: SceneStream, on_progress: Progress) -> Iterator[TimedMessage]:
    done = 0
    on_progress(done, stream.num_files)
    for item in stream:
        yield item
        if item.ends_file:
            done += 1
            on_progress(done, stream.num_files)
