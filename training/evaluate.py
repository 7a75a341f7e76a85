#!/usr/bin/env python3
"""Score a checkpoint or saved predictions: python training/evaluate.py --help"""

import sys

from gfocc_core.training.evaluate_cli import main

if __name__ == "__main__":
    sys.exit(main())
