"""A keyframe's labels for the eye: per camera its image, the classes over it, and its depth."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from gfocc_core.data.augmentation import InputPlacement
from gfocc_core.data.image_warp import load_image
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.weak_labels import LabelGeometry, LabelStoreError, StoreHeader, WeakLabels
from gfocc_core.images import ImageDecodeError
from gfocc_core.taxonomy import CLASS_NAMES, COLORS

Pixels = npt.NDArray[np.uint8]
OPACITY = 0.55
_GAP, _SWATCH, _ENTRY = 4, 14, 190
_NEAR, _FAR = 2.0, 80.0


def images_on_raster(index: SceneIndex, token: str, geometry: LabelGeometry) -> list[Pixels]:
    """uint8 [h, w, 3] of each camera, placed as its labels are; black where there is no image.

    Raises:
        DatasetError: an unknown token.
        LabelStoreError: a camera that the dataset lacks, or an image that cannot be read.
    """
    keyframe = index.keyframe(index.position_of(token))
    size = (geometry.height, geometry.width)
    images = []
    for camera in geometry.cameras:
        if camera.name not in index.cameras:
            raise LabelStoreError(f"the dataset has no camera {camera.name}")
        path = keyframe.camera_files[index.cameras.index(camera.name)]
        pixels = np.zeros((3, *size), np.uint8)
        if path is not None:
            scaled = tuple(round(side * camera.scale) for side in camera.image_size)
            place = InputPlacement(
                camera.scale, (scaled[0], scaled[1]), camera.left, camera.top, 0.0, size
            )
            try:
                load_image(Path(path).read_bytes(), place, pixels)
            except (ImageDecodeError, OSError) as error:
                raise LabelStoreError(f"image '{path}' cannot be used: {error}") from error
        images.append(pixels.transpose(1, 2, 0))
    return images


def draw_labels(
    labels: WeakLabels, header: StoreHeader, images: Sequence[Pixels] | None = None
) -> Image.Image:
    """A row per camera: image, classes over the image, depth; below, the classes' colours.

    Depth is red at 2 m and nearer, blue at 80 m and farther, black where there is none.

    Args:
        labels: Of one keyframe.
        header: Of its store.
        images: uint8 [h, w, 3] per camera; grey if not given.
    """
    cameras, height, width = header.geometry.shape
    palette = np.array(class_colors(header.vocabulary), np.uint8)
    columns = max(1, (3 * (width + _GAP)) // _ENTRY)
    foot = -(-len(header.vocabulary) // columns) * (_SWATCH + _GAP) + _GAP
    sheet = Image.new("RGB", (3 * width + 2 * _GAP, cameras * (height + _GAP) + foot), "white")
    pen = ImageDraw.Draw(sheet)
    for number, camera in enumerate(header.geometry.cameras):
        top = number * (height + _GAP)
        image = np.full((height, width, 3), 110, np.uint8) if images is None else images[number]
        ids = labels.semantics[number]
        mixed = np.where(
            (ids > 0)[..., None], image * (1 - OPACITY) + palette[ids] * OPACITY, image
        )
        tiles = (image, mixed.astype(np.uint8), _depth_colors(labels.depth[number]))
        for column, tile in enumerate(tiles):
            picture = Image.fromarray(np.ascontiguousarray(tile))
            sheet.paste(picture, (column * (width + _GAP), top))
        pen.text((6, top + 4), camera.name, "white", stroke_width=2, stroke_fill="black")
    start = cameras * (height + _GAP) + _GAP
    for number, name in enumerate(header.vocabulary):
        x, y = number % columns * _ENTRY, start + number // columns * (_SWATCH + _GAP)
        fill = tuple(palette[number].tolist())
        pen.rectangle((x, y, x + _SWATCH, y + _SWATCH), fill=fill, outline="black")
        pen.text((x + _SWATCH + _GAP, y + 1), f"{number} {name}", "black")
    return sheet


def class_colors(vocabulary: Sequence[str]) -> list[tuple[int, int, int]]:
    """A colour for each id: the known classes' own, others spread over the hues."""
    known = dict(zip(CLASS_NAMES, COLORS, strict=True))
    colors = []
    for number, name in enumerate(vocabulary):
        red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.7, 0.9)
        fallback = (round(255 * red), round(255 * green), round(255 * blue))
        colors.append(known.get(name, fallback))
    return colors


def _depth_colors(metres: npt.NDArray[np.floating[npt.NBitBase]]) -> Pixels:
    there = metres > 0
    near = np.log(_FAR / np.clip(metres, _NEAR, _FAR)) / np.log(_FAR / _NEAR)
    levels = (255 * near).astype(np.uint8)
    colors: Pixels = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1]
    return np.where(there[..., None], colors, np.uint8(0))
