"""The converter's command, as tests call it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nuscenes_fixture import NuscenesFixture


def arguments(dataset: NuscenesFixture, out: Path, *more: str) -> list[str]:
    words = ["--dataroot", str(dataset.root), "--version", dataset.version, "--out", str(out)]
    return [*words, *more]


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What a command wrote on stderr, which must be one line."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err
