"""npz files read by several threads at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gfocc_core.data.npz_file import load_arrays


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that take turns as often as the interpreter allows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_read_the_same_files_at_once(tmp_path: Path, restless: None) -> None:
    for number in range(4):
        np.savez(tmp_path / f"{number}.npz", one=np.full(3, number), other=np.arange(number))
    paths = [tmp_path / f"{number % 4}.npz" for number in range(800)]
    with ThreadPoolExecutor(8) as pool:
        for path, arrays in zip(paths, pool.map(load_arrays, paths), strict=True):
            assert arrays.keys() == {"one", "other"}
            assert (arrays["one"] == int(path.stem)).all()
            assert len(arrays["other"]) == int(path.stem)


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", bad=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(tmp_path / "a.npz")
