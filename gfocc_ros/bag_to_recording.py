"""Write ROS 2 bags of one's own robot as recordings, to train on.

Needs no ROS. A recording is a folder with the cameras' calibration, the vehicle's poses and rectified
images; training/index_recording.py indexes it, docs/bring_your_own_data.md shows the whole way.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from gfocc_core.command_line import INTERRUPTED, OneLineParser, report_bad_input
from gfocc_ros.bags.command import BagError, terminate_as_interrupt
from gfocc_ros.bags.progress import SceneProgress
from gfocc_ros.bags.recording_export import ExportOptions, ExportReport, export_recording

COMMAND: Final = "bag_to_recording"


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code (2: a bag that cannot be used, 130: interrupted)."""
    args = _parser().parse_args(argv)
    code = 0
    try:
        with terminate_as_interrupt():
            options = ExportOptions(tuple(args.cameras), args.base_frame, args.fixed_frame)
            for bag in args.bags:
                code = max(code, _export(bag, args.out, options))
    except (BagError, OSError) as error:
        return report_bad_input(COMMAND, error)
    except KeyboardInterrupt:
        print(f"{COMMAND}: interrupted: the same command goes on where it stopped", file=sys.stderr)
        return INTERRUPTED
    return code


def _parser() -> OneLineParser:
    parser = OneLineParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bags", nargs="+", type=Path, metavar="BAG", help="folders of bags")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder of recordings; each bag becomes one in it, of the same name, and those that "
        "are finished already are left as they are",
    )
    parser.add_argument(
        "--cameras",
        nargs="+",
        required=True,
        metavar="NAME[=TOPIC]",
        help="in the order the network shall learn them; images come from /NAME/image_rect[...], "
        "/NAME/image_raw[...] and the like, or from TOPIC",
    )
    parser.add_argument("--base-frame", default="base_link", help="the vehicle's (%(default)s)")
    parser.add_argument(
        "--fixed-frame", default="odom", help="that does not move and never jumps (%(default)s)"
    )
    return parser


def _export(bag: Path, out: Path, options: ExportOptions) -> int:
    """One bag; one that cannot be used is told and does not stop the others."""
    try:
        with SceneProgress(bag.name) as progress:
            report = export_recording(bag, out, options, progress.update)
    except BagError as error:
        return report_bad_input(COMMAND, error)
    if report is None:
        print(f"{bag}: its recording is there already")
    else:
        print("\n".join(_summary(bag, report)))
    return 0


def _summary(bag: Path, report: ExportReport) -> list[str]:
    images = ", ".join(f"{camera} {count}" for camera, count in report.images.items())
    lines = [f"{bag}: wrote images of {images}; {report.poses} poses"]
    for reason, count in report.skipped.items():
        problem = report.first_problem.get(reason)
        lines.append(f"  skipped {count} of {reason}" + (f" ({problem})" if problem else ""))
    return lines


if __name__ == "__main__":
    sys.exit(main())
