"""A scene of generated 1600x900 JPEGs and dense weak labels, for benchmarks without a data set.

Pictures have the spectrum of natural images, flat objects with edges and sensor noise, and come to
the file size of nuScenes' (about 145 kB). They mean nothing.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from gfocc_core.config import ImageConfig
from gfocc_core.data.frames import NUSCENES_CAMERAS, REFERENCE_CHANNEL
from gfocc_core.data.index import SceneIndex
from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.training_dataset import WEAK_VOCABULARY
from gfocc_core.data.weak_labels import LabelGeometry, StoreHeader, WeakLabels

GENERATED_VERSION = "v1.0-generated"
HEIGHT, WIDTH = 900, 1600
KEYFRAMES = 14
SCENE = "scene-0001"
_JPEG_QUALITY = 80
_PICTURES = 6


def write_generated_scene(root: Path) -> Path:
    """Write one scene of KEYFRAMES keyframes below root; returns root."""
    random = np.random.default_rng(0)
    pictures = [generated_picture(random) for _ in range(_PICTURES)]
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("sensor", "calibrated_sensor", "sample", "sample_data", "ego_pose")
    }
    tables["scene"] = [{"token": "scene", "name": SCENE, "first_sample_token": "sample-0"}]
    for channel in (REFERENCE_CHANNEL, *NUSCENES_CAMERAS):
        camera = channel != REFERENCE_CHANNEL
        modality = "camera" if camera else "lidar"
        tables["sensor"].append({"token": channel, "channel": channel, "modality": modality})
        intrinsic = [[1266, 0, WIDTH / 2], [0, 1266, HEIGHT / 2], [0, 0, 1]] if camera else []
        tables["calibrated_sensor"].append(
            {"token": channel, "sensor_token": channel, "camera_intrinsic": intrinsic, **_pose(0)}
        )
    for number in range(KEYFRAMES):
        following = f"sample-{number + 1}" if number + 1 < KEYFRAMES else ""
        sample = f"sample-{number}"
        tables["sample"].append({"token": sample, "scene_token": "scene", "next": following})
        for channel in (REFERENCE_CHANNEL, *NUSCENES_CAMERAS):
            token = f"{channel}-{number}"
            camera = channel != REFERENCE_CHANNEL
            filename = f"samples/{channel}/{number}.{'jpg' if camera else 'bin'}"
            tables["ego_pose"].append({"token": token, **_pose(4.0 * number)})
            tables["sample_data"].append(
                {
                    "token": token,
                    "sample_token": sample,
                    "ego_pose_token": token,
                    "calibrated_sensor_token": channel,
                    "timestamp": 1_600_000_000_000_000 + 500_000 * number,
                    "is_key_frame": True,
                    "height": HEIGHT,
                    "width": WIDTH,
                    "filename": filename,
                }
            )
            if camera:
                picture = pictures[int(random.integers(_PICTURES))]
                shifted = np.roll(picture, int(random.integers(WIDTH)), axis=1)
                path = root / filename
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(shifted).save(path, "JPEG", quality=_JPEG_QUALITY)
    folder = root / GENERATED_VERSION
    folder.mkdir(parents=True)
    for name, records in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(records))
    return root


def write_dense_labels(folder: Path, index: SceneIndex) -> LabelStore:
    """Write labels of the paper's raster for every keyframe: all pixels labelled, noisy depth."""
    sizes = dict(zip(index.cameras, index.keyframe(0).image_sizes, strict=True))
    geometry = LabelGeometry.covering(sizes, ImageConfig())
    models = {"semantics": "generated", "depth": "generated"}
    store = LabelStore.create(folder, StoreHeader(models, WEAK_VOCABULARY, geometry))
    random = np.random.default_rng(1)
    cameras, height, width = geometry.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    ground = np.minimum(840 / np.maximum(rows - 75, 1), 120)
    semantics = np.stack([_blobs(random, height, width) for _ in range(cameras)])
    for token in index.tokens:
        noise = random.normal(0, 0.01, geometry.shape).astype(np.float32)
        depth = (ground * (1 + 0.3 * (semantics == 4)) * np.exp(noise)).astype(np.float32)
        store.write(token, WeakLabels(semantics, depth))
    return store


def generated_picture(random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """uint8 [HEIGHT, WIDTH, 3]: colour noise of amplitude 1/f^1.5, objects, sensor noise."""
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None])
    amplitude = 1 / np.maximum(frequency, 1 / WIDTH) ** 1.5
    picture = np.empty((HEIGHT, WIDTH, 3), np.float32)
    for channel in range(3):
        phase = np.exp(2j * np.pi * random.random(amplitude.shape))
        field = np.fft.irfft2(amplitude * phase, (HEIGHT, WIDTH))
        picture[..., channel] = field / field.std()
    picture = 110 + 35 * picture.mean(-1, keepdims=True) * 1.7 + 8 * picture
    for _ in range(60):
        x, y = random.integers(WIDTH), random.integers(HEIGHT)
        corner = (int(x + random.integers(5, 250)), int(y + random.integers(5, 200)))
        color = random.integers(20, 230, 3).tolist()
        overlay = picture.copy()
        cv2.rectangle(overlay, (int(x), int(y)), corner, color, -1)
        picture = 0.7 * overlay + 0.3 * picture
    picture += random.normal(0, 1.5, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def encoded_size(picture: npt.NDArray[np.uint8]) -> int:
    """Bytes of a picture as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.tell()


def _blobs(random: np.random.Generator, height: int, width: int) -> npt.NDArray[np.uint8]:
    """uint8 [height, width] patches of ids 1 to 16 with smooth borders."""
    coarse = random.integers(1, 17, (6, 12), dtype=np.uint8)
    bend = cv2.GaussianBlur(random.normal(0, 250, (height, width, 2)), (0, 0), 16)
    rows, columns = np.mgrid[:height, :width]
    row = np.clip((rows + 4 * bend[..., 0]) * 6 / height, 0, 5).astype(int)
    column = np.clip((columns + 4 * bend[..., 1]) * 12 / width, 0, 11).astype(int)
    blobs: npt.NDArray[np.uint8] = coarse[row, column]
    return blobs


def _pose(meters: float) -> dict[str, list[float]]:
    return {"translation": [meters, 0, 0], "rotation": [1, 0, 0, 0]}
