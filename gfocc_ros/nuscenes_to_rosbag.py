"""Convert nuScenes scenes into ROS 2 bags that `ros2 bag play` and `play_rosbag` play.

Needs no ROS. Every camera becomes `/<cam>/image_rect/compressed` (the dataset's JPEG bytes) and
`/<cam>/camera_info`, lidar and radars `/<sensor>/points`, the ego poses `/tf` and `/odom`, the
sensors' mounts `/tf_static`, boxes `/annotations`, Occ3D labels `/ground_truth/occupancy`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gfocc_core.command_line import BAD_INPUT, INTERRUPTED, OneLineParser, report_bad_input
from gfocc_core.data.scenes import DatasetError, open_nuscenes, scene_names
from gfocc_ros.bags.batch import SceneBatch
from gfocc_ros.bags.command import BagError, terminate_as_interrupt
from gfocc_ros.bags.content import TOPIC_GROUPS, BagContent
from gfocc_ros.bags.conversion import convert_scene
from gfocc_ros.bags.file import STORAGES, refuse_existing
from gfocc_ros.bags.progress import BatchProgress, SceneProgress

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

COMMAND: Final = "nuscenes_to_rosbag"
ALL_SCENES: Final = "all"


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code (2: bad input, 130: interrupted)."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {args.jobs}")
    try:
        with terminate_as_interrupt():
            content = BagContent(
                topics=None if args.topics is None else tuple(args.topics),
                cameras=None if args.cameras is None else tuple(args.cameras),
                keyframes_only=args.keyframes_only,
                annotation_text=args.annotation_text,
            )
            if args.scenes is not None:
                return _convert_several(args, content)
            return _convert_one(args, content)
    except (DatasetError, BagError, OSError) as error:
        return report_bad_input(COMMAND, error)
    except KeyboardInterrupt:
        print(f"{COMMAND}: interrupted, nothing unfinished left behind", file=sys.stderr)
        return INTERRUPTED


def _parser() -> OneLineParser:
    parser = OneLineParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--dataroot", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--version", required=True, help="its version, such as v1.0-mini")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--scene", help="name of the scene; needed where there are several")
    which.add_argument(
        "--scenes",
        nargs="+",
        metavar="SCENE",
        help=f"several scenes, or '{ALL_SCENES}'; each becomes a bag in the folder --out, those "
        "that are finished already are left as they are",
    )
    parser.add_argument("--out", type=Path, required=True, help="bag to write; must not exist")
    parser.add_argument("--storage", choices=sorted(STORAGES), default="mcap")
    parser.add_argument(
        "--topics",
        nargs="+",
        choices=TOPIC_GROUPS,
        metavar="GROUP",
        help=f"of {', '.join(TOPIC_GROUPS)}; default: those the dataset has (tf is always written)",
    )
    parser.add_argument(
        "--cameras", nargs="+", metavar="CHANNEL", help="such as CAM_FRONT; default: all"
    )
    parser.add_argument(
        "--keyframes-only", action="store_true", help="leave out the sweeps between keyframes"
    )
    parser.add_argument(
        "--annotation-text", action="store_true", help="label the annotated boxes in RViz"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="scenes to convert at a time with --scenes (default: one per CPU core)",
    )
    return parser


def _convert_one(args: argparse.Namespace, content: BagContent) -> int:
    refuse_existing(args.out)
    nusc = open_nuscenes(args.dataroot, args.version)
    scene = _only_scene(nusc) if args.scene is None else args.scene
    with SceneProgress(scene) as progress:
        counts = convert_scene(nusc, scene, args.out, args.storage, progress.update, content)
    print(f"wrote {args.out}: {scene}, {sum(counts.values())} messages on {len(counts)} topics")
    return 0


def _convert_several(args: argparse.Namespace, content: BagContent) -> int:
    nusc = open_nuscenes(args.dataroot, args.version)
    scenes = _known_scenes(nusc, args.scenes)
    batch = SceneBatch(nusc, scenes, args.out, args.storage, content)
    with BatchProgress(len(batch.open_scenes)) as progress:
        report = batch.convert(args.jobs, progress.update)
    for scene, reason in report.failed.items():
        report_bad_input(COMMAND, f"scene '{scene}' not converted: {reason}")
    print(
        f"wrote {len(report.written)} bags into {args.out}, "
        f"{len(report.finished_before)} were there before, "
        f"{len(scenes) - len(report.written) - len(report.finished_before)} are missing"
    )
    return BAD_INPUT if report.failed else 0


def _known_scenes(nusc: NuScenes, wanted: list[str]) -> list[str]:
    names = scene_names(nusc)
    if wanted == [ALL_SCENES]:
        return list(names)
    for name in wanted:
        if name not in names:
            raise DatasetError(
                f"scene '{name}' is not in '{nusc.table_root}'; it holds: {', '.join(names)}"
            )
    return list(dict.fromkeys(wanted))


def _only_scene(nusc: NuScenes) -> str:
    names = scene_names(nusc)
    if len(names) != 1:
        raise DatasetError(
            f"--scene is needed, since the dataset has {len(names)} scenes: {', '.join(names)}"
        )
    return names[0]


if __name__ == "__main__":
    sys.exit(main())
