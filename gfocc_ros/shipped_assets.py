"""Where the files that come with the package lie: trained weights and what belongs to them.

An installed package has them in its share folder; an editable one in the checkout's `assets/`.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

PACKAGE = "gfocc_ros"
CHECKPOINT = "tiny_synthetic.safetensors"
"""The `tiny` network, trained in the synthetic world."""
PRIOR = "tiny_synthetic_prior.npz"
"""The most frequent label of each voxel over the keyframes that network was trained on."""


def shipped_asset(name: str) -> Path | None:
    """The path of a shipped file, or None where this installation does not have it."""
    candidates = [folder / "assets" / name for folder in _homes()]
    return next((path for path in candidates if path.is_file()), None)


def _homes() -> list[Path]:
    checkout = Path(__file__).resolve().parents[1]
    try:
        return [Path(get_package_share_directory(PACKAGE)), checkout]
    except PackageNotFoundError:
        return [checkout]
