"""Fixtures every test may use: where the reference vectors and the real keyframe lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _folder(variable: str, default: str) -> Path:
    path = Path(os.environ.get(variable, default))
    return path if path.is_absolute() else (ROOT / path).resolve()


GOLDEN_DIR = _folder("GOLDEN_DIR", "../shared/golden")
KEYFRAME_DIR = _folder("NUSCENES_KEYFRAME_DIR", "../shared/data/nuscenes_keyframe")


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Folder of the reference vectors."""
    if not GOLDEN_DIR.is_dir():
        pytest.skip(f"no reference vectors: GOLDEN_DIR={GOLDEN_DIR} does not exist")
    return GOLDEN_DIR


@pytest.fixture(scope="session")
def keyframe_dir() -> Path:
    """Dataroot of one real nuScenes keyframe in the v1.0-mini schema."""
    if not KEYFRAME_DIR.is_dir():
        pytest.skip(f"no real keyframe: NUSCENES_KEYFRAME_DIR={KEYFRAME_DIR} does not exist")
    return KEYFRAME_DIR
