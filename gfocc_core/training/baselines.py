"""What a trained network is compared with, through the same evaluation: the prior and itself untrained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from torch import Tensor

from gfocc_core.config import PRESETS, Config, ConfigError, preset
from gfocc_core.predictor import OccupancyPredictor
from gfocc_core.training.keyframe_source import KeyframeDataset
from gfocc_core.training.label_file import read_label_file


class PriorPredictions:
    """The same labels for every keyframe: a voxel prior's."""

    def __init__(self, path: Path, device: torch.device | str = "cpu") -> None:
        """Read `path`, see voxel_prior; raises DatasetError."""
        self._labels = torch.from_numpy(read_label_file(path, "prior")).to(device)

    def labels(self, dataset: KeyframeDataset, token: str) -> Tensor:
        return self._labels


def untrained_predictor(source: str, device: torch.device | str = "auto") -> OccupancyPredictor:
    """A predictor with random weights.

    Args:
        source: name of a preset, or a YAML training configuration, whose `network` is taken.

    Raises:
        ConfigError: neither, or the configuration is wrong.
    """
    if source in PRESETS:
        return OccupancyPredictor.from_config(preset(source), device)
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(
            f"'{source}' is neither a preset ({', '.join(sorted(PRESETS))}) nor a .yaml file"
        )
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"configuration '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration '{path}' is not YAML: {error}") from error
    network = content.get("network", {}) if isinstance(content, Mapping) else None
    if not isinstance(network, Mapping):
        raise ConfigError(f"configuration '{path}' must hold `network` with named values")
    return OccupancyPredictor.from_config(Config.from_dict(network), device)
