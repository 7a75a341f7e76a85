"""One process per GPU of this machine, each with its part of the shard."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

import torch

from gfocc_core.labelling.protocols import LabellingError
from gfocc_core.labelling.share import Shard


def run_per_device(
    command: Sequence[str], shard: Shard, environments: Sequence[Mapping[str, str]]
) -> int:
    """Run a command once per environment and wait for all.

    Each gets `--shard` with a part of the shard. A process that fails does not stop the others;
    SIGINT and SIGTERM end all of them, raising KeyboardInterrupt here.

    Returns:
        The highest exit code of all; 1 for a process that a signal killed.
    """
    processes: list[subprocess.Popen[bytes]] = []
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        for part, environment in zip(shard.split(len(environments)), environments, strict=True):
            processes.append(
                subprocess.Popen(
                    [*command, "--shard", str(part)],
                    env={**os.environ, **environment},
                    start_new_session=True,  # or Ctrl-C would reach it twice
                )
            )
        codes = [process.wait() for process in processes]
    except BaseException:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in processes:
            process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    return max(code if code >= 0 else 1 for code in codes)


def gpu_environments(environment: Mapping[str, str], devices: int) -> list[dict[str, str]]:
    """What to set so that each process sees one GPU; GPUs hidden from this one stay hidden.

    Raises LabellingError where fewer GPUs are visible than asked for.
    """
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        names = [str(number) for number in range(torch.cuda.device_count())]
    else:
        names = [name for name in given.split(",") if name]
    if len(names) < devices:
        raise LabellingError(f"devices is {devices}, but {len(names)} GPUs are visible")
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names[:devices]]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
