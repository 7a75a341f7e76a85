"""What tests of depth networks share: pictures, a run on them, and the real keyframe's command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gfocc_core.data.index_file import write_index
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.labelling.cli import main
from gfocc_core.labelling.models import load_model
from gfocc_core.labelling.protocols import DepthNetwork
from tests.conftest import ROOT

CPU = torch.device("cpu")
SIZES = ((90, 160), (90, 160), (60, 60))


def use_own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's caches: torch.hub's and the default folder of weights are the test's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("GFOCC_WEIGHTS", str(tmp_path / "weights"))


def load(specification: str) -> DepthNetwork:
    """A depth network on the CPU."""
    network = load_model("depth", specification, CPU)
    assert isinstance(network, DepthNetwork)
    return network


def photographs(*sizes: tuple[int, int], seed: int = 0) -> list[Tensor]:
    """Smooth random pictures."""
    random = np.random.default_rng(seed)
    pictures = []
    for height, width in sizes:
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        pictures.append(torch.from_numpy(np.array(smooth)))
    return pictures


def estimate(network: DepthNetwork, images: list[Tensor], focal: float = 100.0) -> list[Tensor]:
    """Metres of some images of one focal length in pixels."""
    matrices = torch.eye(3, dtype=torch.float64).repeat(len(images), 1, 1)
    matrices[:, 0, 0] = matrices[:, 1, 1] = focal
    with torch.inference_mode():
        return list(network.estimate(images, matrices))


def label_real_keyframe(keyframe_dir: Path, out: Path, specification: str) -> None:
    """Label the real keyframe by the command, and look at what is in the store."""
    version = next(path.parent.name for path in sorted(keyframe_dir.glob("*/scene.json")))
    write_index(out / "index", *build_index(keyframe_dir, version))
    arguments = ["--dataroot", str(keyframe_dir), "--index", str(out / "index")]
    arguments += ["--out", str(out / "store"), "--device", "cpu", "--raster", "128x352"]
    command = ["depth", *arguments, "--model", specification]
    assert main(command, script=ROOT / "training/generate_labels.py") == 0
    store = LabelStore.open(out / "store")
    assert store.header.models["depth"] == load(specification).name
    (token,) = store.tokens()
    depth = store.read(token).depth
    assert depth.shape == (6, 128, 352)
    assert (depth > 0).all()
    for camera in depth:  # it depends on the image
        assert camera.std() > 0.01 * camera.mean()
