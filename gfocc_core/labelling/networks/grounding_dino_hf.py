"""Grounding DINO as transformers has it, behind PhraseDetector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gfocc_core.labelling.networks.grounded_detection import GroundedDetector, GroundingOptions
from gfocc_core.labelling.networks.hf_folder import PACKAGE, load_folder
from gfocc_core.labelling.networks.options import one_of
from gfocc_core.labelling.networks.phrase_queries import (
    PhraseTokens,
    blank_tokenizer,
    read_tokenizer,
)
from gfocc_core.labelling.networks.weight_files import (
    RANDOM,
    RANDOM_WEIGHTS,
    WeightSource,
    find_weights,
    fingerprint,
    import_package,
)


def _source(what: str, name: str) -> WeightSource:
    command = f"hf download IDEA-Research/{name} --local-dir '{{target}}'"
    return WeightSource(f"Grounding DINO {what} (transformers)", name, command)


SOURCES = {
    "base": _source("Swin-B", "grounding-dino-base"),
    "tiny": _source("Swin-T", "grounding-dino-tiny"),
}
_SWIN: dict[str, dict[str, Any]] = {
    "base": {
        "embed_dim": 128,
        "depths": [2, 2, 18, 2],
        "num_heads": [4, 8, 16, 32],
        "window_size": 12,
        "image_size": 384,
    },
    "tiny": {
        "embed_dim": 96,
        "depths": [2, 2, 6, 2],
        "num_heads": [3, 6, 12, 24],
        "window_size": 7,
        "image_size": 224,
    },
}


def make_grounding_dino_hf(
    device: torch.device,
    weights: str = "",
    variant: str = "base",
    box_threshold: str = "0.2",
    text_threshold: str = "0.2",
    size: str = "800",
    batch: str = "",
    precision: str = "",
) -> GroundedDetector:
    """Make the detector.

    Args:
        device: Where it runs.
        weights: Folder with the published parameters, configuration and tokenizer, or `random`.
        variant: Key of SOURCES: which folder to look for, and how large a random network is.
        box_threshold: Least score of a detection.
        text_threshold: Least score of a token that counts to a detection's phrase.
        size: Pixels of the shorter side of images, the longer one at most 1333/800 of it.
        batch: Pairs of an image and a phrase per pass.
        precision: Key of PRECISIONS; float16 on a GPU and float32 elsewhere if not given.

    Raises:
        LabellingError: the package or a file is missing or does not fit, or an option is wrong.
    """
    options = GroundingOptions.parse(device, box_threshold, text_threshold, size, batch, precision)
    source = SOURCES[one_of("variant", variant, SOURCES)]
    transformers = import_package("transformers", PACKAGE)
    what = source.what if weights in ("", RANDOM) else "Grounding DINO (transformers)"
    network_class = transformers.GroundingDinoForObjectDetection
    if weights == RANDOM:
        tokenizer, said = blank_tokenizer(transformers), RANDOM_WEIGHTS
        with device:
            network = network_class(_random_config(transformers, variant))
    else:
        folder = find_weights(source, weights or None)
        network = load_folder(network_class, folder, what)
        tokenizer, said = read_tokenizer(transformers, folder), fingerprint(folder)
    return GroundedDetector(
        _Network(network.to(device).eval(), options.autocast(device)),
        PhraseTokens(tokenizer),
        f"{what} {said}",
        options,
    )


class _GivenFeatures(nn.Module):
    """Stands where the network calls its backbone, and gives it features that are there already."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.given: tuple[list[tuple[Tensor, Tensor]], list[Tensor]] = ([], [])

    @property
    def position_embedding(self) -> Any:
        """The network asks for it to place its own further level."""
        return self.backbone.position_embedding

    def forward(
        self, pixel_values: Tensor, pixel_mask: Tensor
    ) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        """((map, mask) per level, positions per level)"""
        return self.given


class _Network:
    """A GroundingNetwork: the backbone runs per image, the rest of the network per query."""

    def __init__(self, network: Any, autocast: torch.autocast) -> None:
        self._features = _GivenFeatures(network.model.backbone)
        network.model.backbone = self._features
        self._network, self._autocast = network, autocast
        self.candidates: int = network.config.num_queries

    def encode(self, pixels: Tensor) -> Any:
        """(images, features, positions); see GroundingNetwork."""
        mask = pixels.new_ones((len(pixels), *pixels.shape[2:]), dtype=torch.long)
        with self._autocast:
            features, positions = self._features.backbone(pixels, mask)
        return pixels, features, positions

    def query(
        self, features: Any, rows: Tensor, captions: Sequence[str], ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See GroundingNetwork."""
        pixels, maps, positions = features
        self._features.given = (
            [(values[rows], mask[rows]) for values, mask in maps],
            [position[rows] for position in positions],
        )
        # of the images only the size is looked at
        asked = pixels[:1].expand(len(rows), -1, -1, -1)
        with self._autocast:
            found = self._network(pixel_values=asked, input_ids=ids)
        return found.logits[..., : ids.shape[1]], found.pred_boxes


def _random_config(transformers: Any, variant: str) -> Any:
    """The published networks' configuration, as far as it is not the default."""
    swin = transformers.SwinConfig(**_SWIN[variant], out_indices=[2, 3, 4])
    return transformers.GroundingDinoConfig(backbone_config=swin)
