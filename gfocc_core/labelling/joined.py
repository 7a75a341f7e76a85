"""Semantics of one place and depth of another as one reader, so that a store can hold both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gfocc_core.data.weak_labels import LabelReader, LabelStoreError, StoreHeader, WeakLabels


class JoinedLabels:
    """A LabelReader of keyframes that have all kinds."""

    def __init__(self, parts: Mapping[str, LabelReader]) -> None:
        """Args: parts: kind -> a reader that has it; one or both kinds.

        Raises LabelStoreError where a part lacks its kind, or the rasters differ.
        """
        first = next(iter(parts.values())).header
        for kind, part in parts.items():
            if kind not in part.header.models:
                raise LabelStoreError(
                    f"there is no {kind} in labels of {', '.join(part.header.models)}"
                )
            if part.header.geometry != first.geometry:
                raise LabelStoreError(
                    f"{kind} has another raster or other cameras: {part.header.geometry}, "
                    f"not {first.geometry}"
                )
        self._parts = dict(parts)
        self._header = replace(
            parts["semantics"].header if "semantics" in parts else first,
            models={kind: part.header.models[kind] for kind, part in parts.items()},
        )

    @property
    def header(self) -> StoreHeader:
        """The parts' models, and the vocabulary of the semantics."""
        return self._header

    def tokens(self) -> tuple[str, ...]:
        """Keyframes that have all kinds, sorted."""
        return tuple(sorted(set.intersection(*(set(p.tokens()) for p in self._parts.values()))))

    def has(self, token: str) -> bool:
        """Whether a keyframe has all kinds."""
        return all(part.has(token) for part in self._parts.values())

    def read(self, token: str, out: WeakLabels | None = None) -> WeakLabels:
        """The labels of a keyframe; see LabelReader."""
        labels = WeakLabels.empty(self._header.geometry) if out is None else out
        for kind in ("semantics", "depth"):
            target = getattr(labels, kind)
            if kind in self._parts:
                target[:] = getattr(self._parts[kind].read(token), kind)
            else:
                target[:] = 0
        return labels
