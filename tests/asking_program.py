"""A program on a terminal of its own: it shows updates and asks what they ask.

    python -m tests.asking_program TERMINAL

Standard input has an update a line, as JSON. Standard output gets what the program would ask of a
hub, as a line of JSON each. `{"say": …}` in the place of an update is a note, and `{"refuse": …}`
lets the next request fail.
"""

import fcntl
import json
import os
import signal
import sys
import termios
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from claudehub.client.answer import Answer
from claudehub.client.errors import RequestRefused
from claudehub.client.reading import update_of
from claudehub.client.updates import PermissionRequest, Update
from claudehub.show.keyboard import keyboard_of
from claudehub.show.live import LiveRun, Requests
from claudehub.show.notes import Note
from claudehub.show.screen import screen_of
from claudehub.show.transcript import Transcript


class Hub:
    """Write down each request, and refuse those that shall fail."""

    def __init__(self) -> None:
        self.refusals: list[Any] = []

    def asked(self, what: str, **fields: Any) -> None:
        print(json.dumps({"asked": what, **fields}), flush=True)
        if self.refusals:
            raise RequestRefused(*self.refusals.pop(0))


def main(terminal_path: str) -> int:
    # A suite that runs in the background, or under nohup, hands on that it ignores these.
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    fd = os.open(terminal_path, os.O_RDWR)
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)  # Ctrl-C comes from the terminal of the session
    terminal = open(fd, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - to the end
    screen, hub = screen_of(terminal, {"TERM": "xterm", "NO_COLOR": "1"}), Hub()

    def answer(request: PermissionRequest, said: Answer) -> None:
        hub.asked("answer", permission_id=request.permission_id, **asdict(said))

    def updates() -> Iterator[Update]:
        for line in sys.stdin:
            match json.loads(line):
                case {"say": text}:
                    live.say(Note(text))
                case {"refuse": refusal}:
                    hub.refusals.append(refusal)
                case raw:
                    yield update_of(raw, None)

    requests = Requests(
        answer=answer,
        interrupt=lambda: hub.asked("interrupt"),
        kill=lambda: hub.asked("kill"),
    )
    transcript = Transcript(screen, with_questions=False)
    live = LiveRun(transcript.show, screen, keyboard_of(fd), requests)
    try:
        live.run(updates())
    except KeyboardInterrupt:
        return 130
    finally:
        transcript.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
