"""Gives the synthetic dataset what nuScenes has between keyframes: LIDAR_TOP at 20 Hz."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.nuscenes_fixture import NuscenesFixture

PERIOD_US = 50_000
RINGS = 32
POINTS = 320


def add_lidar_sweeps(dataset: NuscenesFixture, scene: str) -> dict[int, bytes]:
    """Sweeps between the keyframes of a scene, in the tables in no order.

    Returns:
        The files of all LIDAR_TOP readings of the scene by stamp in nanoseconds, oldest first.
    """
    random = np.random.default_rng(11)
    data: list[dict[str, Any]] = json.loads(dataset.table("sample_data").read_text())
    poses: list[dict[str, Any]] = json.loads(dataset.table("ego_pose").read_text())
    keyframes = sorted(
        (row for row in data if row["calibrated_sensor_token"] == f"{scene}-LIDAR_TOP"),
        key=lambda row: int(row["timestamp"]),
    )
    files = {
        row["timestamp"] * 1000: (dataset.root / row["filename"]).read_bytes() for row in keyframes
    }
    known = sorted(
        (pose for pose in poses if pose["token"].startswith(f"{scene}-")),
        key=lambda pose: int(pose["timestamp"]),
    )
    first, last = keyframes[0]["timestamp"], keyframes[-1]["timestamp"]
    for stamp_us in range(first + PERIOD_US, last, PERIOD_US):
        if stamp_us * 1000 in files:
            continue
        token = f"{scene}-LIDAR_TOP-{stamp_us}"
        nearest = min(keyframes, key=lambda row: abs(row["timestamp"] - stamp_us))
        filename = f"sweeps/LIDAR_TOP/{token}.pcd.bin"
        content = _sweep(random)
        path = dataset.root / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files[stamp_us * 1000] = content
        changes = {"token": token, "timestamp": stamp_us, "ego_pose_token": token}
        data.append({**nearest, **changes, "filename": filename, "is_key_frame": False})
        poses.append({"token": token, "timestamp": stamp_us, **_pose_between(known, stamp_us)})
    random.shuffle(data)  # type: ignore[arg-type]
    dataset.table("sample_data").write_text(json.dumps(data))
    dataset.table("ego_pose").write_text(json.dumps(poses))
    return dict(sorted(files.items()))


def _sweep(random: np.random.Generator) -> bytes:
    """Rows of x, y, z, intensity, ring, as the sensor turns: the rings of each direction."""
    points = random.uniform(-50, 50, (POINTS, 5)).astype("<f4")
    points[:, 3] = random.integers(0, 256, POINTS)
    points[:, 4] = np.arange(POINTS) % RINGS
    return points.tobytes()


def _pose_between(known: list[dict[str, Any]], stamp_us: int) -> dict[str, list[float]]:
    stamps = [pose["timestamp"] for pose in known]

    def between(name: str) -> list[float]:
        columns = np.array([pose[name] for pose in known]).T
        return [float(np.interp(stamp_us, stamps, column)) for column in columns]

    rotation = np.array(between("rotation"))
    return {
        "translation": between("translation"),
        "rotation": (rotation / np.linalg.norm(rotation)).tolist(),
    }
