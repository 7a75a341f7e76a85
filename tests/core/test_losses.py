"""Loss variants on numbers one can check by hand."""

from __future__ import annotations

import math

import pytest
import torch

from gfocc_core.gaussians import Gaussians
from gfocc_core.training.losses import (
    LossConfig,
    depth_loss,
    drop_far_labels,
    empty_loss,
    occupancy_loss,
    semantic_loss,
    thickness_loss,
)


def test_unlabelled_pixels_do_not_count() -> None:
    logits = torch.zeros(4, 16)
    logits[0, 3] = 50.0
    labels = torch.tensor([4, 0, 0, 11], dtype=torch.uint8)
    assert float(semantic_loss(logits, labels).mean()) == pytest.approx(math.log(16) / 2)
    changed = logits.clone()
    changed[1:3] = torch.randn(2, 16) * 100
    assert torch.equal(semantic_loss(changed, labels).mean(), semantic_loss(logits, labels).mean())


def test_class_weights_weigh_the_mean() -> None:
    logits = torch.zeros(2, 16)
    logits[0, 0] = 100.0
    labels = torch.tensor([1, 2], dtype=torch.uint8)
    weights = (3.0, 1.0) + (1.0,) * 14
    assert float(semantic_loss(logits, labels, weights).mean()) == pytest.approx(math.log(16) / 4)


def test_far_pixels_lose_both_labels_near_ones_neither() -> None:
    semantics = torch.tensor([4, 5, 6, 7], dtype=torch.uint8)
    depth = torch.tensor([40.0, 40.1, 0.0, 300.0])
    near_semantics, near_depth = drop_far_labels(semantics, depth, 40.0)
    assert near_semantics.tolist() == [4, 0, 6, 0]
    assert near_depth.tolist() == [40.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("error", "expected"), [("squared", 2.5), ("absolute", 1.5), ("log", math.log(2) ** 2 / 2)]
)
def test_depth_errors(error: str, expected: float) -> None:
    rendered = torch.tensor([5.0, 4.0, 99.0])
    labels = torch.tensor([4.0, 2.0, 0.0])
    if error == "log":
        rendered = torch.tensor([4.0, 4.0, 99.0])
    found = float(depth_loss(rendered, labels, error).mean())  # type: ignore[arg-type]
    assert found == pytest.approx(expected)


def test_no_labels_at_all_give_zero_and_a_zero_gradient() -> None:
    logits = torch.randn(5, 16, requires_grad=True)
    depth = torch.randn(5, requires_grad=True)
    loss = semantic_loss(logits, torch.zeros(5, dtype=torch.uint8)).mean()
    loss = loss + depth_loss(depth, torch.zeros(5)).mean()
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert float(logits.grad.abs().sum()) == 0


def test_3d_supervision_looks_inside_the_mask_only() -> None:
    labels = torch.tensor([[[4, 17, 0, 17]]], dtype=torch.uint8)
    mask = torch.tensor([[[True, True, True, False]]])
    density = torch.tensor([[[0.9, 0.2, 0.5, 0.99]]])
    logits = torch.zeros(1, 1, 4, 16)
    occupied, classes = occupancy_loss(density, logits, labels, mask)
    expected = -(math.log(0.9) + math.log(0.8) + math.log(0.5)) / 3
    assert float(occupied.mean()) == pytest.approx(expected, rel=1e-5)
    assert float(classes.mean()) == pytest.approx(math.log(16))
    assert float(classes.count) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth_weight": -1.0}, "loss.depth_weight must be >= 0, got -1.0"),
        ({"max_depth": 0.0}, "loss.max_depth must be positive"),
        ({"class_weights": (1.0, 2.0)}, "loss.class_weights must have 16 entries, got 2"),
    ],
)
def test_bad_options_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossConfig(**changes)  # type: ignore[arg-type]


def test_empty_loss_is_the_mean_opacity_of_pixels_that_see_past_the_grid() -> None:
    alpha = torch.tensor([[0.5, 1.0], [0.2, 0.9]])
    depth = torch.tensor([[100.0, 10.0], [60.0, 0.0]])
    assert float(empty_loss(alpha, depth, 60.0).mean()) == pytest.approx(0.35)


def test_empty_loss_without_far_pixels_is_zero() -> None:
    assert float(empty_loss(torch.ones(2, 2), torch.ones(2, 2), 60.0).mean()) == 0


def test_thickness_is_the_excess_of_the_thinnest_axis() -> None:
    gaussians = Gaussians(
        means=torch.zeros(2, 3),
        scales=torch.tensor([[0.9, 0.3, 0.5], [0.9, 0.9, 0.05]]),
        quats=torch.tensor([[1.0, 0, 0, 0]] * 2),
        opacities=torch.tensor([0.5, 1.0]),
        logits=torch.zeros(2, 16),
        features=torch.zeros(2, 1),
    )
    assert float(thickness_loss(gaussians, 0.1)) == pytest.approx(0.05)
