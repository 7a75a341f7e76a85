"""What robots do to the node, by real processes: after each disturbance it answers again.

One node lives through all faults of a vehicle with JPEG cameras; the counters at its end are
printed (`pytest -s`).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from gfocc_ros.frames.drops import Drop
from tests.ros.child_process import ChildProcess
from tests.ros.driven_vehicle import LAST_CAMERAS, Vehicle, driving, traffic
from tests.ros.node_process import NodeProcess
from tests.ros.outputs_ear import Ear
from tests.ros.running_node import small_checkpoint
from tests.ros.traffic_process import OWN_TF

pytestmark = pytest.mark.ros

TF_GONE_S = 5.0
FROZEN_S = 2.0
SET_BACK_S = 100.0
EXIT_S = 2.5
"""2 s, and some for the system to end a process that fills two cores with others."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def vehicle(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Vehicle]:
    with driving(tmp_path_factory.mktemp("node"), checkpoint, "/chaos") as one:
        yield one


def test_cameras_that_die_are_missed_and_taken_back(vehicle: Vehicle) -> None:
    before = vehicle.ear.drops
    vehicle.back.kill()
    try:
        vehicle.wait_for_drop(Drop.SILENT_CAMERA, before)
        vehicle.ear.wait_for(
            lambda: vehicle.ear.values.get(LAST_CAMERAS) == "3", "frames of the three cameras left"
        )
        vehicle.ear.wait_for_answers()
    finally:
        vehicle.start_back()
    vehicle.assert_unharmed()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("corrupt", Drop.UNDECODABLE_IMAGE),
        ("encoding", Drop.UNDECODABLE_IMAGE),
        ("info", Drop.SIZE_MISMATCH),
    ],
)
def test_broken_camera_is_left_out_until_it_heals(
    vehicle: Vehicle, command: str, reason: Drop
) -> None:
    before = vehicle.ear.drops
    vehicle.back.tell(f"{command} cam_back")
    vehicle.wait_for_drop(reason, before)
    vehicle.ear.wait_for_answers()
    vehicle.back.tell("heal")
    vehicle.assert_unharmed()


def test_reference_camera_with_corrupt_images_does_not_stop_the_others(vehicle: Vehicle) -> None:
    before = vehicle.ear.drops
    vehicle.front.tell("corrupt cam_front")
    vehicle.wait_for_drop(Drop.UNDECODABLE_IMAGE, before)
    vehicle.ear.wait_for_answers()
    vehicle.front.tell("heal")
    vehicle.assert_unharmed()


def test_calibration_and_images_of_another_size_in_mid_run_cost_no_frame(vehicle: Vehicle) -> None:
    before = vehicle.ear.drops
    for _ in range(3):
        vehicle.back.tell("resize cam_back")
        vehicle.ear.wait_for_answers(2)
        vehicle.back.tell("heal")
        vehicle.ear.wait_for_answers(2)
    vehicle.assert_unharmed()
    reports = vehicle.ear.reports
    vehicle.ear.wait_for(lambda: vehicle.ear.reports > reports, "the next report")
    for drop in (Drop.SIZE_MISMATCH, Drop.BAD_CAMERA_INFO, Drop.UNDECODABLE_IMAGE):
        assert vehicle.ear.drops.get(drop.value, 0) == before.get(drop.value, 0), drop


@pytest.mark.slow
def test_answers_stop_while_tf_is_gone_and_come_back_with_it(vehicle: Vehicle) -> None:
    before = vehicle.ear.drops
    vehicle.front.tell("tf off")
    vehicle.wait_for_drop(Drop.NO_EGO_POSE, before)
    gone_ns = time.time_ns()
    time.sleep(TF_GONE_S)
    back_ns = time.time_ns()
    vehicle.front.tell("tf on")
    vehicle.assert_unharmed()
    assert not [c for c in vehicle.ear.clouds if gone_ns < c.stamp_ns < back_ns]


def test_readers_that_sleep_or_stand_still_hold_up_nobody_else(vehicle: Vehicle) -> None:
    with ChildProcess(vehicle.folder, "slow_reader_process", vehicle.namespace) as reader:
        vehicle.ear.wait_for_answers(5)
        reader.freeze()
        try:
            known = len(vehicle.ear.clouds)
            time.sleep(FROZEN_S)
            came = len(vehicle.ear.clouds) - known
            assert came > 1, "no clouds while a reader stood still"
            vehicle.ear.wait_for_answers()
        finally:
            reader.thaw()
        vehicle.ear.wait_for_answers()
    vehicle.assert_unharmed()


@pytest.mark.slow
def test_raw_images_of_wrong_encodings_or_sizes_are_left_out(
    tmp_path: Path, checkpoint: Path
) -> None:
    arguments = ("-p", "image_transport:=raw")
    with driving(tmp_path, checkpoint, "/rough", *arguments, raw=True) as vehicle:
        for command in ("encoding", "corrupt"):
            before = vehicle.ear.drops
            vehicle.back.tell(f"{command} cam_back_left")
            vehicle.wait_for_drop(Drop.UNDECODABLE_IMAGE, before)
            vehicle.ear.wait_for_answers()
            vehicle.back.tell("heal")
            vehicle.assert_unharmed()
        assert "unknown image encoding 'rgb9'" in vehicle.node.log


def test_simulated_clock_that_jumps_back_or_ahead_starts_a_new_memory(
    tmp_path: Path, checkpoint: Path
) -> None:
    arguments = ("-p", "use_sim_time:=true")
    with driving(tmp_path, checkpoint, "/simulated", *arguments, clock=True) as vehicle:
        before = vehicle.ear.drops
        vehicle.jump(-SET_BACK_S)
        vehicle.wait_for_drop(Drop.TIME_SET_BACK, before)
        vehicle.assert_unharmed()
        vehicle.node.wait_for_log("time was set back")
        vehicle.jump(SET_BACK_S / 2)
        vehicle.assert_unharmed()


CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
STATES = {
    "unconfigured": (),
    "inactive": (CONFIGURE,),
    "active": (CONFIGURE, ACTIVATE),
    "deactivated": (CONFIGURE, ACTIVATE, Transition.TRANSITION_DEACTIVATE),
    "finalized": (CONFIGURE, ACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize(
    "state",
    [name if name == "active" else pytest.param(name, marks=pytest.mark.slow) for name in STATES],
)
def test_signal_under_traffic_ends_the_node_in_every_state(
    tmp_path: Path, checkpoint: Path, state: str, number: signal.Signals
) -> None:
    namespace = f"/{state}_{number.name.lower()}"
    given = ("-r", f"__ns:={namespace}", *OWN_TF, "-p", f"checkpoint:={checkpoint}")
    node = NodeProcess(tmp_path, *given, "-p", "autostart:=false")
    try:
        with Ear(namespace) as ear, traffic(tmp_path, namespace, "--tf"):
            client: Any = ear.node.create_client(ChangeState, "occupancy/change_state")
            assert client.wait_for_service(60), node.log
            for transition in STATES[state]:
                request = ChangeState.Request(transition=Transition(id=transition))
                answer = client.call_async(request)
                ear.wait_for(answer.done, f"the end of transition {transition}")
                assert answer.result().success
                if transition == ACTIVATE:
                    ear.wait_for_answers(1)
            code, seconds = node.end_by(number)
        assert code == 0, node.log
        assert seconds < EXIT_S
        assert "Traceback" not in node.log
    finally:
        node.kill()
