"""What to generate: the configuration of a synthetic dataset, and the scenes that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import dacite
import yaml

from gfocc_core.data.scenes import DatasetError
from gfocc_core.synthetic.label_noise import LabelNoise
from gfocc_core.synthetic.layout import WorldConfig
from gfocc_core.synthetic.rig import RIGS, RigConfig

LabelStoreName = Literal["exact", "degraded"]
LABEL_STORES: tuple[LabelStoreName, ...] = ("exact", "degraded")
Palette = Literal["train", "val"]

_FIRST_SCENE_US = 1_700_000_000_000_000
_SCENE_DISTANCE_US = 6 * 3600 * 1_000_000
_MAX_FRAMES = 10_000


@dataclass(frozen=True)
class ScenePlan:
    """One scene of the dataset."""

    name: str
    palette: Palette
    seed: int
    start_us: int
    """Stamp of its first keyframe."""


@dataclass(frozen=True)
class SyntheticConfig:
    """A dataset; all but `out` and `processes` decides what it holds."""

    out: Path
    """Folder to write, new, empty, or of an interrupted run with the same settings."""
    scenes: int = 8
    """Training scenes (split synthetic_train)."""
    val_scenes: int = 2
    """Validation scenes (split synthetic_val): other seeds, other colours."""
    frames: int = 40
    """Keyframes per scene."""
    seed: int = 0
    height: int = 256
    """Of all images, pixels."""
    width: int = 704
    rig: str | RigConfig = "nuscenes"
    """A name of `rig.RIGS`, a YAML file of a RigConfig, or one in line."""
    keyframe_interval: float = 0.5
    """Seconds."""
    sweeps_per_keyframe: int = 0
    """Camera images between two keyframes; 5 gives nuScenes' 12 Hz."""
    world: WorldConfig = field(default_factory=WorldConfig)
    label_noise: LabelNoise = field(default_factory=LabelNoise)
    label_stores: tuple[LabelStoreName, ...] = LABEL_STORES
    """Which weak labels to write below `weak_labels/`."""
    jpeg_quality: int = 90
    processes: int | None = None
    """How many work at once; as many as there are cores if not given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", Path(self.out))
        object.__setattr__(self, "label_stores", tuple(self.label_stores))
        _check_range("scenes", self.scenes, 0, 100_000)
        _check_range("val_scenes", self.val_scenes, 0, 100_000)
        if self.scenes + self.val_scenes < 1:
            raise ValueError("scenes and val_scenes are both 0: there is nothing to generate")
        _check_range("frames", self.frames, 1, _MAX_FRAMES)
        _check_range("seed", self.seed, 0, 2**63 - 1)
        for name in ("height", "width"):
            _check_range(name, getattr(self, name), 16, 4096)
        _check_range("sweeps_per_keyframe", self.sweeps_per_keyframe, 0, 50)
        _check_range("jpeg_quality", self.jpeg_quality, 1, 100)
        if not 0.05 <= self.keyframe_interval <= 10:
            raise ValueError(
                f"keyframe_interval must be 0.05 to 10 seconds, got {self.keyframe_interval}"
            )
        if self.processes is not None:
            _check_range("processes", self.processes, 1, 1024)
        for name in self.label_stores:
            if name not in LABEL_STORES:
                raise ValueError(
                    f"label_stores must be some of {', '.join(LABEL_STORES)}, got '{name}'"
                )

    @property
    def duration_s(self) -> float:
        """From the first keyframe of a scene to its last, at least one interval."""
        return max(self.frames - 1, 1) * self.keyframe_interval

    def resolved_rig(self) -> RigConfig:
        """The rig at the images' size.

        Raises:
            DatasetError: no rig of that name, or its file cannot be used.
        """
        rig = self.rig if isinstance(self.rig, RigConfig) else _find_rig(self.rig)
        return rig.at_size(self.height, self.width)

    def scene_plans(self) -> tuple[ScenePlan, ...]:
        """All scenes, training first."""
        names: list[tuple[str, Palette]] = [
            *((f"synthetic-train-{number:04d}", "train") for number in range(self.scenes)),
            *((f"synthetic-val-{number:04d}", "val") for number in range(self.val_scenes)),
        ]
        return tuple(
            ScenePlan(
                name,
                palette,
                int.from_bytes(self._digest(name, "world")[:4], "little"),
                _FIRST_SCENE_US + index * _SCENE_DISTANCE_US,
            )
            for index, (name, palette) in enumerate(names)
        )

    def splits(self) -> dict[str, list[str]]:
        """Split name -> scenes, for `splits.json`."""
        splits: dict[str, list[str]] = {}
        for plan in self.scene_plans():
            splits.setdefault(f"synthetic_{plan.palette}", []).append(plan.name)
        return splits

    def token(self, *names: str | int) -> str:
        """A token of 32 hexadecimal digits for something in this dataset."""
        return self._digest(*names).hex()

    def content(self) -> dict[str, Any]:
        """Everything that decides what the dataset holds."""
        kept = [f.name for f in fields(self) if f.name not in ("out", "processes", "rig")]
        return {"rig": self.resolved_rig(), **{name: getattr(self, name) for name in kept}}

    def _digest(self, *names: str | int) -> bytes:
        text = "/".join(map(str, (self.seed, *names)))
        return blake2b(text.encode(), digest_size=16).digest()


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, got {value}")


def _find_rig(name: str) -> RigConfig:
    if name in RIGS:
        return RIGS[name]
    path = Path(name)
    if not path.is_file():
        raise DatasetError(f"rig '{name}' is neither a file nor one of {', '.join(sorted(RIGS))}")
    try:
        values = yaml.safe_load(path.read_text())
        return dacite.from_dict(RigConfig, values, dacite.Config(strict=True, cast=[tuple, float]))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, dacite.DaciteError) as error:
        raise DatasetError(f"rig file '{path}' cannot be used: {error}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise DatasetError(f"rig file '{path}' holds no rig: {error}") from error
