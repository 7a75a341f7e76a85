"""Whether Triton kernels can run on a device; asked by everything that has some.

Imports no Triton, which a CPU machine may lack.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os

import torch

_log = logging.getLogger(__name__)

MIN_CAPABILITY = (7, 0)
"""Oldest GPUs that Triton compiles for (Volta)."""


@functools.cache
def triton_unusable(device: torch.device) -> str | None:
    """Why the Triton kernels cannot run on a device, or None if they can; says so once in the log.

    With TRITON_INTERPRET=1 they run on the CPU too, for tests.
    """
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if device.type != "cuda" and not interpreted:
        return f"it runs on a CUDA device, the Gaussians are on '{device}'"
    problem = None
    if importlib.util.find_spec("triton") is None:
        problem = "package triton is not installed"
    elif device.type == "cuda" and torch.cuda.get_device_capability(device) < MIN_CAPABILITY:
        have = ".".join(map(str, torch.cuda.get_device_capability(device)))
        need = ".".join(map(str, MIN_CAPABILITY))
        problem = f"{torch.cuda.get_device_name(device)} has compute capability {have}, need {need}"
    if problem:
        _log.warning("the slow reference kernels run on '%s': %s", device, problem)
    return problem
