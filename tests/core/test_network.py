"""The network's structure: any backbone, any number of cameras, missing cameras, flow."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gfocc_core.config import Config, ConfigError
from gfocc_core.gaussians import Gaussians
from gfocc_core.grid import VoxelGrid
from gfocc_core.model import GaussianFlowNetwork, Memory
from gfocc_core.model.heads import is_dynamic
from gfocc_core.model.image_encoder import ImageEncoder
from gfocc_core.preprocess import preprocess
from tests.core.conftest import MakeFrame


@pytest.fixture(scope="module")
def network(small_config: Config) -> GaussianFlowNetwork:
    torch.manual_seed(0)
    return GaussianFlowNetwork(small_config.model, small_config.grid).eval()


@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_lite0", "convnext_atto"])
def test_any_timm_backbone_gives_levels_at_strides_8_16_32(backbone: str) -> None:
    levels = ImageEncoder(backbone, 16, 3)(torch.randn(1, 2, 3, 64, 96))
    assert [tuple(level.shape) for level in levels] == [
        (1, 2, 16, 8, 12),
        (1, 2, 16, 4, 6),
        (1, 2, 16, 2, 3),
    ]


@pytest.mark.parametrize(
    ("backbone", "message"),
    [("no_such_net", "model.backbone 'no_such_net'"), ("vit_tiny_patch16_224", "strides")],
)
def test_an_unfit_backbone_is_named(backbone: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageEncoder(backbone, 16, 3)


@torch.no_grad()
@pytest.mark.parametrize("cameras", [1, 4, 6])
def test_any_number_of_cameras(
    network: GaussianFlowNetwork, small_config: Config, make_frame: MakeFrame, cameras: int
) -> None:
    gaussians = network(*preprocess(make_frame(cameras), small_config.image, "cpu"))
    count = small_config.model.gaussians
    assert tuple(gaussians.means.shape) == (1, count, 3)
    assert tuple(gaussians.logits.shape) == (1, count, 16)
    assert bool((gaussians.scales > 0).all())
    assert bool((gaussians.scales < 1).all())
    assert torch.allclose(gaussians.quats.norm(dim=-1), torch.ones(1, count), atol=1e-5)


@torch.no_grad()
def test_a_masked_camera_has_no_influence(
    network: GaussianFlowNetwork, small_config: Config, make_frame: MakeFrame
) -> None:
    mask = (True, True, False, True, True, True)
    frame = make_frame(6, valid=mask)
    noise = torch.full_like(frame.images[2], 255)
    other = replace(frame, images=(*frame.images[:2], noise, *frame.images[3:]))
    first = network(*preprocess(frame, small_config.image, "cpu"))
    second = network(*preprocess(other, small_config.image, "cpu"))
    assert torch.equal(first.logits, second.logits)
    seen = network(*preprocess(replace(other, valid=(True,) * 6), small_config.image, "cpu"))
    assert not torch.equal(first.logits, seen.logits)


@torch.no_grad()
def test_memory_and_images_both_matter(
    network: GaussianFlowNetwork, small_config: Config, make_frame: MakeFrame
) -> None:
    images, view = preprocess(make_frame(), small_config.image, "cpu")
    levels = network.encode(images)
    alone = network.decode(levels, view)
    remembered = network.decode(levels, view, Memory(alone.means, alone.features))
    assert not torch.equal(alone.logits, remembered.logits)
    dark = network(torch.zeros_like(images), view)
    assert not torch.equal(alone.logits, dark.logits)


@torch.no_grad()
def test_a_batch_equals_its_items(
    network: GaussianFlowNetwork, small_config: Config, make_frame: MakeFrame
) -> None:
    singles = [preprocess(make_frame(seed=seed), small_config.image, "cpu") for seed in (1, 2)]
    images = torch.cat([images for images, _ in singles])
    first_view = singles[0][1]
    view = replace(
        first_view,
        **{
            name: torch.cat([getattr(view, name) for _, view in singles])
            for name in ("cam_from_ego", "intrinsics", "affine", "shift", "valid")
        },
    )
    batched = network(images, view)
    for index, (image, single_view) in enumerate(singles):
        alone = network(image, single_view)
        assert torch.allclose(batched.means[index], alone.means[0], atol=1e-4)
        assert torch.allclose(batched.logits[index], alone.logits[0], atol=1e-4)


def test_every_parameter_gets_a_gradient(small_config: Config, make_frame: MakeFrame) -> None:
    torch.manual_seed(0)
    network = GaussianFlowNetwork(small_config.model, small_config.grid)
    images, view = preprocess(make_frame(), small_config.image, "cpu")
    levels = network.encode(images)
    gaussians = network.decode(levels, view)
    flow = network.flow.offsets(gaussians.features, torch.arange(-6, 7)[None])
    fields = (gaussians.means, gaussians.scales, gaussians.quats, gaussians.opacities)
    loss = sum(tensor.square().sum() for tensor in (*fields, gaussians.logits, flow))
    loss = loss + gaussians.quats[..., 0].sum()
    loss.backward()
    untouched = [name for name, value in network.named_parameters() if value.grad is None]
    assert untouched == []


@torch.no_grad()
def test_flow_moves_only_dynamic_classes_and_never_the_present(
    network: GaussianFlowNetwork, small_config: Config, make_frame: MakeFrame
) -> None:
    gaussians = network(*preprocess(make_frame(), small_config.image, "cpu"))
    logits = torch.zeros_like(gaussians.logits)
    logits[:, ::2, 3] = 5.0  # car
    logits[:, 1::2, 10] = 5.0  # driveable surface
    gaussians = replace(gaussians, logits=logits)
    assert is_dynamic(logits)[0].tolist() == [True, False] * (logits.shape[1] // 2)
    offsets = network.flow(gaussians, torch.tensor([[-3, 0, 2]]))
    assert float(offsets[0, 0, ::2].abs().min(-1).values.max()) > 0
    assert float(offsets[0, :, 1::2].abs().sum()) == 0
    assert float(offsets[0, 1].abs().sum()) == 0
    with pytest.raises(ValueError, match="steps must lie in -6 to 6"):
        network.flow(gaussians, torch.tensor([[7]]))


def test_initial_means_fill_the_grid(small_config: Config) -> None:
    grid: VoxelGrid = small_config.grid
    means = GaussianFlowNetwork(small_config.model, grid).initial_means
    assert bool(grid.contains(grid.index_of(means.detach())).all())
    assert float(means[:, 0].detach().std()) > 2.0


def test_flow_of_the_moving_ones_alone_is_that_of_all(network: GaussianFlowNetwork) -> None:
    count, channels = 6, network.config.channels
    gaussians = Gaussians(
        means=torch.zeros(2, count, 3),
        scales=torch.ones(2, count, 3),
        quats=torch.ones(2, count, 4),
        opacities=torch.ones(2, count),
        logits=torch.randn(2, count, network.config.classes),
        features=torch.randn(2, count, channels),
    )
    moves = is_dynamic(gaussians.logits)
    steps = torch.tensor([[-3, 1], [2, 5]])
    wanted = network.flow.offsets(gaussians.features, steps) * moves[:, None, :, None]
    assert bool(moves.any())
    torch.testing.assert_close(network.flow(gaussians, steps), wanted)
