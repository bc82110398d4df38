"""`claudehub doctor --bundle`: what goes in, what is asked, and that no secret is in it."""

import json
import shlex
import stat
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from claudehub.cli import bundle_parts, doctor_bundle
from claudehub.cli.bundle_parts import Cleaner
from claudehub.cli.main import main
from tests.harness import MOCK
from tests.test_doctor_command import place
from tests.test_ssh import keygen

__all__ = ["place"]

EXECUTION = "607d891b-eed9-46eb-88ec-a6a89a93aee0"


def bundled(file: Path) -> dict[str, str]:
    with tarfile.open(file) as tar:
        assert all(entry.isfile() and entry.mode == 0o600 for entry in tar)
        return {
            entry.name.removeprefix("claudehub-doctor/"): content.read().decode()
            for entry in tar
            if (content := tar.extractfile(entry)) is not None
        }


def doctor(*arguments: object, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)], input=given)


def test_it_shows_the_list_and_asks(place: Path) -> None:
    file = place / "hub.tar.gz"
    no = doctor("--bundle", file, given="n\n")
    assert no.exit_code == 1 and not file.exists()
    yes = doctor("--bundle", file, given="y\n")
    assert yes.exit_code == 0, yes.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    parts = bundled(file)
    assert set(parts) == {
        "report.jsonl",
        "configuration.txt",
        "versions.txt",
        "limits.txt",
        "variables.txt",
        "files.jsonl",
        "audit.jsonl",
    }
    for result in (no, yes):
        shown = result.stderr.partition("Write it?")[0]
        assert [name for name in parts if f"  {name} " not in shown] == []
    assert "claudehub 0." in parts["versions.txt"] and "pydantic " in parts["versions.txt"]
    assert "nofile " in parts["limits.txt"]
    assert "MIN_FREE_BYTES=1 " in parts["configuration.txt"]
    assert {json.loads(line)["check"] for line in parts["report.jsonl"].splitlines()} >= {"python"}


def test_it_replaces_no_file(place: Path) -> None:
    file = place / "hub.tar.gz"
    file.write_text("mine")
    result = doctor("--bundle", file, "--yes")
    assert result.exit_code == 1 and "is there already" in result.stderr
    assert file.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(place: Path) -> None:
    result = doctor("--bundle", place / "none" / "hub.tar.gz", "--yes")
    assert result.exit_code == 1 and "cannot be written" in result.stderr


def test_options_that_go_with_it(place: Path) -> None:
    assert doctor("--yes").exit_code == 2
    assert doctor("--log", "x").exit_code == 2
    assert doctor("--bundle", place / "a", "--log", "-").exit_code == 2
    missing = doctor("--bundle", place / "a", "--log", place / "none", "--yes")
    assert missing.exit_code == 1 and "--log" in missing.stderr


PLANTED = {
    "variable": "planted-in-a-variable",
    "key of the API": "sk-ant-planted-9f8e7d6c5b4a39281706",
    "password in an address": "planted:pass@word",
    "option of the command": "planted-option-77",
    "prompt": "PLANTED-PROMPT say hello",
    "answer": "PLANTED-ANSWER",
    "address": "203.0.113.77",
    "user": "planted-user@example.org",
    "password in the log": "planted-in-the-log",
    "bearer": "planted.bearer.token",
}


def test_nothing_secret_is_in_it(
    place: Path, start_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets lie in variables, in the command, in an address, in the folder's logs, in the audit
    log, in keys and in the log that is given. A search for each in the whole bundle finds none."""
    private = keygen(place)
    public = private.with_suffix(".pub").read_text().split()[1]
    authorized = place / "keys"
    authorized.write_text(f"ssh-ed25519 {public} {PLANTED['user']}\n")
    authorized.chmod(0o600)
    proxy = f"--proxy=https://me:{PLANTED['password in an address']}@proxy.example.org"
    option = ["--api-key", PLANTED["option of the command"]]
    command = shlex.join([sys.executable, str(MOCK), proxy, *option])
    hub = start_hub(CLAUDE_CMD=command)
    with hub.client() as client:
        client.request("project_create", path=hub.folder("p"))
        end = client.run_after_join("p", f"[[text:{PLANTED['answer']}]] {PLANTED['prompt']}")
        assert end["outcome"] == "success"
    with (hub.data / "audit.jsonl").open("a") as audit:
        line = {
            "timestamp": "2026-11-29T03:00:00Z",
            "action": "execute",
            "ok": True,
            "user": PLANTED["user"],
            "address": PLANTED["address"],
            "execution_id": EXECUTION,
            "details": {"prompt": PLANTED["prompt"]},
        }
        audit.write(json.dumps(line) + "\n")
    log = place / "log"
    log.write_text(
        f"event=a password={PLANTED['password in the log']} execution={EXECUTION}\n"
        f"Authorization: Bearer {PLANTED['bearer']}\nkey {PLANTED['key of the API']}\n"
        f"the variable {PLANTED['variable']}\n"
        + "".join(f"Nov 29 host sh[1]: {line}\n" for line in private.read_text().splitlines())
    )
    monkeypatch.setenv("DEPLOY_TOKEN", PLANTED["variable"])
    monkeypatch.setenv("ANTHROPIC_API_KEY", PLANTED["key of the API"])
    monkeypatch.setenv("CLAUDE_CMD", command)
    monkeypatch.setenv("AUTHORIZED_KEYS", str(authorized))
    file = place / "hub.tar.gz"
    doctor("--bundle", file, "--log", log, "--yes", "--data-dir", hub.data)
    parts = bundled(file)
    everything = "".join(parts.values())
    secret = {**PLANTED, "public key": public, "begin": "-----BEGIN"}
    secret |= {f"line {line} of the key": line for line in private.read_text().split()[4:-4]}
    assert {what for what, text in secret.items() if text in everything} == set()
    # What helps has stayed.
    assert "CLAUDE_CMD=" in parts["configuration.txt"] and "mock_claude.py" in everything
    assert f"AUTHORIZED_KEYS={authorized} " in parts["configuration.txt"]
    assert f"{authorized}: 1 usable key" in parts["report.jsonl"]
    assert "DEPLOY_TOKEN" in parts["variables.txt"]
    audited = [json.loads(line) for line in parts["audit.jsonl"].splitlines()]
    assert {"action": "execute", "execution_id": EXECUTION}.items() <= audited[-1].items()
    assert EXECUTION in parts["log.txt"] and "event=a" in parts["log.txt"]
    paths = [json.loads(line)["path"] for line in parts["files.jsonl"].splitlines()]
    assert any(path.startswith("projects/p/log/") for path in paths)


def test_an_id_stays_and_a_secret_of_its_form_does_not() -> None:
    clean = Cleaner({}).clean
    assert clean(f"execution={EXECUTION} ended") == f"execution={EXECUTION} ended"
    assert EXECUTION in clean(f'{{"execution_id": "{EXECUTION}"}}')
    assert EXECUTION not in clean(f"token={EXECUTION}")
    assert EXECUTION not in Cleaner({"MY_TOKEN": EXECUTION}).clean(f"execution={EXECUTION}")


def test_a_long_log_loses_its_beginning_at_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_bundle, "LOG_BYTES_MAX", 10)
    assert doctor_bundle._end_of([b"secret", b"=x\nab\n", b"cd\n"]) == b"ab\ncd\n"
    assert doctor_bundle._end_of([b"ab\n"]) == b"ab\n"


def test_many_files_are_not_all_listed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_parts, "FILES_MAX", 2)
    (place / "data").mkdir()
    for name in "abc":
        (place / "data" / name).write_text("x")
    doctor("--bundle", place / "hub.tar.gz", "--yes")
    lines = bundled(place / "hub.tar.gz")["files.jsonl"].splitlines()
    assert len(lines) == 3 and json.loads(lines[2]) == {"more": True}
