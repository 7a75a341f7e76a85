"""RViz and Foxglove show topics that the node has, by their types and with a QoS it offers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gfocc_ros.publishing.cloud_messages import CLOUD_POINT, FORECAST_POINT
from gfocc_ros.publishing.output_settings import OutputSettings
from gfocc_ros.publishing.outputs import CLASSES_TOPIC, FRAME_TOPICS

ROOT = Path(__file__).parents[2]
RVIZ_FILE = ROOT / "rviz" / "occupancy.rviz"
FOXGLOVE_FILE = ROOT / "foxglove" / "occupancy.json"

TOPICS = {f"/occupancy/{topic}": kind for topic, kind in FRAME_TOPICS.items()}
RVIZ_TYPES = {"PointCloud2": "PointCloud2", "Map": "OccupancyGrid", "MarkerArray": "MarkerArray"}
CLOUDS = {"/occupancy/occupancy": CLOUD_POINT, "/occupancy/forecast": FORECAST_POINT}


def rviz_displays() -> list[dict[str, Any]]:
    content = yaml.safe_load(RVIZ_FILE.read_text())["Visualization Manager"]
    return [each for each in content["Displays"] if "Topic" in each]


def foxglove() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FOXGLOVE_FILE.read_text())
    return content


def foxglove_panels() -> dict[str, dict[str, Any]]:
    """By kind of panel."""
    return {name.split("!")[0]: config for name, config in foxglove()["configById"].items()}


@pytest.mark.parametrize("display", rviz_displays(), ids=lambda display: display["Name"])
def test_an_rviz_display_fits_its_topic(display: dict[str, Any]) -> None:
    topic = display["Topic"]
    kind = display["Class"].removeprefix("rviz_default_plugins/")
    assert TOPICS[topic["Value"]].__name__ == RVIZ_TYPES[kind]
    assert topic["Reliability Policy"] == "Reliable"
    assert topic["Durability Policy"] == "Volatile"
    assert display["Value"] == display["Enabled"]


def test_rviz_shows_every_topic_once() -> None:
    shown = [display["Topic"]["Value"] for display in rviz_displays()]
    assert sorted(shown) == sorted(TOPICS)


def test_rviz_colours_clouds_by_fields_that_they_have() -> None:
    clouds = {each["Topic"]["Value"]: each for each in rviz_displays() if "Style" in each}
    assert set(clouds) == set(CLOUDS)
    assert clouds["/occupancy/occupancy"]["Color Transformer"] == "RGB8"
    assert "rgb" in (CLOUD_POINT.names or ())
    forecast = clouds["/occupancy/forecast"]
    assert forecast["Channel Name"] in (FORECAST_POINT.names or ())
    assert forecast["Max Intensity"] == max(OutputSettings().forecast_horizons_s)


def test_foxglove_shows_every_topic() -> None:
    assert set(foxglove_panels()["3D"]["topics"]) == set(TOPICS)


def test_foxglove_colours_clouds_by_fields_that_they_have() -> None:
    shown = foxglove_panels()["3D"]["topics"]
    assert {topic for topic, settings in shown.items() if "colorField" in settings} == set(CLOUDS)
    for topic, layout in CLOUDS.items():
        assert shown[topic]["colorField"] in (layout.names or ())


def test_foxglove_shows_diagnostics_and_classes() -> None:
    panels = foxglove_panels()
    assert panels["DiagnosticSummary"]["topicToRender"] == "/diagnostics"
    assert panels["RawMessages"]["topicPath"] == f"/occupancy/{CLASSES_TOPIC}"


def test_foxglove_lays_out_exactly_the_panels_it_configures() -> None:
    def leaves(node: str | dict[str, Any]) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        else:
            yield from leaves(node["first"])
            yield from leaves(node["second"])

    assert sorted(leaves(foxglove()["layout"])) == sorted(foxglove()["configById"])
