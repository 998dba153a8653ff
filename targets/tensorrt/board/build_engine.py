#!/usr/bin/env python3
"""Builds, verifies and times this folder's TensorRT engine on the board: `python3 build_engine.py --help`."""

import sys

from onboard.main import main  # type: ignore[import-not-found]  # the folder beside this file, in the artefact

if __name__ == "__main__":
    sys.exit(main())
