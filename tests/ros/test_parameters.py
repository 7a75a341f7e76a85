"""Every parameter is described, ranged and validated; the YAML documents the same table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from gfocc_ros.parameters.parameter_declaration import declare_parameters, with_changes
from gfocc_ros.parameters.parameter_row import ParameterError
from gfocc_ros.parameters.parameters import NodeParameters

YAML_FILE = Path(__file__).parents[2] / "config" / "occupancy.yaml"
TABLE = {each.name: each for each in fields(NodeParameters)}


@pytest.fixture
def context() -> Iterator[Context]:
    made = Context()
    rclpy.init(context=made)
    yield made
    made.try_shutdown()


def declared(context: Context, **overrides: Any) -> NodeParameters:
    node = Node(
        "occupancy",
        context=context,
        parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
    )
    try:
        return declare_parameters(node)
    finally:
        node.destroy_node()


def test_yaml_documents_every_parameter_with_its_default() -> None:
    content = yaml.safe_load(YAML_FILE.read_text())["/**"]["ros__parameters"]
    defaults = {
        name: list(each.default) if isinstance(each.default, tuple) else each.default
        for name, each in TABLE.items()
    }
    assert content == defaults
    assert list(content) == list(defaults), "in the order of the table"
    kinds = {name: type(value) for name, value in content.items()}
    assert kinds == {name: type(value) for name, value in defaults.items()}


def test_yaml_explains_every_parameter() -> None:
    lines = YAML_FILE.read_text().splitlines()
    for name in TABLE:
        (index,) = [i for i, line in enumerate(lines) if line.startswith(f"    {name}:")]
        assert lines[index - 1].lstrip().startswith("# "), f"{name} has no comment"


def test_defaults_are_valid(context: Context) -> None:
    assert declared(context) == NodeParameters()


def test_given_values_arrive(context: Context) -> None:
    parameters = declared(
        context, cameras=["rear", "front/wide"], reference_camera="rear", slop_s=0.02, min_cameras=2
    )
    assert parameters.cameras == ("rear", "front/wide")
    assert (parameters.reference_camera, parameters.slop_s) == ("rear", 0.02)
    assert parameters.min_cameras == 2


def test_list_of_numbers_arrives(context: Context) -> None:
    assert declared(context, forecast_horizons_s=[1.0, 2.5]).forecast_horizons_s == (1.0, 2.5)


def test_node_describes_types_ranges_and_what_may_change(context: Context) -> None:
    node = Node("occupancy", context=context)
    declare_parameters(node)
    for name, each in TABLE.items():
        descriptor = node.describe_parameter(name)
        assert len(descriptor.description) > 20
        assert descriptor.read_only != each.metadata["at_run_time"]
        is_number = type(each.default) in (int, float)
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        assert len(ranges) == is_number
        assert all(r.from_value <= each.default <= r.to_value for r in ranges)
        is_number_list = isinstance(each.default, tuple) and isinstance(each.default[0], float)
        assert ("every entry" in descriptor.additional_constraints) == is_number_list
    node.destroy_node()


def test_what_may_change_at_run_time_is_marked_so_in_the_yaml() -> None:
    lines = YAML_FILE.read_text().splitlines()
    for name, each in TABLE.items():
        (index,) = [i for i, line in enumerate(lines) if line.startswith(f"    {name}:")]
        assert lines[index - 1].endswith("Run time.") == each.metadata["at_run_time"], name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slop_s", "wide"),
        ("slop_s", 1),
        ("slop_s", 10.5),
        ("slop_s", -0.1),
        ("slop_s", math.nan),
        ("deadline_s", math.inf),
        ("queue_size", 0),
        ("queue_size", 2.0),
        ("min_cameras", 7),
        ("min_cameras", True),
        ("density_threshold", 1.5),
        ("cameras", "cam_front"),
        ("cameras", [1, 2]),
        ("cameras", ["cam_front", "cam_front"]),
        ("cameras", ["cam front"]),
        ("cameras", ["/cam_front"]),
        ("cameras", [""]),
        ("reference_camera", "cam_roof"),
        ("image_transport", "theora"),
        ("preset", "huge"),
        ("device", "gpu"),
        ("base_frame", ""),
        ("fixed_frame", "/odom"),
        ("checkpoint", 3),
        ("autostart", "yes"),
        ("autostart", 1),
        ("inference", "turbo"),
        ("neighborhood", 17),
        ("memory_interval_s", 11.0),
        ("max_odometry_jump_m", 0.0),
        ("grid_rate_hz", -1.0),
        ("grid_min_height_m", 3.0),
        ("forecast_horizons_s", [0.5, 61.0]),
        ("forecast_horizons_s", [0.0]),
        ("forecast_horizons_s", 1.0),
        ("stale_after_s", 0.0),
        ("warn_drop_share", 1.5),
    ],
)
def test_bad_value_is_refused_by_name_and_value(context: Context, name: str, value: object) -> None:
    with pytest.raises(ParameterError) as caught:
        declared(context, **{name: value})
    message = str(caught.value)
    assert f"'{name}'" in message
    culprits = value if isinstance(value, list) else [value]
    assert any(str(culprit) in message for culprit in culprits)


def test_no_camera_is_refused() -> None:
    with pytest.raises(ParameterError, match="'cameras' must be a list of at least one entry"):
        NodeParameters(cameras=())


def test_change_at_run_time_is_validated_and_foreign_parameters_are_left_alone() -> None:
    changes: list[Parameter[Any]] = [
        Parameter("density_threshold", value=0.3),
        Parameter("use_sim_time", value=True),
    ]
    assert with_changes(NodeParameters(), changes).density_threshold == 0.3
    with pytest.raises(ParameterError, match=r"'density_threshold'.*got 2\.0"):
        with_changes(NodeParameters(), [Parameter("density_threshold", value=2.0)])
