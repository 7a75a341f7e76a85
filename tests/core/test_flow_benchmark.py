"""The flow benchmark: exact velocities have no error, whichever way the ego vehicle looks."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from pyquaternion import Quaternion
from torch import Tensor

from gfocc_core.config import Config
from gfocc_core.data.occ3d import Occ3dLabels
from gfocc_core.forecast import voxels_ahead
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import invert_transform, transform_from, transform_points
from gfocc_core.grid import VoxelGrid
from gfocc_core.inference.frame_pass import velocities
from gfocc_core.model import GaussianFlowNetwork
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.synthetic.export import generate
from gfocc_core.taxonomy import CLASS_NAMES, FREE_ID
from tests.conftest import ROOT
from tests.core.conftest import MakeFrame

if TYPE_CHECKING:
    from flow_forecast import ForecastRow, Moment
    from flow_objects import AnnotatedObject
    from flow_velocity import VelocityRow

SCRIPT = ROOT / "benchmarks" / "flow.py"
CAR, ROAD = CLASS_NAMES.index("car"), CLASS_NAMES.index("driveable_surface")
TURN = Quaternion(axis=[0, 0, 1], degrees=90)


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def config(small_config: Config) -> Config:
    return replace(small_config, grid=VoxelGrid((-12.0, -12.0, -1.0), 0.4, (60, 60, 16)))


class OneSample:
    """As much of the devkit as a keyframe needs; its ego at (100, 50, 2) looks along global y."""

    def __init__(self, boxes: list[tuple[str, list[float], list[float]]]) -> None:
        """Args: boxes: (category, global centre relative to the ego, global velocity)."""
        self._velocities = {str(number): np.array(box[2]) for number, box in enumerate(boxes)}
        place = np.array([100.0, 50.0, 2.0])
        pose = {"translation": place.tolist(), "rotation": TURN.elements.tolist()}
        self._tables: dict[str, dict[str, Any]] = {
            "sample": {
                "s": {"token": "s", "anns": [*self._velocities], "data": {"LIDAR_TOP": "lidar"}}
            },
            "sample_data": {"lidar": {"token": "lidar", "ego_pose_token": "pose"}},
            "ego_pose": {"pose": {"token": "pose", **pose}},
            "sample_annotation": {
                str(number): {
                    "category_name": category,
                    "instance_token": f"instance-{number}",
                    "translation": (place + center).tolist(),
                    "rotation": [1.0, 0.0, 0.0, 0.0],
                    "size": [2.0, 4.0, 1.6],
                }
                for number, (category, center, _) in enumerate(boxes)
            },
        }

    def get(self, table: str, token: str) -> dict[str, Any]:
        return self._tables[table][token]

    def box_velocity(self, token: str) -> np.ndarray:
        return self._velocities[token]


def test_a_turned_ego_sees_boxes_and_velocities_in_its_own_axes() -> None:
    from flow_objects import annotated_objects, owners

    boxes = [
        ("vehicle.car", [0.0, 10.0, 0.0], [3.0, 4.0, 0.0]),
        ("movable_object.barrier", [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]),
        ("human.pedestrian.adult", [-2.0, 0.0, 0.0], [0.0, -1.0, 0.0]),
    ]
    car, walker = annotated_objects(OneSample(boxes), "s")  # type: ignore[arg-type]
    assert (car.instance, walker.category) == ("instance-0", "human.pedestrian.adult")
    assert car.ego_from_box[:3, 3].tolist() == pytest.approx([10, 0, 0])
    assert car.velocity.tolist() == pytest.approx([4, -3, 0])
    assert car.speed == pytest.approx(5)
    assert walker.velocity.tolist() == pytest.approx([-1, 0, 0])
    # The car stands across the ego's way: 4 m along the ego's y, 2 m along its x.
    points = torch.tensor([[10, 1.9, 0], [11.9, 0, 0], [11.4, 0, 0], [0, 2, 0.7], [5, 5, 5]])
    assert owners([car, walker], points, margin=0.5).tolist() == [0, -1, 0, 1, -1]
    assert owners([], points, margin=0.5).tolist() == [-1] * 5


def make_gaussians(means: Tensor, ids: list[int], opacities: list[float]) -> Gaussians:
    """One voxel each where they stand in its centre."""
    logits = torch.zeros(len(ids), 16)
    logits[range(len(ids)), [it - 1 for it in ids]] = 5.0
    return Gaussians(
        means=means.float(),
        scales=torch.full((len(ids), 3), 0.1),
        quats=torch.tensor([[1.0, 0, 0, 0]]).expand(len(ids), 4),
        opacities=torch.tensor(opacities),
        logits=logits,
        features=torch.zeros(len(ids), 8),
    )


def make_object(
    instance: str, center: list[float], velocity: list[float], category: str = "vehicle.car"
) -> AnnotatedObject:
    from flow_objects import AnnotatedObject

    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, 3] = torch.tensor(center)
    half = torch.tensor([2.0, 1.0, 0.8], dtype=torch.float64)
    return AnnotatedObject(instance, category, pose, half, torch.tensor(velocity).double())


def truth_of(grid: VoxelGrid, points: Tensor, label: int = CAR) -> Occ3dLabels:
    semantics = torch.full(grid.shape, FREE_ID, dtype=torch.uint8)
    semantics[tuple(grid.index_of(points).T)] = label
    seen = torch.ones(grid.shape, dtype=torch.bool)
    return Occ3dLabels(semantics, seen, seen)


FAST, SLOW, PARKED, UNKNOWN, HIDDEN = (
    [5.0, 0.0, 0.2],
    [-5.0, 0.0, 0.2],
    [0.0, 6.0, 0.2],
    [0.0, -6.0, 0.2],
    [8.0, 8.0, 0.2],
)


def velocity_rows(config: Config, flow: list[list[float]], step: int = 2) -> list[VelocityRow]:
    """Five objects, each with a car's Gaussian in its middle that moves at `flow` (m/s); those of
    the fast one are two, with a Gaussian of the road that runs wild."""
    from flow_velocity import VelocityTally

    objects = [
        make_object("fast", FAST, [4.0, 3.0, 0.0]),
        make_object("slow", SLOW, [-2.0, 0.0, 0.0], "human.pedestrian.adult"),
        make_object("parked", PARKED, [0.0, 0.0, 0.0]),
        make_object("unknown", UNKNOWN, [float("nan")] * 3),
        make_object("hidden", HIDDEN, [9.0, 0.0, 0.0]),
    ]
    places = [FAST, FAST, FAST, SLOW, PARKED, UNKNOWN, HIDDEN]
    here = make_gaussians(
        torch.tensor(places), [CAR, CAR, ROAD, *[CAR] * 4], [0.75, 0.25, 1.0, 0.1, 1.0, 1.0, 1.0]
    )
    tally = VelocityTally(step, config)
    seconds = step * config.temporal.frame_interval
    truth = truth_of(config.grid, torch.tensor([FAST, SLOW, PARKED, UNKNOWN]))
    tally.add(objects, here, torch.tensor(flow) * seconds, truth)
    return tally.rows()


STILL_FLOW = [[0.0, 0.0, 0.0]] * 7


def test_the_exact_flow_has_no_error(config: Config) -> None:
    exact = [[4.0, 3.0, 0.0]] * 2 + [[90.0, 90.0, 0.0], [-2.0, 0.0, 0.0], *STILL_FLOW[:3]]
    vehicles, people, moving, standing = velocity_rows(config, exact)
    assert [row.group for row in (vehicles, people, moving, standing)] == [
        "moving vehicles",
        "moving people",
        "all that moves",
        "what stands",
    ]
    assert (vehicles.seen, people.seen, moving.seen, standing.seen) == (1, 1, 2, 1)
    assert (moving.matched, moving.instances) == (2, 2)
    assert moving.speed == moving.flow_speed == pytest.approx((5 + 2) / 2)
    for row in (vehicles, people, moving):
        assert row.error == pytest.approx(0, abs=1e-6)
        assert row.recovered == row.right_way == pytest.approx(100)
    assert moving.correlation_ahead == moving.correlation_aside == pytest.approx(1)
    assert standing.error == standing.flow_speed == 0
    assert standing.recovered is None


def test_without_flow_the_error_is_the_speed(config: Config) -> None:
    _, _, moving, _ = velocity_rows(config, STILL_FLOW)
    assert moving.error == moving.speed == pytest.approx(3.5)
    assert moving.recovered == moving.right_way == moving.flow_speed == 0
    assert moving.correlation_ahead is None


def test_the_flow_is_weighed_by_opacity_and_false_motion_shows(config: Config) -> None:
    flow = [[4.0, 0.0, 0.0], [0.0, 0.0, -2.0], *STILL_FLOW[:2], [0.0, 1.5, 2.0], *STILL_FLOW[:2]]
    vehicles, _, moving, standing = velocity_rows(config, flow, step=3)
    # 3/4 of 4 m/s ahead, where the truth is (4, 3, 0): 12 / 5 along it, of 5.
    assert vehicles.recovered == pytest.approx(100 * 2.4 / 5)
    assert moving.recovered == pytest.approx(100 * 2.4 / 7)
    assert moving.right_way == 50
    assert vehicles.rise == pytest.approx(-0.5 * 3 * config.temporal.frame_interval)
    assert vehicles.error == pytest.approx(np.linalg.norm([1, 3, 0.5]))
    assert standing.flow_speed == standing.error == pytest.approx(2.5)


def test_what_nothing_is_predicted_for_is_seen_but_not_matched(config: Config) -> None:
    from flow_velocity import VelocityTally

    tally = VelocityTally(1, config)
    road = make_gaussians(torch.tensor([FAST]), [ROAD], [1.0])
    objects = [make_object("fast", FAST, [4.0, 3.0, 0.0])]
    tally.add(objects, road, torch.ones(1, 3), truth_of(config.grid, torch.tensor([FAST])))
    row = tally.rows()[0]
    assert (row.seen, row.matched, row.error, row.correlation_ahead) == (1, 0, None, None)


def pose(x: float, y: float, degrees: float) -> Tensor:
    turn = Quaternion(axis=[0, 0, 1], degrees=degrees).elements
    return transform_from(
        torch.tensor([x, y, 0.0], dtype=torch.float64), torch.tensor(turn, dtype=torch.float64)
    )


EGO_THEN, EGO_NOW = pose(200.0, 80.0, 90), pose(199.2, 82.0, 180)
STEPS = 2


def forecast_rows(
    config: Config, monkeypatch: pytest.MonkeyPatch, flow: list[float], drives: float = 4.0
) -> dict[str, ForecastRow]:
    """A car of ten voxels, and a flow that takes it so many metres (ego of then) in STEPS steps.

    In truth it drives along global y, which is ahead for the ego of then, `drives` metres.
    """
    from flow_forecast import ForecastTally

    grid = torch.meshgrid(torch.arange(5), torch.arange(2), indexing="ij")
    offsets = torch.stack([*grid, torch.zeros_like(grid[0])], -1).flatten(0, 1) * 0.4
    car_then = torch.tensor([2.2, -1.0, 0.4]) + offsets
    car_globally = transform_points(EGO_THEN, car_then.double())
    car_globally[:, 1] += drives
    car_now = transform_points(invert_transform(EGO_NOW), car_globally)

    network = GaussianFlowNetwork(config.model, config.grid)
    monkeypatch.setattr(
        network.flow,
        "offsets",
        lambda features, steps: (
            (steps / STEPS)[..., None, None]
            * torch.tensor(flow).expand(*steps.shape, features.shape[1], 3)
        ),
    )
    here = make_gaussians(car_then, [CAR] * 10, [1.0] * 10)
    then = moment(config, EGO_THEN, car_then, here, network)
    now = moment(config, EGO_NOW, car_now, here, network)
    tally = ForecastTally(config)
    tally.add(0, then, then, truth_of(config.grid, car_then))
    tally.add(STEPS, then, now, truth_of(config.grid, car_now))
    present, *ahead = tally.rows()
    assert (present.way, present.moving_miou, present.voxels) == ("stand still", 100, 10)
    assert {(row.steps, row.keyframes) for row in ahead} == {(STEPS, 1)}
    return {row.way: row for row in ahead}


def moment(
    config: Config, ego: Tensor, car: Tensor, here: Gaussians, network: GaussianFlowNetwork
) -> Moment:
    from flow_forecast import Moment

    interval = config.temporal.frame_interval
    found = voxels_ahead(network, here, [0.0, STEPS * interval], config)
    moving = truth_of(config.grid, car).semantics == CAR
    # The annotated box turns with the car in the ego's axes.
    box = make_object("car", [0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    box = replace(box, ego_from_box=invert_transform(ego) @ pose(0, 0, 90))
    box.ego_from_box[:3, 3] = car.double().mean(0)
    present, ahead = (labels for labels, _ in found)
    return Moment(ego, [box], moving, here, {0: present, STEPS: ahead})


def test_the_exact_flow_forecasts_exactly_though_the_ego_turns(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = forecast_rows(config, monkeypatch, flow=[4.0, 0.0, 0.0])
    scores = {
        way: (row.moving_miou, row.moving_dynamic_iou, row.moving_iou) for way, row in rows.items()
    }
    assert scores == {
        "stand still": (0, 0, 0),
        "vanish": (0, 0, 0),
        "follow the flow": (100, 100, 100),
        "follow the annotations": (100, 100, 100),
    }
    assert {row.voxels for row in rows.values()} == {20}  # where it is, and where it was
    assert rows["vanish"].seconds == STEPS * config.temporal.frame_interval


def test_no_flow_is_standing_still_and_vanishing_is_not(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = forecast_rows(config, monkeypatch, flow=[0.0, 0.0, 0.0], drives=0.8)
    # Of five columns each three are common.
    assert rows["stand still"].moving_iou == pytest.approx(100 * 3 / 7)
    assert rows["follow the flow"] == replace(rows["stand still"], way="follow the flow")
    assert rows["vanish"].moving_iou == 0
    assert rows["follow the annotations"].moving_iou == 100


@pytest.mark.parametrize("flow", [[0.0, 4.0, 0.0], [-4.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
def test_a_flow_in_other_axes_or_backwards_misses(
    config: Config, monkeypatch: pytest.MonkeyPatch, flow: list[float]
) -> None:
    rows = forecast_rows(config, monkeypatch, flow)
    assert rows["follow the flow"].moving_miou == 0


def test_half_the_way_hits_in_part(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = forecast_rows(config, monkeypatch, flow=[3.2, 0.0, 0.0])
    # Three of five columns hit, two of the truth's are missed and two too many are out of the zone.
    assert rows["follow the flow"].moving_miou == pytest.approx(60)


def test_the_first_steps_offsets_are_the_products_velocities(
    config: Config, make_frame: MakeFrame
) -> None:
    from flow import _offsets

    predictor = OccupancyPredictor.from_config(config, "cpu", seed=1)
    predictor.predict(make_frame())
    last = predictor.gaussians
    assert last is not None
    batch = Gaussians(**{name: value[None] for name, value in vars(last).items()})
    with torch.inference_mode():
        expected = velocities(predictor.network, batch, config) * config.temporal.frame_interval
        offsets = _offsets(predictor, last, (1, 2))
    assert bool(expected.any())
    torch.testing.assert_close(offsets[0], expected)


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--device", "cpu", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_scores_every_pair_of_keyframes(tmp_path: Path) -> None:
    data, report = tmp_path / "data", tmp_path / "report.json"
    generate(
        SyntheticConfig(
            out=data,
            scenes=0,
            val_scenes=2,
            frames=3,
            height=64,
            width=96,
            label_stores=(),
            sweeps_per_keyframe=0,
            processes=1,
        )
    )
    done = run("--dataroot", str(data), "--json", str(report))
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(report.read_text())
    assert found["keyframes"] == 6
    pairs = {(row["seconds"], row["way"]): row["keyframes"] for row in found["forecast"]}
    ways = ("stand still", "vanish", "follow the flow", "follow the annotations")
    assert pairs == {
        (0.0, "stand still"): 6,
        **{(0.5, way): 4 for way in ways},
        **{(1.0, way): 2 for way in ways},
    }
    assert len({row["voxels"] for row in found["forecast"] if row["steps"] == 2}) == 1
    assert [row["step"] for row in found["velocity"][::4]] == [1, 2, 4, 6]
    assert sum(row["seen"] for row in found["velocity"][:2]) == found["velocity"][2]["seen"] > 0
    assert "| 0.5 | follow the flow | 4 |" in done.stdout


def test_bad_options_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import flow

    none = ["--dataroot", str(tmp_path / "none")]
    for flags, message in (
        (none, "is not a folder"),
        ([*none, "--scenes", "0"], "--scenes must be >= 1, got 0"),
    ):
        monkeypatch.setattr(sys, "argv", [SCRIPT.name, "--device", "cpu", *flags])
        with pytest.raises(SystemExit, match="2"):
            flow.main()
        assert message in capsys.readouterr().err
