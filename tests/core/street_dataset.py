"""Datasets of the hand-made street, small enough to be written in a test."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gfocc_core.synthetic import keyframe
from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.synthetic.export import generate
from gfocc_core.synthetic.world import World
from tests.core.synthetic_worlds import street_world

SLOPE = 0.04
BASE = SyntheticConfig(
    out=Path("unused"), scenes=1, val_scenes=1, frames=3, height=64, width=176, processes=1
)


def build_street(name: str, seed: int, *_: Any) -> World:
    return street_world(name, seed, SLOPE)


def use_the_street(patch: pytest.MonkeyPatch) -> None:
    """Every scene generated from here on is the hand-made street."""
    patch.setattr(keyframe, "build_world", build_street)


def write_street_dataset(folder: Path) -> SyntheticConfig:
    """Write BASE with one sweep between keyframes to a new folder."""
    config = replace(BASE, out=folder, sweeps_per_keyframe=1)
    with pytest.MonkeyPatch.context() as patch:
        use_the_street(patch)
        generate(config)
    return config


def digests(folder: Path) -> dict[str, str]:
    """Content of every file that a reader sees."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }
