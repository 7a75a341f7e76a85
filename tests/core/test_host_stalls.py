"""The stall watcher of the benchmarks: halted for a while, it says for how long."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def test_a_halt_is_found_with_its_length_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import host_stalls

    started: list[subprocess.Popen[str]] = []

    class Kept(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *given: object, **more: object) -> None:
            super().__init__(*given, **more)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(host_stalls.subprocess, "Popen", Kept)
    with host_stalls.watched_host() as host:
        time.sleep(1.5)  # until it naps
        halted = time.monotonic()
        started[0].send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        started[0].send_signal(signal.SIGCONT)
        time.sleep(0.2)
        went_on = time.monotonic()
    longest = max(host.stalls, key=lambda stall: stall.milliseconds)
    assert longest.milliseconds == pytest.approx(300, abs=100)
    assert halted < longest.ended < went_on
    assert f"{longest.milliseconds:.1f} ms at worst" in host.sentence(halted, went_on)
    assert host.sentence(0.0, 1.0) == "the machine never stood still for 2 ms in 1 s"
