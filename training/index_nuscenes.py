#!/usr/bin/env python3
"""Index a nuScenes-schema dataset for training: one pass over its tables into one compact file."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from gfocc_core.command_line import INTERRUPTED, OneLineParser, report_bad_input
from gfocc_core.data.index_file import write_index
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.scenes import DatasetError

COMMAND = "index_nuscenes"


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code (2: bad input, nothing written)."""
    parser = OneLineParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--dataroot", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--version", required=True, help="its version, such as v1.0-trainval")
    parser.add_argument("--out", type=Path, required=True, help="index to write or replace")
    args = parser.parse_args(argv)
    started = time.monotonic()
    try:
        if args.out.is_dir():
            raise DatasetError(f"--out '{args.out}' is a folder, not a file to write")
        keyframes, scenes, cameras = index_dataset(args.dataroot, args.version, args.out)
    except (DatasetError, OSError) as error:
        return report_bad_input(COMMAND, error)
    except KeyboardInterrupt:
        print(f"{COMMAND}: interrupted, nothing written", file=sys.stderr)
        return INTERRUPTED
    print(
        f"wrote {args.out}: {keyframes} keyframes of {scenes} scenes, {cameras} cameras, "
        f"{args.out.stat().st_size / 1e6:.1f} MB, {time.monotonic() - started:.1f} s"
    )
    return 0


def index_dataset(dataroot: Path, version: str, out: Path) -> tuple[int, int, int]:
    """Build and write the index with a progress bar on a terminal.

    Returns:
        Numbers of keyframes, scenes and cameras.
    """
    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("reading tables", total=None)
        meta, arrays = build_index(
            dataroot,
            version,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
        progress.update(task, description="writing")
        write_index(out, meta, arrays)
    return len(arrays.tokens), len(meta.scenes), len(meta.cameras)


if __name__ == "__main__":
    sys.exit(main())
