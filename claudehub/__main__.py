"""`python -m claudehub`, and the file that bin/claudehub runs."""

import sys
from pathlib import Path

if not __package__:
    # Run by its path: then the folder of this file stands first, and it holds no packages.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from claudehub.cli.main import main

if __name__ == "__main__":
    main(prog_name="claudehub")
