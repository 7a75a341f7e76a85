"""Metric3D v2 through torch.hub, behind the canonical camera."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gfocc_core.labelling.canonical import CanonicalDepth
from gfocc_core.labelling.networks.options import one_of
from gfocc_core.labelling.networks.weight_files import (
    RANDOM,
    RANDOM_WEIGHTS,
    WeightSource,
    find_weights,
    first_line,
    read_state,
    refuse_mismatch,
    weights_folder,
)
from gfocc_core.labelling.protocols import LabellingError

REPOSITORY = "yvanyin/metric3d:main"
"""With the branch named, torch.hub asks no server about a repository that it has already."""
_PACKAGES = "pip install --no-deps mmengine addict yapf termcolor"
"""mmengine alone: what it requires would bring a second OpenCV."""
_URL = "https://huggingface.co/JUGGHM/Metric3D/resolve/main"


def _source(variant: str) -> WeightSource:
    name = f"metric_depth_vit_{variant}_800k.pth"
    return WeightSource(
        f"Metric3D v2 ViT-{variant}", name, f"curl -L --create-dirs -o '{{target}}' {_URL}/{name}"
    )


SOURCES = {variant: _source(variant) for variant in ("small", "large", "giant2")}


def make_metric3d(
    device: torch.device, variant: str = "large", repository: str = "", weights: str = ""
) -> CanonicalDepth:
    """Make the network; torch.hub runs the repository's code.

    Args:
        device: Where it runs; in bfloat16 on a GPU.
        variant: Key of SOURCES.
        repository: Folder of a clone of the repository; torch.hub gets it from GitHub, or from
            its cache, where this is empty.
        weights: File of the published parameters, or `random`. Where this is empty and there is
            no such file in the default folder either, torch.hub downloads it.

    Raises:
        LabellingError: the repository or the weights cannot be had, do not fit or fail; says how
            to get them by hand.
    """
    source = SOURCES[one_of("variant", variant, SOURCES)]
    usual = weights_folder() / source.name
    file = None
    if weights != RANDOM and (weights or usual.exists()):
        file = find_weights(source, weights or None)
    pretrain = weights != RANDOM and file is None
    network = _from_hub(source, f"metric3d_vit_{variant}", repository, pretrain)
    if file is not None:
        _load_weights(network, file, source.what)
    said = RANDOM_WEIGHTS if weights == RANDOM else digest_of(network)
    network.to(device).eval()
    _serve_any_batch(network, source.what)
    return CanonicalDepth(_Network(network.to(device), f"{source.what} {said}", device))


def digest_of(network: nn.Module) -> str:
    """8 letters of all parameters and buffers: the same however they came in."""
    digest = blake2b(digest_size=4)
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _from_hub(source: WeightSource, entry: str, repository: str, pretrain: bool) -> nn.Module:
    """The network on the CPU.

    Who names the model trusts its repository: torch.hub would ask on the terminal, where label
    generation may have none, and ask GitHub, which refuses after a few such questions an hour.
    """
    where = Path(repository).expanduser().absolute() if repository else None
    if where is not None and not (where / "hubconf.py").is_file():
        raise LabellingError(
            f"{source.what}: repository '{where}' has no hubconf.py; {_how_to_get(source)}"
        )
    try:
        network: Any = torch.hub.load(
            str(where or REPOSITORY),
            entry,
            source="local" if where else "github",
            trust_repo=True,
            skip_validation=True,
            verbose=False,
            pretrain=pretrain,
        )
    except Exception as error:  # it runs the code of others
        if isinstance(error, MemoryError):
            raise
        raise LabellingError(
            f"{source.what} cannot be had from {where or 'torch.hub'}: {first_line(error)}; "
            f"{_how_to_get(source)}"
        ) from error
    if not isinstance(network, nn.Module) or not callable(getattr(network, "inference", None)):
        raise LabellingError(
            f"{source.what}: '{entry}' of {where or REPOSITORY} made a "
            f"{type(network).__name__} without inference()"
        )
    return network


def _how_to_get(source: WeightSource) -> str:
    get_weights = source.command.format(target=weights_folder() / source.name)
    return (
        "without a network get the code (git clone https://github.com/YvanYin/Metric3D DIR, then "
        f"repository=DIR; it needs: {_PACKAGES}) and the weights ({get_weights})"
    )


def _load_weights(network: nn.Module, file: Path, what: str) -> None:
    """Every parameter has to be there; what else the file holds is left, as torch.hub's loader does.

    The published files are training checkpoints, whose buffers need not be those of inference.
    """
    state, own = read_state(file), network.state_dict()
    lacking = sorted(dict(network.named_parameters()).keys() - state.keys())
    unlike = [
        f"{key} {list(state[key].shape)} for {list(own[key].shape)}"
        for key in sorted(own.keys() & state.keys())
        if state[key].shape != own[key].shape
    ]
    refuse_mismatch(file, what, lacking, [], unlike)
    network.load_state_dict(state, strict=False)


def _serve_any_batch(network: nn.Module, what: str) -> None:
    """Make the decoder's depth bins for one image, which fit any batch.

    Left alone it makes as many rows as its first batch has images, and fails on a larger one:
    keyframes may lack cameras.
    """
    for part in network.modules():
        register = getattr(part, "register_depth_expectation_anchor", None)
        if register is None:
            continue
        try:
            register(part.num_depth_regressor_anchor, 1)
        except (RuntimeError, AssertionError) as error:  # it makes them on a GPU, come what may
            raise LabellingError(f"{what} needs a GPU: {first_line(error)}") from error


class _Network:
    """A CanonicalNetwork around what torch.hub made."""

    def __init__(self, network: Any, name: str, device: torch.device) -> None:
        self._network, self._device = network, device
        self.name = name

    def predict(self, pixels: Tensor) -> Tensor:
        """See CanonicalNetwork."""
        # bfloat16 is what the network was trained in
        half = torch.autocast(
            self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"
        )
        with half:
            depth: Tensor = self._network.inference({"input": pixels})[0]
        if depth.ndim != 4 or depth.shape[1] != 1:
            raise LabellingError(
                f"{self.name} must return [B, 1, h, w] from inference(), got {list(depth.shape)}"
            )
        return depth[:, 0]
