"""The profile of a training step names what ran, and its parts are its whole."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from gfocc_core.training.module import OccupancyLearner
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


class SmallNetwork(nn.Module):
    """Encodes cheaply, decodes with a large matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(400, 400))

    def encode(self, images: Tensor) -> Tensor:
        return images.sin()

    def decode(self, features: Tensor) -> Tensor:
        return features @ self.matrix


class SmallLearner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = SmallNetwork()

    def render(self, gaussians: Tensor) -> Tensor:
        return gaussians.square()


def test_stages_and_operations_add_up() -> None:
    from step_profile import ALL, profile_step

    learner = SmallLearner()
    optimizer = torch.optim.AdamW(learner.parameters())
    images = torch.randn(400, 400)

    def step() -> None:
        with torch.no_grad():
            past = learner.network.decode(learner.network.encode(images))
        loss = learner.render(learner.network.decode(learner.network.encode(images + past))).mean()
        loss.backward()
        optimizer.step()

    step()
    found = profile_step(step, cast("OccupancyLearner", learner), torch.device("cpu"), most=4)

    stages: dict[str, Any] = dict(found.stages)
    assert set(stages) == {
        ALL,
        "encode of the past",
        "decode of the past",
        "encode",
        "decode",
        "render",
        "optimizer",
        "backward and the rest",
    }
    whole = stages.pop(ALL)
    assert sum(stages.values()) == pytest.approx(whole)
    assert min(stages.values()) > 0
    operations = dict(found.operations)
    assert operations.pop(ALL) == pytest.approx(whole)
    assert len(operations) == 4
    assert "aten::mm" in operations
    assert whole < found.wall * 1.5


def test_nothing_stays_on_the_learner() -> None:
    from step_profile import profile_step

    learner = SmallLearner()
    with pytest.raises(RuntimeError, match="out of luck"):
        profile_step(_fail, cast("OccupancyLearner", learner), torch.device("cpu"), most=1)
    assert "encode" not in vars(learner.network)
    assert "render" not in vars(learner)


def _fail() -> None:
    raise RuntimeError("out of luck")
