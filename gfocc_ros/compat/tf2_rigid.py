"""Rigid motions as seven Python floats, for the tf stand-in only.

A tree of a few links costs microseconds this way, where torch would spend its time on
dispatching; everything outside the stand-in uses `gfocc_core.geometry`.
"""

from __future__ import annotations

import math

Rigid = tuple[float, float, float, float, float, float, float]
"""x, y, z (m), then a unit quaternion in ROS order x, y, z, w: `parent_from_child`."""

IDENTITY: Rigid = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)

_SAME_DIRECTION = 1e-9
"""Half angle (rad) below which slerp's sines say no more than a straight line does."""


def compose(a_from_b: Rigid, b_from_c: Rigid) -> Rigid:
    """`a_from_c`."""
    ax, ay, az, ai, aj, ak, aw = a_from_b
    bx, by, bz, bi, bj, bk, bw = b_from_c
    x, y, z = _rotate(ai, aj, ak, aw, bx, by, bz)
    return (
        ax + x,
        ay + y,
        az + z,
        aw * bi + ai * bw + aj * bk - ak * bj,
        aw * bj - ai * bk + aj * bw + ak * bi,
        aw * bk + ai * bj - aj * bi + ak * bw,
        aw * bw - ai * bi - aj * bj - ak * bk,
    )


def inverse(a_from_b: Rigid) -> Rigid:
    """`b_from_a`."""
    x, y, z, i, j, k, w = a_from_b
    x, y, z = _rotate(-i, -j, -k, w, -x, -y, -z)
    return (x, y, z, -i, -j, -k, w)


def interpolate(first: Rigid, second: Rigid, ratio: float) -> Rigid:
    """Between two motions: straight in translation, slerp the shorter way round in rotation."""
    p, q = first[3:], second[3:]
    if sum(a * b for a, b in zip(p, q, strict=True)) < 0:
        q = (-q[0], -q[1], -q[2], -q[3])
    apart = math.dist(p, q)
    together = math.hypot(*(a + b for a, b in zip(p, q, strict=True)))
    angle = 2 * math.atan2(apart, together)
    if angle < _SAME_DIRECTION:
        keep, take = 1 - ratio, ratio
    else:
        keep = math.sin((1 - ratio) * angle) / math.sin(angle)
        take = math.sin(ratio * angle) / math.sin(angle)
    x, y, z = (a + (b - a) * ratio for a, b in zip(first[:3], second[:3], strict=True))
    i, j, k, w = (keep * a + take * b for a, b in zip(p, q, strict=True))
    return normalized((x, y, z, i, j, k, w))


def normalized(motion: Rigid) -> Rigid:
    """The same motion with a quaternion of length 1."""
    x, y, z, i, j, k, w = motion
    length = math.sqrt(i * i + j * j + k * k + w * w)
    return (x, y, z, i / length, j / length, k / length, w / length)


def _rotate(
    i: float, j: float, k: float, w: float, x: float, y: float, z: float
) -> tuple[float, float, float]:
    """The vector x, y, z turned by the unit quaternion i, j, k, w."""
    u = 2 * (j * z - k * y)
    v = 2 * (k * x - i * z)
    t = 2 * (i * y - j * x)
    return (
        x + w * u + j * t - k * v,
        y + w * v + k * u - i * t,
        z + w * t + i * v - j * u,
    )
