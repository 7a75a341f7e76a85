"""Triton kernels in its interpreter, which must be asked for before Triton is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

_RUN_ALL = """
import importlib, json, sys, traceback
module, problems = importlib.import_module(sys.argv[1]), {}
for code in json.loads(sys.argv[2]):
    try:
        exec(code, dict(vars(module)))
    except Exception:
        problems[code] = traceback.format_exc()[-2000:]
    else:
        problems[code] = None
json.dump(problems, open(sys.argv[3], "w"))
"""


def problems_when_interpreted(
    module: str, calls: Iterable[str], folder: Path
) -> dict[str, str | None]:
    """What went wrong in each of some calls, all made by one process that interprets kernels.

    Args:
        module: whose names the calls see.
        folder: for the process's answer.
    """
    pytest.importorskip("triton")
    answer = folder / "problems.json"
    done = subprocess.run(
        [sys.executable, "-c", _RUN_ALL, module, json.dumps(list(calls)), str(answer)],
        env={
            **os.environ,
            "TRITON_INTERPRET": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    problems: dict[str, str | None] = json.loads(answer.read_text())
    return problems
