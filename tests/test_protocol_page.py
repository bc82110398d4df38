"""What docs/protocol.md says to writers of clients, tried: its programs, its table of errors, and
the orders that it promises."""

import base64
import importlib.util
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from protocol.errors import ErrorCode
from protocol.ssh import parse_public_key, verify
from protocol.updates import ProjectStatus
from tests.fences import fences
from tests.harness import ROOT, HubProcess, WireClient
from tests.test_ssh import keygen, public, signed

PAGE = ROOT / "docs" / "protocol.md"
TEXT_OF_A_HUB = "claudehub-auth-v2\nclaudehub 1 2 3\nhub.example.org:443\n"


def python_block(first_line: str) -> str:
    """Return the page's program that begins with that line."""
    (block,) = (f for f in fences(PAGE) if f.language == "python" and f.text.startswith(first_line))
    return block.text


def section(title: str) -> str:
    return PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]


# -- the recipe


class Recipe:
    """The page's client as a process; `lines` are what it prints."""

    def __init__(self, folder: Path, url: str, *prompts: str) -> None:
        program = folder / "recipe.py"
        program.write_text(python_block("import json, random, sys, time, uuid"))
        self.process = subprocess.Popen(
            [sys.executable, str(program), url, "site", *prompts], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.lines: Iterator[str] = iter(self.process.stdout)

    def until(self, found: str) -> list[dict[str, Any]]:
        """Return the updates up to the first one with that type, or up to a line with that text."""
        updates = []
        for line in self.lines:
            if not line.startswith("{"):
                assert found in line, line
                return updates
            updates.append(json.loads(line))
            if updates[-1]["update_type"] == found:
                return updates
        raise AssertionError("the client has ended")

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def recipe(scratch: Path) -> Iterator[Any]:
    started: list[Recipe] = []

    def start(url: str, *prompts: str) -> Recipe:
        started.append(Recipe(scratch, url, *prompts))
        return started[-1]

    yield start
    for client in started:
        client.stop()


def restart(hub: HubProcess, **settings: str) -> None:
    hub.start(WS_PORT=hub.url.rpartition(":")[2], **settings)


def ask_from_elsewhere(hub: HubProcess, kind: str, **payload: Any) -> dict[str, Any]:
    with hub.client() as other:
        return other.request(kind, **payload)


def test_the_recipe_misses_nothing_and_runs_each_prompt_once(start_hub: Any, recipe: Any) -> None:
    hub: HubProcess = start_hub()
    ask_from_elsewhere(hub, "project_create", path=hub.folder("site"))
    client = recipe(hub.url, "[[lines:3000]][[hang]]", "second")
    seen = client.until("execution_queued") + client.until("claude")
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        hub.stop(number)
        restart(hub)
        ask_from_elsewhere(hub, "execute", project_id="site", prompt="one more")
        while seen[-1]["data"].get("outcome") != "success":
            seen += client.until("execution_finished")
        seen += [{"update_type": "restart", "data": {}}]
    logged = [update for update in seen if "seq" in update]
    assert [update["seq"] for update in logged] == list(range(1, len(logged) + 1))
    prompts = [u["data"]["prompt"] for u in logged if u["update_type"] == "prompt"]
    assert prompts == ["[[lines:3000]][[hang]]", "second", *["one more"] * 3]
    ends = [u["data"]["outcome"] for u in logged if u["update_type"] == "execution_finished"]
    assert ends == ["lost", "lost", "success", "success", "success"]


def test_the_recipe_says_that_history_is_gone_and_goes_on(start_hub: Any, recipe: Any) -> None:
    hub: HubProcess = start_hub()
    ask_from_elsewhere(hub, "project_create", path=hub.folder("site"))
    client = recipe(hub.url, "first")
    client.until("execution_finished")
    hub.stop()
    command = [sys.executable, str(ROOT / "claudehub" / "__main__.py"), "log", "new-id"]
    subprocess.run([*command, "--data-dir", str(hub.data)], check=True, capture_output=True)
    restart(hub)
    assert [u for u in client.until("is gone") if "seq" in u] == []
    assert client.until("execution_finished")[0]["seq"] == 1


def test_the_recipe_ends_where_trying_again_is_of_no_use(hub: HubProcess, recipe: Any) -> None:
    client = recipe(hub.url)  # there is no project `site`
    assert client.process.wait(10) == 1
    client = recipe(f"{hub.url}/elsewhere")
    assert client.process.wait(10) == 1


# -- signatures


def signature_program(folder: Path) -> ModuleType:
    """Return the page's program that signs, as a module."""
    path = folder / "signature_of_the_page.py"
    path.write_text(python_block("import base64, hashlib, struct"))
    spec = importlib.util.spec_from_file_location("signature_of_the_page", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_signs_as_ssh_keygen_does(scratch: Path) -> None:
    """ed25519 gives the same signature each time."""
    key = keygen(scratch)
    private = serialization.load_ssh_private_key(key.read_bytes(), None)
    made = signature_program(scratch).authenticate(
        private, "claudehub 1 2 3", "hub.example.org:443"
    )

    def unarmored(text: str) -> bytes:
        return base64.b64decode("".join(text.strip().split("\n")[1:-1]))

    theirs = signed(key, TEXT_OF_A_HUB.encode())
    assert unarmored(made["signature"]) == unarmored(theirs)
    assert made["public_key"] == " ".join(public(key).split()[:2])


def test_a_hub_takes_what_the_page_signs(share_hub: Any, scratch: Path) -> None:
    key = keygen(scratch)
    hub: HubProcess = share_hub(AUTHORIZED_KEYS=str(key.with_suffix(".pub")))
    private = serialization.load_ssh_private_key(key.read_bytes(), None)
    with hub.client() as client:
        challenge = client.welcome["auth"]["challenge"]
        made = signature_program(scratch).authenticate(private, challenge, client.host)
        assert client.request("authenticate", **made) == {"user": "ann@laptop"}


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_the_table_of_bytes_holds_for_ecdsa(scratch: Path, curve: Any) -> None:
    """Made by hand as the page says, many times: `r` and `s` differ in length."""
    string = signature_program(scratch).string
    key = ec.generate_private_key(curve)
    size = curve.key_size
    name = f"nistp{size}".encode()
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    kind = string(b"ecdsa-sha2-" + name)
    blob = kind + string(name) + string(point)
    line = f"ecdsa-sha2-nistp{size} {base64.b64encode(blob).decode()}"
    shared = string(b"claudehub") + string(b"") + string(b"sha256")
    digest = hashes.Hash(hashes.SHA256())
    digest.update(TEXT_OF_A_HUB.encode())
    to_sign = b"SSHSIG" + shared + string(digest.finalize())
    own_hash = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[size]

    def number(value: int) -> bytes:
        data = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return string(b"\0" + data if data[0] & 0x80 else data)

    for _ in range(20):
        r, s = decode_dss_signature(key.sign(to_sign, ec.ECDSA(own_hash)))
        whole = b"SSHSIG\0\0\0\1" + string(blob) + shared
        whole += string(kind + string(number(r) + number(s)))
        armored = base64.b64encode(whole).decode()
        text = f"-----BEGIN SSH SIGNATURE-----\n{armored}\n-----END SSH SIGNATURE-----\n"
        verify(parse_public_key(line)[0], text, TEXT_OF_A_HUB.encode())


# -- tables


def test_the_table_of_errors_has_every_code_once() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", section("Errors"), re.MULTILINE)
    codes = [code for row in rows for code in re.findall(r"`(\w+)`", row)]
    assert sorted(codes) == sorted(ErrorCode)


def test_the_table_of_statuses_has_every_value_once() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section("Joining and catching up"), re.MULTILINE)
    assert rows == list(ProjectStatus)


# -- what the page promises about order


def test_execute_needs_no_join(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("no-join"))
        client.request("execute", project_id="no-join", prompt="hello")
        page: dict[str, Any] = {"messages": []}
        while "execution_finished" not in [m["update_type"] for m in page["messages"]]:
            page = client.request("get_messages", project_id="no-join")
        assert client.updates == []


def test_the_result_of_a_join_comes_before_its_updates(hub: HubProcess) -> None:
    with hub.client() as client, hub.client() as joiner:
        client.request("project_create", path=hub.folder("order"))
        client.request("execute", project_id="order", prompt="[[lines:300]][[pace:0.001]]")
        joiner.send(
            {"type": "project_join", "payload": {"project_id": "order", "after_seq": 0}, "id": "j"}
        )
        assert joiner.receive()["id"] == "j"
        joiner.wait_for("execution_finished")
        client.request("project_leave", project_id="order")


def test_nothing_comes_after_the_result_of_a_leave(hub: HubProcess) -> None:
    with hub.client() as client, hub.client() as other:
        client.request("project_create", path=hub.folder("leave"))
        client.run_after_join("leave", "[[lines:5000]]")
        for after_seq in (0, None):  # during a replay, and live
            client.request("project_join", project_id="leave", after_seq=after_seq)
            other.request("execute", project_id="leave", prompt="[[lines:200]][[pace:0.001]]")
            client.request("project_leave", project_id="leave")
            client.take()
            client.request("ping")
            other.run_after_join("leave", "last")
            client.request("ping")
            assert client.take() == []


def last_seq(client: WireClient, project_id: str) -> int:
    listed = client.request("project_list")["projects"]
    return next(p["last_seq"] for p in listed if p["project_id"] == project_id)


def test_the_replay_is_over_at_the_last_seq_of_the_join(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("over"))
        client.run_after_join("over", "hello")
        client.request("project_leave", project_id="over")
        client.take()
        joined = client.request("project_join", project_id="over", last=3)
        while [u.get("seq") for u in client.updates][-1:] != [joined["last_seq"]]:
            client.updates.append(client.receive()["payload"])
        first = joined["last_seq"] - 3 + 1
        assert [u["seq"] for u in client.take()] == [first, first + 1, first + 2]
        again = client.request("project_join", project_id="over", after_seq=joined["last_seq"])
        assert again["last_seq"] == last_seq(client, "over") == joined["last_seq"]
        client.request("ping")
        assert client.take() == []


def test_a_status_that_falls_into_a_replay_is_not_sent(hub: HubProcess) -> None:
    """Whoever shows a status must follow the logged updates, as the page says."""
    with hub.client() as client, hub.client() as joiner:
        client.request("project_create", path=hub.folder("replay"))
        client.run_after_join("replay", "[[lines:30000]]")
        joiner.send({"type": "project_join", "payload": {"project_id": "replay", "after_seq": 0}})
        joiner.reply()  # its replay waits from here on until somebody reads it
        running = client.request("execute", project_id="replay", prompt="[[hang]]")
        joiner.wait_for("execution_started", execution_id=running["execution_id"])
        assert [u for u in joiner.take() if u["update_type"] == "status"] == []
        client.request("agent_kill", project_id="replay")
        joiner.wait_for("status", status="idle")


def test_a_queue_stays_executing_from_the_first_prompt_to_the_last_end(hub: HubProcess) -> None:
    with hub.client() as client:
        client.request("project_create", path=hub.folder("queue"))
        client.request("project_join", project_id="queue")
        client.request("execute", project_id="queue", prompt="[[slow:3:0.05]]")
        client.run("queue", "second")
        client.wait_for("status", status="idle")
        seen = [(u["update_type"], u["data"].get("status")) for u in client.take()]
    kinds = [kind for kind, _ in seen]
    assert [status for kind, status in seen if kind == "status"] == ["executing", "idle"]
    assert kinds.index("status") < kinds.index("execution_started")


# -- deltas


@pytest.mark.parametrize("version", ["2.1.197", "2.1.331"])
def test_a_whole_line_comes_before_the_stop_of_its_block(share_hub: Any, version: str) -> None:
    hub: HubProcess = share_hub(CLAUDE_MOCK_VERSION=version)
    with hub.client() as client:
        client.request("project_create", path=hub.folder("deltas"))
        client.run_after_join("deltas", "[[slow:3:0.02]]")
        provisional, shown = "", []
        for update in client.take():
            data = update["data"]
            if update["update_type"] == "claude_delta":
                event = data["event"]
                if event["type"] == "content_block_start":
                    provisional = ""
                provisional += event.get("delta", {}).get("text", "")
                shown.append(event["type"])
            elif data.get("type") == "assistant":
                assert data["message"]["content"][0]["text"] == provisional
                shown.append("assistant")
    assert shown[-5:-2] == ["content_block_delta", "assistant", "content_block_stop"]
