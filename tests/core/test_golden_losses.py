"""Parity of the losses with the reference vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gfocc_core.training.losses import LossConfig, depth_loss, drop_far_labels, semantic_loss

pytestmark = pytest.mark.golden


def test_losses_match(golden_dir: Path) -> None:
    checked = 0
    for path in sorted(golden_dir.glob("*.npz")):
        with np.load(path) as archive:
            vectors = {
                name.removeprefix("loss/"): torch.from_numpy(np.asarray(archive[name]))
                for name in archive.files
                if name.startswith("loss/")
            }
        if not vectors:
            continue
        config = LossConfig()
        semantics, depth = drop_far_labels(
            vectors["label_semantic"], vectors["label_depth"], config.max_depth
        )
        ours = config.semantic_weight * semantic_loss(vectors["render_semantic"], semantics).mean()
        error = abs(float(ours) - float(vectors["semantic"]))
        ours = config.depth_weight * depth_loss(vectors["render_depth"], depth).mean()
        depth_error = abs(float(ours) - float(vectors["depth"]))
        print(f"{path.name}: semantic loss {error:.2e}, depth loss {depth_error:.2e}")
        assert error < 1e-4
        assert depth_error < 1e-4
        checked += 1
    if not checked:
        pytest.skip(f"no file in {golden_dir} holds losses")
