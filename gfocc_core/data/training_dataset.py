"""Training items: a keyframe with its history of images, and weak labels of frames around it.

Give it to a torch DataLoader; default collation works. What is drawn for an item depends only on
the seed, the epoch and the item's number, so that a resumed run sees the same data.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from gfocc_core.config import ImageConfig
from gfocc_core.data.augmentation import AugmentationConfig, InputPlacement, draw_placement
from gfocc_core.data.color_jitter import draw_color
from gfocc_core.data.image_warp import Pixels, load_image, use_one_thread_in_workers
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_fit import camera_columns, check_image_sizes, check_vocabulary
from gfocc_core.data.occ3d import occ3d_path, read_occ3d
from gfocc_core.data.scenes import DatasetError
from gfocc_core.data.training_item import TrainingItem
from gfocc_core.data.training_steps import draw_steps
from gfocc_core.data.weak_labels import LabelReader, WeakLabels
from gfocc_core.geometry import compose_ego_from_cam
from gfocc_core.grid import OCC3D_GRID
from gfocc_core.images import ImageDecodeError
from gfocc_core.taxonomy import CLASS_NAMES, NUM_PREDICTED_CLASSES

logger = logging.getLogger(__name__)

WEAK_VOCABULARY = CLASS_NAMES[: NUM_PREDICTED_CLASSES + 1]
"""What semantic ids of weak labels mean by default; id 0 is no label."""


class TrainingDataset(Dataset[TrainingItem]):
    """The keyframes of some scenes as training items."""

    def __init__(
        self,
        index: SceneIndex,
        labels: LabelReader,
        scenes: Sequence[str],
        image: ImageConfig,
        augmentation: AugmentationConfig | None = None,
        *,
        history: int = 5,
        horizon: int = 6,
        renders: int = 7,
        vocabulary: Sequence[str] = WEAK_VOCABULARY,
        occ3d: bool = False,
        seed: int = 0,
    ) -> None:
        """Check that labels and index fit, and count missing labels once.

        Args:
            index: The dataset.
            labels: Their geometry says which cameras are used, and in which order.
            scenes: Which scenes, such as index.scenes_of_split("train").
            image: The network's raster.
            augmentation: None is the paper's; NO_AUGMENTATION is none.
            history: Keyframes before the current one; before a scene's start its first repeats.
            horizon: Steps are drawn from -horizon to horizon, within the scene.
            renders: How many steps an item has. The first is 0, the others are drawn without
                repeats; a scene with too few keyframes around repeats some, and one of a single
                keyframe repeats 0.
            vocabulary: What the labels' ids must mean.
            occ3d: Add the Occ3D labels below the dataroot, for 3D supervision.
            seed: Of all draws.

        Raises:
            DatasetError: an unknown scene, no scene at all, labels of another vocabulary, camera or
                image size, or no labels for any keyframe.
        """
        if history < 0 or horizon < 0 or renders < 1:
            raise DatasetError(
                f"history and horizon must be >= 0 and renders >= 1, "
                f"got {history}, {horizon} and {renders}"
            )
        check_vocabulary(labels.header, vocabulary)
        self._index, self._labels, self._image = index, labels, image
        self.augmentation = augmentation or AugmentationConfig()
        self.history, self._horizon, self._renders = history, horizon, renders
        self._occ3d, self._seed = occ3d, seed
        # In shared memory, so that workers that live on into the next epoch see it too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._columns = camera_columns(labels.header, index)
        self._scene_of: dict[int, range] = {}
        for scene in dict.fromkeys(scenes):
            positions = index.positions_of_scene(scene)
            check_image_sizes(labels.header, index, self._columns, scene)
            self._scene_of.update(dict.fromkeys(positions, positions))
        self._positions = list(self._scene_of)
        if not self._positions:
            raise DatasetError("scenes is empty: there is nothing to train on")
        labelled = set(labels.tokens())
        used = [index.tokens[position] for position in self._positions]
        self._labelled = labelled.intersection(used)
        self.missing_labels = tuple(token for token in used if token not in labelled)
        """Tokens of the keyframes that train without weak labels."""
        if not self._labelled:
            raise DatasetError(f"none of the {len(used)} keyframes has weak labels")
        if self.missing_labels:
            logger.warning(
                "%d of %d keyframes have no weak labels and train without them, the first is %s",
                len(self.missing_labels),
                len(used),
                self.missing_labels[0],
            )

    def __len__(self) -> int:
        return len(self._positions)

    def set_epoch(self, epoch: int) -> None:
        """Draw anew from now on; reaches workers that already run, before their next epoch."""
        self._epoch.fill_(epoch)

    def __getitem__(self, number: int) -> TrainingItem:
        """One item.

        Raises:
            DatasetError: an image or label file is missing or damaged; the message names it.
        """
        buffers = {
            name: torch.empty(shape, dtype=dtype)
            for name, (shape, dtype) in self.large_tensors().items()
        }
        return self.fill_item(number, buffers)

    def large_tensors(self) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Shape and type of those tensors of an item that hold pixels."""
        rendered = (self._renders, *self._labels.header.geometry.shape)
        cameras = (self.history + 1, len(self._columns))
        return {
            "images": ((*cameras, 3, self._image.height, self._image.width), torch.uint8),
            "label_semantics": (rendered, torch.uint8),
            "label_depth": (rendered, torch.float32),
        }

    def fill_item(self, number: int, buffers: Mapping[str, Tensor]) -> TrainingItem:
        """One item whose large tensors are the ones given, filled; for loaders.

        Args:
            number: Which item.
            buffers: Contiguous CPU tensors as large_tensors says; their content is overwritten.

        Raises:
            DatasetError: as __getitem__.
        """
        use_one_thread_in_workers()
        position = self._positions[number]
        keyframes = self._scene_of[position]
        generator = np.random.default_rng((self._seed, int(self._epoch), number))
        scene = self._index.scene_at(position)
        placements = [
            draw_placement(generator, camera.image_size, self._image, self.augmentation)
            for camera in self._labels.header.geometry.cameras
        ]
        steps = draw_steps(generator, position, keyframes, self._horizon, self._renders)
        past = [max(position - age, keyframes[0]) for age in range(self.history, -1, -1)]
        shown = [position + step for step in steps]
        cameras = self._index.cameras_at(past + shown)
        seen_from = self._index.global_from_ego[past + [position] * len(shown)]
        ego_from_cam = compose_ego_from_cam(
            seen_from[:, None],
            cameras.global_from_ego_at_cam[:, self._columns],
            cameras.ego_at_cam_from_cam[:, self._columns],
        ).float()
        intrinsics = cameras.intrinsics[:, self._columns]
        frames = len(past)
        images, semantics, depth = (buffers[name] for name in self.large_tensors())
        self._read_images(past, placements, images.numpy())
        valid = self._read_labels(shown, semantics.numpy(), depth.numpy())
        place_intrinsics = self._labels.header.geometry.place_intrinsics
        item = TrainingItem(
            images=images,
            camera_valid=cameras.valid[:frames, self._columns],
            ego_from_cam=ego_from_cam[:frames],
            intrinsics=intrinsics[:frames].float(),
            affine=torch.stack([placement.affine for placement in placements]).float(),
            shift=torch.stack([placement.shift for placement in placements]).float(),
            color=draw_color(generator, self.augmentation.color),
            global_from_ego=seen_from[:frames],
            steps=torch.tensor(steps, dtype=torch.int64),
            label_semantics=semantics,
            label_depth=depth,
            label_valid=torch.tensor(valid),
            label_ego_from_cam=ego_from_cam[frames:],
            label_intrinsics=place_intrinsics(intrinsics[frames:]).float(),
            token=self._index.tokens[position],
            scene=scene,
        )
        if self._occ3d:
            item["occ3d_semantics"], item["occ3d_mask"] = self._read_occ3d(position, scene)
        return item

    def load_image(self, data: bytes, placement: InputPlacement, out: Pixels) -> tuple[int, int]:
        """How an image file's bytes fill `out`; a subclass may do it in another way.

        Args and errors are those of gfocc_core.data.image_warp.load_image.
        """
        return load_image(data, placement, out)

    def _read_images(self, past: list[int], placements: list[InputPlacement], out: Pixels) -> None:
        """Fill uint8 [T, C, 3, H, W]; a position that repeats is decoded once."""
        for age, position in enumerate(past):
            if age and position == past[age - 1]:
                out[age] = out[age - 1]
                continue
            for camera, placement in enumerate(placements):
                self._read_image(position, camera, placement, out[age, camera])

    def _read_image(
        self, position: int, camera: int, placement: InputPlacement, out: Pixels
    ) -> None:
        """Fill uint8 [3, H, W]; black where the keyframe lacks the camera."""
        column = self._columns[camera]
        path = self._index.image_file(position, column)
        if path is None:
            out[:] = 0
            return
        try:
            with open(path, "rb") as file:
                size = self.load_image(file.read(), placement, out)
        except ImageDecodeError as error:
            raise DatasetError(f"image '{path}' is corrupt: {error}") from error
        except OSError as error:
            raise DatasetError(f"image '{path}' cannot be read: {error.strerror}") from error
        expected = tuple(self._index.image_sizes[position, column])
        if size != expected:
            raise DatasetError(
                f"image '{path}' is {size[1]}x{size[0]}, "
                f"but the index says {expected[1]}x{expected[0]}"
            )

    def _read_labels(
        self, positions: list[int], semantics: Pixels, depth: npt.NDArray[np.float32]
    ) -> list[bool]:
        """Fill [S, C, h, w] both, zeros where there are no labels; says where there are."""
        first_at: dict[int, int] = {}
        for row, position in enumerate(positions):
            token, same = self._index.tokens[position], first_at.setdefault(position, row)
            if same != row:
                semantics[row], depth[row] = semantics[same], depth[same]
            elif token in self._labelled:
                self._labels.read(token, WeakLabels(semantics[row], depth[row]))
            else:
                semantics[row], depth[row] = 0, 0
        return [self._index.tokens[position] in self._labelled for position in positions]

    def _read_occ3d(self, position: int, scene: str) -> tuple[Tensor, Tensor]:
        path = occ3d_path(self._index.dataroot, scene, self._index.tokens[position])
        if not path.is_file():
            shape = OCC3D_GRID.shape
            return torch.zeros(shape, dtype=torch.uint8), torch.zeros(shape, dtype=torch.bool)
        labels = read_occ3d(path)
        return labels.semantics, labels.mask_camera
