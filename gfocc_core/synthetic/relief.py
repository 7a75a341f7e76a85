"""Hills, and motions that follow them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gfocc_core.synthetic.curves import unit
from gfocc_core.synthetic.parts import Array
from gfocc_core.synthetic.world import Ground, Trajectory

_WAVES = 6
_WHEELBASE = 1.4
"""Half the distance over which a slope is felt, metres."""


def make_heights(
    rng: np.random.Generator,
    lower: tuple[float, float],
    shape: tuple[int, int],
    spacing: float,
    steepest: float,
) -> npt.NDArray[np.float32]:
    """Heights float32 [rows, columns], `spacing` metres apart, nowhere steeper than `steepest`.

    A sum of plane waves 90 to 450 m long, each with its share of the slope.
    """
    length = np.exp(rng.uniform(np.log(90), np.log(450), _WAVES))
    wave = unit(rng.uniform(-np.pi, np.pi, _WAVES)) * (2 * np.pi / length)[:, None]
    share = rng.dirichlet(np.ones(_WAVES)) * steepest * length / (2 * np.pi)
    phase = rng.uniform(0, 2 * np.pi, _WAVES)
    x = lower[0] + np.arange(shape[1]) * spacing
    y = lower[1] + np.arange(shape[0]) * spacing
    heights = np.zeros(shape)
    for (kx, ky), amplitude, start in zip(wave, share, phase, strict=True):
        heights += amplitude * np.sin(kx * x[None] + ky * y[:, None] + start)
    return heights.astype(np.float32)


def lie(ground: Ground, xy: Array, yaw: Array) -> tuple[Array, Array]:
    """Positions [..., 3] and angles [..., 3] of things on the ground at points with headings."""
    ahead, left = unit(yaw) * _WHEELBASE, unit(yaw + np.pi / 2) * _WHEELBASE
    rise = (ground.height_at(xy + ahead) - ground.height_at(xy - ahead)) / (2 * _WHEELBASE)
    bank = (ground.height_at(xy + left) - ground.height_at(xy - left)) / (2 * _WHEELBASE)
    positions = np.concatenate([xy, ground.height_at(xy)[..., None]], -1)
    return positions, np.stack([yaw, -np.arctan(rise), np.arctan(bank)], -1)


def drive_over(ground: Ground, times: Array, xy: Array, yaw: Array) -> Trajectory:
    """The motion along points [K, 2] with headings [K], on the ground and tilted as it is."""
    positions, angles = lie(ground, xy, np.unwrap(yaw))
    return Trajectory(times, positions, angles)


def set_down(ground: Ground, xy: Array, yaw: float, upright: bool = False) -> Trajectory:
    """A thing standing on the ground at a point [2], upright or tilted as the ground is."""
    positions, angles = lie(ground, np.asarray(xy, np.float64), np.asarray(float(yaw)))
    return Trajectory.fixed(positions, (yaw, 0.0, 0.0) if upright else angles)
