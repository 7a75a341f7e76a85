"""Options of networks arrive as text; these turn them into numbers and name what is wrong."""

from __future__ import annotations

from collections.abc import Iterable

from gfocc_core.labelling.protocols import LabellingError


def positive_integer(option: str, text: str) -> int:
    """1 or more; LabellingError names the option."""
    if not text.isdecimal() or int(text) < 1:
        raise LabellingError(f"{option} must be a positive whole number, got '{text}'")
    return int(text)


def share(option: str, text: str) -> float:
    """0 to 1; LabellingError names the option."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise LabellingError(f"{option} must be a number in 0 to 1, got '{text}'")
    return number


def one_of(option: str, text: str, known: Iterable[str]) -> str:
    """One of the known words; LabellingError lists them."""
    words = tuple(known)
    if text not in words:
        raise LabellingError(f"{option} must be one of {', '.join(words)}, got '{text}'")
    return text
