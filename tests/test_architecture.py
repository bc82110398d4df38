"""docs/architecture.md says who tells whom and which locks there are: compare it with the code."""

import ast
import importlib
import pkgutil
import re
import types
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest

from actors import messages
from actors.messages import audit
from actors.metrics.kinds import ACTOR_KINDS, PROCESS_KINDS, THREAD_KINDS
from actors.runtime.base import Actor
from actors.server import caretaker, essential_threads
from tests.harness import ROOT

# The actor whose thread runs the code of a folder or file; the longest prefix counts.
ACTOR_OF = {
    "actors/directory.py": "Client",
    "actors/audit/trail.py": "AuditTrail",
    "actors/audit/auditor.py": "Auditor",
    "actors/client/": "Client",
    "actors/executor/": "Executor",
    "actors/executor/cli_facts.py": "CliFacts",
    "actors/feed/": "Project",
    "actors/feed/compression.py": "Rotator",
    "actors/feed/rotator.py": "Rotator",
    "actors/frontend/": "connection thread",
    "actors/hub/": "Hub",
    "actors/project/": "Project",
    "actors/runtime/base.py": "every actor",
    "actors/server/": "main thread",
    "actors/server/liveness.py": "Liveness",
    "actors/watch/project_files.py": "FileWatcher",
    "actors/watch/watching.py": "Project",
    "actors/watch/places.py": "PlaceWatcher",
    "actors/watch/reloader.py": "FileReloader",
}
# Callbacks that other threads call.
SENDER_OF = {
    ("actors/client/routing.py", "ClientTooSlow"): "Subscription",
    ("actors/client/routing.py", "CloseClient"): "Subscription",
    ("actors/frontend/conversation.py", "_FlushOutbox"): "Outbox",
}
# An actor hands these to itself by a call, and tells nobody.
CALLS = {
    ("actors/client/routing.py", "Replied"),
    ("actors/client/routing.py", "Refused"),
    ("actors/project/executor_link.py", "ProcessChanged"),
}
RECEIVERS = {
    "Auditor": audit.AuditorMessage,
    "Client": messages.ClientMessage,
    "Executor": messages.ExecutorMessage,
    "FileReloader": messages.FileReloaderMessage,
    "FileWatcher": messages.FileWatcherMessage,
    "Hub": messages.HubMessage,
    "Liveness": messages.LivenessMessage,
    "PlaceWatcher": messages.PlaceWatcherMessage,
    "Project": messages.ProjectMessage,
    "Rotator": messages.RotatorMessage,
}
MESSAGE_MODULES = ("actors.messages", "actors.runtime.refs")
ANSWERS = {"result": "Replied", "error": "Refused"}
LOCK_TYPES = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore"}

# What travels inside messages.
PARTS: set[str] = {"ReplyBehindUpdates", "ReplyTo"}

Row = tuple[str, str, str]


def members(union: Any) -> Iterator[str]:
    if get_origin(union) in (Union, types.UnionType):
        for part in get_args(union):
            yield from members(part)
    else:
        yield union.__name__


def receivers() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for actor, union in RECEIVERS.items():
        for name in members(union):
            found[name].add(actor)
    return found


def actor_of(file: str) -> str:
    return ACTOR_OF[max((p for p in ACTOR_OF if file.startswith(p)), key=len)]


def message_names(tree: ast.AST) -> dict[str, str]:
    """Return under which expressions a file knows which message classes."""
    known = {f"messages.{name}": name for name in receivers()}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(MESSAGE_MODULES):
            known |= {alias.asname or alias.name: alias.name for alias in node.names}
    return known


def constructed(tree: ast.AST) -> Iterator[str]:
    """Yield the names of the classes that a file makes messages of, and of the answers it gives."""
    known = message_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        *owners, method = called.split(".")
        if called in known:
            yield known[called]
        elif method in ANSWERS and owners[-1:] not in (["logger"], ["_replier"]):
            yield ANSWERS[method]


def told(files: dict[str, str]) -> set[Row]:
    """Return sender, receiver and message for each message that the files make."""
    found: set[Row] = set()
    to = receivers()
    for file, text in files.items():
        for name in set(constructed(ast.parse(text))) & to.keys():
            if (file, name) in CALLS:
                continue
            sender = SENDER_OF.get((file, name)) or actor_of(file)
            found |= {(sender, receiver, name) for receiver in to[name]}
    return found


def sources() -> dict[str, str]:
    files = sorted((ROOT / "actors").rglob("*.py"))
    names = {str(path.relative_to(ROOT)): path for path in files}
    return {n: p.read_text() for n, p in names.items() if not n.startswith("actors/messages/")}


def table(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading of docs/architecture.md, below its head."""
    text = (ROOT / "docs/architecture.md").read_text()
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def documented() -> set[Row]:
    return {
        (sender, receiver, name)
        for sender, receiver, names in table("Who tells whom")
        for name in re.findall(r"`(\w+)`", names)
    }


def test_the_table_of_messages_is_what_the_code_sends() -> None:
    in_code, in_docs = told(sources()), documented()
    assert not in_code - in_docs, "docs/architecture.md lacks these"
    assert not in_docs - in_code, "nothing sends these"


def message_classes() -> set[str]:
    """Return the dataclasses of actors/messages/, without those that travel inside others."""
    found = {"ActorDied"}
    for path in (ROOT / "actors/messages").glob("*.py"):
        tree = ast.parse(path.read_text())
        found |= {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    return found - PARTS


def test_every_message_class_has_a_receiver_and_a_sender() -> None:
    assert message_classes() == receivers().keys()
    assert message_classes() == {name for _, _, name in told(sources())}


def locks() -> set[tuple[str, str]]:
    """Return the file and the name of each lock that the code makes."""
    found = set()
    for path in sorted((ROOT / "actors").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Call)
                and ast.unparse(node.value.func).split(".")[-1] in LOCK_TYPES
            ):
                name = ast.unparse(node.targets[0]).removeprefix("self.")
                found.add((str(path.relative_to(ROOT)), name))
    return found


def test_the_table_of_locks_is_what_the_code_makes() -> None:
    in_docs = {(file.strip("`"), name.strip("`")) for file, name, *_ in table("Locks")}
    assert in_docs == locks()


# The client library's own threads: one lock each, and none is taken while another is held.
LOCKS_OF_CLIENTS = {
    "claudehub": {
        "claudehub/cli/taking.py",
        "claudehub/client/engine.py",
        "claudehub/show/inbox.py",
        "claudehub/testing.py",
    }
}


@pytest.mark.parametrize("folder", ["protocol", "storage", "claudehub"])
def test_no_other_package_makes_locks(folder: str) -> None:
    making = re.compile(rf"threading(\.| import .*\b)({'|'.join(LOCK_TYPES)})\b")
    found = {
        str(path.relative_to(ROOT))
        for path in Path(ROOT / folder).rglob("*.py")
        if making.search(path.read_text())
    }
    assert found == LOCKS_OF_CLIENTS.get(folder, set())


def test_the_extraction_sees_a_message_that_is_new_in_a_file() -> None:
    files = {"actors/hub/new.py": "port.tell(messages.RotateLog())\nreply_to.error(fault)"}
    assert told(files) == {("Hub", "Project", "RotateLog"), ("Hub", "Client", "Refused")}


def test_every_actor_declares_what_follows_from_its_death_and_the_page_says_it() -> None:
    for _, name, _ in pkgutil.walk_packages([str(ROOT / "actors")], "actors."):
        importlib.import_module(name)
    ours = [a for a in Actor.__subclasses__() if a.__module__.startswith("actors.")]
    declared = {actor.__name__: actor.__dict__["rule"].value for actor in ours}
    assert {row[0]: row[1] for row in table("Deaths")} == declared


def test_each_kind_that_may_die_is_in_the_metrics_from_the_start() -> None:
    for _, name, _ in pkgutil.walk_packages([str(ROOT / "actors")], "actors."):
        importlib.import_module(name)
    ours = [a for a in Actor.__subclasses__() if a.__module__.startswith("actors.")]
    assert sorted(actor.__name__ for actor in ours) == sorted(ACTOR_KINDS)
    process = (ROOT / "actors/executor/process.py").read_text()
    of_agents = re.findall(r'\("(\w+)", self\._\w+\),', process)
    assert len(of_agents) > 3
    threads = [*essential_threads.NAMES, *(f"agent-{name}" for name in of_agents)]
    assert sorted(f"thread {name}" for name in threads) == sorted(THREAD_KINDS)
    assert (caretaker.PART,) == PROCESS_KINDS
    counted = {
        (path.name, kind)
        for path in (ROOT / "actors").rglob("*.py")
        for kind in re.findall(r"LIVING\.died\((.+)\)", path.read_text())
    }
    assert counted == {  # a new place may count a new kind
        ("base.py", "type(self).__name__"),
        ("caretaker.py", "PART"),
        ("essential_threads.py", 'f"thread {name}"'),
        ("process.py", 'f"thread {thread}"'),
        ("restarts.py", 'f"thread {name}"'),
    }
