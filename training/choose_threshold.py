#!/usr/bin/env python3
"""Set a checkpoint's density threshold by its scores: python training/choose_threshold.py --help"""

import sys

from gfocc_core.training.threshold_cli import main

if __name__ == "__main__":
    sys.exit(main())
