"""Random traffic of 1 to 8 cameras: no image is lost without a count, no frame without a reason."""

from __future__ import annotations

import random

import pytest

from gfocc_ros.frames.drops import Drop, DropCounters
from gfocc_ros.frames.frame_assembler import AssemblerSettings, FrameAssembler, ImageSet

MS = 1_000_000
START_MS = 10_000
LENGTH_MS = 4_000
SLOP_MS = 60
DROPS_OF_IMAGES = (
    Drop.DUPLICATE_IMAGE,
    Drop.LATE_IMAGE,
    Drop.FUTURE_IMAGE,
    Drop.UNSTAMPED_IMAGE,
    Drop.UNMATCHED_IMAGE,
    Drop.QUEUE_FULL,
    Drop.TIME_JUMP,
)

Arrival = tuple[float, str, int]
"""When it arrives (ms), the camera, its stamp (ms)."""


class Traffic:
    """Cameras with rates, phases and delays of their own, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        count = self.random.randint(1, 8)
        self.periods = {f"camera_{k}": self.random.choice((33, 83, 100, 250)) for k in range(count)}
        self.reference = max(self.periods, key=lambda camera: self.periods[camera])

    def arrivals(self, delay_ms: float, jitter_ms: float) -> list[Arrival]:
        """Every image once, in the order of arrival: a delay per camera, jitter per image."""
        found = []
        for camera, period in self.periods.items():
            phase = self.random.randrange(period)
            delay = self.random.uniform(0, delay_ms)
            for stamp in range(START_MS + phase, START_MS + LENGTH_MS, period):
                late = delay + self.random.uniform(0, jitter_ms)
                found.append((stamp + late, camera, stamp))
        return sorted(found)

    def disturbed(self, arrivals: list[Arrival]) -> list[Arrival]:
        """Some images lost, some sent twice, some unstamped or stamped in the future."""
        found = []
        for arrival, camera, stamp in arrivals:
            lot = self.random.random()
            if lot < 0.1:
                continue
            if lot < 0.2:
                found.append((arrival + self.random.uniform(0, 200), camera, stamp))
            if lot > 0.97:
                stamp = self.random.choice((0, stamp + 3_600_000, stamp + 2_000))
            found.append((arrival, camera, stamp))
        return sorted(found)

    def run(
        self, arrivals: list[Arrival], queue_size: int
    ) -> tuple[list[ImageSet[int]], DropCounters, int]:
        """The sets, the drops, and how many images wait at the end."""
        drops = DropCounters()
        settings = AssemblerSettings(
            cameras=tuple(self.periods),
            reference_camera=self.reference,
            slop_s=SLOP_MS / 1e3,
            deadline_s=0.15,
            min_cameras=1,
            queue_size=queue_size,
            time_jump_s=0.5,
            reference_timeout_s=1.0,
        )
        assembler: FrameAssembler[int] = FrameAssembler(settings, drops)
        sets: list[ImageSet[int]] = []
        for number, (arrival, camera, stamp) in enumerate(arrivals):
            sets += assembler.poll(arrival / 1e3)
            assembler.push(camera, stamp * MS, arrival / 1e3, number)
            waiting = [len(stream) for stream in assembler._streams.values()]
            assert max(waiting) <= queue_size
        sets += assembler.poll(arrivals[-1][0] / 1e3 + 10)
        assert not assembler.is_waiting
        return sets, drops, sum(len(stream) for stream in assembler._streams.values())


@pytest.mark.parametrize("seed", range(60))
def test_every_image_is_in_a_set_or_counted_or_still_waits(seed: int) -> None:
    traffic = Traffic(seed)
    arrivals = traffic.disturbed(traffic.arrivals(delay_ms=0, jitter_ms=90))
    sets, drops, waiting = traffic.run(arrivals, queue_size=traffic.random.randint(1, 8))
    used = [image.message for each in sets for image in each.images.values()]
    assert len(used) == len(set(used))
    dropped = sum(drops.totals().get(reason, 0) for reason in DROPS_OF_IMAGES)
    assert len(arrivals) == len(used) + dropped + waiting
    silent = sum(len(traffic.periods) - len(each.images) for each in sets)
    assert drops.totals().get(Drop.SILENT_CAMERA, 0) == silent
    for each in sets:
        stamps = [image.stamp_ns for image in each.images.values()]
        assert each.stamp_ns in stamps
        assert all(abs(stamp - each.stamp_ns) <= SLOP_MS * MS for stamp in stamps)
    order = [(each.epoch, each.stamp_ns) for each in sets]
    assert order == sorted(set(order))


@pytest.mark.parametrize("seed", range(40))
def test_delays_below_the_deadline_change_no_set(seed: int) -> None:
    """Cameras may overtake each other: each reference image gets the nearest of every camera."""
    traffic = Traffic(seed)
    arrivals = traffic.arrivals(delay_ms=80, jitter_ms=30)
    sets, drops, _ = traffic.run(arrivals, queue_size=10)
    stamps = {
        camera: [stamp for _, name, stamp in arrivals if name == camera]
        for camera in traffic.periods
    }
    assert [each.stamp_ns // MS for each in sets] == stamps[traffic.reference]
    for each in sets[3:]:  # the first ones teach the rhythm
        centre = each.stamp_ns // MS
        for camera, candidates in stamps.items():
            distance = min(abs(stamp - centre) for stamp in candidates)
            if camera == traffic.reference or distance > SLOP_MS:
                continue
            if camera not in each.images:
                # An image between two references goes to the nearer one.
                assert 2 * distance >= traffic.periods[traffic.reference], camera
            else:
                assert abs(each.images[camera].stamp_ns // MS - centre) == distance
    assert not {Drop.LATE_IMAGE, Drop.TIME_JUMP, Drop.FUTURE_IMAGE} & drops.totals().keys()
