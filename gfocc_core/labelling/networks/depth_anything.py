"""Depth Anything V2 for metric depth outdoors, as transformers has it, behind DepthNetwork."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gfocc_core.labelling.networks.hf_folder import PACKAGE, load_folder
from gfocc_core.labelling.networks.options import one_of
from gfocc_core.labelling.networks.weight_files import (
    RANDOM,
    RANDOM_WEIGHTS,
    WeightSource,
    find_weights,
    fingerprint,
    first_line,
    import_package,
)
from gfocc_core.labelling.protocols import LabellingError


def _source(size: str) -> WeightSource:
    name = f"Depth-Anything-V2-Metric-Outdoor-{size}-hf"
    command = f"hf download depth-anything/{name} --local-dir '{{target}}'"
    return WeightSource(f"Depth Anything V2 metric outdoor {size}", name, command)


SOURCES = {size.lower(): _source(size) for size in ("Small", "Base", "Large")}
_BACKBONES: dict[str, dict[str, Any]] = {
    "small": {"hidden_size": 384, "num_attention_heads": 6},
    "base": {"hidden_size": 768, "num_attention_heads": 12},
    "large": {"hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 24},
}
_NECKS: dict[str, dict[str, Any]] = {
    "small": {"neck_hidden_sizes": [48, 96, 192, 384], "fusion_hidden_size": 64},
    "base": {"neck_hidden_sizes": [96, 192, 384, 768], "fusion_hidden_size": 128},
    "large": {"neck_hidden_sizes": [256, 512, 1024, 1024], "fusion_hidden_size": 256},
}
_OUTDOOR_METRES = 80
_PROCESSING: dict[str, Any] = {
    "size": {"height": 518, "width": 518},
    "keep_aspect_ratio": True,
    "ensure_multiple_of": 14,
    "resample": 3,
    "do_pad": False,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
_PROCESSING_FILE = "preprocessor_config.json"


def make_depth_anything(
    device: torch.device, weights: str = "", variant: str = "large"
) -> DepthAnything:
    """Make the network.

    Args:
        device: Where it runs; in float16 on a GPU.
        weights: Folder with the published parameters and configurations, or `random`.
        variant: Key of SOURCES: which folder to look for, and how large a random network is.

    Raises:
        LabellingError: the package or a file is missing or does not fit, or an option is wrong.
    """
    source = SOURCES[one_of("variant", variant, SOURCES)]
    transformers = import_package("transformers", PACKAGE)
    network_class = transformers.DepthAnythingForDepthEstimation
    if weights == RANDOM:
        with device:
            network = network_class(_random_config(transformers, variant))
        processor, said = transformers.DPTImageProcessorFast(**_PROCESSING), RANDOM_WEIGHTS
    else:
        folder = find_weights(source, weights or None)
        network = load_folder(network_class, folder, source.what)
        kind = network.config.depth_estimation_type
        if kind != "metric":
            raise LabellingError(f"weights '{folder}' are of {kind} depth, not of metres")
        processor, said = _read_processor(transformers, folder), fingerprint(folder)
    return DepthAnything(network.to(device).eval(), processor, f"{source.what} {said}", device)


class DepthAnything:
    """A DepthNetwork; images of one size are one batch."""

    def __init__(self, network: Any, processor: Any, name: str, device: torch.device) -> None:
        self._network, self._processor, self._device = network, processor, device
        self.name = name

    def estimate(self, images: Sequence[Tensor], intrinsics: Tensor) -> Sequence[Tensor]:
        """Metres [h, w] at the size that the network saw, which covers the whole image."""
        groups: dict[tuple[int, int], list[int]] = {}
        for number, image in enumerate(images):
            groups.setdefault((image.shape[0], image.shape[1]), []).append(number)
        found: dict[int, Tensor] = {}
        for numbers in groups.values():
            pixels = self._processor(
                [images[number].permute(2, 0, 1) for number in numbers], return_tensors="pt"
            ).pixel_values
            with torch.autocast(
                self._device.type, torch.float16, enabled=self._device.type == "cuda"
            ):
                metres = self._network(pixels.to(self._device)).predicted_depth
            found.update(zip(numbers, metres, strict=True))
        return [found[number] for number in range(len(images))]


def _random_config(transformers: Any, variant: str) -> Any:
    """The published architecture: four of the backbone's layers go to the neck."""
    deep = variant == "large"
    backbone = transformers.Dinov2Config(
        image_size=518,
        patch_size=14,
        out_indices=[5, 12, 18, 24] if deep else [3, 6, 9, 12],
        apply_layernorm=True,
        reshape_hidden_states=False,
        **_BACKBONES[variant],
    )
    return transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=backbone.hidden_size,
        depth_estimation_type="metric",
        max_depth=_OUTDOOR_METRES,
        **_NECKS[variant],
    )


def _read_processor(transformers: Any, folder: Path) -> Any:
    """transformers' own resizing, on the images' device: within a grey level of PIL's."""
    if not (folder / _PROCESSING_FILE).is_file():
        raise LabellingError(f"weights '{folder}': {_PROCESSING_FILE} is missing beside them")
    try:
        return transformers.DPTImageProcessorFast.from_pretrained(
            str(folder), local_files_only=True
        )
    except (OSError, ValueError, TypeError) as error:
        raise LabellingError(
            f"weights '{folder}': {_PROCESSING_FILE} cannot be used: {first_line(error)}"
        ) from error
