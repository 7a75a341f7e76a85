"""The node's life as a lifecycle manager leads it, over DDS, and its end in every state."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from std_srvs.srv import Trigger

from tests.ros.camera_world import CameraWorld
from tests.ros.node_process import NodeProcess
from tests.ros.running_node import small_checkpoint

pytestmark = pytest.mark.ros

CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("checkpoint"))


class Manager:
    """Leads one node through its states."""

    def __init__(self, node: NodeProcess, world: CameraWorld) -> None:
        self.node = node
        self.world = world
        self._change = world.node.create_client(ChangeState, "occupancy/change_state")
        self._state = world.node.create_client(GetState, "occupancy/get_state")
        self._reset = world.node.create_client(Trigger, "occupancy/reset")
        for client in (self._change, self._state, self._reset):
            assert client.wait_for_service(60)

    def lead(self, *transitions: int) -> bool:
        """Ask for transitions one after the other; returns whether the last one succeeded."""
        for transition in transitions:
            future = self.begin(transition)
            self.world.wait_for(future.done, f"an answer to transition {transition}")
            succeeded = bool(future.result().success)
        return succeeded

    def begin(self, transition: int) -> Any:
        """Ask for a transition without waiting for its end."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self._change.call_async(request)

    @property
    def state(self) -> int:
        return int(self._ask(self._state, GetState.Request()).current_state.id)

    def reset(self) -> Any:
        return self._ask(self._reset, Trigger.Request())

    def _ask(self, client: Any, request: Any) -> Any:
        future = client.call_async(request)
        self.world.wait_for(future.done, f"an answer of {client.srv_name}")
        return future.result()


@contextmanager
def managed(
    folder: Path, checkpoint: Path | None, namespace: str, *arguments: str
) -> Iterator[Manager]:
    """A node that waits for its manager; without a checkpoint its weights are random."""
    given = ["-r", f"__ns:={namespace}", "-p", "autostart:=false"]
    if checkpoint is not None:
        given += ["-p", f"checkpoint:={checkpoint}"]
    node = NodeProcess(folder, *given, *arguments)
    try:
        with CameraWorld(namespace) as world:
            yield Manager(node, world)
    finally:
        node.kill()


def outputs(world: CameraWorld) -> int:
    return world.node.count_publishers("occupancy/occupancy")


def inputs(world: CameraWorld) -> int:
    return world.node.count_subscribers("cam_front/camera_info")


def test_node_is_led_through_its_life_twice(tmp_path: Path, checkpoint: Path) -> None:
    with managed(tmp_path, checkpoint, "/led") as manager:
        world = manager.world
        for _ in range(2):
            assert manager.state == State.PRIMARY_STATE_UNCONFIGURED
            world.wait_for(lambda: outputs(world) == 0, "no outputs")
            assert not manager.lead(ACTIVATE), "there is no network yet"
            assert manager.lead(CONFIGURE)
            assert manager.state == State.PRIMARY_STATE_INACTIVE
            world.wait_for(lambda: outputs(world) == 1, "the outputs")
            assert inputs(world) == 0
            for _ in range(2):
                assert not manager.reset().success
                assert manager.lead(ACTIVATE)
                assert manager.state == State.PRIMARY_STATE_ACTIVE
                world.wait_for_node()
                known = len(world.clouds)
                world.send_until(lambda: len(world.clouds) > known, "a cloud")  # noqa: B023
                assert manager.reset().success
                assert manager.lead(DEACTIVATE)
                world.wait_for(lambda: inputs(world) == 0, "no inputs")
            assert manager.lead(CLEANUP)
        assert manager.lead(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
        assert manager.state == State.PRIMARY_STATE_FINALIZED
        code, seconds = manager.node.end_by(signal.SIGTERM)
        assert code == 0
        assert seconds < 2
        assert "Traceback" not in manager.node.log


def test_failed_configure_is_told_and_may_be_tried_again(tmp_path: Path, checkpoint: Path) -> None:
    absent = tmp_path / "later.safetensors"
    with managed(tmp_path, absent, "/late") as manager:
        assert not manager.lead(CONFIGURE)
        manager.node.wait_for_log("configure failed:")
        assert str(absent) in manager.node.log
        assert manager.state == State.PRIMARY_STATE_UNCONFIGURED
        absent.write_bytes(checkpoint.read_bytes())
        assert manager.lead(CONFIGURE, ACTIVATE)
        assert manager.state == State.PRIMARY_STATE_ACTIVE
        assert "Traceback" not in manager.node.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("name", "transitions"),
    [
        ("unconfigured", ()),
        ("inactive", (CONFIGURE,)),
        ("active", (CONFIGURE, ACTIVATE)),
        ("deactivated", (CONFIGURE, ACTIVATE, DEACTIVATE)),
    ],
)
def test_signal_ends_the_node_in_every_state(
    tmp_path: Path,
    checkpoint: Path,
    name: str,
    transitions: tuple[int, ...],
    number: signal.Signals,
) -> None:
    with managed(tmp_path, checkpoint, f"/{name}_{int(number)}") as manager:
        if transitions:
            assert manager.lead(*transitions)
        code, seconds = manager.node.end_by(number)
        assert code == 0
        assert seconds < 2
        assert "Traceback" not in manager.node.log


def test_signal_while_a_manager_configures_ends_the_node(tmp_path: Path) -> None:
    arguments = ("-p", "preset:=paper", "-p", "device:=cpu")
    with managed(tmp_path, None, "/busy", *arguments) as manager:
        manager.begin(CONFIGURE)
        manager.node.wait_for_log("NO CHECKPOINT")
        code, seconds = manager.node.end_by(signal.SIGINT)
        assert code == 0
        assert seconds < 2
        assert "configure: inactive now" not in manager.node.log
        assert "Traceback" not in manager.node.log
