"""The node sends large clouds through shared memory of its own, and leaves none behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from gfocc_ros.large_images import OLD_VARIABLE, PROFILE, VARIABLE, segment_bytes
from tests.ros.node_process import ROOT, NodeProcess

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="needs Linux' /proc"),
    pytest.mark.skipif(
        not os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps").startswith("rmw_fastrtps"),
        reason="the profile is Fast DDS's",
    ),
]
PARAMETERS = ("-p", "cameras:=['left']", "-p", "reference_camera:=left", "-p", "min_cameras:=1")


def segments(pid: int) -> dict[Path, int]:
    """Fast DDS's files in shared memory that a process maps, and their bytes."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    names = {line.split()[-1] for line in lines if "/dev/shm/fastdds" in line}
    return {Path(name): Path(name).stat().st_size for name in names if Path(name).is_file()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_large_segment_goes_with_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    for name in (VARIABLE, OLD_VARIABLE, "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.delenv(name, raising=False)
    node = NodeProcess(tmp_path, *PARAMETERS, "-p", "preset:=tiny", "-p", "device:=cpu")
    try:
        node.wait_for_log("ready:", 120.0)
        large = [
            path
            for path, size in segments(node.process.pid).items()
            if size >= segment_bytes(ROOT / PROFILE)
        ]
        assert len(large) == 1
        code, _ = node.end_by(number)
        assert code == 0, node.log
        assert not large[0].exists()
    finally:
        node.kill()
