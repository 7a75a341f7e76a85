"""Open a nuScenes-schema dataset through nuscenes-devkit and walk its scenes.

The devkit trusts its files; here a missing or damaged one becomes a DatasetError that names it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

TABLES: tuple[str, ...] = (
    "category",
    "attribute",
    "visibility",
    "instance",
    "sensor",
    "calibrated_sensor",
    "ego_pose",
    "log",
    "scene",
    "sample",
    "sample_data",
    "sample_annotation",
    "map",
)
"""Tables the devkit loads: `<dataroot>/<version>/<table>.json`, each a list of records."""

_NEEDED_FIELDS: dict[str, frozenset[str]] = {
    "scene": frozenset({"name", "first_sample_token"}),
    "sample": frozenset({"scene_token", "next"}),
    "sample_data": frozenset({"sample_token", "ego_pose_token", "filename"}),
}


class DatasetError(ValueError):
    """A dataset, one of its tables or one of its files is missing, damaged or contradicts itself."""


def open_nuscenes(dataroot: Path | str, version: str) -> NuScenes:
    """Load the tables of one dataset version, silently.

    Args:
        dataroot: Folder that holds the version's folder, `samples/` and `sweeps/`.
        version: Name of the folder with the tables, such as `v1.0-mini`.

    Raises:
        DatasetError: no such dataroot or version, or a table is missing, damaged or does not fit
            the others.
    """
    from nuscenes.nuscenes import NuScenes  # slow to import, and training does without it

    root = Path(dataroot)
    if not root.is_dir():
        raise DatasetError(f"dataroot '{root}' is not a folder")
    tables = root / version
    if not version or not tables.is_dir():
        found = sorted(path.parent.name for path in root.glob("*/scene.json"))
        raise DatasetError(
            f"version '{version}' is not in dataroot '{root}'; it holds: "
            + (", ".join(found) or "no version at all")
        )
    try:
        nusc = NuScenes(version=version, dataroot=str(root), verbose=False)
    except Exception as error:  # The devkit fails with whatever its first wrong access raises.
        raise DatasetError(_explain_load_failure(tables, error)) from error
    _check_fields(nusc, tables)
    return nusc


def _check_fields(nusc: NuScenes, tables: Path) -> None:
    for table, needed in _NEEDED_FIELDS.items():
        for record in getattr(nusc, table):
            if not needed <= record.keys():
                raise DatasetError(
                    f"table '{tables / f'{table}.json'}' is corrupt: record '{record['token']}' "
                    f"lacks {', '.join(sorted(needed - record.keys()))}"
                )


def _explain_load_failure(tables: Path, error: Exception) -> str:
    for table in TABLES:
        path = tables / f"{table}.json"
        if not path.is_file():
            return f"table '{path}' is missing"
        try:
            records = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as reason:
            return f"table '{path}' is corrupt: {reason}"
        if not isinstance(records, list) or not all(
            isinstance(record, dict) and isinstance(record.get("token"), str) for record in records
        ):
            return f"table '{path}' is corrupt: not a list of records with a token each"
    if isinstance(error, KeyError):
        return f"the tables in '{tables}' do not fit together: nothing there is called {error}"
    return f"the tables in '{tables}' cannot be used: {error or type(error).__name__}"


def get_record(nusc: NuScenes, table: str, token: str) -> dict[str, Any]:
    """The record of a table with this token; DatasetError where there is none."""
    try:
        record: dict[str, Any] = nusc.get(table, token)
    except KeyError as error:
        path = Path(nusc.table_root) / f"{table}.json"
        raise DatasetError(f"table '{path}' has no record with token '{token}'") from error
    return record


def scene_names(nusc: NuScenes) -> tuple[str, ...]:
    """Names of all scenes, in the table's order."""
    return tuple(scene["name"] for scene in nusc.scene)


def keyframe_tokens(nusc: NuScenes, scene_name: str) -> tuple[str, ...]:
    """Sample tokens of a scene's keyframes, oldest first.

    Raises:
        DatasetError: no scene of that name (the message lists those that exist), or its chain of
            samples is broken.
    """
    scene = next((scene for scene in nusc.scene if scene["name"] == scene_name), None)
    if scene is None:
        raise DatasetError(
            f"scene '{scene_name}' is not in '{nusc.table_root}'; it holds: "
            + (", ".join(scene_names(nusc)) or "no scene at all")
        )
    tokens: dict[str, None] = {}
    token = scene["first_sample_token"]
    while token:
        if token in tokens:
            raise DatasetError(f"the samples of scene '{scene_name}' form a circle at '{token}'")
        tokens[token] = None
        token = get_record(nusc, "sample", token)["next"]
    return tuple(tokens)
