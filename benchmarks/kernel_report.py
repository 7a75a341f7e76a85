"""What the kernel benchmarks share on the command line and on paper: options, table, JSON."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import torch
from kernel_timing import Measurement, Times

from gfocc_core.predictor import resolve_device
from gfocc_core.triton_support import triton_unusable

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Row:
    """One line of a report."""

    case: Mapping[str, str | int | float]
    """What was measured: column heading to value."""
    cost: Measurement
    error: float | None
    """Against the float64 reference; the report says in which unit. None: computes less."""


def add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", choices=("auto", "reference", "triton"), default="auto")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--repeats", type=int, default=200, help="timed runs (default: 200)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="stop timing a call after these (default: 1)"
    )
    parser.add_argument(
        "--determinism", type=int, default=0, metavar="RUNS", help="compare so many runs bit by bit"
    )
    parser.add_argument("--commit", help="of a copy of the code without git")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")


def check_common_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Resolve the device and the backend; exit with a clear line on what cannot be."""
    for name in ("repeats", "seconds"):
        if not getattr(given, name) > 0:
            parser.error(f"--{name} must be positive, got {getattr(given, name)}")
    if given.determinism < 0:
        parser.error(f"--determinism must be >= 0, got {given.determinism}")
    try:
        given.device = resolve_device(given.device)
    except ValueError as error:
        parser.error(str(error))
    obstacle = None if given.backend == "reference" else triton_unusable(given.device)
    if given.backend == "triton" and obstacle:
        parser.error(f"backend 'triton' cannot run: {obstacle}")
    if given.backend == "auto":
        given.backend = "reference" if obstacle else "triton"


def finish(
    parser: argparse.ArgumentParser,
    given: argparse.Namespace,
    title: str,
    notes: Sequence[str],
    rows: Sequence[Row],
) -> None:
    """Print the table and write the JSON that was asked for."""
    about = header(given.device, given.commit)
    print_report(title, about, notes, rows)
    if given.json:
        try:
            write_json(given.json, about, notes, rows)
        except OSError as error:
            parser.error(f"--json {given.json} cannot be written: {error.strerror}")


def positive_numbers(text: str) -> list[int]:
    """A list such as 1000,3000 from the command line."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list such as 1000,3000") from error
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"numbers must be at least 1, got {min(numbers)}")
    return numbers


def header(device: torch.device, commit: str | None) -> dict[str, str]:
    """Where and when numbers were measured, and of which code."""
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
        "commit": commit or commit_of(ROOT),
    }


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else platform.processor() or platform.machine()
    return f"{model}, {torch.get_num_threads()} threads"


def commit_of(folder: Path) -> str:
    """Short hash of the checkout, with -dirty if files changed; "unknown" without git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def print_report(
    title: str, about: Mapping[str, str], notes: Sequence[str], rows: Sequence[Row]
) -> None:
    """Print a Markdown table."""
    print(f"## {title}\n")
    print("; ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    for note in notes:
        print(f"- {note}")
    print()
    headings = [
        *rows[0].case,
        *("graph replay ms", "p99", "cold L2 ms", "launched ms", "p99", "extra MiB", "error"),
        "equal runs",
    ]
    print("| " + " | ".join(headings) + " |")
    print("|" + "---|" * len(headings))
    for row in rows:
        cost = row.cost
        cells = [
            *(str(value) for value in row.case.values()),
            *_times(cost.replay),
            _times(cost.cold)[0],
            *_times(cost.plain),
            "-" if cost.extra_mib is None else f"{cost.extra_mib:.1f}",
            "-" if row.error is None else f"{row.error:.1e}",
            f"{cost.equal_runs}/{cost.repetitions}" if cost.repetitions else "-",
        ]
        print("| " + " | ".join(cells) + " |")


def write_json(
    path: Path, about: Mapping[str, str], notes: Sequence[str], rows: Sequence[Row]
) -> None:
    """Raises OSError."""
    lines = [{**row.case, **asdict(row.cost), "error": row.error} for row in rows]
    path.write_text(json.dumps({**about, "notes": list(notes), "rows": lines}, indent=2) + "\n")


def _times(times: Times | None) -> tuple[str, str]:
    if times is None:
        return "-", "-"
    return f"{times.median_ms:.4g}", f"{times.p99_ms:.4g}"
