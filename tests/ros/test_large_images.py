"""Large images over DDS: the shipped Fast DDS profile loses none, and the player uses it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from gfocc_ros import large_images
from gfocc_ros.bags.messages import TYPESTORE, header, new_message, offered_qos, serialize
from gfocc_ros.large_images import (
    OLD_DISTROS,
    OLD_VARIABLE,
    PROFILE,
    VARIABLE,
    segment_bytes,
    use_large_images_profile,
)
from tests.ros.raw_cameras_process import CAMERAS, HEIGHT, IMAGE_BYTES, WIDTH

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / PROFILE
FRAMES, RATE_HZ = 6, 2.0
IMAGE_TYPE = "sensor_msgs/msg/Image"
OLD = os.environ.get("ROS_DISTRO") in OLD_DISTROS
WITH_PROFILE = {OLD_VARIABLE if OLD else VARIABLE: str(SHIPPED)}


class Listener:
    """Hears six raw cameras, with the profile's long queue: tests share the processor."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ros.raw_listener_process", str(FRAMES)],
            cwd=ROOT,
            env=os.environ | WITH_PROFILE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def counts(self) -> dict[str, int]:
        """Whole images by camera, after all were sent; the process ends."""
        told, _ = self._process.communicate(timeout=60)
        counts: dict[str, int] = json.loads(told)
        return counts

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.communicate(timeout=60)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    for name in (VARIABLE, OLD_VARIABLE, "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.delenv(name, raising=False)
    listener = Listener()
    yield listener
    listener.end()


def run_module(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.ros
@pytest.mark.slow  # needs a processor to itself
def test_six_raw_cameras_lose_nothing_with_the_shipped_profile(listener: Listener) -> None:
    words = ("tests.ros.raw_cameras_process", str(FRAMES), str(RATE_HZ))
    sender = run_module(*words, **WITH_PROFILE)
    assert (sender.returncode, sender.stderr) == (0, "")
    assert listener.counts() == dict.fromkeys(CAMERAS, FRAMES)


@pytest.fixture
def raw_bag(tmp_path: Path) -> Path:
    """Six raw cameras that fire at one moment."""
    path = tmp_path / "raw"
    pixels = np.zeros(IMAGE_BYTES, np.uint8)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = [
            writer.add_connection(
                f"/{camera}/image_rect",
                IMAGE_TYPE,
                typestore=TYPESTORE,
                offered_qos_profiles=[offered_qos(10)],
            )
            for camera in CAMERAS
        ]
        for frame in range(FRAMES):
            stamp_ns = 1_000_000_000 + round(frame / RATE_HZ * 1e9)
            image = new_message(
                IMAGE_TYPE,
                header=header(stamp_ns, "camera"),
                height=HEIGHT,
                width=WIDTH,
                encoding="bgr8",
                is_bigendian=0,
                step=3 * WIDTH,
                data=pixels,
            )
            cdr = serialize(image)
            for connection in connections:
                writer.write(connection, stamp_ns, cdr)
    return path


@pytest.mark.ros
@pytest.mark.slow  # needs a processor to itself
def test_player_loses_no_raw_image(listener: Listener, raw_bag: Path) -> None:
    began = time.monotonic()
    player = run_module("gfocc_ros.play_rosbag", str(raw_bag), "--wait", "30")
    assert time.monotonic() - began > (FRAMES - 1) / RATE_HZ
    assert (player.returncode, player.stderr) == (0, "")
    assert listener.counts() == dict.fromkeys(CAMERAS, FRAMES)


def test_profile_holds_two_frames_of_six_raw_cameras() -> None:
    assert segment_bytes(SHIPPED) > 2 * len(CAMERAS) * IMAGE_BYTES


@pytest.mark.parametrize(
    ("given", "variable"),
    [
        ({}, VARIABLE),
        ({"ROS_DISTRO": "humble"}, OLD_VARIABLE),
        ({"ROS_DISTRO": "rolling"}, VARIABLE),
    ],
)
def test_profile_is_set_where_nothing_was_chosen(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], variable: str
) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    environment = dict(given)
    assert use_large_images_profile(environment) == ""
    assert environment == {**given, variable: str(SHIPPED)}


@pytest.mark.parametrize(
    "chosen",
    [
        {"FASTDDS_DEFAULT_PROFILES_FILE": "/mine.xml"},
        {"FASTRTPS_DEFAULT_PROFILES_FILE": "/mine.xml"},
        {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"},
        {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"},
    ],
)
def test_a_choice_of_the_user_is_left_alone(chosen: dict[str, str]) -> None:
    environment = dict(chosen)
    assert use_large_images_profile(environment) == ""
    assert environment == chosen


def test_a_profile_in_the_working_folder_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "DEFAULT_FASTDDS_PROFILES.xml").touch()
    monkeypatch.chdir(tmp_path)
    environment: dict[str, str] = {}
    assert use_large_images_profile(environment) == ""
    assert environment == {}


def test_too_little_shared_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 60 << 20

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    environment: dict[str, str] = {}
    told = use_large_images_profile(environment, tmp_path)
    assert "60 MiB left, more than 64 MiB are needed" in told
    assert use_large_images_profile(environment, tmp_path / "none").startswith("large images may")
    assert environment == {}


def test_an_installation_without_the_profile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_images, "shipped_file", lambda _: None)
    environment: dict[str, str] = {}
    assert PROFILE in use_large_images_profile(environment)
    assert environment == {}
