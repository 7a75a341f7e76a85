"""`~/classes` tells a reader all it needs to name and colour the labels."""

from __future__ import annotations

import json

from gfocc_core.taxonomy import CLASS_NAMES, COLORS, DYNAMIC_IDS, GROUND_IDS
from gfocc_ros.publishing.class_messages import classes_message


def test_the_json_lists_every_class_in_the_order_of_ids() -> None:
    content = json.loads(classes_message().data)
    assert set(content) == {"free_id", "classes"}
    types = {"id": int, "name": str, "color": list, "dynamic": bool, "ground": bool}
    for number, entry in enumerate(content["classes"]):
        assert {key: type(value) for key, value in entry.items()} == types
        assert entry["id"] == number
        assert entry["color"] == list(COLORS[number])
    assert tuple(entry["name"] for entry in content["classes"]) == CLASS_NAMES
    assert content["classes"][content["free_id"]]["name"] == "free"


def test_the_json_says_what_moves_and_what_is_ground() -> None:
    classes = json.loads(classes_message().data)["classes"]
    for group, ids in (("dynamic", DYNAMIC_IDS), ("ground", GROUND_IDS)):
        assert {entry["id"] for entry in classes if entry[group]} == set(ids)
