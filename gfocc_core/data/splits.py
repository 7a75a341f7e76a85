"""Which scenes belong to which split: nuScenes' own splits and those of a `splits.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from gfocc_core.data.scenes import DatasetError

SPLITS_FILE = "splits.json"
"""Beside the tables: an object of split name -> list of scene names, as nuscenes-devkit reads it."""


def scene_splits(folder: Path, scenes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Scenes of every split that has some in this dataset, in the dataset's order.

    Args:
        folder: The folder of tables; its `splits.json` adds splits, but cannot change nuScenes'.
        scenes: Names of the dataset's scenes.

    Raises:
        DatasetError: `splits.json` is damaged or names a scene that the dataset lacks.
    """
    from nuscenes.utils.splits import create_splits_scenes  # slow to import, loads the devkit

    predefined = {name: frozenset(names) for name, names in create_splits_scenes().items()}
    members = {**_custom_splits(folder / SPLITS_FILE, scenes), **predefined}
    splits = {
        name: tuple(scene for scene in scenes if scene in wanted)
        for name, wanted in members.items()
    }
    return {name: found for name, found in splits.items() if found}


def _custom_splits(path: Path, scenes: Sequence[str]) -> dict[str, frozenset[str]]:
    if not path.is_file():
        return {}
    try:
        splits = msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise DatasetError(
            f"'{path}' must be an object of split name -> list of scene names: {error}"
        ) from error
    for name, names in splits.items():
        unknown = sorted(set(names) - set(scenes))
        if unknown:
            raise DatasetError(
                f"split '{name}' of '{path}' names scenes that the dataset lacks: "
                + ", ".join(unknown[:5])
            )
    return {name: frozenset(names) for name, names in splits.items()}
