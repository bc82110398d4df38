"""The messages of docs/errors.md: each is provoked here, has at most three lines, and no
traceback."""

import ast
import http.server
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from claudehub.cli import taking
from claudehub.cli.main import main
from claudehub.client import dialling, session
from claudehub.testing import FakeHub
from tests.harness import ROOT, HubProcess, TlsFiles
from tests.test_ssh import keygen, public


def messages() -> list[str]:
    """Return the messages of docs/errors.md."""
    text = (ROOT / "docs" / "errors.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [re.findall(r"^\| (`+)(.+?) ?\1 \|", row)[0][1] for row in rows]


MESSAGES = messages()


@dataclass
class Shell:
    """A user's shell, with a home of its own."""

    home: Path
    variables: dict[str, str | None]

    def __call__(self, *arguments: str, url: str | None = None, text: str = "") -> Result:
        given = {**self.variables, **({"CLAUDEHUB_URL": url} if url else {})}
        return CliRunner(env=given).invoke(main, arguments, input=text)


@pytest.fixture
def shell(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    home = scratch / "user"
    home.mkdir()
    for name in ("CLAUDEHUB_URL", "CLAUDEHUB_HUB", "CLAUDEHUB_KEY", "SOCKET", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    return Shell(home, {})


def check(result: Result, code: int, message: str) -> None:
    """Hold what a command said against a message of the document."""
    said = result.stderr.splitlines()
    assert result.exit_code == code, (said, result.exception)
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
    told = [line for line in said if line and not line.startswith(("Usage:", "Try "))]
    assert len(told) <= 3, told
    first = re.sub(r"^(claudehub|Error): ", "", told[0])
    pattern = ".*".join(re.escape(part) for part in message.split("…"))
    assert re.search(pattern, first), (message, first)
    assert message in MESSAGES


@contextmanager
def server(answer: bytes) -> Iterator[str]:
    """Answer the first connection with these bytes, and close it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join()
        listener.close()


class Page(http.server.BaseHTTPRequestHandler):
    """A web server that has no hub."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_address_without_a_hub(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    check(shell("status", url="ws://127.0.0.1:1"), 7, "nothing listens at …")
    check(shell("status", "--url", f"unix:{shell.home}/none"), 7, "nothing listens at …")
    check(shell("status", url="ws://hub.invalid"), 7, "no machine is named …")
    check(
        shell("status", url="https://hub.example.org"),
        7,
        "… is the address of a web page; a hub's is …",
    )
    check(shell("status", url="hub.example.org"), 7, "… is no address of a hub …")

    def far(*_: object) -> Any:
        raise OSError(113, "No route to host")

    monkeypatch.setattr("claudehub.client.engine.dial", far)
    check(shell("status", url="ws://192.0.2.1"), 7, "… cannot be reached: …")


def test_a_silent_server(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "OPEN_TIMEOUT_S", 0.2)
    monkeypatch.setattr(dialling, "OPEN_TIMEOUT_S", 10)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        ran = shell("status", url=url)
    ran.stderr_bytes = ran.stderr_bytes.replace(b"within 0 s", b"within 10 s")
    check(ran, 7, "… does not answer within 10 s")


def test_tls_on_one_side_only(shell: Shell, hub: HubProcess, tls_files: TlsFiles) -> None:
    secure = hub.url.replace("ws://", "wss://")
    check(shell("status", url=secure), 7, "… does not speak TLS …; try …")
    with_tls = HubProcess(shell.home, tls_files).start()
    try:
        plain = with_tls.url.replace("wss://", "ws://")
        check(shell("status", url=plain), 7, "… refused the connection: …")
        check(shell("status", url=with_tls.url), 7, "the certificate of … is not trusted …")
    finally:
        assert with_tls.stop() == 0


def test_another_program_at_the_port(shell: Shell) -> None:
    with server(b"220 smtp.example.org\r\n") as url:
        check(shell("status", url=url), 7, "… does not answer as a hub: …")
    with server(b"\x15\x03\x01\x00\x02\x02\x0a") as url:
        check(shell("status", url=url), 7, "… speaks TLS; try …")
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as web:
        thread = threading.Thread(target=web.handle_request)
        thread.start()
        url = f"ws://127.0.0.1:{web.server_port}"
        check(shell("status", url=url), 7, "… is no hub, or its path is wrong: …")
        thread.join()


def test_a_full_hub(shell: Shell, share_hub: Any) -> None:
    hub = share_hub(MAX_CONN="1")
    with hub.client():
        check(shell("status", url=hub.url), 7, "… takes no more connections now: …")


def test_a_hub_that_wants_a_key(shell: Shell, start_hub: Any) -> None:
    mine, other = keygen(shell.home, name="mine"), keygen(shell.home, name="other")
    keys = shell.home / "authorized_keys"
    keys.write_text('claudehub="projects=docs" ' + public(mine))
    hub = start_hub(AUTHORIZED_KEYS=str(keys))
    check(shell("status", url=hub.url), 7, "…: the hub wants an SSH key, and ~/.ssh has none …")
    check(
        shell("status", "--key", str(other), url=hub.url),
        7,
        "…: the hub does not take this key: …",
    )
    check(shell("status", "--key", "/no/such/key", url=hub.url), 7, "…: there is no key …")
    alone = shell.home / "alone"
    alone.write_bytes(mine.read_bytes())
    check(shell("status", "--key", str(alone), url=hub.url), 7, "…: … cannot be read …; …")
    check(
        shell("projects", "create", hub.folder("docs"), "--trust", "--key", str(mine), url=hub.url),
        1,
        "this key is bound to some projects, …",
    )


def test_the_hub_refuses(shell: Shell, share_hub: Any) -> None:
    hub = share_hub(MAX_PROJECTS="1", MAX_QUEUE="0")
    check(
        shell("status", "nosuch", url=hub.url),
        1,
        "no project `…`; `claudehub projects create FOLDER` makes one",
    )
    check(
        shell("projects", "create", hub.folder("a") + "/none", url=hub.url),
        1,
        "there is no such folder",
    )
    check(shell("projects", "create", "/", url=hub.url), 1, "the path is outside PROJECT_ROOTS")
    assert shell("projects", "create", hub.folder("a"), url=hub.url).exit_code == 0
    check(shell("status", "nosuch", url=hub.url), 1, "no project `…`; there are: …")
    check(
        shell("projects", "create", hub.folder("a"), url=hub.url),
        1,
        "that folder is a project already: `…`",
    )
    inside = hub.folder("a/inside")
    check(
        shell("projects", "create", inside, url=hub.url),
        1,
        "a project lies inside or around that folder",
    )
    check(
        shell("projects", "create", hub.folder("b"), url=hub.url),
        1,
        "there are … projects (MAX_PROJECTS); delete one first",
    )
    with hub.client() as client:
        client.request("project_join", project_id="a")
        client.request("execute", project_id="a", prompt="[[hang]]")
        check(shell("run", "a", "x", url=hub.url), 1, "… prompts wait already …")
        client.request("agent_kill", project_id="a")
        client.wait_for("execution_finished")
    check(
        shell("interrupt", "a", url=hub.url),
        1,
        "nothing runs there; `claudehub status` shows what does",
    )
    check(shell("run", "a", "x", "--permission-mode", "no", url=hub.url), 1, "--…: …")


def test_an_answer_comes_too_late(shell: Shell, share_hub: Any) -> None:
    hub = share_hub()
    hub_folder = hub.folder("late")
    assert shell("projects", "create", hub_folder, url=hub.url).exit_code == 0
    check(
        shell("answer", "late", "0123456789abcdef", "allow", url=hub.url),
        1,
        "no such permission waits for an answer",
    )
    with hub.client() as client:
        client.request("project_join", project_id="late")
        client.request("execute", project_id="late", prompt="[[tool:Bash:touch x]]")
        asked = client.wait_for("permission_request")["data"]["permission_id"]
        client.request("permission_answer", project_id="late", permission_id=asked, decision="deny")
        check(shell("answer", "late", asked, "allow", url=hub.url), 1, "answered already, by …")


def test_a_disk_without_room(shell: Shell, start_hub: Any) -> None:
    hub = start_hub(MIN_FREE_BYTES="1000000GiB")
    assert shell("projects", "create", hub.folder("full"), url=hub.url).exit_code == 0
    check(shell("run", "full", "x", url=hub.url), 1, "only … are free where the log is kept, …")


def test_the_names_of_hubs(shell: Shell) -> None:
    check(
        shell("status", "--hub", "home", "--url", "ws://127.0.0.1:1"),
        2,
        "--hub and --url name two hubs; give one of them",
    )
    check(shell("status", "--hub", "home"), 2, "no hub is named …; there are: …")
    assert shell("hub", "add", "home", "ws://127.0.0.1:1").exit_code == 0
    assert shell("hub", "use", "home").exit_code == 0
    check(shell("status"), 7, "nothing listens at …")
    (shell.home / "config" / "claudehub" / "hubs.json").write_text("{")
    check(shell("status"), 2, "… is not what `claudehub hub add` writes; …")


def test_a_hub_that_stops_for_good_before_it_takes_a_prompt_is_not_waited_for(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeHub() as fake:
        fake.project("site")
        fake.refuse_next("execute", "shutting_down")
        monkeypatch.setattr(taking, "TAKES_LONG_S", 0.01)
        monkeypatch.setattr(taking, "GONE_S", 0.1)
        monkeypatch.setattr(taking, "say", lambda *_, **__: fake.stop())
        ran = shell("run", "site", "hello", url=fake.url)
        check(ran, 7, "the hub is gone for … s, and has not taken the prompt: …")
        assert fake.prompts == []


def test_a_hub_that_takes_no_prompt_in_time_is_not_waited_for(shell: Shell) -> None:
    with FakeHub() as fake:
        fake.project("site")
        fake.refuse_next("execute", "shutting_down")  # and it does not go
        ran = shell("run", "site", "hello", "--wait", "0.1", url=fake.url)
        check(ran, 7, "the hub has not taken the prompt for …")


def test_every_message_of_the_document_is_provoked() -> None:
    """Read from this file, since other processes may run its tests."""
    calls = [
        node
        for node in ast.walk(ast.parse(Path(__file__).read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "check"
    ]
    provoked = {ast.literal_eval(call.args[2]) for call in calls}
    assert len(provoked) > 20
    assert set(MESSAGES) == provoked
