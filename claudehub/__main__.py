"""Run the command line: for `python -m claudehub`, and for bin/claudehub, which runs this file.

What is imported here, is imported before a server has its signals: little, and what Python has
loaded anyway.
"""

import os
import signal
import sys

if not __package__:
    # When Python runs this file by its path, sys.path begins with this folder, which holds no
    # packages.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SERVER_SIGNALS = frozenset((*STOP_SIGNALS, signal.SIGHUP, signal.SIGUSR1))


class ServerSignals:
    """The signals of `claudehub serve` before and after the server takes them itself
    (actors/server/stop_request.py). Python's default for each of them ends the process without a
    word."""

    def __init__(self) -> None:
        self._hung_up = False
        self._is_taken = False

    def hold(self) -> None:
        """From now on a stop signal ends the process, with exit code 0 as at any stop: nothing has
        begun. A SIGHUP is kept for the server."""
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)
        signal.signal(signal.SIGUSR1, lambda *_: None)  # there is nothing to show
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SERVER_SIGNALS)

    def hand_over(self) -> bool:
        """Return True if SIGHUP came. The server has the signals now, and behind it stop signals do
        nothing, until `ends`: its last lines are being written."""
        self._is_taken = True
        return self._hung_up

    def ends(self, code: int) -> None:
        """The process is about to end with this exit code. Python itself would go back to the
        defaults before its end."""
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: os._exit(code))
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)

    def _stop(self, *_: object) -> None:
        if not self._is_taken:
            os._exit(0)

    def _hang_up(self, *_: object) -> None:
        self._hung_up = True


def begin_again() -> None:
    """Begin this process once more, with the memory settings that only a start can have
    (actors/server/memory.py). It keeps its pid, files and arguments; a signal waits, blocked, until
    ServerSignals has it. If it cannot begin again, it goes on as it is.

    Blocked signals say that this is the second start. The environment alone would not be enough: a
    Python that clears it would begin for ever.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SERVER_SIGNALS)
    from actors.server import memory

    wanted = memory.tunables(os.environ)
    memory.forget_tunables(os.environ)
    if wanted is None or before >= SERVER_SIGNALS or sys.argv[0] == "-":
        return
    environment = {**os.environ, memory.VARIABLE: wanted}
    try:
        arguments = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, environment)  # noqa: S606 - itself
    except OSError:
        return


def main() -> None:
    """Run the command line. A Ctrl-C during the imports ends the program without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    server_signals = None
    if sys.argv[1:2] == ["serve"]:
        begin_again()
        server_signals = ServerSignals()
        server_signals.hold()
    elif before is not signal.SIG_IGN:  # as shells start background jobs
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from claudehub.cli.main import main as run

    if server_signals is None:
        signal.signal(signal.SIGINT, before)
    _open_closed_streams()
    run(prog_name="claudehub", obj=server_signals)


def _open_closed_streams() -> None:
    """Let nothing stand in the place of a stream that the caller has closed (`>&-`): Python has
    None there, and the next file that is opened would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it stays


if __name__ == "__main__":
    main()
