"""Which variables of the hub's environment reach an agent."""

import pytest

from actors.executor.environment import agent_environment, worth_saying


def seen(*names: str, further: tuple[str, ...] = (), **values: str) -> set[str]:
    ours = {**dict.fromkeys(names, "x"), **values}
    return set(agent_environment(ours, further, delta_hold_ms=0, background=True))


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "LC_CTYPE",
        "https_proxy",
        "NO_PROXY",
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "SSH_AUTH_SOCK",
        "DISABLE_TELEMETRY",
        "DISABLE_AUTOUPDATER",
        "MCP_TIMEOUT",
        "MCP_TOOL_TIMEOUT",
        "BASH_DEFAULT_TIMEOUT_MS",
        "BASH_MAX_OUTPUT_LENGTH",
        "MAX_THINKING_TOKENS",
        "MAX_MCP_OUTPUT_TOKENS",
        "ANTHROPIC_BASE_URL",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CONFIG_DIR",
    ],
)
def test_an_agent_sees_what_its_cli_needs(name: str) -> None:
    assert seen(name) == {name}


@pytest.mark.parametrize(
    "name",
    [
        "CLAUDE_CMD",
        "CLAUDE_ENV",
        "CLAUDECODE",
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_CODE_SESSION_ID",
        "CLAUDE_CODE_SESSION_ACCESS_TOKEN",
        "CLAUDE_CODE_MESSAGING_TOKEN",
        "CLAUDE_CODE_MESSAGING_SOCKET",
        "CLAUDE_CODE_CHILD_SESSION",
        "CLAUDE_CODE_SSE_PORT",
        "CLAUDE_PROJECT_DIR",
        "CLAUDE_PID",
        "BASH_ENV",
        "BASHOPTS",
        "LD_PRELOAD",
        "AWS_SECRET_ACCESS_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "CLAUDEHUB_KEY",
        "DATA_DIR",
    ],
)
def test_an_agent_sees_nothing_of_the_hub_or_of_an_outer_session(name: str) -> None:
    assert seen(name) == set()


def test_a_name_of_claude_env_is_seen_whatever_it_is() -> None:
    assert seen("CLAUDE_PROJECT_DIR", "TOKEN", further=("CLAUDE_PROJECT_DIR", "TOKEN")) == {
        "CLAUDE_PROJECT_DIR",
        "TOKEN",
    }


def test_the_credentials_of_a_cloud_are_seen_where_it_is_used() -> None:
    amazon = {"AWS_REGION", "AWS_SECRET_ACCESS_KEY"}
    google = {"GOOGLE_APPLICATION_CREDENTIALS", "CLOUD_ML_REGION", "VERTEX_REGION_CLAUDE_HAIKU"}
    bedrock = seen(*amazon, *google, CLAUDE_CODE_USE_BEDROCK="1")
    assert bedrock == amazon | {"CLAUDE_CODE_USE_BEDROCK"}
    vertex = seen(*amazon, *google, CLAUDE_CODE_USE_VERTEX="true")
    assert vertex == google | {"CLAUDE_CODE_USE_VERTEX"}


@pytest.mark.parametrize("value", ["", "0", "false", "No", "off"])
def test_a_cloud_that_is_switched_off_is_not_used(value: str) -> None:
    assert "AWS_REGION" not in seen("AWS_REGION", CLAUDE_CODE_USE_BEDROCK=value)


def test_the_log_names_what_is_worth_saying() -> None:
    environment = {"PATH": "/bin", "LC_ALL": "C", "ANTHROPIC_API_KEY": "k", "AWS_REGION": "r"}
    assert worth_saying(environment) == ["ANTHROPIC_API_KEY", "AWS_REGION"]
