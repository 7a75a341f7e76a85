"""Grounding DINO as its authors' package groundingdino-py has it, behind PhraseDetector."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gfocc_core.labelling.networks.grounded_detection import GroundedDetector, GroundingOptions
from gfocc_core.labelling.networks.options import one_of
from gfocc_core.labelling.networks.phrase_queries import (
    BERT,
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
    first_line,
    import_package,
    load_strictly,
    read_state,
)
from gfocc_core.labelling.protocols import LabellingError

_RELEASES = "https://github.com/IDEA-Research/GroundingDINO/releases/download"
_PACKAGE = ("groundingdino-py", "--no-deps ")
"""Its requirements would put another OpenCV, with windows, over the one that is there."""


@dataclass(frozen=True)
class _Variant:
    config: str
    """Of the package's own configurations."""
    source: WeightSource


def _variant(what: str, config: str, release: str, file: str) -> _Variant:
    command = f"wget -O '{{target}}' {_RELEASES}/{release}/{file}"
    return _Variant(config, WeightSource(f"Grounding DINO {what}", file, command))


VARIANTS = {
    "swinb": _variant(
        "Swin-B", "GroundingDINO_SwinB_cfg.py", "v0.1.0-alpha2", "groundingdino_swinb_cogcoor.pth"
    ),
    "swint": _variant(
        "Swin-T", "GroundingDINO_SwinT_OGC.py", "v0.1.0-alpha", "groundingdino_swint_ogc.pth"
    ),
}
UNUSED_PARAMETERS = ("label_enc.weight", "bert.embeddings.position_ids")
"""In the published files, but of training and of older text encoders."""


def make_grounding_dino(
    device: torch.device,
    weights: str = "",
    variant: str = "swinb",
    config: str = "",
    text_encoder: str = "",
    box_threshold: str = "0.2",
    text_threshold: str = "0.2",
    size: str = "800",
    batch: str = "",
    precision: str = "",
) -> GroundedDetector:
    """Make the detector.

    Args:
        device: Where it runs.
        weights: File of the published parameters, or `random`.
        variant: Key of VARIANTS.
        config: A configuration file of the package's kind, in place of the variant's own.
        text_encoder: Folder of BERT's tokenizer and configuration (its weights are not read).
        box_threshold: Least score of a detection.
        text_threshold: Least score of a token that counts to a detection's phrase.
        size: Pixels of the shorter side of images, the longer one at most 1333/800 of it.
        batch: Pairs of an image and a phrase per pass.
        precision: Key of PRECISIONS; float16 on a GPU and float32 elsewhere if not given.

    Raises:
        LabellingError: the package or a file is missing or does not fit, or an option is wrong.
    """
    options = GroundingOptions.parse(device, box_threshold, text_threshold, size, batch, precision)
    source = VARIANTS[one_of("variant", variant, VARIANTS)].source
    with _quiet():
        package = import_package("groundingdino.models.GroundingDINO.groundingdino", *_PACKAGE)
        slconfig = import_package("groundingdino.util.slconfig", *_PACKAGE)
    transformers = import_package("transformers", "transformers<5")
    path = None if weights == RANDOM else find_weights(source, weights or None)
    blank = path is None and not text_encoder
    folder = None if blank else find_weights(BERT, text_encoder or None, "text_encoder")
    if folder is None:
        tokenizer, bert = blank_tokenizer(transformers), transformers.BertConfig()
    else:
        tokenizer = read_tokenizer(transformers, folder)
        bert = _read_bert_config(transformers, folder)
    own = Path(str(package.__file__)).parents[2] / "config" / VARIANTS[variant].config
    settings = _read_config(slconfig, Path(config) if config else own)
    loader = package.get_tokenlizer
    with _text_encoder(loader, tokenizer, transformers, bert), device, _quiet():
        network = package.build_groundingdino(settings)
    what = f"Grounding DINO {Path(config).stem}" if config else source.what
    if path is not None:
        state = {name.removeprefix("module."): value for name, value in read_state(path).items()}
        for name in UNUSED_PARAMETERS:
            state.pop(name, None)
        load_strictly(network, state, path, what)
    said = RANDOM_WEIGHTS if path is None else fingerprint(path)
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
        self.given: tuple[list[Any], list[Tensor]] = ([], [])

    def __getitem__(self, number: int) -> nn.Module:
        """The network asks for number 1, the position embedding, of its own further level."""
        module: nn.Module = self.backbone[number]  # type: ignore[index]
        return module

    def forward(self, samples: object) -> tuple[list[Any], list[Tensor]]:
        """(NestedTensor per level, positions per level)"""
        return self.given


class _Network:
    """A GroundingNetwork: the backbone runs per image, the rest of the network per query."""

    def __init__(self, network: nn.Module, autocast: torch.autocast) -> None:
        self._nested = import_package("groundingdino.util.misc", *_PACKAGE).NestedTensor
        self._features = _GivenFeatures(network.backbone)  # type: ignore[arg-type]
        network.backbone = self._features
        self._network, self._autocast = network, autocast
        self.candidates: int = network.num_queries  # type: ignore[assignment]

    def encode(self, pixels: Tensor) -> Any:
        """(images, features, positions); see GroundingNetwork."""
        mask = pixels.new_zeros((len(pixels), *pixels.shape[2:]), dtype=torch.bool)
        samples = self._nested(pixels, mask)
        with self._autocast, _quiet():
            features, positions = self._features.backbone(samples)
        return samples, features, positions

    def query(
        self, features: Any, rows: Tensor, captions: Sequence[str], ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See GroundingNetwork."""
        samples, maps, positions = features
        self._features.given = (
            [self._nested(one.tensors[rows], one.mask[rows]) for one in maps],
            [position[rows] for position in positions],
        )
        # only the mask is looked at, at the place of the images
        asked = self._nested(samples.tensors[:1].expand(len(rows), -1, -1, -1), samples.mask[rows])
        with self._autocast, _quiet():
            found = self._network(asked, captions=list(captions))
        return found["pred_logits"][..., : ids.shape[1]], found["pred_boxes"]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the package's warnings of what torch, timm and transformers have renamed since."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _text_encoder(loader: Any, tokenizer: Any, transformers: Any, config: Any) -> Iterator[None]:
    """While this lasts, the package's loader gives a tokenizer and BERT without a hub.

    The package would also read BERT's weights, only to overwrite them with its own file's.
    """
    theirs = loader.get_tokenlizer, loader.get_pretrained_language_model
    loader.get_tokenlizer = lambda _: tokenizer
    loader.get_pretrained_language_model = lambda _: transformers.BertModel(config)
    try:
        yield
    finally:
        loader.get_tokenlizer, loader.get_pretrained_language_model = theirs


def _read_bert_config(transformers: Any, folder: Path) -> Any:
    try:
        return transformers.BertConfig.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise LabellingError(f"text encoder '{folder}': {first_line(error)}") from error


def _read_config(slconfig: Any, path: Path) -> Any:
    """The package's settings, without the checkpoints of activations that only training needs."""
    try:
        settings = slconfig.SLConfig.fromfile(str(path.absolute()))
    except Exception as error:  # the file is a Python program
        raise LabellingError(f"config '{path.absolute()}': {first_line(error)}") from error
    settings.use_checkpoint = settings.use_transformer_ckpt = False
    return settings
