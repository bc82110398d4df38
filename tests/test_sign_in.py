"""Is the CLI signed in: told from its environment and its files, without asking it.
tests/sign_in_cases.py compares with what the real CLI says."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from actors.executor.sandbox import uses_sandbox
from actors.executor.sign_in import SignIn, sign_in
from tests.harness import HubProcess
from tests.processes import wait_until

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PAST_MS, LATER_MS = 1_700_000_000_000, 1_900_000_000_000
CREDENTIALS = ".claude/.credentials.json"
SETTINGS = ".claude/settings.json"
SECRET = "sk-ant-of-nobody"


def login(**changes: Any) -> dict[str, Any]:
    usual = {
        "accessToken": SECRET,
        "refreshToken": SECRET,
        "expiresAt": PAST_MS,
        "scopes": ["user:inference"],
    }
    return {"claudeAiOauth": {**usual, **changes}}


# Name, environment, files of the home, and what `how` must have in it; None: not signed in.
CASES: list[tuple[str, dict[str, str], dict[str, object], str | None]] = [
    ("nothing", {}, {}, None),
    ("an empty key", {"ANTHROPIC_API_KEY": ""}, {}, None),
    ("a key", {"ANTHROPIC_API_KEY": SECRET}, {}, "ANTHROPIC_API_KEY"),
    ("a token", {"ANTHROPIC_AUTH_TOKEN": SECRET}, {}, "ANTHROPIC_AUTH_TOKEN"),
    ("a long-lived token", {"CLAUDE_CODE_OAUTH_TOKEN": SECRET}, {}, "CLAUDE_CODE_OAUTH_TOKEN"),
    ("a cloud", {"CLAUDE_CODE_USE_BEDROCK": "1"}, {}, "Amazon Bedrock"),
    ("a cloud that is off", {"CLAUDE_CODE_USE_BEDROCK": "0"}, {}, None),
    ("a foundry", {"CLAUDE_CODE_USE_FOUNDRY": "true"}, {}, "Microsoft Foundry"),
    ("a login that the CLI renews", {}, {CREDENTIALS: login()}, CREDENTIALS),
    ("a login without a token", {}, {CREDENTIALS: login(accessToken="")}, None),
    ("a login for other things", {}, {CREDENTIALS: login(scopes=["user:profile"])}, None),
    ("a broken file", {}, {CREDENTIALS: "no object"}, None),
    ("a key in the settings", {}, {SETTINGS: {"env": {"ANTHROPIC_API_KEY": SECRET}}}, SETTINGS),
    ("a program that knows", {}, {SETTINGS: {"apiKeyHelper": "echo"}}, "apiKeyHelper"),
    ("a key of the Console", {}, {".claude.json": {"primaryApiKey": SECRET}}, "Console"),
    (
        "another folder",
        {"CLAUDE_CONFIG_DIR": "{home}/other"},
        {"other/.claude.json": {"primaryApiKey": SECRET}, CREDENTIALS: login()},
        "other/.claude.json",
    ),
]
cases = pytest.mark.parametrize(
    ("environment", "files", "how"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)


def home_with(
    folder: Path, environment: dict[str, str], files: dict[str, object]
) -> dict[str, str]:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
    named = {name: value.replace("{home}", str(folder)) for name, value in environment.items()}
    return {"HOME": str(folder), "PATH": os.environ["PATH"], **named}


@cases
def test_a_sign_in_is_found_where_the_cli_keeps_it(
    tmp_path: Path, environment: dict[str, str], files: dict[str, object], how: str | None
) -> None:
    found = sign_in(["claude"], home_with(tmp_path, environment, files), NOW)
    if how is None:
        assert found.how is None and "claude auth login" in str(found.problem)
        assert str(found).startswith("not signed in: ")
    else:
        assert how in str(found.how) and found.problem is None
        assert str(found).startswith("signed in (")
    assert SECRET not in repr(found)


def test_a_login_that_nobody_can_renew_ends(tmp_path: Path) -> None:
    for expires_ms, problem in ((LATER_MS, None), (PAST_MS, "expired on 2023-11-14")):
        files: dict[str, object] = {CREDENTIALS: login(refreshToken=None, expiresAt=expires_ms)}
        found = sign_in(["claude"], home_with(tmp_path, {}, files), NOW)
        assert found.how is not None
        assert (problem is None) is (found.problem is None) and (problem or "") in str(found)
    for odd in (10**400, "soon", None):  # not a time: only the CLI knows
        files = {CREDENTIALS: login(refreshToken=None, expiresAt=odd)}
        assert sign_in(["claude"], home_with(tmp_path, {}, files), NOW).problem is None


def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    os.mkfifo(tmp_path / CREDENTIALS)
    assert sign_in(["claude"], {"HOME": str(tmp_path)}, NOW).how is None


def test_in_the_sandbox_only_variables_count(tmp_path: Path) -> None:
    command = ["/opt/claudehub/deploy/agent-in-bwrap", "--", "claude"]
    variables = home_with(tmp_path, {}, {CREDENTIALS: login()})
    assert "sandbox" in str(sign_in(command, variables, NOW).problem)
    assert sign_in(command, {**variables, "ANTHROPIC_API_KEY": "x"}, NOW).problem is None
    assert uses_sandbox(command) and not uses_sandbox(["claude"])


def test_on_a_mac_the_keychain_may_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    found = sign_in(["claude"], {"HOME": str(tmp_path)}, NOW)
    assert found == SignIn() and str(found) == "its sign-in is not known"
    assert sign_in(["claude"], {}, NOW) == SignIn()


def test_the_start_says_how_agents_are_signed_in(scratch: Path) -> None:
    hub = HubProcess(scratch, ANTHROPIC_API_KEY=SECRET)
    hub.start()
    wait_until(lambda: "signed in (ANTHROPIC_API_KEY)" in hub.errors.read_text())
    assert hub.stop() == 0
    assert SECRET not in hub.errors.read_text()
