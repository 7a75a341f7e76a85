"""The demo's one error; `demo` turns it into a line and an exit code."""

from __future__ import annotations


class DemoError(RuntimeError):
    """The demo cannot go on; says at which step and why."""
