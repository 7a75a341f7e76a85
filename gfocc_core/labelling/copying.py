"""Bring the labels of any reader into a store, as far as the store lacks them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from gfocc_core.data.label_store import LabelStore
from gfocc_core.data.weak_labels import LabelReader, LabelStoreError
from gfocc_core.labelling.engine import RunReport, object_size, stopped_by_disk
from gfocc_core.labelling.progress import Progress


def copy_labels(
    source: LabelReader,
    store: LabelStore,
    tokens: Sequence[str],
    *,
    threads: int = 4,
) -> RunReport:
    """Copy keyframes; those whose source is damaged are left out and reported.

    Raises:
        LabellingError: a full disk or another failure to write; what was written stays.
    """
    there = set(store.tokens())
    missing = [token for token in tokens if token not in there]
    report = RunReport(already_there=len(tokens) - len(missing))
    progress = Progress(len(tokens), report.already_there, "import")

    def copy(token: str) -> int:
        if not store.has(token):
            store.write(token, source.read(token))
        return object_size(store, token)

    pending: deque[tuple[str, Future[int]]] = deque()

    def collect() -> None:
        token, future = pending.popleft()
        try:
            size = future.result()
        except LabelStoreError as error:
            report.failures.append((token, str(error)))
            progress.add(0)
        except OSError as error:
            raise stopped_by_disk(store, report, error) from error
        else:
            report.written += 1
            report.bytes += size
            progress.add(size)

    with ThreadPoolExecutor(threads, "import") as pool:
        try:
            for token in missing:
                pending.append((token, pool.submit(copy, token)))
                if len(pending) >= 2 * threads:
                    collect()
            while pending:
                collect()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            progress.finish()
    return report
