"""What the two bag commands share: bad input ends in one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

BAD_INPUT = 2
"""Exit code of a command whose input cannot be used."""


class BagError(ValueError):
    """A bag is missing, damaged, in the way, or holds nothing that can be used."""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that reports a bad argument in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        sys.exit(report_bad_input(self.prog, message))


def report_bad_input(command: str, message: object) -> int:
    """Print one line on stderr and return the exit code to end with."""
    line = " ".join(str(message).split())
    print(f"{command}: error: {line}", file=sys.stderr)
    return BAD_INPUT
