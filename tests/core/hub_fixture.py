"""A repository for torch.hub that is called as Metric3D's is, with a network of random weights."""

from __future__ import annotations

from pathlib import Path

import torch

HUBCONF = '''
dependencies = ["torch"]

import torch
from torch import nn

WEIGHTS = {weights!r}


class Decoder(nn.Module):
    """Depth from bins, which are made for the first batch as Metric3D's decoder makes them."""

    num_depth_regressor_anchor = 8

    def __init__(self):
        super().__init__()
        self.logits = nn.Conv2d(3, 8, 7, stride=14, padding=3)

    def register_depth_expectation_anchor(self, bins_num, B):
        if {needs_gpu}:
            raise AssertionError("Torch not compiled with CUDA enabled")
        bins = torch.linspace(1.0, 40.0, bins_num).unsqueeze(0).repeat(B, 1)
        self.register_buffer("depth_expectation_anchor", bins, persistent=False)

    def forward(self, pixels):
        share = self.logits(pixels).softmax(1)
        if "depth_expectation_anchor" not in self._buffers:
            self.register_depth_expectation_anchor(8, len(share))
        bins = self.depth_expectation_anchor[: len(share)]
        coarse = (share * bins.view(*bins.shape, 1, 1)).sum(1, keepdim=True)
        return nn.functional.interpolate(coarse, pixels.shape[2:], mode="bilinear")


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.depth_model = Decoder()

    def inference(self, data):
        with torch.no_grad():
            depth = self.depth_model(data["input"])
        return depth, torch.ones_like(depth), dict(prediction=depth)


def metric3d_vit_large(pretrain=False, **kwargs):
    torch.manual_seed(0)
    model = Model()
    if pretrain:
        state = torch.hub.load_state_dict_from_url(WEIGHTS)["model_state_dict"]
        model.load_state_dict(state, strict=False)
    return model


def metric3d_vit_small(pretrain=False, **kwargs):
    return Decoder()


def metric3d_vit_giant2(pretrain=False, **kwargs):
    import mmengine_that_is_not_there
'''


def write_repository(folder: Path, weights: str = "", needs_gpu: bool = False) -> Path:
    """Write hubconf.py.

    Args:
        folder: Where.
        weights: URL that pretrained weights come from.
        needs_gpu: Whether the decoder insists on a GPU for its bins, as Metric3D's does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = HUBCONF.replace("{weights!r}", repr(weights)).replace("{needs_gpu}", str(needs_gpu))
    (folder / "hubconf.py").write_text(text)
    return folder


def write_checkpoint(path: Path, seed: int, **changes: torch.Tensor | None) -> Path:
    """Write a training checkpoint of the network.

    Args:
        path: Where.
        seed: Of its weights.
        changes: Other parameters of the convolution; None leaves one out.
    """
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, torch.Tensor | None] = {
        "weight": torch.randn(8, 3, 7, 7, generator=generator) / 10,
        "bias": torch.randn(8, generator=generator),
        **changes,
    }
    named = {f"depth_model.logits.{k}": v for k, v in state.items() if v is not None}
    content = {"model_state_dict": {**named, "depth_model.left_over": torch.zeros(3)}, "step": 7}
    torch.save(content, path)
    return path
