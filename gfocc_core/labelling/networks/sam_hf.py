"""SAM as transformers has it, behind BoxSegmenter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gfocc_core.labelling.networks.hf_folder import PACKAGE, load_folder
from gfocc_core.labelling.networks.options import one_of
from gfocc_core.labelling.networks.sam_segmentation import SamSegmenter
from gfocc_core.labelling.networks.weight_files import (
    RANDOM,
    RANDOM_WEIGHTS,
    WeightSource,
    find_weights,
    fingerprint,
    import_package,
)


def _source(what: str, name: str) -> WeightSource:
    command = f"hf download facebook/{name} --local-dir '{{target}}'"
    return WeightSource(f"SAM {what} (transformers)", name, command)


SOURCES = {
    "huge": _source("ViT-H", "sam-vit-huge"),
    "large": _source("ViT-L", "sam-vit-large"),
    "base": _source("ViT-B", "sam-vit-base"),
}
_SHAPES: dict[str, dict[str, Any]] = {
    "huge": {
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "global_attn_indexes": [7, 15, 23, 31],
    },
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "global_attn_indexes": [5, 11, 17, 23],
    },
    "base": {},
}


def make_sam_hf(
    device: torch.device,
    weights: str = "",
    variant: str = "huge",
    batch: str = "",
    boxes: str = "64",
) -> SamSegmenter:
    """Make the segmenter.

    Args:
        device: Where it runs; the image encoder in bfloat16 on a GPU.
        weights: Folder with the published parameters and configuration, or `random`.
        variant: Key of SOURCES: which folder to look for, and how large a random network is.
        batch: Images per pass of the image encoder.
        boxes: Boxes per pass of the mask decoder.

    Raises:
        LabellingError: the package or a file is missing or does not fit, or an option is wrong.
    """
    source = SOURCES[one_of("variant", variant, SOURCES)]
    transformers = import_package("transformers", PACKAGE)
    what = source.what if weights in ("", RANDOM) else "SAM (transformers)"
    if weights == RANDOM:
        vision = transformers.SamVisionConfig(**_SHAPES[variant])
        with device:
            network = transformers.SamModel(transformers.SamConfig(vision_config=vision))
        said = RANDOM_WEIGHTS
    else:
        folder = find_weights(source, weights or None)
        network = load_folder(transformers.SamModel, folder, what)
        said = fingerprint(folder)
    network = _Network(network.to(device).eval(), device)
    return SamSegmenter(network, f"{what} {said}", device, batch, boxes)


class _Network:
    """A SamNetwork; the mask decoder stays in float32, its time is small."""

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network = network
        self.side: int = network.config.vision_config.image_size
        self._dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        network.vision_encoder.to(self._dtype)

    def encode(self, pixels: Tensor) -> Tensor:
        """See SamNetwork."""
        embeddings: Tensor = self._network.get_image_embeddings(pixels.to(self._dtype))
        return embeddings.float()

    def masks(self, embedding: Tensor, boxes: Tensor) -> Tensor:
        """See SamNetwork."""
        found = self._network(
            image_embeddings=embedding, input_boxes=boxes[None], multimask_output=False
        )
        masks: Tensor = found.pred_masks[0, :, 0]
        return masks
