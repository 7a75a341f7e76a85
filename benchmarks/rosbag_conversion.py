#!/usr/bin/env python3
"""Time and size of nuScenes-schema scenes as ROS 2 bags: sweeps, keyframes, both storages.

Without --dataroot two synthetic scenes are generated first, which takes minutes: one as the sensors
of nuScenes would see it (1600x900 images, 12 a second) and one of keyframes at 128x352.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rosbags.rosbag2 import Reader

from gfocc_core.data.scenes import DatasetError, open_nuscenes, scene_names
from gfocc_ros.bags.command import BagError
from gfocc_ros.bags.content import BagContent
from gfocc_ros.bags.conversion import convert_scene
from gfocc_ros.bags.file import STORAGES

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

SYNTHETIC_VERSION = "v1.0-synthetic"
SYNTHETIC_SCENES: dict[str, dict[str, int]] = {
    "1600x900, 12 Hz": {"height": 900, "width": 1600, "sweeps_per_keyframe": 5},
    "352x128, keyframes": {"height": 128, "width": 352, "sweeps_per_keyframe": 0},
}


@dataclass(frozen=True)
class Conversion:
    """One scene as a bag."""

    scene: str
    content: str
    storage: str
    scene_s: float
    """From the first message to the last."""
    messages: int
    bag_bytes: int
    wall_s: float
    """Median of the rounds, files in the page cache, bag flushed to the disk."""

    @property
    def real_time_factor(self) -> float:
        return self.scene_s / self.wall_s

    @property
    def bytes_per_second(self) -> float:
        """Of the drive, not of the conversion."""
        return self.bag_bytes / self.scene_s


def measure(
    name: str, nusc: NuScenes, scene: str, contents: dict[str, BagContent], rounds: int
) -> Iterator[Conversion]:
    """Convert a scene in every way, `rounds` times after a first time that does not count."""
    for content_name, content in contents.items():
        for storage in sorted(STORAGES):
            times = []
            for _ in range(rounds + 1):
                with tempfile.TemporaryDirectory(prefix="gfocc-bag-") as folder:
                    bag = Path(folder) / "bag"
                    began = time.perf_counter()
                    convert_scene(nusc, scene, bag, storage, content=content)
                    times.append(time.perf_counter() - began)
                    size = sum(path.stat().st_size for path in bag.iterdir())
                    with Reader(bag) as reader:
                        seconds, messages = reader.duration / 1e9, reader.message_count
            median = sorted(times[1:])[rounds // 2]
            yield Conversion(name, content_name, storage, seconds, messages, size, median)


def generate(root: Path, options: dict[str, int], frames: int) -> Path:
    """A data set of one synthetic scene; subprocess.CalledProcessError where that fails."""
    values = {"scenes": 1, "val_scenes": 0, "frames": frames, **options}
    command = [sys.executable, "-m", "gfocc_core.synthetic", "--out", str(root)]
    words = [f"--{name}={value}" for name, value in values.items()]
    subprocess.run([*command, *words, "--label_stores=[]"], check=True, stdout=sys.stderr)
    return root


def run(args: argparse.Namespace, folder: Path) -> list[Conversion]:
    if args.dataroot:
        nusc = open_nuscenes(args.dataroot, args.version)
        scene = args.scene or scene_names(nusc)[0]
        contents = {
            "all": BagContent(),
            "all, keyframes": BagContent(keyframes_only=True),
            "cameras": BagContent(("cameras",)),
        }
        return list(measure(scene, nusc, scene, contents, args.rounds))
    results = []
    for number, (name, options) in enumerate(SYNTHETIC_SCENES.items()):
        root = generate(folder / str(number), options, args.frames)
        nusc = open_nuscenes(root, SYNTHETIC_VERSION)
        contents = {"all": BagContent(), "cameras": BagContent(("cameras",))}
        results += measure(name, nusc, scene_names(nusc)[0], contents, args.rounds)
    return results


def print_table(results: Sequence[Conversion]) -> None:
    today = datetime.date.today().isoformat()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, one of them in use"
    table = Table(title=f"nuscenes_to_rosbag, {machine}, {today}")
    for column in ("scene", "topics", "storage"):
        table.add_column(column)
    for column in ("drive s", "messages", "bag MB", "MB per s of drive", "wall s", "x real time"):
        table.add_column(column, justify="right")
    for row in results:
        table.add_row(
            *(row.scene, row.content, row.storage, f"{row.scene_s:.2f}", str(row.messages)),
            *(f"{row.bag_bytes / 1e6:.1f}", f"{row.bytes_per_second / 1e6:.2f}"),
            *(f"{row.wall_s:.2f}", f"{row.real_time_factor:.1f}"),
        )
    Console(width=max(120, Console().width)).print(table)


def as_json(result: Conversion) -> dict[str, Any]:
    rates = {
        "real_time_factor": result.real_time_factor,
        "bytes_per_second": result.bytes_per_second,
    }
    return {**asdict(result), **rates}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns its exit code (2: bad input)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--dataroot", type=Path, help="a nuScenes-schema data set to read instead")
    parser.add_argument("--version", default=SYNTHETIC_VERSION, help="its version")
    parser.add_argument("--scene", help="its scene (default: the first)")
    parser.add_argument("--frames", type=int, default=5, help="keyframes to generate per scene")
    parser.add_argument("--rounds", type=int, default=3, help="conversions whose median counts")
    parser.add_argument("--json", action="store_true", help="print a JSON list, no table")
    args = parser.parse_args(argv)
    if args.rounds < 1 or args.frames < 2:
        parser.error("--rounds must be at least 1 and --frames at least 2")
    try:
        with tempfile.TemporaryDirectory(prefix="gfocc-rosbag-") as folder:
            results = run(args, Path(folder))
    except (DatasetError, BagError, OSError, subprocess.CalledProcessError) as error:
        print(f"rosbag_conversion: error: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps([as_json(result) for result in results]))
    else:
        print_table(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
