"""Drops are counted by reason, and each is told once."""

from __future__ import annotations

from gfocc_ros.frames.drops import Drop, DropCounters


def test_news_name_cameras_counts_and_what_was_found_last() -> None:
    drops = DropCounters()
    drops.count(Drop.UNDECODABLE_IMAGE, "right", "first finding")
    drops.count(Drop.UNDECODABLE_IMAGE, "left", "last finding", times=2)
    drops.count(Drop.NO_EGO_POSE, detail="no tf")
    assert drops.take_news() == {
        Drop.UNDECODABLE_IMAGE: (
            "undecodable_image: left x2, right x1 (3 since the start): last finding"
        ),
        Drop.NO_EGO_POSE: "no_ego_pose: frame x1 (1 since the start): no tf",
    }


def test_news_are_told_once_and_totals_stay() -> None:
    drops = DropCounters()
    drops.count(Drop.LATE_IMAGE, "left", "finding")
    drops.take_news()
    assert drops.take_news() == {}
    drops.count(Drop.LATE_IMAGE, "left")
    assert drops.take_news() == {Drop.LATE_IMAGE: "late_image: left x1 (2 since the start)"}
    assert drops.totals() == {Drop.LATE_IMAGE: 2}


def test_nothing_dropped_is_no_news() -> None:
    drops = DropCounters()
    drops.count(Drop.UNMATCHED_IMAGE, "left", times=0)
    assert drops.take_news() == {}
    assert drops.totals() == {}
