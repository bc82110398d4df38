"""Run the hub without the garbage collector, and note what is freed all the same.

    uncollected_server.py FILE serve …

A line of the file names the class of an object that has gone.
"""

import gc
import os
import sys
import weakref
from pathlib import Path
from typing import Any


def watch(kind: type[Any], notes: int) -> None:
    """Note the end of each object of a class."""
    original = kind.__init__

    def begin(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        weakref.finalize(self, os.write, notes, f"{kind.__name__}\n".encode()).atexit = False

    kind.__init__ = begin


def main() -> None:
    from actors.client.actor import Client
    from actors.executor.output import OutputReader
    from actors.executor.process import AgentProcess
    from actors.frontend.connection import Connection
    from actors.frontend.wire import HubProtocol

    notes = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for kind in (Client, Connection, HubProtocol, AgentProcess, OutputReader):
        watch(kind, notes)
    gc.disable()
    from claudehub.__main__ import main as run

    run()


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    main()
