"""Run the command line: for `python -m claudehub`, and for bin/claudehub, which runs this file."""

import sys
from pathlib import Path

if not __package__:
    # When Python runs this file by its path, sys.path begins with this folder, which holds no
    # packages.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from claudehub.cli.main import main

if __name__ == "__main__":
    main(prog_name="claudehub")
