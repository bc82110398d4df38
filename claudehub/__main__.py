"""Run the command line: for `python -m claudehub`, and for bin/claudehub, which runs this file."""

import os
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
    is_server = sys.argv[1:2] == ["serve"]
    if is_server:
        _stop_at_once()
    elif before is not signal.SIG_IGN:  # as shells start background jobs
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from claudehub.cli.main import main as run

    if not is_server:
        signal.signal(signal.SIGINT, before)
    _open_closed_streams()
    run(prog_name="claudehub")


def _stop_at_once() -> None:
    """End a server that is asked to stop before it has begun anything: exit code 0, as at any stop.
    It takes the signals itself later (actors/server/stop_request.py)."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(0))


def _open_closed_streams() -> None:
    """Let nothing stand in the place of a stream that the caller has closed (`>&-`): Python has
    None there, and the next file that is opened would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it stays


if __name__ == "__main__":
    main()
