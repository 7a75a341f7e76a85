"""A data set one can train on and score: two scenes with random images, weak labels and truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gfocc_core.data.index import SceneIndex
from gfocc_core.data.index_file import write_index
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.occ3d import occ3d_path
from gfocc_core.taxonomy import FREE_ID
from tests.core.weak_label_fixture import make_header, random_labels
from tests.nuscenes_fixture import SCENES, VERSION, write_nuscenes

TRAIN_SPLIT, VAL_SPLIT = "toy_train", "toy_val"


def write_trainable(root: Path) -> dict[str, object]:
    """Write data set, index and label store below root.

    Returns:
        Options of training/train.py for a run on it that takes seconds on a CPU; without run.out.
    """
    dataroot = root / "data"
    write_nuscenes(dataroot, keyframes=2, sweeps=0)
    splits = {TRAIN_SPLIT: SCENES[:1], VAL_SPLIT: SCENES[1:]}
    (dataroot / VERSION / "splits.json").write_text(json.dumps(splits))
    write_index(root / "index", *build_index(dataroot, VERSION))
    index = SceneIndex.load(root / "index", dataroot)
    header = make_header()
    store = LabelStore.create(root / "labels", header)
    random = np.random.default_rng(0)
    for position, token in enumerate(index.tokens):
        store.write(token, random_labels(header, position))
        path = occ3d_path(dataroot, index.scene_at(position), token)
        path.parent.mkdir(parents=True)
        semantics = np.full((200, 200, 16), FREE_ID, np.uint8)
        semantics[:, :, 2] = random.integers(0, FREE_ID, (200, 200))
        mask = random.random(semantics.shape) < 0.5
        np.savez_compressed(path, semantics=semantics, mask_lidar=mask, mask_camera=mask)
    return {
        "network.model.backbone": "resnet10t",
        "network.model.channels": 16,
        "network.model.heads": 2,
        "network.model.points": 2,
        "network.model.blocks": 1,
        "network.model.inducing_points": 8,
        "network.model.gaussians": 40,
        "network.image.height": 32,
        "network.image.width": 64,
        "data.dataroot": dataroot,
        "data.index": root / "index",
        "data.labels": root / "labels",
        "data.train_split": TRAIN_SPLIT,
        "data.val_split": VAL_SPLIT,
        "data.history": 1,
        "data.renders": 2,
        "data.batch_size": 1,
        "data.workers": 0,
        "optimizer.warmup_steps": 1,
        "run.precision": "32-true",
        "run.accelerator": "cpu",
        "run.checkpoint_every": 1,
    }


def as_flags(options: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]
