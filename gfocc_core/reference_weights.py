"""Parameter names of the published reference implementation, mapped to this project's.

Only names and shapes: what each parameter does is in ALGORITHM 3. Called through
`gfocc_core.checkpoint`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from gfocc_core.config import ModelConfig

_INDUCED = {
    "inducing_points": "inducing_points",
    "induced_attention": "gather",
    "induced_ln1": "gather_norm",
    "induced_ff": "gather_ff",
    "induced_ln2": "gather_ff_norm",
    "output_attention": "spread",
    "output_ln1": "spread_norm",
    "output_ff": "spread_ff",
    "output_ln2": "spread_ff_norm",
}
_IMAGE_ATTENTION = {
    "cams_embeds": "camera_embedding",
    "level_embeds": "level_embedding",
    "sampling_offsets": "sampling_offsets",
    "attention_weights": "attention_weights",
    "value_proj": "value",
    "output_proj": "output",
    "ln": "norm",
}
_BLOCK = r"gaussian_decoder\.blocks\.(\d+)\."

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (r"initial_means", "initial_means"),
        (r"gaussian_queries", "initial_features"),
        (r"gaussian_decoder\.pos_enc\.pos_enc\.(.+)", r"decoder.position.layers.\1"),
        *(
            (
                rf"{_BLOCK}{theirs}_attn\.{part}(\..+|)",
                rf"decoder.blocks.\1.{theirs}_attention.{ours}\2",
            )
            for theirs in ("temporal", "self")
            for part, ours in _INDUCED.items()
        ),
        *(
            (
                rf"{_BLOCK}cross_att\.{part}(\..+|)",
                rf"decoder.blocks.\1.image_attention.{ours}\2",
            )
            for part, ours in _IMAGE_ATTENTION.items()
        ),
        (rf"{_BLOCK}gaussian_rectifier\.mean_head\.(.+)", r"decoder.blocks.\1.rectify.\2"),
        (r"semantic_head\.(.+)", r"heads.semantics.\1"),
        (r"(opacity|scale|rotation)_head\.(.+)", r"heads.\1.\2"),
        (r"temporal_module\.time_embed\.weight", "flow.step_embedding.weight"),
        (r"temporal_module\.ffn\.(.+)", r"flow.layers.\1"),
        (r"img_backbone\.(.+)", r"encoder.backbone.\1"),
        (r"img_neck\.lateral_convs\.(\d+)\.conv\.(.+)", r"encoder.neck.inner_blocks.\1.0.\2"),
        (r"img_neck\.fpn_convs\.(\d+)\.conv\.(.+)", r"encoder.neck.layer_blocks.\1.0.\2"),
    )
)
_EXPLAINED = {
    "gaussian_decoder.pos_enc.pc_range": "the grid's bounds, part of the configuration here",
    "img_backbone.fc.weight": "ImageNet classifier, not used",
    "img_backbone.fc.bias": "ImageNet classifier, not used",
}
_RESNETS = {(3, 4, 6, 3): "resnet50", (3, 4, 23, 3): "resnet101", (3, 8, 36, 3): "resnet152"}


@dataclass(frozen=True)
class ImportedReference:
    """Reference weights under this project's names, and the sizes read off their shapes."""

    model: ModelConfig
    state_dict: dict[str, Tensor]
    explained: dict[str, str]
    """Reference keys that have no counterpart here, and why."""
    bounds: tuple[float, ...]
    """[xmin, ymin, zmin, xmax, ymax, zmax] in metres that the position encoding was trained with."""
    has_images: bool
    """Whether backbone and neck are in it; else `encoder.*` is absent from the state_dict."""


def import_reference_state_dict(
    state_dict: Mapping[str, Tensor], heads: int = 8
) -> ImportedReference:
    """Map a reference state_dict, strictly: every key is used or explained.

    Args:
        state_dict: the reference's parameters; a leading `module.` is dropped.
        heads: attention heads, the one size that shapes do not tell.

    Raises:
        ValueError: unknown keys (listed), missing keys (named), or shapes that contradict each other.
    """
    state_dict = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    renamed: dict[str, Tensor] = {}
    explained: dict[str, str] = {}
    unknown: list[str] = []
    for name, tensor in state_dict.items():
        if name in _EXPLAINED:
            explained[name] = _EXPLAINED[name]
        elif (target := _rename(name)) is not None:
            renamed[target] = tensor
        else:
            unknown.append(name)
    if unknown:
        raise ValueError(f"{len(unknown)} unknown reference parameters: {', '.join(unknown[:5])}")
    bounds = state_dict.get("gaussian_decoder.pos_enc.pc_range")
    if bounds is None:
        raise ValueError("reference parameter 'gaussian_decoder.pos_enc.pc_range' is missing")
    return ImportedReference(
        model=_sizes(renamed, heads),
        state_dict=renamed,
        explained=explained,
        bounds=tuple(round(value, 6) for value in bounds.tolist()),
        has_images=any(name.startswith("encoder.") for name in renamed),
    )


def _rename(name: str) -> str | None:
    for pattern, target in _RULES:
        if pattern.fullmatch(name):
            return pattern.sub(target, name)
    return None


def _sizes(state_dict: Mapping[str, Tensor], heads: int) -> ModelConfig:
    """Model sizes from shapes; raises ValueError naming the first parameter that is missing."""

    def shape(name: str) -> tuple[int, ...]:
        if name not in state_dict:
            raise ValueError(f"reference parameter for '{name}' is missing")
        return tuple(state_dict[name].shape)

    first = "decoder.blocks.0."
    gaussians, channels = shape("initial_features")
    cameras = shape(first + "image_attention.camera_embedding")[0]
    levels = shape(first + "image_attention.level_embedding")[0]
    samples = shape(first + "image_attention.attention_weights.weight")[0]
    if samples % (heads * levels) or channels % heads:
        raise ValueError(
            f"{samples} samples and {channels} channels do not fit {heads} heads and {levels} levels"
        )
    blocks = {name.split(".")[2] for name in state_dict if name.startswith("decoder.blocks.")}
    return ModelConfig(
        backbone=_backbone(state_dict),
        channels=channels,
        heads=heads,
        levels=levels,
        points=samples // (heads * levels),
        blocks=len(blocks),
        inducing_points=shape(first + "self_attention.inducing_points")[0],
        gaussians=gaussians,
        cameras=cameras,
        classes=shape("heads.semantics.4.bias")[0],
        flow_horizon=(shape("flow.step_embedding.weight")[0] - 1) // 2,
    )


def _backbone(state_dict: Mapping[str, Tensor]) -> str:
    """Which bottleneck ResNet the image parameters belong to; the paper's where there are none."""
    blocks: list[set[str]] = [set(), set(), set(), set()]
    for name in state_dict:
        found = re.match(r"encoder\.backbone\.layer([1-4])\.(\d+)\.", name)
        if found:
            blocks[int(found[1]) - 1].add(found[2])
    counts = tuple(len(stage) for stage in blocks)
    if counts == (0, 0, 0, 0):
        return ModelConfig().backbone
    if counts not in _RESNETS:
        raise ValueError(f"unknown image backbone with {counts} blocks per stage")
    return _RESNETS[counts]
