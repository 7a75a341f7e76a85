"""Parity with the reference vectors: network, voxelizer and flow (tolerances of their README)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gfocc_core.checkpoint import import_reference_state_dict
from gfocc_core.config import OccupancyConfig
from gfocc_core.gaussians import Gaussians
from gfocc_core.geometry import CameraView, invert_transform, transform_points
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.model import GaussianFlowNetwork, Memory
from gfocc_core.temporal import ego_motion
from gfocc_core.voxelizer import voxelize, voxelize_labels
from tests.conftest import GOLDEN_DIR

pytestmark = pytest.mark.golden
TOLERANCE = 1e-4


def _vector_files() -> list[Path]:
    if not GOLDEN_DIR.is_dir():
        return []
    return [path for path in sorted(GOLDEN_DIR.glob("*.npz")) if _holds_network(path)]


def _holds_network(path: Path) -> bool:
    with np.load(path) as archive:
        return any(name.startswith("state_dict/") for name in archive.files)


@dataclass(frozen=True)
class Replay:
    """The vectors of one file and what this implementation makes of them."""

    vectors: dict[str, torch.Tensor]
    network: GaussianFlowNetwork
    frames: list[Gaussians]

    def expected(self, frame: int, name: str) -> torch.Tensor:
        return self.vectors[f"frame{frame}/{name}"]


@pytest.fixture(scope="module", params=_vector_files() or [None], ids=lambda p: p and p.name)
def replay(request: pytest.FixtureRequest, golden_dir: Path) -> Replay:
    if request.param is None:
        pytest.skip(f"no file in {golden_dir} holds a state_dict")
    with np.load(request.param) as archive:
        vectors = {name: torch.from_numpy(np.asarray(archive[name])) for name in archive.files}
    imported = import_reference_state_dict(
        {
            name.removeprefix("state_dict/"): tensor
            for name, tensor in vectors.items()
            if name.startswith("state_dict/")
        }
    )
    network = GaussianFlowNetwork(imported.model, OCC3D_GRID).eval()
    result = network.load_state_dict(imported.state_dict, strict=False)
    assert not result.unexpected_keys
    assert all(name.startswith("encoder.") for name in result.missing_keys)
    return Replay(vectors, network, _replay(network, vectors))


@torch.no_grad()
def _replay(network: GaussianFlowNetwork, vectors: dict[str, torch.Tensor]) -> list[Gaussians]:
    view = CameraView(
        cam_from_ego=invert_transform(vectors["input/cam2ego"]),
        intrinsics=vectors["input/intrinsics"],
        affine=vectors["input/image_aug_rot"][..., :2, :2],
        shift=vectors["input/image_aug_trans"][..., :2],
        valid=torch.ones(vectors["input/cam2ego"].shape[:2], dtype=torch.bool),
        size=(int(vectors["input/image_hw"][0]), int(vectors["input/image_hw"][1])),
    )
    frames: list[Gaussians] = []
    memory, pose = None, None
    while f"frame{len(frames)}/means" in vectors:
        prefix = f"frame{len(frames)}/"
        levels = [
            vectors[f"{prefix}feat_level{level}"][None] for level in range(network.config.levels)
        ]
        pose_now = vectors[prefix + "ego2global"]
        if memory is None:
            first = network.decode(levels, view)
            memory = Memory(first.means, first.features)
        else:
            moved = transform_points(ego_motion(pose, pose_now).float(), memory.means)
            memory = Memory(moved, memory.features)
        gaussians = network.decode(levels, view, memory)
        memory, pose = Memory(gaussians.means, gaussians.features), pose_now
        frames.append(gaussians.item(0))
    return frames


def _largest_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    assert actual.shape == expected.shape
    return float((actual.double() - expected.double()).abs().max())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("means", "means"),
        ("scales", "scale"),
        ("quats", "quats_wxyz"),
        ("opacities", "opacity"),
        ("logits", "semantic_logits"),
        ("features", "feature_state"),
    ],
)
def test_gaussians_match(replay: Replay, ours: str, theirs: str) -> None:
    assert len(replay.frames) >= 3
    errors = []
    for index, gaussians in enumerate(replay.frames):
        actual = getattr(gaussians, ours)
        errors.append(_largest_error(actual, replay.expected(index, theirs).reshape(actual.shape)))
    print(f"{ours}: largest error {max(errors):.2e}")
    assert max(errors) < TOLERANCE


@pytest.mark.parametrize(("neighborhood", "prefix"), [(4, ""), (5, "nbh5_")])
def test_voxels_match(replay: Replay, neighborhood: int, prefix: str) -> None:
    for index, gaussians in enumerate(replay.frames):
        density, logits = voxelize(gaussians, OCC3D_GRID, neighborhood, backend="reference")
        where = replay.expected(index, "density_index").long()
        density_error = _largest_error(
            density.flatten()[where], replay.expected(index, prefix + "density_value")
        )
        logit_error = _largest_error(
            logits.flatten(0, 2)[where], replay.expected(index, prefix + "voxel_logits")
        )
        print(f"frame {index}: density {density_error:.2e}, voxel logits {logit_error:.2e}")
        assert density_error < TOLERANCE
        assert logit_error < TOLERANCE


def test_whole_grid_matches(replay: Replay) -> None:
    for index, gaussians in enumerate(replay.frames):
        density, _ = voxelize(gaussians, OCC3D_GRID, backend="reference")
        above = int((density >= 1e-3).sum()) - int(replay.expected(index, "voxels_above_1e-3"))
        total = float(replay.expected(index, "density_sum"))
        print(f"frame {index}: voxels above floor {above:+d}")
        assert abs(above) <= 3
        assert float(density.double().sum()) == pytest.approx(total, rel=1e-6)


def test_labels_match(replay: Replay) -> None:
    for index, gaussians in enumerate(replay.frames):
        labels, _ = voxelize_labels(gaussians, OCC3D_GRID, OccupancyConfig())
        equal = (labels == replay.expected(index, "occupancy_label")).double().mean()
        print(f"frame {index}: labels equal on {float(equal):.6%}")
        assert float(equal) >= 0.9999


@torch.no_grad()
def test_flow_matches(replay: Replay) -> None:
    steps = replay.vectors["flow/time_index"][None] - replay.network.config.flow_horizon
    last = _batch_of_one(replay.frames[-1])
    offsets = replay.network.flow.offsets(last.features, steps).transpose(1, 2)
    offset_error = _largest_error(offsets, replay.vectors["flow/offsets"])
    moved = last.means[:, None] + replay.network.flow(last, steps)
    moved = torch.cat([moved, last.means[:, None]], 1)
    moved_error = _largest_error(moved, replay.vectors["flow/moved_means"])
    print(f"flow: offsets {offset_error:.2e}, moved means {moved_error:.2e}")
    assert offset_error < TOLERANCE
    assert moved_error < TOLERANCE


def _batch_of_one(gaussians: Gaussians) -> Gaussians:
    return replace(
        gaussians, **{f.name: getattr(gaussians, f.name)[None] for f in fields(gaussians)}
    )
