"""An execution on a terminal while it runs: its updates, its questions, and Ctrl-C.

The main thread owns the terminal. It waits for the keyboard and for an inbox at once. One thread
puts updates into the inbox, another makes the requests that answer and end: nothing that waits for
the hub holds up the terminal.
"""

import os
import selectors
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from types import FrameType
from typing import Any

from claudehub.client.answer import Answer
from claudehub.client.errors import HubError, RequestRefused
from claudehub.client.updates import PermissionRequest, Update
from claudehub.show.asking import Asking
from claudehub.show.inbox import Inbox
from claudehub.show.keyboard import Keyboard
from claudehub.show.notes import Note
from claudehub.show.screen import Screen, Style

_NOTHING_RUNNING = "nothing_running"
# Whatever ends this process, the terminal gets back the modes that a question has changed.
_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True, slots=True)
class Requests:
    """What the terminal asks of the hub. Each may wait, and may raise HubError."""

    answer: Callable[[PermissionRequest, Answer], object]
    interrupt: Callable[[], object]
    kill: Callable[[], object]


@dataclass(frozen=True, slots=True)
class _Over:
    """The updates have ended."""

    error: BaseException | None


@dataclass(frozen=True, slots=True)
class _Failed:
    """A request has failed; `then` tells the user."""

    error: HubError
    then: Callable[[HubError], None]


_Event = Update | Note | _Over | _Failed


class LiveRun:
    """Show updates as they come, let the user answer, and let Ctrl-C interrupt, then kill.

    `show` gets each update: a transcript's, or what prints JSON. Questions go to `screen`, and
    without a keyboard they are only shown.
    """

    def __init__(
        self,
        show: Callable[[Update], None],
        screen: Screen,
        keyboard: Keyboard | None,
        requests: Requests,
    ) -> None:
        self._show = show
        self._screen = screen
        self._keyboard = keyboard
        self._requests = requests
        self._inbox: Inbox[_Event] = Inbox()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._asking = Asking(screen, keyboard, self._answer)
        self._signals: list[int] = []
        self._interrupts = 0
        self._over: _Over | None = None

    def say(self, note: Note) -> None:
        """Show a line, such as that the connection is lost. Any thread may call it."""
        self._inbox.tell(note)

    def run(self, updates: Iterable[Update]) -> None:
        """Return when the updates have ended. Raises what they raise, KeyboardInterrupt at the
        third Ctrl-C, and SystemExit at SIGTERM, SIGHUP and SIGQUIT."""
        threads = [
            threading.Thread(target=self._pump, args=(updates,), daemon=True, name="updates"),
            threading.Thread(target=self._work, daemon=True, name="requests"),
        ]
        try:
            with self._handlers(), selectors.SelectSelector() as selector:
                for thread in threads:
                    thread.start()
                selector.register(self._inbox, selectors.EVENT_READ)
                while self._over is None:
                    self._turn(selector)
        finally:
            self._asking.close()
            self._inbox.close()
            self._jobs.put(None)
        for thread in threads:
            thread.join()
        if self._over.error is not None:
            raise self._over.error

    # -- the main thread ------------------------------------------------------------------------

    def _turn(self, selector: selectors.BaseSelector) -> None:
        """Wait for something, and do it. Updates come first: a question may have been answered."""
        watched = self._keyboard if self._asking.is_asking else None
        if watched is not None:
            selector.register(watched, selectors.EVENT_READ)
        try:
            ready = {key.fileobj for key, _ in selector.select()}
        finally:
            if watched is not None:
                selector.unregister(watched)
        # The inbox is emptied first: a signal that comes later wakes the next turn.
        events = self._inbox.take()
        while self._signals:
            self._signalled(self._signals.pop(0))
        for event in events:
            self._take(event)
        if watched in ready and self._asking.is_asking:
            self._asking.typed()

    def _take(self, event: _Event) -> None:
        match event:
            case Update():
                self._show(event)
                self._asking.take(event)
            case Note():
                self._line(event.text, Style.YELLOW if event.is_warning else Style.DIM)
            case _Failed():
                event.then(event.error)
            case _Over():
                self._over = event

    def _line(self, text: str, style: Style = Style.YELLOW) -> None:
        self._screen.line((style, f"· {text}"))
        self._screen.redraw()

    def _answer(self, request: PermissionRequest, answer: Answer) -> None:
        self._ask_hub(
            lambda: self._requests.answer(request, answer),
            lambda error: self._asking.not_sent(request, error),
        )

    # -- signals --------------------------------------------------------------------------------

    @contextmanager
    def _handlers(self) -> Iterator[None]:
        """Let signals wake the loop. One that is ignored, as in a shell's background, stays so."""
        before: dict[int, Any] = {}
        # The interpreter wakes the selector by itself, since a signal just before the wait would
        # not end it: its handler runs later.
        wakes = signal.set_wakeup_fd(self._inbox.wake_fd, warn_on_full_buffer=False)
        for number in (signal.SIGINT, *_ENDS, signal.SIGTSTP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakes)
            for changed, handler in before.items():
                signal.signal(changed, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _signalled(self, number: int) -> None:
        if number in _ENDS:
            raise SystemExit(128 + number)
        if number == signal.SIGTSTP:
            self._asking.suspend()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._asking.resume()
            return
        self._interrupts += 1
        if self._interrupts == 1:
            self._line("interrupting the execution; Ctrl-C again kills it")
            self._ask_hub(self._requests.interrupt, self._not_interrupted)
        elif self._interrupts == 2:
            self._line("killing the execution; Ctrl-C again leaves it alone")
            self._ask_hub(self._requests.kill, self._not_ended)
        else:
            raise KeyboardInterrupt

    def _not_interrupted(self, error: HubError) -> None:
        """A prompt that waits in the queue cannot be interrupted; killing takes it out of there."""
        if isinstance(error, RequestRefused) and error.code == _NOTHING_RUNNING:
            self._ask_hub(self._requests.kill, self._not_ended)
        else:
            self._not_ended(error)

    def _not_ended(self, error: HubError) -> None:
        """One that has just ended is no error: its end is on the way."""
        if not isinstance(error, RequestRefused) or error.code != _NOTHING_RUNNING:
            self._line(f"the execution was not ended: {error}", Style.RED)

    # -- other threads --------------------------------------------------------------------------

    def _pump(self, updates: Iterable[Update]) -> None:
        try:
            for update in updates:
                if not self._inbox.put(update):
                    return
        except BaseException as error:  # noqa: BLE001 - the main thread raises it again
            self._inbox.put(_Over(error))
        else:
            self._inbox.put(_Over(None))

    def _ask_hub(self, request: Callable[[], object], then: Callable[[HubError], None]) -> None:
        def job() -> None:
            try:
                request()
            except HubError as error:
                self._inbox.tell(_Failed(error, then))

        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
