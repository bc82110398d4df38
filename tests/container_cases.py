"""The image of deploy/Dockerfile, and the hub as process 1 of a container of it. Needs root and
debootstrap, and is run by .ci/container, which sees to that."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.document_session import free_port
from tests.harness import ROOT
from tests.image import Container, ImageBuilder, Stage, make_debian
from tests.processes import wait_until
from tests.test_access import Keys

CLAUDE_CODE = "2.1.331"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
HUB = COMPOSE["services"]["hub"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    scratch = tmp_path_factory.mktemp("image").resolve()
    make_debian(scratch / "debian")
    yield ImageBuilder(scratch / "debian", scratch, {"CLAUDE_CODE": CLAUDE_CODE}).build()
    subprocess.run(["rm", "-rf", str(scratch)], check=True)


@pytest.fixture
def container(image: Stage, scratch: Path) -> Container:
    """Return one with the volume, a folder of projects, keys, and the mock in the CLI's place."""
    keys = Keys(scratch)
    folders = [scratch / "data", scratch / "projects" / "shop"]
    for folder in (*folders, scratch / "projects", keys.file.parent):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["chown", "-R", "1000:1000", str(folder)], check=True)
    binds = {
        folders[0]: "/var/lib/claudehub",
        scratch / "projects": "/projects",
        keys.file.parent: "/etc/claudehub",
        ROOT / "tests": "/mock",
    }
    settings = {"WS_PORT": str(free_port()), "CLAUDE_CMD": "python3 /mock/mock_claude.py"}
    return Container(image, scratch, binds, MIN_FREE_BYTES="0", **settings)


def test_the_image_is_what_the_dockerfile_says(image: Stage) -> None:
    assert image.entry == ["claudehub"] and image.command == ["serve"]
    assert image.user != "root"
    assert image.volumes == ["/var/lib/claudehub"]
    assert (image.root / "opt/claudehub/share/claudehub/agent-in-bwrap").is_file()
    assert not (image.root / "src").exists(), "the source stays out of the image"
    assert not (image.root / "usr/bin/npm").exists()


def test_compose_gives_the_image_what_it_needs(image: Stage) -> None:
    assert HUB["read_only"] is True and HUB["cap_drop"] == ["ALL"]
    targets = [volume.split(":")[1] for volume in HUB["volumes"]]
    assert image.volumes[0] in targets
    assert image.environment["PROJECT_ROOTS"] in targets
    assert str(Path(image.environment["AUTHORIZED_KEYS"]).parent) in targets
    assert HUB["ports"] == ["127.0.0.1:8080:8080"]


def test_the_hub_is_process_1_and_healthy_and_runs_prompts(container: Container) -> None:
    with container:
        container.wait_until_healthy()
        first = container.first
        assert "claudehub" in " ".join(first.cmdline()) and first.uids().real == 1000
        done = container.run("claudehub", "run", "/projects/shop", "[[text:from the container]]")
        assert done.returncode == 0 and "from the container" in done.stdout, done
        written = container.run("sh", "-c", "echo > /opt/new; echo > /tmp/new && ls /tmp/new")
        assert "Read-only" in written.stderr and written.returncode == 0
        version = container.run("claude", "--version")
        assert version.stdout.startswith(CLAUDE_CODE), version


def test_the_hub_reaps_what_others_leave_behind(container: Container) -> None:
    with container:
        container.wait_until_healthy()
        left = container.run("sh", "-c", "setsid sh -c 'sleep 0.3' & echo gone")
        assert left.stdout == "gone\n"
        mine = re.compile(r"sleep 0\.3")

        def is_clean() -> bool:
            children = container.first.children(recursive=True)
            zombies = [c for c in children if c.status() == psutil.STATUS_ZOMBIE]
            return not zombies and not any(mine.search(" ".join(c.cmdline())) for c in children)

        wait_until(is_clean)


def test_sigterm_ends_it_with_code_0(container: Container) -> None:
    with container:
        container.wait_until_healthy()
        assert container.stop() == 0, container.said()
        assert "Traceback" not in container.said()


def test_without_keys_it_does_not_listen_to_others(image: Stage, scratch: Path) -> None:
    empty = scratch / "empty"
    empty.mkdir()
    with Container(image, scratch, {empty: "/etc/claudehub"}, WS_PORT="0") as container:
        assert container.wait() == 2
        assert "AUTHORIZED_KEYS" in container.said()
