"""A fake hub for tests of programs that use this library.

    from claudehub.testing import Ask, FakeHub

    def test_my_bot_denies_rm():
        def agent(prompt):
            yield "I shall clean up."
            answer = yield Ask("Bash", {"command": "rm -rf /"})
            return "Done." if answer.is_allowed else "I may not."

        with FakeHub() as hub:
            hub.script("site", agent)
            my_bot.run(hub.url)
            assert hub.answers[0].decision == "deny"

It is a real WebSocket server on loopback, with threads of its own, and speaks the protocol to the
library. Projects and logs are in memory, no folder is touched, and no agent is started: a script
says what the agent does. docs/client.md has more.
"""

import contextlib
import queue
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from claudehub.fake.core import (
    HEARTBEAT_S,
    MESSAGE_BYTES_MAX,
    FakeCore,
    Fault,
    SentAnswer,
    SentPrompt,
)
from claudehub.fake.project import FakeProject
from claudehub.fake.requests import receive
from claudehub.fake.script import Ask, Decision, Delta, Ending, Hold, Script, Step, Steps

__all__ = [
    "Ask",
    "Decision",
    "Delta",
    "Ending",
    "FakeHub",
    "Hold",
    "Script",
    "SentAnswer",
    "SentPrompt",
    "Step",
    "Steps",
]

HOST = "127.0.0.1"
CLOSE_TIMEOUT_S = 1.0
_SUBPROTOCOL = Subprotocol("claudehub.v1")


class FakeHub:
    """A hub to which `claudehub.connect(hub.url)` connects. All methods may be called from any
    thread, but for those that stop it from a script."""

    def __init__(self) -> None:
        self._core = FakeCore()
        self._lock = threading.RLock()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._connections: set[ServerConnection] = set()
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return the address; it stays the same over `stop` and `start`."""
        return f"ws://{HOST}:{self._port}"

    # -- what the test prepares

    def project(self, project_id: str, path: str | None = None) -> None:
        """Make a project, if it is not there. `path` is a name only: no folder is touched."""
        with self._lock:
            self._found(project_id, path)

    def script(self, project_id: str | None, script: Script) -> None:
        """Set what the agent of a project does with the prompts that begin from now on; with None,
        the agents of all projects that are made from now on.

        `script` gets the text of the prompt. It returns the steps, or is a generator of them: a
        text is said by the agent, a mapping is a line of the CLI as it comes, an Ask waits for the
        answer and gives it to the generator as a Decision, a Hold waits for `release`. The text
        that a generator returns, or else the last one that is said, is the result; an Ending is
        another end. The project is made if it is not there.
        """
        with self._lock:
            if project_id is None:
                self._core.script = script
            else:
                self._found(project_id).script = script

    def say(
        self,
        project_id: str,
        update_type: str,
        data: Mapping[str, Any],
        *,
        execution_id: str | None = None,
        logged: bool = True,
    ) -> None:
        """Send any update to those who have joined, as the hub itself would."""
        with self._lock:
            self._found(project_id).add(update_type, data, execution_id, logged)

    def release(self, project_id: str) -> bool:
        """Let an execution go on behind its Hold. Return False if none holds."""
        with self._lock:
            project = self._found(project_id)
            is_released = project.release()
            project.go_on()
            return is_released

    # -- what the program has done

    @property
    def prompts(self) -> list[SentPrompt]:
        """Return the prompts that were taken, oldest first. A prompt that was sent again counts
        once."""
        with self._lock:
            return list(self._core.prompts)

    @property
    def answers(self) -> list[SentAnswer]:
        """Return the answers that were taken, oldest first."""
        with self._lock:
            return list(self._core.answers)

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        with self._lock:
            return len(self._core.clients)

    def log(self, project_id: str) -> list[dict[str, Any]]:
        """Return the stored updates of a project, oldest first."""
        with self._lock:
            return list(self._found(project_id).log)

    # -- faults

    def drop_connections(self) -> None:
        """Cut all connections, without a word, as a network does."""
        with self._lock:
            for client in list(self._core.clients):
                client.cut()

    def close_connections(self, code: int = 1011, reason: str = "") -> None:
        """Close all connections in order, with a code."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close(code, reason)

    def refuse_next(self, kind: str, code: str, message: str = "no", **details: Any) -> None:
        """Refuse the next request of a kind, such as "execute", with an error."""
        self._add(Fault(kind, code, message, details))

    def lose_request(self, kind: str) -> None:
        """Cut the connection when the next request of a kind arrives; nothing is done."""
        self._add(Fault(kind))

    def lose_reply(self, kind: str) -> None:
        """Do what the next request of a kind asks for, and cut the connection before the reply."""
        self._add(Fault(kind, is_done=True))

    def forget_before(self, project_id: str, first_seq: int) -> None:
        """Shorten a log, as retention does: it begins with `first_seq` then."""
        with self._lock:
            self._found(project_id).forget_before(first_seq)

    def damage(self, project_id: str, first_seq: int, last_seq: int) -> None:
        """Make stored updates unreadable: a `gap` stands in their place."""
        with self._lock:
            self._found(project_id).lose(first_seq, last_seq)

    def begin_another_log(self, project_id: str) -> None:
        """Lose a log: readers get `history_gone` when they join again."""
        with self._lock:
            self._found(project_id).begin_another_log()

    def restart(self, *, crash: bool = False) -> None:
        """Stop, and listen again at the same address. Logs and keys of prompts are kept."""
        self.stop(crash=crash)
        self.start()

    def stop(self, *, crash: bool = False) -> None:
        """End all connections (1001), and listen no more. Running executions end as `killed`, and
        waiting ones as `cancelled`. With `crash` both are `lost`, and the connections are cut."""
        with self._lock:
            if crash:
                self.drop_connections()
            for project in self._core.projects.values():
                project.end_all(*(("lost", "lost") if crash else ("killed", "cancelled")))
            server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown(code=1001, reason="the hub stops")
            self._thread.join()

    def start(self) -> None:
        """Listen, at the same address if it has listened before."""
        server = serve(
            self._converse,
            HOST,
            self._port,
            select_subprotocol=_chosen,
            compression=None,
            max_size=MESSAGE_BYTES_MAX,
            ping_interval=HEARTBEAT_S,
            close_timeout=CLOSE_TIMEOUT_S,
        )
        self._port = server.socket.getsockname()[1]
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, name="fake hub")
        self._thread.start()

    # -- threads

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._core.faults.append(fault)

    def _found(self, project_id: str, path: str | None = None) -> FakeProject:
        found = self._core.projects.get(project_id)
        return found or self._core.make(project_id, path or f"/projects/{project_id}")

    def _converse(self, connection: ServerConnection) -> None:
        """Read from one connection until it ends. Another thread sends, so that a client that does
        not read holds up nobody else."""
        outbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        writer = threading.Thread(
            target=_send_all, args=(connection, outbox), name="fake hub sends"
        )
        with self._lock:
            client = self._core.connect(outbox.put, lambda: _cut(connection))
            self._connections.add(connection)
        writer.start()
        try:
            for text in connection:
                with self._lock:
                    receive(self._core, client, text)
        except ConnectionClosed:
            pass  # cut, which is as good an end as any other
        finally:
            with self._lock:
                self._core.disconnect(client)
                self._connections.discard(connection)
            outbox.put(None)
            writer.join()


def _chosen(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Speak version 1, also to a client that offers nothing."""
    return _SUBPROTOCOL if _SUBPROTOCOL in offered else None


def _send_all(connection: ServerConnection, outbox: "queue.SimpleQueue[str | None]") -> None:
    with contextlib.suppress(ConnectionClosed):
        while (text := outbox.get()) is not None:
            connection.send(text)


def _cut(connection: ServerConnection) -> None:
    with contextlib.suppress(OSError):  # the client was faster
        connection.socket.shutdown(socket.SHUT_RDWR)
