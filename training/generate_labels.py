#!/usr/bin/env python3
"""Make, import, inspect and verify weak labels: python training/generate_labels.py --help"""

import sys
from pathlib import Path

from gfocc_core.labelling.cli import main

if __name__ == "__main__":
    sys.exit(main(script=Path(__file__)))
