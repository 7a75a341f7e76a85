"""Generate a dataset: claim the folder, make what is missing, then write the tables."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gfocc_core.synthetic.config import SyntheticConfig
from gfocc_core.synthetic.dataset_folder import claimed_folder
from gfocc_core.synthetic.keyframe import create_label_stores, is_finished, record_path
from gfocc_core.synthetic.keyframe_record import read_record
from gfocc_core.synthetic.tables import write_tables
from gfocc_core.synthetic.workers import Chunk, make_keyframes

OnProgress = Callable[[int, int], None]


def generate(config: SyntheticConfig, on_progress: OnProgress = lambda done, total: None) -> Path:
    """Write the dataset, or go on with one that was interrupted; the result is the same.

    Args:
        config: What and where.
        on_progress: Called with the number of finished keyframes and that of all.

    Returns:
        The folder of tables.

    Raises:
        DatasetError: the output folder holds something else, a rig that cannot be used, or a
            worker process that died.
        OSError: from the file system, such as a full disk.
    """
    with claimed_folder(config):
        create_label_stores(config)
        numbers = range(config.frames)
        plans = config.scene_plans()
        chunks = [
            Chunk(plan, tuple(n for n in numbers if not is_finished(config, plan, n)))
            for plan in plans
        ]
        pending = [chunk for chunk in chunks if chunk.numbers]
        total = len(plans) * config.frames
        missing = sum(len(chunk.numbers) for chunk in pending)
        on_progress(total - missing, total)
        if pending:
            make_keyframes(
                config,
                pending,
                min(config.processes or len(os.sched_getaffinity(0)), missing),
                lambda made: on_progress(total - missing + made, total),
            )
        records = {
            plan.name: [read_record(record_path(config.out, plan.name, n)) for n in numbers]
            for plan in plans
        }
        return write_tables(config, records)
