"""It learns: a short run of `tiny` knows the real keyframe by heart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gfocc_core.config import ImageConfig
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.training_dataset import WEAK_VOCABULARY
from gfocc_core.data.weak_labels import LabelGeometry, StoreHeader, WeakLabels
from tests.conftest import ROOT

SHRINK = 4
"""The CPU renderer is slow: the labels are thinned to 64 x 176."""


def write_keyframe_labels(dataroot: Path, token: str, store: Path) -> None:
    """The keyframe's weak labels, every SHRINK-th pixel; of depth the nearest in each block."""
    with np.load(dataroot / "weak_labels.npz") as archive:
        names = [str(name) for name in archive["cameras"]]
        semantics = archive["semantics"][:, SHRINK // 2 :: SHRINK, SHRINK // 2 :: SHRINK]
        depth = archive["lidar_depth"].astype(np.float32)
    cameras, height, width = depth.shape
    blocks = depth.reshape(cameras, height // SHRINK, SHRINK, width // SHRINK, SHRINK)
    nearest = np.where(blocks > 0, blocks, np.inf).min((2, 4))
    nearest[np.isinf(nearest)] = 0
    raster = ImageConfig(height=height // SHRINK, width=width // SHRINK)
    header = StoreHeader(
        models={"semantics": "small Cityscapes network", "depth": "LIDAR_TOP"},
        vocabulary=WEAK_VOCABULARY,
        geometry=LabelGeometry.covering(dict.fromkeys(names, (900, 1600)), raster),
    )
    labels = WeakLabels(np.ascontiguousarray(semantics), nearest.astype(np.float32))
    LabelStore.create(store, header).write(token, labels)


@pytest.mark.keyframe
@pytest.mark.slow
def test_tiny_learns_the_keyframe_by_heart(keyframe_dir: Path, tmp_path: Path) -> None:
    version = next(keyframe_dir.glob("*/scene.json")).parent
    token = json.loads((version / "sample.json").read_text())[0]["token"]
    write_keyframe_labels(keyframe_dir, token, tmp_path / "labels")
    index = ["--dataroot", str(keyframe_dir), "--version", version.name, "--out", "index"]
    script = str(ROOT / "training" / "index_nuscenes.py")
    subprocess.run([sys.executable, script, *index], check=True, cwd=tmp_path)
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "benchmarks" / "overfit.py"), "--json"),
            *("--dataroot", str(keyframe_dir), "--index", "index", "--labels", "labels"),
            *("--preset", "tiny", "--steps", "300", "--picture", "curve.png"),
        ],
        check=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    report = json.loads(done.stdout.splitlines()[-1])
    print(report)
    before, after = report["before"], report["after"]
    assert after["pixel_accuracy"] >= 0.85
    assert after["depth_error"] < 1.0
    assert after["voxel_iou"] > 1.5 * before["voxel_iou"]
