"""Radar files: read as nuscenes-devkit reads them, or named as corrupt."""

from __future__ import annotations

import numpy as np
import pytest

from gfocc_core.data.scenes import DatasetError
from gfocc_ros.bags.radar import RADAR_FIELDS, radar_points
from tests.nuscenes_fixture import RADAR_POINT, radar_file


def points(count: int) -> np.ndarray:
    random = np.random.default_rng(3)
    values = np.zeros(count, RADAR_POINT)
    for name in RADAR_POINT.names or ():
        values[name] = random.integers(-100, 100, count)
    return values


def test_fields_and_values_survive() -> None:
    written = points(7)
    read = radar_points(radar_file(written), "it")
    assert read.dtype.names == RADAR_FIELDS
    assert read.tolist() == written.tolist()


def test_one_nan_point_means_no_detection() -> None:
    written = points(1)
    for name in ("x", "y", "z"):
        written[name] = np.nan
    assert len(radar_points(radar_file(written), "it")) == 0


def test_last_byte_may_be_missing() -> None:
    """The devkit wants a byte after the last point; a file without it is whole all the same."""
    assert len(radar_points(radar_file(points(3))[:-1], "it")) == 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"DATA binary", b"DATA ascii", "DATA must be binary, got ascii"),
        (b"POINTS 5", b"POINTS 50", "WIDTH, HEIGHT and POINTS do not fit"),
        (b"WIDTH 5", b"WIDTH five", "WIDTH, HEIGHT and POINTS do not fit"),
        (b"POINTS 5", b"POINTS many", "invalid literal"),
        (b"POINTS 5\n", b"", "lacks 'POINTS'"),
        (b" rcs ", b" rca ", "lacks the fields rcs"),
        (b"SIZE 4 4", b"SIZE 4 3", "field y has TYPE F and SIZE 3"),
        (b"COUNT 1 1", b"COUNT 1 2", "a COUNT other than 1"),
        (b"COUNT 1 1", b"COUNT 1", "FIELDS, SIZE, TYPE and COUNT differ in length"),
        (b"\nDATA", b"\nDAT\xff", "is corrupt"),
    ],
)
def test_damaged_header_is_named(old: bytes, new: bytes, said: str) -> None:
    data = radar_file(points(5))
    assert old in data
    with pytest.raises(DatasetError, match="it is corrupt") as caught:
        radar_points(data.replace(old, new, 1), "it")
    assert said in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\x00" * 5000, b"# a comment\n", b"no header\n" * 3])
def test_other_files_are_named(data: bytes) -> None:
    with pytest.raises(DatasetError, match="it is corrupt: not a PCD file"):
        radar_points(data, "it")


def test_cut_off_file_is_named() -> None:
    with pytest.raises(DatasetError, match="bytes are too few for 5 points"):
        radar_points(radar_file(points(5))[:-20], "it")
