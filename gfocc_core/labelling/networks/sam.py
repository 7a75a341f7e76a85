"""SAM as its authors' package segment-anything has it, behind BoxSegmenter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gfocc_core.labelling.networks.image_sizes import IMAGENET_MEAN, IMAGENET_STD
from gfocc_core.labelling.networks.options import one_of
from gfocc_core.labelling.networks.sam_segmentation import SamSegmenter
from gfocc_core.labelling.networks.weight_files import (
    RANDOM,
    RANDOM_WEIGHTS,
    WeightSource,
    find_weights,
    fingerprint,
    import_package,
    load_strictly,
    read_state,
)
from gfocc_core.labelling.protocols import LabellingError

_FILES = "https://dl.fbaipublicfiles.com/segment_anything"
_PATCH, _WINDOW, _CHANNELS = 16, 14, 256


def _source(what: str, file: str) -> WeightSource:
    return WeightSource(f"SAM {what}", file, f"wget -O '{{target}}' {_FILES}/{file}")


SOURCES = {
    "vit_h": _source("ViT-H", "sam_vit_h_4b8939.pth"),
    "vit_l": _source("ViT-L", "sam_vit_l_0b3195.pth"),
    "vit_b": _source("ViT-B", "sam_vit_b_01ec64.pth"),
}


@dataclass(frozen=True)
class SamShape:
    """What tells SAMs apart; the rest is the same in all of them."""

    channels: int
    heads: int
    depth: int
    whole_image: tuple[int, ...]
    """Blocks that attend to the whole image and not to windows of it."""
    side: int = 1024
    """Pixels of the images' square."""

    @classmethod
    def of(cls, state: Mapping[str, Tensor], path: Path) -> SamShape:
        """Read it off the parameters; LabellingError where they are not those of a SAM."""
        try:
            _, rows, _, channels = state["image_encoder.pos_embed"].shape
            depth = 0
            whole = []
            while (name := f"image_encoder.blocks.{depth}.attn.rel_pos_h") in state:
                length, width = state[name].shape
                if length == 2 * rows - 1:
                    whole.append(depth)
                depth += 1
            return cls(channels, channels // width, depth, tuple(whole), rows * _PATCH)
        except (KeyError, ValueError, UnboundLocalError) as error:
            raise LabellingError(
                f"weights '{path}' are not those of a SAM: it lacks image_encoder.pos_embed or "
                "image_encoder.blocks"
            ) from error


SHAPES = {
    "vit_h": SamShape(1280, 16, 32, (7, 15, 23, 31)),
    "vit_l": SamShape(1024, 16, 24, (5, 11, 17, 23)),
    "vit_b": SamShape(768, 12, 12, (2, 5, 8, 11)),
}


def make_sam(
    device: torch.device,
    weights: str = "",
    variant: str = "vit_h",
    batch: str = "",
    boxes: str = "64",
) -> SamSegmenter:
    """Make the segmenter.

    Args:
        device: Where it runs; the image encoder in bfloat16 on a GPU.
        weights: File of the published parameters, or `random`.
        variant: Key of SOURCES: which file to look for, and how large a random network is.
        batch: Images per pass of the image encoder.
        boxes: Boxes per pass of the mask decoder.

    Raises:
        LabellingError: the package or the file is missing or does not fit, or an option is wrong.
    """
    source = SOURCES[one_of("variant", variant, SOURCES)]
    modeling = import_package("segment_anything.modeling", "segment-anything")
    if weights == RANDOM:
        with device:
            network = build_sam(modeling, SHAPES[variant])
        name = f"{source.what} {RANDOM_WEIGHTS}"
    else:
        path = find_weights(source, weights or None)
        state = read_state(path)
        shape = SamShape.of(state, path)
        with device:
            network = build_sam(modeling, shape)
        load_strictly(network, state, path, "a SAM")
        known = {shape: one for one, shape in SHAPES.items()}
        what = SOURCES[known[shape]].what if shape in known else "SAM"
        name = f"{what} {fingerprint(path)}"
    return SamSegmenter(_Network(network.to(device).eval(), device), name, device, batch, boxes)


def build_sam(modeling: Any, shape: SamShape) -> nn.Module:
    """The package's network; its own builder knows the three published shapes alone."""
    rows = shape.side // _PATCH
    network: nn.Module = modeling.Sam(
        modeling.ImageEncoderViT(
            img_size=shape.side,
            patch_size=_PATCH,
            embed_dim=shape.channels,
            depth=shape.depth,
            num_heads=shape.heads,
            out_chans=_CHANNELS,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=_WINDOW,
            global_attn_indexes=shape.whole_image,
        ),
        modeling.PromptEncoder(
            embed_dim=_CHANNELS,
            image_embedding_size=(rows, rows),
            input_image_size=(shape.side, shape.side),
            mask_in_chans=16,
        ),
        modeling.MaskDecoder(
            transformer_dim=_CHANNELS,
            transformer=modeling.TwoWayTransformer(
                depth=2, embedding_dim=_CHANNELS, num_heads=8, mlp_dim=2048
            ),
        ),
        list(IMAGENET_MEAN),
        list(IMAGENET_STD),
    )
    return network


class _Network:
    """A SamNetwork; the mask decoder stays in float32, its time is small."""

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network = network
        self.side: int = network.image_encoder.img_size
        self._dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        network.image_encoder.to(self._dtype)

    def encode(self, pixels: Tensor) -> Tensor:
        """See SamNetwork."""
        embeddings: Tensor = self._network.image_encoder(pixels.to(self._dtype))
        return embeddings.float()

    def masks(self, embedding: Tensor, boxes: Tensor) -> Tensor:
        """See SamNetwork."""
        prompts = self._network.prompt_encoder
        sparse, dense = prompts(points=None, boxes=boxes, masks=None)
        logits, _ = self._network.mask_decoder(
            image_embeddings=embedding,
            image_pe=prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        masks: Tensor = logits[:, 0]
        return masks
