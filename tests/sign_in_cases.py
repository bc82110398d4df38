"""What the real CLI says of a sign-in must be what the hub reads from the same files.

Needs the real CLI in CLAUDEHUB_REAL_CLI and is run by .ci/conversations, which sees to that.
"""

import json
import subprocess
from pathlib import Path

import pytest

from tests.agents import Agent, agents
from tests.test_sign_in import cases, home_with

REAL = [agent for agent in agents() if agent.is_real]
STATUS_MAX_S = 60.0


@cases
@pytest.mark.parametrize("agent", REAL, ids=str)
def test_the_cli_says_the_same(
    agent: Agent,
    tmp_path: Path,
    environment: dict[str, str],
    files: dict[str, object],
    how: str | None,
) -> None:
    """It gets a proxy that is not there, so it reaches nobody."""
    silent = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [agent.command, "auth", "status", "--json"],
        env={**home_with(tmp_path, environment, files), **silent, "DISABLE_AUTOUPDATER": "1"},
        capture_output=True,
        text=True,
        timeout=STATUS_MAX_S,
        check=False,
    )
    assert json.loads(done.stdout)["loggedIn"] is (how is not None)
