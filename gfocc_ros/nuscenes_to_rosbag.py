"""Convert a nuScenes scene into a ROS 2 bag that `ros2 bag play` and `play_rosbag` play.

Needs no ROS. Every camera becomes `/<cam>/image_rect/compressed` (the dataset's JPEG bytes) and
`/<cam>/camera_info`, the ego poses become `/tf`, the sensors' mounts `/tf_static`.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import Progress
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from gfocc_core.data.scenes import DatasetError, open_nuscenes, scene_names
from gfocc_ros.bag_command import BagError, OneLineParser, report_bad_input
from gfocc_ros.bag_messages import TYPESTORE, serialize, type_name
from gfocc_ros.bag_scene import SceneStream, topic_qos

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

COMMAND = "nuscenes_to_rosbag"

STORAGES: Mapping[str, StoragePlugin] = {
    "mcap": StoragePlugin.MCAP,
    "sqlite3": StoragePlugin.SQLITE3,
}

# Version 9 writes QoS profiles in a way that Humble's rosbag2 rejects; 8 plays from Humble on.
_BAG_VERSION: Final = 8


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code (2: bad input, nothing written)."""
    parser = OneLineParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--dataroot", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--version", required=True, help="its version, such as v1.0-mini")
    parser.add_argument("--scene", help="name of the scene; needed where there are several")
    parser.add_argument("--out", type=Path, required=True, help="bag to write; must not exist")
    parser.add_argument("--storage", choices=sorted(STORAGES), default="mcap")
    args = parser.parse_args(argv)
    try:
        _refuse_existing(args.out)
        nusc = open_nuscenes(args.dataroot, args.version)
        scene = _only_scene(nusc) if args.scene is None else args.scene
        counts = _convert_with_progress(nusc, scene, args.out, args.storage)
    except (DatasetError, BagError, WriterError, OSError) as error:
        return report_bad_input(COMMAND, error)
    except KeyboardInterrupt:
        print(f"{COMMAND}: interrupted, nothing written", file=sys.stderr)
        return 130
    print(f"wrote {args.out}: {scene}, {sum(counts.values())} messages on {len(counts)} topics")
    return 0


def convert_scene(
    nusc: NuScenes,
    scene_name: str,
    out: Path,
    storage: str = "mcap",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, int]:
    """Write one scene into a new bag, whole or not at all; for other programs than main too.

    Args:
        nusc: The dataset, from open_nuscenes.
        scene_name: Which scene.
        out: Folder to create; its missing parents are created too.
        storage: `mcap` or `sqlite3`.
        on_progress: Called with the number of images written so far and in all.

    Returns:
        Number of messages per topic.

    Raises:
        DatasetError: unknown scene, or something it needs is missing or damaged.
        BagError: out exists already.
    """
    _refuse_existing(out)
    stream = SceneStream(nusc, scene_name)
    anchor = _nearest_folder(out)
    # Built beside the target, on its file system, and moved there as the very last step.
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=anchor) as scratch:
        unfinished = Path(scratch) / out.name
        counts = _write(stream, unfinished, storage, {"scene": scene_name}, on_progress)
        out.parent.mkdir(parents=True, exist_ok=True)
        _refuse_existing(out)
        unfinished.rename(out)
    return counts


def _write(
    stream: SceneStream,
    path: Path,
    storage: str,
    origin: Mapping[str, str],
    on_progress: Callable[[int, int], None],
) -> dict[str, int]:
    writer = Writer(path, version=_BAG_VERSION, storage_plugin=STORAGES[storage])
    for key, value in {"source": "nuScenes", **origin}.items():
        writer.set_custom_data(key, value)
    connections: dict[str, Connection] = {}
    counts: Counter[str] = Counter()
    images = 0
    with writer:
        for item in stream:
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(
                    item.topic,
                    type_name(item.message),
                    typestore=TYPESTORE,
                    offered_qos_profiles=[topic_qos(item.topic)],
                )
            writer.write(connections[item.topic], item.stamp_ns, serialize(item.message))
            counts[item.topic] += 1
            images += item.is_image
            on_progress(images, stream.num_images)
    return dict(counts)


def _convert_with_progress(
    nusc: NuScenes, scene_name: str, out: Path, storage: str
) -> dict[str, int]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"{scene_name}: images")
        return convert_scene(
            nusc,
            scene_name,
            out,
            storage,
            lambda done, total: progress.update(task, completed=done, total=total),
        )


def _only_scene(nusc: NuScenes) -> str:
    names = scene_names(nusc)
    if len(names) != 1:
        raise DatasetError(
            f"--scene is needed, since the dataset has {len(names)} scenes: {', '.join(names)}"
        )
    return names[0]


def _refuse_existing(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise BagError(f"--out '{out}' exists already and is not overwritten")


def _nearest_folder(out: Path) -> Path:
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise BagError(f"--out '{out}' cannot be created: '{folder}' is not a folder")
    return folder


if __name__ == "__main__":
    sys.exit(main())
