"""Indices and tables on disk, for tests of both."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gfocc_core.data.index_file import write_index
from gfocc_core.data.nuscenes_index import build_index
from tests.nuscenes_fixture import NuscenesFixture


def make_index(dataset: NuscenesFixture, path: Path) -> Path:
    write_index(path, *build_index(dataset.root, dataset.version))
    return path


def edit(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the records of a table."""
    records = json.loads(path.read_text())
    change(records)
    path.write_text(json.dumps(records))
