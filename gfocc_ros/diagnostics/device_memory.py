"""How much memory the network's device holds; knows no ROS."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_MIB = 2**20
_STATM = Path("/proc/self/statm")


def device_memory_mib(device: torch.device) -> dict[str, float]:
    """Named amounts in MiB: of a GPU what this process and everyone has taken of it; of the CPU
    what this process has in main memory (empty where the system does not tell)."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return {
            "device memory allocated": torch.cuda.memory_allocated(device) / _MIB,
            "device memory reserved": torch.cuda.memory_reserved(device) / _MIB,
            "device memory free": free / _MIB,
            "device memory total": total / _MIB,
        }
    if not _STATM.exists():
        return {}
    resident_pages = int(_STATM.read_text().split()[1])
    return {"process memory": resident_pages * os.sysconf("SC_PAGE_SIZE") / _MIB}
