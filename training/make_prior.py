#!/usr/bin/env python3
"""Count the voxel prior, the baseline of evaluate.py: python training/make_prior.py --help"""

import sys

from gfocc_core.training.prior_cli import main

if __name__ == "__main__":
    sys.exit(main())
