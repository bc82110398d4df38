"""Find out from its environment and its files if the CLI is signed in.

The CLI is not asked: `claude auth status` opens connections, renews tokens and writes to the home
(observed with 2.1.197 and 2.1.331). So a sign-in that is found may still be refused by the API.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import simplejson

from actors.executor.environment import users_settings
from actors.executor.sandbox import uses_sandbox
from storage import foreign_file

SIGN_IN = "sign in with `claude auth login`, or set ANTHROPIC_API_KEY"
SIGN_IN_OF_SANDBOX = "start the hub with ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN set"
_OFF = ("", "0", "false", "no", "off")
_CLOUDS = {
    "CLAUDE_CODE_USE_BEDROCK": "Amazon Bedrock",
    "CLAUDE_CODE_USE_VERTEX": "Google Vertex AI",
    "CLAUDE_CODE_USE_FOUNDRY": "Microsoft Foundry",
}
_SECRETS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
_INFERENCE = "user:inference"  # without this scope a stored login is not used
_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SignIn:
    """`how` names where the sign-in comes from, never what it is; None: there is none. `problem`
    says why there is none, or why the one that was found will not work. Both are None if only the
    CLI could tell."""

    how: str | None = None
    problem: str | None = None

    def __str__(self) -> str:
        """Return the words for a banner."""
        if self.problem is not None:
            return f"not signed in: {self.problem}"
        return f"signed in ({self.how})" if self.how is not None else "its sign-in is not known"


def sign_in(command: Sequence[str], environment: Mapping[str, str], now: datetime) -> SignIn:
    """Return how an agent with this command line and environment is signed in. `now` has a time
    zone. No process is started, and nothing is written."""
    if (how := _by_environment(environment)) is not None:
        return SignIn(how)
    if uses_sandbox(command):  # each project has a home of its own there
        return SignIn(problem=f"the sandbox does not show the user's sign-in; {SIGN_IN_OF_SANDBOX}")
    folder = users_settings(environment)
    if folder is not None:
        for found in _by_files(Path(folder), _state_file(environment, Path(folder)), now):
            return found
    if sys.platform == "darwin":
        return SignIn()  # the keychain may have one
    return SignIn(problem=SIGN_IN)


def _by_environment(environment: Mapping[str, str]) -> str | None:
    for name, cloud in _CLOUDS.items():
        if environment.get(name, "").lower() not in _OFF:
            return cloud
    return next((name for name in _SECRETS if environment.get(name)), None)


def _by_files(folder: Path, state: Path, now: datetime) -> Iterator[SignIn]:
    """Yield what the files say, the strongest first."""
    settings = _read(folder / "settings.json")
    variables = settings.get("env")
    named = _by_environment(_texts(variables)) if isinstance(variables, dict) else None
    if named is not None:
        yield SignIn(f"{named} in {folder / 'settings.json'}")
    if settings.get("apiKeyHelper"):
        yield SignIn(f"apiKeyHelper in {folder / 'settings.json'}")
    credentials = folder / ".credentials.json"
    login = _read(credentials).get("claudeAiOauth")
    if isinstance(login, dict) and login.get("accessToken") and _is_for_agents(login):
        yield _stored_login(login, credentials, now)
    if _read(state).get("primaryApiKey"):
        yield SignIn(f"a key of the Console in {state}")


def _is_for_agents(login: dict[str, Any]) -> bool:
    scopes = login.get("scopes")
    return isinstance(scopes, list) and _INFERENCE in scopes


def _stored_login(login: dict[str, Any], file: Path, now: datetime) -> SignIn:
    """Return a login of claude.ai. The CLI renews it, if it has a token for that."""
    how = f"claude.ai, {file}"
    expires_ms = login.get("expiresAt")
    if login.get("refreshToken") or not isinstance(expires_ms, int | float):
        return SignIn(how)
    try:
        expires = datetime.fromtimestamp(expires_ms / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return SignIn(how)
    if expires > now:
        return SignIn(how)
    return SignIn(how, f"the login in {file} expired on {expires:%Y-%m-%d}; {SIGN_IN}")


def _state_file(environment: Mapping[str, str], folder: Path) -> Path:
    """Return the file in which the CLI keeps its state: beside its folder, or, if
    CLAUDE_CONFIG_DIR names the folder, in it."""
    inside = bool(environment.get("CLAUDE_CONFIG_DIR"))
    return (folder if inside else folder.parent) / ".claude.json"


def _texts(variables: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if isinstance(value, str)}


def _read(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one if there is none that can be read, as the CLI takes
    it."""
    data = foreign_file.read_bytes(path, _BYTES_MAX)
    try:
        found = simplejson.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
