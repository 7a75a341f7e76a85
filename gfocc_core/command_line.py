"""How every command of this project ends on bad input: one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

BAD_INPUT = 2
"""Exit code of a command whose input cannot be used."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class OneLineParser(argparse.ArgumentParser):
    """Reports a bad argument in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        sys.exit(report_bad_input(self.prog.split()[0], message))


def report_bad_input(command: str, message: object) -> int:
    """Print `command: error: message` in one line on stderr; returns BAD_INPUT."""
    line = " ".join(str(message).split())
    print(f"{command}: error: {line}", file=sys.stderr)
    return BAD_INPUT
