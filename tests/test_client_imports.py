"""What `import claudehub` brings: the client and nothing of the server."""

import json
import subprocess
import sys

import pytest

import claudehub
from tests.harness import ROOT

SERVER = {"actors", "storage", "pydantic", "pydantic_settings", "pykka", "watchdog", "psutil"}
CONNECT = """
import json, sys
import claudehub
try:
    claudehub.connect("ws://127.0.0.1:1")
except claudehub.ConnectFailed as error:
    assert error.failure == "nothing_listens", error
"""
CONNECT_IN_ASYNCIO = """
import asyncio, json, sys
import claudehub
async def main():
    try:
        await claudehub.aio.connect("ws://127.0.0.1:1")
    except claudehub.ConnectFailed as error:
        assert error.failure == "nothing_listens", error
asyncio.run(main())
"""
FAKE = """
import json, sys
import claudehub
from claudehub.testing import FakeHub
with FakeHub() as fake, claudehub.connect(fake.url) as hub:
    assert hub.project("/src/site").execute("Hi").wait() == "success"
"""
EVERYTHING = """
import json, sys
import claudehub
for name in claudehub.__all__:
    getattr(claudehub, name)
"""
NAMES = "print(json.dumps(sorted(sys.modules)))"


def modules_of(program: str) -> set[str]:
    """Return the modules that a program has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", program + NAMES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return set(found)


@pytest.mark.parametrize("program", [CONNECT, CONNECT_IN_ASYNCIO, FAKE, EVERYTHING])
def test_a_client_brings_nothing_of_the_server(program: str) -> None:
    assert {name.split(".")[0] for name in modules_of(program)} & SERVER == set()


@pytest.mark.parametrize("program", [CONNECT, FAKE])
def test_a_client_for_threads_brings_no_asyncio(program: str) -> None:
    assert "asyncio" not in modules_of(program)


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    found = modules_of("import json, sys, claudehub\n")
    assert {name for name in found if name.startswith(("claudehub", "protocol"))} == {"claudehub"}
    assert "websockets" not in found


def test_every_public_name_is_there_and_documented() -> None:
    for name in claudehub.__all__:
        assert getattr(claudehub, name).__doc__, name
    assert set(dir(claudehub)) == set(claudehub.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        getattr(claudehub, "nosuch")  # noqa: B009 - a type checker would refuse the attribute
