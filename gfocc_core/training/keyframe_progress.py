"""A progress bar over the keyframes of some scenes, for commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from gfocc_core.training.keyframe_source import KeyframeDataset, keyframe_source


@contextmanager
def keyframe_progress(
    dataset: KeyframeDataset, scenes: Sequence[str], doing: str
) -> Iterator[Callable[[], None]]:
    """Show a bar while on a terminal; yields what to call after each keyframe.

    Raises:
        DatasetError: an unknown scene.
    """
    source = keyframe_source(dataset)
    total = sum(len(source.tokens(scene)) for scene in scenes)
    columns = (doing, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
