"""Shipped files are found in an installed package and in a checkout, the installed ones first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from gfocc_ros import shipped_assets
from gfocc_ros.shipped_assets import shipped_asset, shipped_file


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The assets folders of an installed share folder and of a checkout."""
    share, checkout = tmp_path / "share", tmp_path / "checkout"
    monkeypatch.setattr(shipped_assets, "get_package_share_directory", lambda _: str(share))
    monkeypatch.setattr(shipped_assets, "__file__", str(checkout / "gfocc_ros" / "x.py"))
    for home in (share, checkout):
        (home / "assets").mkdir(parents=True)
    return share / "assets", checkout / "assets"


def test_an_asset_nobody_has_is_none(homes: tuple[Path, Path]) -> None:
    assert shipped_asset("weights") is None


def test_the_checkout_serves_where_the_package_does_not(homes: tuple[Path, Path]) -> None:
    (homes[1] / "weights").touch()
    assert shipped_asset("weights") == homes[1] / "weights"
    (homes[0] / "weights").touch()
    assert shipped_asset("weights") == homes[0] / "weights"


def test_a_package_that_is_not_indexed_leaves_the_checkout(
    homes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(shipped_assets, "get_package_share_directory", missing)
    (homes[1] / "weights").touch()
    assert shipped_asset("weights") == homes[1] / "weights"


def test_without_a_sourced_environment_the_python_prefix_serves(
    homes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped_assets, "get_package_share_directory", get_package_share_directory)
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    installed = tmp_path / "prefix" / "share" / "gfocc_ros" / "config" / "profile.xml"
    installed.parent.mkdir(parents=True)
    installed.touch()
    assert shipped_file("config/profile.xml") == installed
