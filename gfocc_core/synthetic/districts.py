"""Kinds of neighbourhood: what their streets look like and what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Range = tuple[float, float]


@dataclass(frozen=True)
class District:
    """Chances lie in [0, 1], widths and heights are metres, weights need no particular sum."""

    name: str
    speed: Range
    """Cruising speed of a scene, m/s."""
    wide: float
    """Chance that a main road has two lanes per direction."""
    one_way: float
    median: float
    parking: float
    verge: float
    sidewalk: Range
    no_sidewalk: float
    block: Range
    """Distance of crossing streets."""
    setback: Range
    """From the sidewalk's back to the buildings."""
    frontage: Range
    """Width of a plot along its street."""
    heights: Range
    """Of buildings."""
    trees: float
    """Chance of a street with trees along its curbs."""
    plots: Mapping[str, float] = field(repr=False)
    """What a plot beside a road becomes: weights of `plots.USES`."""


def _plots(**weights: float) -> Mapping[str, float]:
    return MappingProxyType(weights)


DISTRICTS: tuple[District, ...] = (
    District(
        *("downtown", (4.0, 9.0), 0.55, 0.35, 0.3, 0.55, 0.15, (2.2, 4.0), 0.0),
        *((55.0, 90.0), (0.0, 1.5), (12.0, 26.0), (9.0, 25.0), 0.6),
        _plots(tower=6, house=0.3, lot=0.9, plaza=1.3, yard=0.3, park=0.6, site=0.5, open=0.2),
    ),
    District(
        *("residential", (3.0, 8.0), 0.1, 0.2, 0.05, 0.7, 0.35, (1.5, 2.6), 0.05),
        *((60.0, 100.0), (2.0, 6.0), (11.0, 20.0), (5.0, 10.0), 0.7),
        _plots(tower=0.5, house=6, lot=0.5, plaza=0.3, yard=0.2, park=1.0, site=0.4, open=0.5),
    ),
    District(
        *("industrial", (5.0, 12.0), 0.3, 0.1, 0.2, 0.3, 0.3, (1.5, 2.5), 0.3),
        *((80.0, 130.0), (3.0, 9.0), (20.0, 38.0), (6.0, 13.0), 0.3),
        _plots(tower=0.6, house=0.3, lot=1.8, plaza=0.4, yard=5, park=0.5, site=1.0, open=1.2),
    ),
    District(
        *("suburban", (6.0, 13.0), 0.35, 0.05, 0.4, 0.35, 0.6, (1.5, 3.0), 0.15),
        *((80.0, 130.0), (4.0, 12.0), (15.0, 30.0), (5.0, 14.0), 0.75),
        _plots(tower=1.0, house=2.5, lot=1.1, plaza=0.5, yard=0.6, park=2.2, site=0.5, open=1.8),
    ),
)
