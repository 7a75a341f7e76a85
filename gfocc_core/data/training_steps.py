"""Draw which keyframes around the current one a training item renders and compares with labels."""

from __future__ import annotations

import numpy as np


def draw_steps(
    generator: np.random.Generator, position: int, keyframes: range, horizon: int, renders: int
) -> list[int]:
    """Step 0, then renders - 1 others of -horizon to horizon that stay within the keyframes.

    None repeats unless there are too few; then each appears once before any repeats.
    """
    others = [
        other - position
        for other in range(
            max(position - horizon, keyframes[0]), min(position + horizon, keyframes[-1]) + 1
        )
        if other != position
    ] or [0]
    drawn: list[int] = generator.permutation(others)[: renders - 1].tolist()
    again: list[int] = generator.choice(others, renders - 1 - len(drawn)).tolist()
    return [0, *drawn, *again]
