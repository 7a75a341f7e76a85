#!/usr/bin/env python3
"""Index recordings of one's own robot for training (see docs/bring_your_own_data.md)."""

import sys

from gfocc_core.data.recording_cli import main

if __name__ == "__main__":
    sys.exit(main())
