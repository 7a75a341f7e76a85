"""Progress bars of the converter on a terminal; silent where stderr is none."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as RemainingColumn

from gfocc_ros.bags import batch


class _Bars:
    """Bars that are drawn when told to, without a thread: a batch forks processes meanwhile."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            RemainingColumn(),
            console=console,
            transient=True,
            auto_refresh=False,
            disable=not console.is_terminal,
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()


class SceneProgress(_Bars):
    """A bar of one scene's sensor files."""

    def __init__(self, scene: str) -> None:
        super().__init__()
        self._task = self._bars.add_task(f"{scene}: files", total=None)
        self._percent = -1

    def __enter__(self) -> SceneProgress:
        self._bars.start()
        return self

    def update(self, done: int, total: int) -> None:
        self._bars.update(self._task, completed=done, total=total)
        percent = 100 * done // max(total, 1)
        if percent != self._percent:
            self._percent = percent
            self._bars.refresh()


class BatchProgress(_Bars):
    """A bar of all scenes and one of each scene that is being converted."""

    def __init__(self, num_scenes: int) -> None:
        super().__init__()
        self._all = self._bars.add_task("scenes", total=num_scenes)
        self._of_scene: dict[str, TaskID] = {}

    def __enter__(self) -> BatchProgress:
        self._bars.start()
        return self

    def update(self, scene: str, news: batch.News | None) -> None:
        if scene not in self._of_scene:
            self._of_scene[scene] = self._bars.add_task(f"{scene}: files", total=None)
        task = self._of_scene[scene]
        if isinstance(news, batch.Progress):
            self._bars.update(task, completed=news.done, total=news.total)
        elif news is not None:
            self._bars.remove_task(task)
            self._bars.advance(self._all)
        self._bars.refresh()
