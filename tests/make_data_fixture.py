"""Make a small data folder, as the present program keeps one, and what a client sees of it.

    python -m tests.make_data_fixture VERSION

It writes tests/data/data-vVERSION.tar.gz and data-vVERSION.json, and the same with `-killed` for a
folder that a kill -9 has left in the middle of an execution. Make them when a release changes the
format, with that release, and never again: the folders of a release are as they are.
tests/test_data_fixtures.py opens them with the program of the day.
"""

import gzip
import io
import json
import signal
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.harness import HubProcess, WireClient
from tests.processes import wait_until

FOLDER = Path(__file__).with_name("data")
# Where the projects of a fixture were, in its metadata and in what a client saw.
ROOTS = "/srv/claudehub-fixture/roots"
# What belongs to one run of the server, and is not kept.
_OF_THE_RUN = ("subscribers",)
SETTINGS = {"MSG_ROTATE_SIZE": "4096", "LOG_COMPRESS": "gzip", "WARM_SESSIONS": "0"}


def seen_by_a_client(client: WireClient) -> dict[str, Any]:
    """Return the projects, and every message of each."""
    projects = client.request("project_list")["projects"]
    found = {}
    for project in projects:
        project_id = project["project_id"]
        pages = []
        after = project["first_seq"] - 1
        while after < project["last_seq"]:
            page = client.request("get_messages", project_id=project_id, after_seq=after)
            pages += page["messages"]
            after = pages[-1]["seq"]
        kept = {name: value for name, value in project.items() if name not in _OF_THE_RUN}
        log_id = client.request("get_messages", project_id=project_id)["log_id"]
        kept["path"] = f"{ROOTS}/{project_id}"
        found[project_id] = {"project": kept, "log_id": log_id, "messages": pages}
    return found


def fill(hub: HubProcess, client: WireClient) -> None:
    """Do with a hub what users do."""
    for name, more in (
        ("site", {"trusted": True}),
        ("empty", {}),
        ("docs", {"name": "Dökumente ✓"}),
    ):
        client.request("project_create", path=hub.folder(name), project_id=name, **more)
        client.request("project_join", project_id=name)
    for number in range(12):
        client.run("site", f"Prompt {number}: größer [[text:{'word ' * 40}]]", key=f"key-{number}")
    client.request("execute", project_id="site", prompt="[[tool:Bash:touch made]]", key="asked")
    question = client.wait_for("permission_request")["data"]
    answer = {"permission_id": question["permission_id"], "decision": "allow"}
    client.request("permission_answer", project_id="site", **answer)
    client.wait_for("execution_finished", execution_id=question["execution_id"])
    client.run("site", "[[error:529]]", options={"model": "claude-mock-2"})
    client.run("docs", "[[text:one]]")
    client.request("agent_new_session", project_id="docs")
    client.run("docs", "[[raw:bm90IEpTT04K]]")
    gone = client.request("project_create", path=hub.folder("gone"), project_id="gone")
    assert gone["project"]["status"] == "idle"
    client.request("project_join", project_id="gone")
    client.run("gone", "[[text:kept]]", key="kept-key")
    client.request("project_delete", project_id="gone", keep_history=True)
    log = hub.data / "projects" / "site" / "log"
    wait_until(lambda: len(list(log.glob("*.gz"))) >= 2)


def leave_running(client: WireClient) -> None:
    """Leave an execution that runs, one that waits, and a question without an answer."""
    client.request("execute", project_id="site", prompt="[[hang]]", key="cut short")
    client.wait_for("execution_started")
    client.request("execute", project_id="site", prompt="later", key="waited")
    client.request("execute", project_id="docs", prompt="[[tool:Bash:touch made]]")
    client.wait_for("permission_request")


def main(version: str) -> None:
    """Make all files of a version."""
    FOLDER.mkdir(exist_ok=True)
    for name, is_killed in ((f"data-v{version}", False), (f"data-v{version}-killed", True)):
        with tempfile.TemporaryDirectory() as scratch:
            hub = HubProcess(Path(scratch), **SETTINGS).start()
            with hub.client() as client:
                fill(hub, client)
                client.take()
                if is_killed:
                    leave_running(client)
                seen = seen_by_a_client(client)
            hub.stop(signal.SIGKILL if is_killed else signal.SIGTERM)
            roots = str(hub.roots.resolve())
            (FOLDER / f"{name}.json").write_text(
                json.dumps(seen, ensure_ascii=False) + "\n", "utf-8"
            )
            (FOLDER / f"{name}.tar.gz").write_bytes(packed(hub.data, roots))


def packed(data: Path, roots: str) -> bytes:
    """Return a tar of a data folder. In the metadata, and only there, the folder of the projects
    gets its name for fixtures."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for path in sorted(data.rglob("*")):
            entry = tar.gettarinfo(path, str(path.relative_to(data)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            if path.is_dir():
                tar.addfile(entry)
                continue
            content = path.read_bytes()
            if path.name.startswith("meta.json"):
                content = content.replace(roots.encode(), ROOTS.encode())
            entry.size = len(content)
            entry.type = tarfile.REGTYPE
            entry.linkname = ""
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(made.getvalue(), mtime=0)


if __name__ == "__main__":
    main(sys.argv[1])
