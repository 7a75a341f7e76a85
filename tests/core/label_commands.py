"""Runs of training/generate_labels.py on a small data set, for tests of its commands."""

from __future__ import annotations

from pathlib import Path

from gfocc_core.data.index import SceneIndex
from gfocc_core.data.index_file import write_index
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.nuscenes_index import build_index
from gfocc_core.labelling.cli import main
from tests.conftest import ROOT
from tests.nuscenes_fixture import VERSION, write_nuscenes

SCRIPT = ROOT / "training/generate_labels.py"
PLUGINS = "tests.core.label_plugins"
KEYFRAMES = 3


class LabelledDataset:
    """A small data set with its index, and the commands on it."""

    def __init__(self, root: Path) -> None:
        self.root, self.dataroot = root, root / "data"
        write_nuscenes(self.dataroot, keyframes=KEYFRAMES, sweeps=0)
        write_index(root / "index", *build_index(self.dataroot, VERSION))
        self.index = SceneIndex.load(root / "index", self.dataroot)

    def arguments(self, out: str, *more: str) -> list[str]:
        folders = ["--dataroot", str(self.dataroot), "--index", str(self.root / "index")]
        return [*folders, "--out", str(self.root / out), *more]

    def depth_arguments(
        self, out: str, *more: str, factory: str = "random_depth", options: str = ""
    ) -> list[str]:
        model = f"{PLUGINS}:{factory}{options}"
        rest = ("--raster", "16x32", "--device", "cpu", *more)
        return ["depth", *self.arguments(out, "--model", model, *rest)]

    def depth(self, out: str, *more: str, options: str = "") -> int:
        return main(self.depth_arguments(out, *more, options=options), script=SCRIPT)

    def semantics(self, out: str, *more: str) -> int:
        model = f"{PLUGINS}:bright_classes"
        rest = ("--raster", "16x32", "--device", "cpu", *more)
        arguments = self.arguments(out, "--model", model, *rest)
        return main(["semantics", *arguments], script=SCRIPT)

    def store(self, out: str) -> LabelStore:
        return LabelStore.open(self.root / out)

    def image(self, position: int, camera: int = 0) -> Path:
        path = self.index.image_file(position, camera)
        assert path is not None
        return Path(path)


def objects(store: LabelStore) -> dict[str, bytes]:
    """File name -> content of all keyframes' labels."""
    return {path.name: path.read_bytes() for path in store.path.glob("*.labels")}
