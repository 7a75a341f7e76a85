"""The command: `python -m gfocc_core.synthetic --out D --scenes 8 --frames 40 --seed 0`."""

from __future__ import annotations

import sys
import time
from typing import NoReturn

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from gfocc_core.command_line import INTERRUPTED, report_bad_input
from gfocc_core.data.scenes import DatasetError
from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.synthetic.export import generate

COMMAND = "synthetic"


class OneLineParser(ArgumentParser):
    """Reports a bad argument in one line, without the usage text."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        sys.exit(report_bad_input(COMMAND, message))


def main(argv: list[str] | None = None) -> int:
    """Generate; returns 0, 2 with one line on stderr for bad input, 130 when interrupted."""
    parser = synthetic_parser()
    arguments = parser.parse_args(argv)
    arguments.pop("config", None)
    bar = _Bar()
    try:
        ready = parser.instantiate(arguments)
        config = SyntheticConfig(**{n: ready[n] for n in SyntheticConfig.__dataclass_fields__})
        folder = generate(config, bar)
    except KeyboardInterrupt:
        bar.stop()
        print("interrupted: the same command goes on where it stopped", file=sys.stderr)
        return INTERRUPTED
    except (DatasetError, ValueError, OSError) as error:
        bar.stop()
        return report_bad_input(COMMAND, error)
    finally:
        bar.stop()
    print(f"dataset '{config.out}', version {folder.name}")
    return 0


def synthetic_parser() -> ArgumentParser:
    """`--config FILE`, and an option for every field of SyntheticConfig."""
    parser = OneLineParser(
        prog="python -m gfocc_core.synthetic",
        description="Generate a driving dataset in nuScenes' schema with exact truth.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="YAML file; options override it")
    parser.add_class_arguments(SyntheticConfig)
    return parser


class _Bar:
    """A progress bar that appears with the first report."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("keyframes"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None
        self._before = 0
        self._started = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Show `done` of `total` keyframes and how many were made per second so far."""
        if self._task is None:
            self._bar.start()
            self._before = done
            self._task = self._bar.add_task("", total=total, rate="")
        rate = (done - self._before) / max(time.monotonic() - self._started, 1e-3)
        self._bar.update(self._task, completed=done, rate=f"{rate:.2f}/s")

    def stop(self) -> None:
        self._bar.stop()


if __name__ == "__main__":
    sys.exit(main())
