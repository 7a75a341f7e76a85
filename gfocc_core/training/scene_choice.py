"""Which scenes a command works on: those of a split, or all."""

from __future__ import annotations

from gfocc_core.data.scenes import DatasetError
from gfocc_core.training.keyframe_source import KeyframeDataset, keyframe_source


def scenes_of(dataset: KeyframeDataset, split: str | None) -> tuple[str, ...]:
    """Names of a split's scenes in the dataset's order; None is every scene.

    Raises:
        DatasetError: the split has no scene here; the message lists those that have.
    """
    source = keyframe_source(dataset)
    if split is None:
        return source.scenes()
    splits = source.splits()
    if split not in splits:
        known = ", ".join(sorted(splits)) or "no split at all"
        raise DatasetError(f"split '{split}' has no scene in this dataset, which has: {known}")
    return splits[split]
