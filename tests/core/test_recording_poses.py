"""Poses between those of poses.csv and poses.tum, and what is refused by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyquaternion import Quaternion

from gfocc_core.data.recording_poses import COLUMNS, PosePath, read_poses, write_poses
from gfocc_core.data.scenes import DatasetError
from tests.core.recording_fixture import START_NS, pose_at, stamps

HEADER = ",".join(COLUMNS)


def test_between_two_poses_the_vehicle_moves_straight_and_turns_evenly() -> None:
    path = PosePath(stamps([0.0, 1.0]), pose_at([0.0, 1.0]))
    times = np.array([0.0, 0.1, 0.5, 0.99, 1.0])
    poses, known = path.at(stamps(times), 1.0)
    assert known.all()
    np.testing.assert_allclose(poses, pose_at(times), atol=1e-8)


def test_the_turn_is_pyquaternions_slerp_the_shorter_way_round() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        first, second = (Quaternion(random.normal(size=4)).normalised for _ in range(2))
        rows = np.stack([np.r_[0, 0, 0, q.elements] for q in (first, second)])
        poses, _ = PosePath(stamps([0.0, 1.0]), rows).at(stamps([0.3]), 1.0)
        expected = Quaternion.slerp(first, second, 0.3)
        assert Quaternion.absolute_distance(Quaternion(poses[0, 3:]), expected) < 1e-9
        assert abs(np.linalg.norm(poses[0, 3:]) - 1) < 1e-12


def test_opposite_signs_of_a_quaternion_are_the_same_turn() -> None:
    rows = pose_at([0.0, 1.0])
    rows[1, 3:] *= -1
    poses, _ = PosePath(stamps([0.0, 1.0]), rows).at(stamps([0.5]), 1.0)
    np.testing.assert_allclose(poses, pose_at([0.5]), atol=1e-12)


def test_nothing_is_known_outside_the_path_and_inside_a_gap() -> None:
    path = PosePath(stamps([0.0, 0.1, 1.1, 1.2]), pose_at([0.0, 0.1, 1.1, 1.2]))
    asked = [-1e-9, 0.0, 0.05, 0.1, 0.6, 1.1, 1.15, 1.2, 1.2 + 1e-9]
    _, known = path.at(stamps(asked), 0.5)
    assert known.tolist() == [False, True, True, True, False, True, True, True, False]
    assert path.at(stamps([0.6]), 1.0)[1].all()


def test_a_single_pose_is_known_at_its_own_stamp_only() -> None:
    _, known = PosePath(stamps([0.0]), pose_at([0.0])).at(stamps([-1e-9, 0, 1e-9]), 1.0)
    assert known.tolist() == [False, True, False]


def test_what_is_written_is_read_to_the_last_bit(tmp_path: Path) -> None:
    times = np.arange(0, 2, 0.05)
    written = PosePath(stamps(times), pose_at(times))
    write_poses(tmp_path, written)
    found = read_poses(tmp_path)
    assert np.array_equal(found.stamps_ns, written.stamps_ns)
    np.testing.assert_allclose(found.poses, written.poses, atol=1e-15)
    assert np.array_equal(found.poses[:, :3], written.poses[:, :3])


def test_tum_stamps_keep_their_nanoseconds(tmp_path: Path) -> None:
    lines = "# stamp x y z qx qy qz qw\n1700000000.000000123 1 2 3 0 0 0 1\n\n"
    (tmp_path / "poses.tum").write_text(lines + "1700000000.5\t4 5 6  0 0 1 0\n")
    found = read_poses(tmp_path)
    assert found.stamps_ns.tolist() == [START_NS, START_NS + 499_999_877]
    assert found.poses[1].tolist() == [4, 5, 6, 0, 0, 0, 1]  # wxyz


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "hold no pose"),
        (f"{HEADER}\n", "hold no pose"),
        ("t,x,y,z,a,b,c,d\n", f"line 1 must be the header {HEADER}"),
        (f"{HEADER}\n1,2,3\n", "line 2: 8 values are needed, .* got 3"),
        (f"{HEADER}\n1.5,0,0,0,0,0,0,1\n", "line 2: stamp must be integer nanoseconds.*'1.5'"),
        (f"{HEADER}\n-1,0,0,0,0,0,0,1\n", "line 2: stamp must be"),
        (f"{HEADER}\n1,0,0,east,0,0,0,1\n", "line 2: could not convert .*'east'"),
        (f"{HEADER}\n1,0,nan,0,0,0,0,1\n", "line 2: y must be finite, got nan"),
        (f"{HEADER}\n1,0,0,0,0,0,0,0\n", "line 2: qx qy qz qw must have length 1, got 0"),
        (
            f"{HEADER}\n5,0,0,0,0,0,0,1\n\n5,0,0,0,0,0,0,1\n",
            "line 4: the stamp is not after the one before",
        ),
    ],
)
def test_what_is_wrong_is_named_by_file_and_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "poses.csv").write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read_poses(tmp_path)
    assert str(tmp_path / "poses.csv") in str(caught.value)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "poses.tum").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="are no text"):
        read_poses(tmp_path)


def test_exactly_one_file_of_poses_is_needed(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="it has neither"):
        read_poses(tmp_path)
    for name in ("poses.csv", "poses.tum"):
        (tmp_path / name).write_text("")
    with pytest.raises(DatasetError, match="it has both"):
        read_poses(tmp_path)
