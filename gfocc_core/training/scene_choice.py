"""Which scenes a command works on: those of a split, or all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gfocc_core.data.scenes import DatasetError, scene_names
from gfocc_core.data.splits import scene_splits

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes


def scenes_of(nusc: NuScenes, split: str | None) -> tuple[str, ...]:
    """Names of a split's scenes in the dataset's order; None is every scene.

    Raises:
        DatasetError: the split has no scene here; the message lists those that have.
    """
    names = scene_names(nusc)
    if split is None:
        return names
    splits = scene_splits(Path(nusc.table_root), names)
    if split not in splits:
        known = ", ".join(sorted(splits)) or "no split at all"
        raise DatasetError(f"split '{split}' has no scene in this dataset, which has: {known}")
    return splits[split]
