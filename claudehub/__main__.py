"""Run the command line: for `python -m claudehub`, and for bin/claudehub, which runs this file."""

import signal
import sys
from pathlib import Path

if not __package__:
    # When Python runs this file by its path, sys.path begins with this folder, which holds no
    # packages.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)


def main() -> None:
    """Run the command line. A Ctrl-C during the imports ends the program without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # as shells start background jobs
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from claudehub.cli.main import main as run

    signal.signal(signal.SIGINT, before)
    run(prog_name="claudehub")


if __name__ == "__main__":
    main()
