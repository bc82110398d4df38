"""Options that no process could be started with are refused, with what would fit."""

import os
import subprocess
import sys
from typing import Any

import pytest

from actors.executor.argument_space import (
    ALL_BYTES_LEAST,
    RESERVED_BYTES,
    ArgumentSpace,
    argument_space,
)
from actors.project.prompts import ADD_DIRS_MAX
from protocol import requests
from tests.project_setup import ProjectSetup, execute, frozen, setup

__all__ = ["frozen", "setup"]

SPACE = ArgumentSpace(one_bytes=128 * 1024, all_bytes=256 * 1024)  # that of ProjectSetup
NAME_BYTES = len("--append-system-prompt=") + 1


def refusal(setup: ProjectSetup, **options: Any) -> dict[str, Any]:
    setup.ask(execute(**options))
    return setup.answers()[-1]


def test_one_option_may_have_as_much_as_the_system_takes(setup: ProjectSetup) -> None:
    fits = "x" * (SPACE.one_bytes - NAME_BYTES)
    assert "execution_id" in refusal(setup, append_system_prompt=fits)
    refused = refusal(setup, append_system_prompt=fits + "x")
    assert refused["code"] == "invalid_options"
    assert refused["details"] == {"field": "payload.options.append_system_prompt"}
    assert f"{SPACE.one_bytes}" in refused["message"]
    assert setup.kinds().count("prompt") == 1, "a refused prompt is not logged"


def test_bytes_count_and_not_characters(setup: ProjectSetup) -> None:
    assert refusal(setup, model="ä" * (SPACE.one_bytes // 2))["code"] == "invalid_options"


def test_all_options_count_together(setup: ProjectSetup) -> None:
    long = "x" * (SPACE.one_bytes - 100)
    assert "execution_id" in refusal(setup, model=long, fallback_model=long)
    refused = refusal(setup, model=long, fallback_model=long, append_system_prompt="x" * 1000)
    assert refused["details"] == {"field": "payload.options.append_system_prompt"}


def test_lists_are_no_arguments(setup: ProjectSetup) -> None:
    """They are sent to the process, in any length."""
    rules = [f"Bash(tool{number})" for number in range(30_000)]
    assert "execution_id" in refusal(setup, allowed_tools=rules)
    (order,) = setup.executor.take()
    assert order.options == requests.Options(allowed_tools=rules)


def test_folders_are_limited_and_looked_up_once(setup: ProjectSetup) -> None:
    folder = str(setup.folder)
    assert "execution_id" in refusal(setup, add_dirs=[folder] * 1000)
    (order,) = setup.executor.take()
    assert order.options.add_dirs == [folder]
    many = [f"{folder}/{number}" for number in range(ADD_DIRS_MAX + 1)]
    refused = refusal(setup, add_dirs=many)
    assert refused["details"] == {"field": "payload.options.add_dirs"}


def test_the_system_starts_what_the_space_allows() -> None:
    """The kernel's limit is what argument_space says, and no lower."""
    environment = {"A": "b" * 1000}
    space = argument_space([sys.executable], environment)
    longest = "x" * (space.one_bytes - 1)
    many = [longest] * (space.all_bytes // (space.one_bytes + 8))
    command = [sys.executable, "-I", "-S", "-c", "import sys; print(len(sys.argv))", *many]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert int(done.stdout) == len(many) + 1
    with pytest.raises(OSError, match="Argument list too long"):
        subprocess.run([*command, "x" * (space.one_bytes * 64)], env=environment, check=True)


def test_a_small_stack_leaves_less_space() -> None:
    small = argument_space(["claude"], {}, [("stack", 1024 * 1024)])
    assert small.all_bytes <= 256 * 1024 < argument_space(["claude"], {}).all_bytes
    least = argument_space(["claude"], {}, [("stack", 1024)])
    assert ALL_BYTES_LEAST - RESERVED_BYTES - 1024 < least.all_bytes < ALL_BYTES_LEAST


def test_a_large_environment_leaves_less_space() -> None:
    total = os.sysconf("SC_ARG_MAX")
    assert argument_space(["claude"], {"A": "x" * total}).all_bytes == 0
