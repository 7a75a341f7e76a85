#!/usr/bin/env python3
"""Train from weak 2D labels: python training/train.py --config training/configs/paper.yaml"""

import sys

from gfocc_core.training.cli import main

if __name__ == "__main__":
    sys.exit(main())
