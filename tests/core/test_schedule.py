"""Learning rate, moving average and sample order over a run."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gfocc_core.training.ema import MovingAverage, ema_decay
from gfocc_core.training.sampler import ResumableSampler
from gfocc_core.training.schedule import OptimizerConfig, learning_rate_factor


def test_the_papers_schedule() -> None:
    config, total = OptimizerConfig(), 18_000
    assert learning_rate_factor(config, 0, total) == pytest.approx(0.001)
    assert learning_rate_factor(config, 100, total) == pytest.approx(0.5005)
    assert learning_rate_factor(config, 200, total) == 1.0
    assert learning_rate_factor(config, 8_999, total) == 1.0
    assert learning_rate_factor(config, 13_500, total) == pytest.approx(0.505)
    assert learning_rate_factor(config, 18_000, total) == pytest.approx(0.01)


def test_a_run_shorter_than_its_warm_up_only_warms_up() -> None:
    factors = [learning_rate_factor(OptimizerConfig(), step, 50) for step in range(51)]
    assert factors == sorted(factors)
    assert max(factors) < 0.3


def test_the_averages_decay() -> None:
    assert ema_decay(0) == pytest.approx(0.999 * (1 - math.exp(-5.28)))
    assert ema_decay(10**6) == pytest.approx(0.999)


def test_the_callback_averages_with_that_decay() -> None:
    callback = MovingAverage()
    average = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(1, 1), **callback._kwargs)
    model = torch.nn.Linear(1, 1)
    values = [0.0, 1.0, 5.0]
    for value in values:
        torch.nn.init.constant_(model.weight, value)
        average.update_parameters(model)
    expected = 0.0
    for updates, value in enumerate(values[1:], start=1):
        expected += (value - expected) * (1 - ema_decay(updates))
    assert float(average.module.weight) == pytest.approx(expected, rel=1e-5)


@given(
    st.integers(1, 40), st.integers(1, 4), st.integers(0, 5), st.integers(0, 3), st.integers(0, 40)
)
def test_a_resumed_order_continues_the_one_left_alone(
    length: int, world_size: int, seed: int, epoch: int, start: int
) -> None:
    def sampler(rank: int) -> ResumableSampler:
        return ResumableSampler(length, shuffle=True, seed=seed, rank=rank, world_size=world_size)

    orders = []
    for rank in range(world_size):
        whole = sampler(rank)
        whole.set_epoch(epoch)
        order = list(whole)
        resumed = sampler(rank)
        resumed.resume(epoch, start)
        assert list(resumed) == order[start:]
        assert len(resumed) == len(order)
        assert list(resumed) == order
        orders.append(order)
    assert {index for order in orders for index in order} == set(range(length))


def test_epochs_differ_and_the_data_set_is_told() -> None:
    told: list[int] = []
    sampler = ResumableSampler(50, shuffle=True, on_epoch=told.append)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert told == [1]
    with pytest.raises(ValueError, match="length must be positive, got 0"):
        ResumableSampler(0, shuffle=False)
