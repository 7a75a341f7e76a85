"""Where the files that come with the package lie: trained weights, configuration.

An installed package has them in its share folder (found by ROS's index, or below Python's prefix
where no ROS environment is sourced); an editable one in the checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

PACKAGE = "gfocc_ros"
CHECKPOINT = "tiny_synthetic.safetensors"
"""The `tiny` network, trained in the synthetic world."""
PRIOR = "tiny_synthetic_prior.npz"
"""The most frequent label of each voxel over the keyframes that network was trained on."""


def shipped_asset(name: str) -> Path | None:
    """The path of a file in `assets/`, or None where this installation does not have it."""
    return shipped_file(f"assets/{name}")


def shipped_file(path: str) -> Path | None:
    """The place of a file by its path in the checkout, or None as above."""
    candidates = [folder / path for folder in _homes()]
    return next((path for path in candidates if path.is_file()), None)


def _homes() -> list[Path]:
    checkout = Path(__file__).resolve().parents[1]
    others = [checkout, Path(sys.prefix) / "share" / PACKAGE]
    try:
        return [Path(get_package_share_directory(PACKAGE)), *others]
    except (PackageNotFoundError, OSError):  # OSError: no ROS environment is sourced
        return others
