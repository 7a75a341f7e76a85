"""Tables of a nuScenes-schema data set of any size, without its files, for the index benchmark.

Layout and fields are those of the published JSON, a field a line; a keyframe has as many records as
trainval's on average (77: a reading of each of twelve sensors, the rest sweeps).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

TABLES_VERSION = "v1.0-trainval"
TRAINVAL_SCENES, TRAINVAL_SAMPLES = 850, 34_149
# Channel -> (modality, sweeps per keyframe)
_CHANNELS = {
    "LIDAR_TOP": ("lidar", 9),
    **{
        f"CAM_{place}": ("camera", 5)
        for place in ("FRONT", "FRONT_LEFT", "FRONT_RIGHT", "BACK", "BACK_LEFT", "BACK_RIGHT")
    },
    "RADAR_FRONT": ("radar", 6),
    **{
        f"RADAR_{place}": ("radar", 5)
        for place in ("FRONT_LEFT", "FRONT_RIGHT", "BACK_LEFT", "BACK_RIGHT")
    },
}
RECORDS_PER_SAMPLE = sum(1 + sweeps for _, sweeps in _CHANNELS.values())
_KEYFRAME_US = 500_000
_LINES = ("sensor", "calibrated_sensor", "scene", "sample", "sample_data", "ego_pose")


@dataclass(frozen=True)
class TableCounts:
    """How many records were written."""

    scenes: int
    samples: int
    sample_data: int


def write_tables(root: Path, scenes: int) -> TableCounts:
    """Write the tables below root, of scenes as long as trainval's (40 or 41 keyframes)."""
    folder = root / TABLES_VERSION
    folder.mkdir(parents=True)
    writer = _Writer(random.Random(0))
    with ExitStack() as stack:
        files = {name: stack.enter_context(open(folder / f"{name}.json", "w")) for name in _LINES}
        for file in files.values():
            file.write("[\n")
        first = dict.fromkeys(_LINES, True)
        for table, record in writer.records(scenes):
            _write_record(files[table], record, first[table])
            first[table] = False
        for file in files.values():
            file.write("\n]")
    return TableCounts(scenes, writer.samples, writer.samples * RECORDS_PER_SAMPLE)


def _write_record(file: TextIO, fields: Iterable[tuple[str, str]], first: bool) -> None:
    lines = ",\n".join(f'"{name}": {value}' for name, value in fields)
    file.write(f"{{\n{lines}\n}}" if first else f",\n{{\n{lines}\n}}")


Record = Sequence[tuple[str, str]]


class _Writer:
    """Makes records scene after scene; `samples` counts keyframes."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self.samples = 0

    def records(self, scenes: int) -> Iterator[tuple[str, Record]]:
        """(table, fields as JSON text)"""
        sensors = {channel: self._token() for channel in _CHANNELS}
        for channel, (modality, _) in _CHANNELS.items():
            yield (
                "sensor",
                [
                    ("token", sensors[channel]),
                    ("channel", f'"{channel}"'),
                    ("modality", f'"{modality}"'),
                ],
            )
        longer = TRAINVAL_SAMPLES % TRAINVAL_SCENES
        for number in range(scenes):
            length = TRAINVAL_SAMPLES // TRAINVAL_SCENES + (number % TRAINVAL_SCENES < longer)
            yield from self._scene(number, length, sensors)

    def _scene(
        self, number: int, length: int, sensors: dict[str, str]
    ) -> Iterator[tuple[str, Record]]:
        mounts = {channel: self._token() for channel in _CHANNELS}
        for channel, (modality, _) in _CHANNELS.items():
            camera = modality == "camera"
            intrinsic = "[[1266.4, 0.0, 816.2], [0.0, 1266.4, 491.5], [0.0, 0.0, 1.0]]"
            yield (
                "calibrated_sensor",
                [
                    ("token", mounts[channel]),
                    ("sensor_token", sensors[channel]),
                    *self._pose(),
                    ("camera_intrinsic", intrinsic if camera else "[]"),
                ],
            )
        scene, tokens = self._token(), [self._token() for _ in range(length)]
        yield (
            "scene",
            [
                ("token", scene),
                ("log_token", self._token()),
                ("nbr_samples", str(length)),
                ("first_sample_token", tokens[0]),
                ("last_sample_token", tokens[-1]),
                ("name", f'"scene-{number + 1:04d}"'),
                ("description", '"Parked truck, construction, intersection, turn left"'),
            ],
        )
        begin = 1_531_000_000_000_000 + number * 10**9
        for place, token in enumerate(tokens):
            stamp = begin + place * _KEYFRAME_US
            self.samples += 1
            yield (
                "sample",
                [
                    ("token", token),
                    ("timestamp", str(stamp)),
                    ("prev", tokens[place - 1] if place else '""'),
                    ("next", tokens[place + 1] if place + 1 < length else '""'),
                    ("scene_token", scene),
                ],
            )
            for channel, (modality, sweeps) in _CHANNELS.items():
                for turn in range(sweeps + 1):
                    later = stamp + turn * _KEYFRAME_US // (sweeps + 1)
                    yield from self._reading(token, channel, modality, mounts[channel], later, turn)

    def _reading(
        self, sample: str, channel: str, modality: str, mount: str, stamp: int, turn: int
    ) -> Iterator[tuple[str, Record]]:
        camera, pose = modality == "camera", self._token()
        folder = "sweeps" if turn else "samples"
        ending = {"camera": "jpg", "radar": "pcd", "lidar": "pcd.bin"}[modality]
        name = f"{folder}/{channel}/n015-2018-07-18-11-07-57+0800__{channel}__{stamp}.{ending}"
        yield "ego_pose", [("token", pose), ("timestamp", str(stamp)), *self._pose()]
        yield (
            "sample_data",
            [
                ("token", self._token()),
                ("sample_token", sample),
                ("ego_pose_token", pose),
                ("calibrated_sensor_token", mount),
                ("timestamp", str(stamp)),
                ("fileformat", '"jpg"' if camera else '"pcd"'),
                ("is_key_frame", "false" if turn else "true"),
                ("height", "900" if camera else "0"),
                ("width", "1600" if camera else "0"),
                ("filename", f'"{name}"'),
                ("prev", self._token()),
                ("next", self._token()),
            ],
        )

    def _token(self) -> str:
        return f'"{self._random.getrandbits(128):032x}"'

    def _pose(self) -> Record:
        x, y, turn = self._random.random(), self._random.random(), self._random.random()
        return [
            ("rotation", f"[{turn}, {-0.003 * x}, {0.008 * y}, {turn - 1}]"),
            ("translation", f"[{1000 * x}, {1000 * y}, 0.0]"),
        ]
