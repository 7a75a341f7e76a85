"""Sets form around the reference camera, whatever order, rate or gap the images come in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gfocc_ros.frames.drops import Drop, DropCounters
from gfocc_ros.frames.frame_assembler import AssemblerSettings, FrameAssembler, ImageSet

MS = 1_000_000
SETTINGS = AssemblerSettings(
    cameras=("left", "front", "right"),
    reference_camera="front",
    slop_s=0.06,
    deadline_s=0.15,
    min_cameras=1,
    queue_size=4,
    time_jump_s=0.5,
    reference_timeout_s=1.0,
)


class Rig:
    """An assembler fed by (camera, stamp in ms); by default an image arrives at its stamp."""

    def __init__(self, **changes: Any) -> None:
        self.drops = DropCounters()
        self.assembler: FrameAssembler[str] = FrameAssembler(
            replace(SETTINGS, **changes), self.drops
        )
        self.sets: list[ImageSet[str]] = []

    def push(self, camera: str, stamp_ms: int, arrival_ms: float | None = None) -> bool:
        arrival_s = (stamp_ms if arrival_ms is None else arrival_ms) / 1e3
        self.poll(arrival_s * 1e3)
        jumped = self.assembler.push(camera, stamp_ms * MS, arrival_s, f"{camera}@{stamp_ms}")
        self.poll(arrival_s * 1e3)
        return jumped

    def poll(self, now_ms: float) -> None:
        self.sets += self.assembler.poll(now_ms / 1e3)

    def messages(self) -> list[dict[str, str]]:
        return [{c: i.message for c, i in s.images.items()} for s in self.sets]

    def dropped(self, reason: Drop) -> int:
        return self.drops.totals().get(reason, 0)


def test_set_carries_the_reference_stamp_and_every_camera() -> None:
    rig = Rig()
    for camera, stamp in (("left", 1000), ("front", 1008), ("right", 1016)):
        rig.push(camera, stamp)
    rig.poll(1200)
    assert [s.stamp_ns for s in rig.sets] == [1008 * MS]
    assert rig.messages() == [{"left": "left@1000", "front": "front@1008", "right": "right@1016"}]


def test_known_rhythm_spares_the_wait_for_a_camera_that_fires_before_the_reference() -> None:
    rig = Rig()
    for start in (500, 1000, 1500):
        for camera, stamp in (("left", start), ("front", start + 8), ("right", start + 16)):
            rig.push(camera, stamp)
    assert [s.stamp_ns for s in rig.sets] == [508 * MS, 1008 * MS, 1508 * MS]
    assert not rig.assembler.is_waiting


def test_nearer_image_that_comes_later_wins() -> None:
    rig = Rig(cameras=("left", "front"))
    rig.push("left", 900)
    rig.push("left", 950)
    rig.push("front", 985)
    assert not rig.sets, "left fires every 50 ms: an image at 1000 is still to come"
    rig.push("left", 1000)
    assert rig.messages() == [{"left": "left@1000", "front": "front@985"}]


def test_silent_camera_is_left_out_at_the_deadline() -> None:
    rig = Rig()
    rig.push("left", 1000)
    rig.push("front", 1000, arrival_ms=1010)
    rig.poll(1159)
    assert not rig.sets
    rig.poll(1161)
    assert rig.messages() == [{"left": "left@1000", "front": "front@1000"}]
    assert rig.dropped(Drop.SILENT_CAMERA) == 1


def test_image_beyond_the_slop_is_no_match() -> None:
    rig = Rig(cameras=("left", "front"))
    rig.push("front", 1000)
    rig.push("left", 1061)
    assert rig.messages() == [{"front": "front@1000"}]


def test_image_at_the_slop_is_a_match() -> None:
    rig = Rig(cameras=("left", "front"))
    rig.push("front", 1000)
    rig.push("left", 1060)
    assert rig.messages() == [{"front": "front@1000", "left": "left@1060"}]


def test_too_few_cameras_give_no_set() -> None:
    rig = Rig(min_cameras=2)
    rig.push("front", 1000)
    rig.poll(2000)
    assert not rig.sets
    assert rig.dropped(Drop.TOO_FEW_CAMERAS) == 1


def test_duplicate_is_counted_and_used_once() -> None:
    rig = Rig(cameras=("left", "front"))
    for camera in ("left", "left", "front", "front"):
        rig.push(camera, 1000)
    rig.push("front", 1000, arrival_ms=1100)
    assert len(rig.sets) == 1
    assert rig.dropped(Drop.DUPLICATE_IMAGE) == 3


def test_images_of_one_camera_may_swap_on_the_way() -> None:
    rig = Rig(cameras=("left", "front"))
    rig.push("left", 1083, arrival_ms=1084)
    rig.push("left", 1000, arrival_ms=1085)
    rig.push("front", 1000, arrival_ms=1086)
    rig.push("front", 1083, arrival_ms=1087)
    assert rig.messages() == [
        {"left": "left@1000", "front": "front@1000"},
        {"left": "left@1083", "front": "front@1083"},
    ]


def test_reference_image_older_than_the_last_set_is_late() -> None:
    rig = Rig(cameras=("front",))
    rig.push("front", 1083)
    rig.push("front", 1000, arrival_ms=1084)
    assert [s.stamp_ns for s in rig.sets] == [1083 * MS]
    assert rig.dropped(Drop.LATE_IMAGE) == 1


def test_faster_camera_serves_every_set_with_its_nearest_image() -> None:
    rig = Rig(cameras=("front", "left"))
    for stamp in range(0, 1000, 10):
        if stamp % 100 == 40:
            rig.push("front", stamp)
        rig.push("left", stamp + 3)
    assert [m["left"] for m in rig.messages()] == [f"left@{100 * k + 43}" for k in range(10)]


def test_slower_camera_goes_to_the_nearest_of_several_waiting_references() -> None:
    rig = Rig(cameras=("front", "left"))
    rig.push("front", 1000)
    rig.push("front", 1033)
    rig.push("left", 1034)
    rig.poll(1300)
    assert rig.messages() == [{"front": "front@1000"}, {"front": "front@1033", "left": "left@1034"}]


def test_time_set_back_starts_a_new_epoch_and_keeps_its_first_images() -> None:
    rig = Rig()
    for start in (5000, 5500):
        for camera, stamp in (("left", start), ("front", start + 8), ("right", start + 16)):
            assert not rig.push(camera, stamp)
    assert not rig.push("left", 1000, arrival_ms=6000)
    assert rig.push("front", 1008, arrival_ms=6008)
    assert not rig.push("right", 1016, arrival_ms=6016)
    rig.poll(6300)
    assert [s.epoch for s in rig.sets] == [0, 0, 1]
    assert rig.messages()[-1] == {"left": "left@1000", "front": "front@1008", "right": "right@1016"}


def test_recording_of_one_frame_played_again_is_a_new_epoch() -> None:
    rig = Rig()
    for start in (0, 700, 1400):
        for camera, stamp in (("left", 1000), ("front", 1008), ("right", 1016)):
            rig.push(camera, stamp, arrival_ms=start + stamp)
        rig.poll(start + 1300)
    assert [s.epoch for s in rig.sets] == [0, 1, 2]
    assert all(len(s.images) == 3 for s in rig.sets)


def test_recording_that_pauses_before_it_is_played_again_keeps_its_cameras() -> None:
    rig = Rig()
    for start in (0, 20_000):
        for camera, stamp in (("left", 5000), ("front", 5008), ("right", 5016)):
            rig.push(camera, stamp, arrival_ms=start + stamp)
        rig.poll(start + 5500)
    assert [s.epoch for s in rig.sets] == [0, 1]
    assert rig.messages()[0] == rig.messages()[1]


def test_set_of_the_old_epoch_that_still_waits_is_given_up() -> None:
    rig = Rig(deadline_s=5.0)
    rig.push("front", 9000)
    rig.push("front", 1000, arrival_ms=9083)
    rig.push("left", 1000, arrival_ms=9084)
    rig.push("right", 1000, arrival_ms=9085)
    assert [s.stamp_ns for s in rig.sets] == [1000 * MS]
    assert rig.dropped(Drop.TIME_JUMP) == 1


@pytest.mark.parametrize("wild", ["front", "left"])
def test_one_stamp_in_the_future_costs_one_image(wild: str) -> None:
    rig = Rig(cameras=("left", "front"))
    stamps = [1000 + 83 * k for k in range(12)]
    for stamp in stamps:
        for delay, camera in enumerate(("front", "left")):
            is_wild = camera == wild and stamp == stamps[5]
            rig.push(camera, stamp + 3_600_000 * is_wild, arrival_ms=stamp + delay)
    rig.poll(3000)
    full = [s.stamp_ns // MS for s in rig.sets if len(s.images) == 2]
    assert full == [stamp for stamp in stamps if stamp != stamps[5]]
    assert rig.dropped(Drop.FUTURE_IMAGE) == 1
    assert {s.epoch for s in rig.sets} == {0}


def test_camera_ahead_of_the_clock_is_refused_without_others_to_compare_with() -> None:
    rig = Rig(cameras=("front",))
    clock_ns = 1000 * MS
    for ahead_ms in (999, 1001, 60_000):
        rig.assembler.push("front", clock_ns + ahead_ms * MS, 1.0, "", clock_ns)
    rig.poll(2000)
    assert [s.stamp_ns for s in rig.sets] == [1999 * MS]
    assert rig.dropped(Drop.FUTURE_IMAGE) == 2
    assert "60.000 s ahead of the clock" in rig.drops.take_news()[Drop.FUTURE_IMAGE]


@pytest.mark.parametrize("clock_ns", [None, 0])
def test_clock_that_is_not_known_yet_refuses_nothing(clock_ns: int | None) -> None:
    rig = Rig(cameras=("front",))
    rig.assembler.push("front", 5000 * MS, 1.0, "", clock_ns)
    rig.poll(2000)
    assert len(rig.sets) == 1


@pytest.mark.parametrize("cameras", [("left", "front", "right"), ("front", "left", "right")])
def test_reference_whose_clock_is_wrong_gives_way_to_another(cameras: tuple[str, ...]) -> None:
    """Also where its first image comes before there are others to compare with."""
    rig = Rig(cameras=cameras)
    for k in range(1, 40):
        for delay, camera in enumerate(cameras):
            wrong = 3_600_000 if camera == "front" else 0
            rig.push(camera, 100 * k + wrong, arrival_ms=100 * k + delay)
    rig.poll(9000)
    assert rig.dropped(Drop.FUTURE_IMAGE) >= 38
    late = rig.sets[5:]
    assert len(late) >= 20
    assert all(set(s.images) == {"left", "right"} for s in late)
    assert rig.assembler.heard_cameras() == set(SETTINGS.cameras)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_recording_that_goes_on_an_hour_later_loses_one_frame_at_most(count: int) -> None:
    cameras = tuple("abcdefgh"[:count])
    rig = Rig(cameras=cameras, reference_camera="a", min_cameras=count)
    for k in range(1, 21):
        gap = 3_600_000 if k > 10 else 0
        for delay, camera in enumerate(cameras):
            rig.push(camera, 100 * k + gap, arrival_ms=100 * k + delay)
    rig.poll(9000)
    assert len(rig.sets) >= 19
    assert {s.epoch for s in rig.sets} == {0}


@pytest.mark.parametrize("stamp_ms", [0, -5])
def test_image_that_was_never_stamped_is_dropped_and_counted(stamp_ms: int) -> None:
    rig = Rig(cameras=("front",))
    rig.push("front", 1000)
    rig.push("front", stamp_ms, arrival_ms=1050)
    rig.push("front", 1100)
    assert [(s.epoch, s.stamp_ns // MS) for s in rig.sets] == [(0, 1000), (0, 1100)]
    assert rig.dropped(Drop.UNSTAMPED_IMAGE) == 1


def test_another_camera_stands_in_for_a_silent_reference_until_it_is_back() -> None:
    rig = Rig()
    for k in range(60):
        start = 100 * k + 100
        rig.push("left", start)
        if not 10 <= k < 40:
            rig.push("front", start + 8)
        rig.push("right", start + 16)
    by_reference = ["front" if "front" in s.images else "left" for s in rig.sets]
    first = by_reference.index("left")
    assert by_reference[:first] == ["front"] * 10
    assert 15 <= by_reference.count("left") <= 20, "steps in within about a second"
    assert len(rig.sets) - first - by_reference.count("left") in (19, 20), "and out at once"
    stamps = [s.stamp_ns for s in rig.sets]
    assert stamps == sorted(set(stamps))


def test_flood_of_references_is_bounded() -> None:
    rig = Rig(deadline_s=5.0, queue_size=4)
    for stamp in range(1000, 1300, 10):
        rig.push("front", stamp)
    rig.poll(9000)
    assert len(rig.sets) == 4
    assert rig.dropped(Drop.QUEUE_FULL) == 26


def test_camera_without_reference_does_not_pile_up_images() -> None:
    rig = Rig(cameras=("left", "front"), queue_size=4, reference_timeout_s=1000.0)
    for stamp in range(1000, 2000, 10):
        rig.push("left", stamp)
    assert rig.dropped(Drop.UNMATCHED_IMAGE) == 96


@pytest.mark.parametrize("cameras", [("a",), tuple("abcdefgh")])
def test_any_number_of_cameras_forms_sets(cameras: tuple[str, ...]) -> None:
    rig = Rig(cameras=cameras, reference_camera=cameras[-1])
    for start in range(100, 1100, 100):
        for offset, camera in enumerate(cameras):
            rig.push(camera, start + 5 * offset)
    rig.poll(2000)
    assert len(rig.sets) == 10
    assert all(set(s.images) == set(cameras) for s in rig.sets)


arrivals = st.lists(
    st.tuples(
        st.sampled_from(SETTINGS.cameras),
        st.integers(1, 600),  # stamp, ms
        st.integers(0, 40),  # wall time since the previous arrival, ms
    ),
    max_size=60,
)


def test_a_short_bag_that_loops_before_its_first_set_is_whole_gives_each_instant_once() -> None:
    rig = Rig()
    for arrival, stamp in ((1000, 100), (1010, 650), (1020, 100), (1030, 650)):
        rig.push("front", stamp, arrival_ms=arrival)
    rig.poll(2000)
    assert [s.stamp_ns for s in rig.sets] == [100 * MS, 650 * MS]
    assert [s.arrival_s for s in rig.sets] == [1.02, 1.03]
    assert rig.dropped(Drop.TIME_JUMP) == 2


@settings(max_examples=300, deadline=None)
@given(arrivals, st.integers(1, 3), st.integers(1, 6))
@example([("front", 1, 0), ("front", 502, 0), ("front", 1, 0)], 1, 2)
def test_any_arrivals_keep_the_promises(
    events: list[tuple[str, int, int]], min_cameras: int, queue_size: int
) -> None:
    rig = Rig(min_cameras=min_cameras, queue_size=queue_size)
    now = 1000
    for camera, stamp, pause in events:
        now += pause
        rig.push(camera, stamp, arrival_ms=now)
    rig.poll(now + 1000)
    assert not rig.assembler.is_waiting
    slop_ns = SETTINGS.slop_s * 1e9
    for each in rig.sets:
        assert len(each.images) >= min_cameras
        assert any(image.stamp_ns == each.stamp_ns for image in each.images.values())
        assert all(abs(i.stamp_ns - each.stamp_ns) <= slop_ns for i in each.images.values())
    order = [(s.epoch, s.stamp_ns) for s in rig.sets]
    assert order == sorted(set(order)), "sets of an epoch leave in the order of their stamps"
    used = [(s.epoch, m) for s in rig.sets for m in (i.message for i in s.images.values())]
    assert len(used) == len(set(used)), "an image serves one set"
