"""A recording with an index and weak labels, for tests of what training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gfocc_core.config import ImageConfig
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.data.training_dataset import TrainingDataset
from tests.core.weak_label_fixture import make_header, random_labels
from tests.nuscenes_fixture import SCENES, NuscenesFixture, write_nuscenes

IMAGE = ImageConfig(height=20, width=48)
KEYFRAMES = 9


class Recording:
    """A synthetic data set with an index and weak labels for all its keyframes."""

    def __init__(self, folder: Path, keyframes: int = KEYFRAMES) -> None:
        self.files = write_nuscenes(folder / "nuscenes", keyframes=keyframes, sweeps=0)
        self.labels = LabelStore.create(folder / "labels", make_header())
        self.index = read_index(self.files)
        for number, token in enumerate(self.index.tokens):
            self.labels.write(token, random_labels(self.labels.header, seed=number))

    def dataset(self, **changes: Any) -> TrainingDataset:
        arguments: dict[str, Any] = {
            "index": self.index,
            "labels": self.labels,
            "scenes": SCENES,
            "image": IMAGE,
            **changes,
        }
        return TrainingDataset(**arguments)


def read_index(files: NuscenesFixture) -> SceneIndex:
    return SceneIndex(files.root, *build_index(files.root, files.version))
