#!/usr/bin/env python3
"""Write a checkpoint's model card from its run's summary and the scores that evaluate.py wrote.

Beside the card (--out, .md) lies the record it was made from, with the same name and .json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from gfocc_core.atomic_file import write_atomically
from gfocc_core.report.model_card import model_card, without_places

BAD_INPUT = 2


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code (2: bad input, nothing written)."""
    arguments = _parse(argv)
    try:
        record = _record(arguments)
        card = model_card(record)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        _write(arguments.out, card)
        _write(arguments.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    except (ValueError, OSError) as error:
        print(f"write_model_card: {error}", file=sys.stderr)
        return BAD_INPUT
    print(f"wrote {arguments.out} and {arguments.out.with_suffix('.json')}")
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="write_model_card", description=__doc__)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="the weights that are shipped"
    )
    parser.add_argument(
        "--summary",
        type=Path,
        nargs="+",
        required=True,
        help="summary.json of the run, or of each run in a row",
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="JSON with the data set's settings"
    )
    for name, what in (
        ("model", "the checkpoint"),
        ("prior", "the voxel prior"),
        ("untrained", "the untrained network"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"scores of {what}")
    parser.add_argument("--title", required=True)
    parser.add_argument("--description", required=True, help="a paragraph: for what, for what not")
    parser.add_argument("--out", type=Path, required=True, help="markdown file to write or replace")
    arguments = parser.parse_args(argv)
    if arguments.out.suffix != ".md":
        parser.error(f"--out must end in .md, got '{arguments.out}'")
    return arguments


def _record(arguments: argparse.Namespace) -> dict[str, Any]:
    weights = arguments.checkpoint.read_bytes()
    return {
        "title": arguments.title,
        "description": arguments.description,
        "checkpoint": {
            "file": arguments.checkpoint.name,
            "bytes": len(weights),
            "sha256": hashlib.sha256(weights).hexdigest(),
        },
        "training": [without_places(_read(path)) for path in arguments.summary],
        "data": without_places(_read(arguments.data)),
        "scores": {
            "model": _read(arguments.model),
            "prior": _read(arguments.prior),
            "untrained": _read(arguments.untrained),
        },
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"'{path}' must hold a JSON object, got {type(content).__name__}")
    return content


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda stream: stream.write(text.encode()))


if __name__ == "__main__":
    sys.exit(main())
