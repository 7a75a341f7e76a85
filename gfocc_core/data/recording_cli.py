"""The command line of training/index_recording.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gfocc_core.command_line import INTERRUPTED, OneLineParser, report_bad_input
from gfocc_core.config import ConfigError
from gfocc_core.data.index_file import IndexArrays, IndexMeta, write_index
from gfocc_core.data.recording_index import build_recording_index
from gfocc_core.data.recording_keyframes import KeyframeRules
from gfocc_core.data.recording_scenes import RecordingReport
from gfocc_core.data.scenes import DatasetError

COMMAND = "index_recording"
_DESCRIPTION = """\
Index recordings of one's own robot for training. A recording is a folder of the dataroot with
calibration.yaml, poses.csv or poses.tum, and images/<camera>/<stamp in ns>.jpg;
docs/bring_your_own_data.md describes it."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code (2: bad input, nothing written)."""
    args = _parser().parse_args(argv)
    try:
        if args.out.is_dir():
            raise DatasetError(f"--out '{args.out}' is a folder, not a file to write")
        rules = KeyframeRules(args.rate, args.slop, args.reference_camera, args.longest_pose_gap)
        found = build_recording_index(args.dataroot, args.recordings, args.val, rules)
        meta, arrays, report = found
        write_index(args.out, meta, arrays)
    except (DatasetError, ConfigError, OSError) as error:
        return report_bad_input(COMMAND, error)
    except KeyboardInterrupt:
        print(f"{COMMAND}: interrupted, nothing written", file=sys.stderr)
        return INTERRUPTED
    print("\n".join(_summary(args.out, meta, arrays, report)))
    return 0


def _parser() -> OneLineParser:
    defaults = KeyframeRules()
    parser = OneLineParser(
        prog=COMMAND,
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--dataroot", type=Path, required=True, help="folder of the recordings; train.py's too"
    )
    parser.add_argument("--out", type=Path, required=True, help="index to write or replace")
    parser.add_argument(
        "--recordings", nargs="+", default=[], metavar="NAME", help="those to index; default: all"
    )
    parser.add_argument(
        "--val", nargs="+", default=[], metavar="NAME", help="make the split val of these"
    )
    parser.add_argument(
        "--rate", type=float, default=defaults.rate_hz, help="keyframes per second (%(default)s)"
    )
    parser.add_argument(
        "--slop",
        type=float,
        default=defaults.slop_s,
        metavar="S",
        help="farthest image of a keyframe from the reference camera's (%(default)s s)",
    )
    parser.add_argument(
        "--reference-camera",
        default=defaults.reference_camera,
        metavar="NAME",
        help="whose images are the keyframes' moments; default: the first of calibration.yaml",
    )
    parser.add_argument(
        "--longest-pose-gap",
        type=float,
        default=defaults.longest_pose_gap_s,
        metavar="S",
        help="leave out images between poses farther apart (%(default)s s)",
    )
    return parser


def _summary(out: Path, meta: IndexMeta, arrays: IndexArrays, report: RecordingReport) -> list[str]:
    splits = ", ".join(f"{name} {len(scenes)}" for name, scenes in meta.splits.items())
    lines = [
        f"wrote {out}: {len(arrays.tokens)} keyframes of {len(meta.scenes)} scenes ({splits}), "
        f"{len(meta.cameras)} cameras, {out.stat().st_size / 1e6:.1f} MB"
    ]
    lines += [f"skipped images: {n} {reason}" for reason, n in report.skipped.items() if n]
    lines += [f"keyframes without {name}: {n}" for name, n in report.missing.items() if n]
    return lines + [f"note: {remark}" for remark in report.remarks]
