"""A progress bar over the keyframes of some scenes, for commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from gfocc_core.data.scenes import keyframe_tokens

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes


@contextmanager
def keyframe_progress(
    nusc: NuScenes, scenes: Sequence[str], doing: str
) -> Iterator[Callable[[], None]]:
    """Show a bar while on a terminal; yields what to call after each keyframe.

    Raises:
        DatasetError: an unknown scene.
    """
    total = sum(len(keyframe_tokens(nusc, scene)) for scene in scenes)
    columns = (doing, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
