"""A thread that the server cannot do without: its failure ends the server, which says why."""

import ast
import threading

import pytest

from actors.runtime.living import LIVING
from actors.server import essential_threads
from tests.harness import ROOT

# Threads that may fail without the end of the server, and who notices.
OTHERS = {
    "agent-*": "the Executor, which ends the execution as failed",
    "banner": "nobody: the log has fewer of its first lines",
    "claude-facts": "the next question asks again",
    "doctor *": "whoever has asked for the checks",
    "host name": "the names that are known go on",
    "last spans": "the server is ending",
    "outlet *": "lines are dropped and counted",
    "state report": "nobody: SIGUSR1 shows no more",
    "status": "whoever scrapes",
    "status request": "whoever scrapes",
}


def names_in(file: str) -> set[str]:
    """Return how the threads that a file makes are called; `*` stands for what is filled in."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "threading.Thread":
            named = next(k.value for k in node.keywords if k.arg == "name")
            parts = named.values if isinstance(named, ast.JoinedStr) else [named]
            found.add("".join(p.value if isinstance(p, ast.Constant) else "*" for p in parts))
    return found


def test_every_thread_of_the_server_is_essential_or_somebody_else_notices() -> None:
    files = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "actors").rglob("*.py"))
    made = set().union(*(names_in(file) for file in files))
    assert made == essential_threads.NAMES | set(OTHERS)


@pytest.mark.parametrize("kind", [ValueError, MemoryError, SystemExit])
@pytest.mark.parametrize("name", sorted(essential_threads.NAMES))
def test_the_failure_of_an_essential_thread_asks_for_the_end(
    name: str, kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: logged.append(args.thread.name))
    failures: list[str] = []
    before = LIVING.deaths.get(f"thread {name}", 0)

    def fail() -> None:
        raise kind("no luck")

    with essential_threads.watched(failures.append):
        for thread_name in ("another", name):
            thread = threading.Thread(target=fail, name=thread_name)
            thread.start()
            thread.join()
    assert failures == [f"the thread {name} failed: {kind.__name__}: no luck"]
    assert logged == ["another", name]
    assert LIVING.deaths[f"thread {name}"] == before + 1
    assert threading.excepthook.__name__ == "<lambda>"
