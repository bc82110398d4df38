"""What the shell completes: as its script asks for it, with the words typed so far."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import claudehub
from claudehub.cli import where
from claudehub.cli.completion_cli import VARIABLE
from claudehub.cli.where import Where, project_ids
from tests.harness import ROOT, TIMEOUT_S


def completed(home: Path, typed: str, **environment: str) -> list[str]:
    """Return what may stand for the last word of a line."""
    asking = subprocess.run(
        [sys.executable, str(ROOT / "claudehub" / "__main__.py")],
        env={
            **os.environ,
            "XDG_CONFIG_HOME": str(home),
            VARIABLE: "bash_complete",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split(" ")) - 1),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert asking.stderr == ""
    return [line.partition(",")[2] for line in asking.stdout.split()]


def test_the_projects_of_the_hub_that_the_line_names(start_hub: Any, tmp_path: Path) -> None:
    hub = start_hub()
    with claudehub.connect(hub.url) as client:
        for name in ("site", "sites", "blog"):
            client.create(hub.folder(name), project_id=name)
    assert completed(tmp_path, f"claudehub run --url {hub.url} si") == ["site", "sites"]
    assert completed(tmp_path, "claudehub tail b", CLAUDEHUB_URL=hub.url) == ["blog"]


def test_the_hubs_that_have_names(tmp_path: Path) -> None:
    (tmp_path / "claudehub").mkdir()
    (tmp_path / "claudehub" / "hubs.json").write_text(
        '{"hubs": {"home": {"url": "ws://h"}, "office": {"url": "ws://o"}}}'
    )
    assert completed(tmp_path, "claudehub hub use ") == ["home", "office"]
    assert completed(tmp_path, "claudehub projects list --hub of") == ["office"]


@pytest.mark.parametrize("url", ["http://a.page", "no address", "ws://127.0.0.1:1"])
def test_nothing_and_no_word_where_no_hub_can_be_asked(tmp_path: Path, url: str) -> None:
    assert completed(tmp_path, "claudehub run ", CLAUDEHUB_URL=url) == []


def test_the_shell_does_not_wait_for_a_hub_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def silent(*address: Any, **options: Any) -> claudehub.Hub:
        let_go.wait(TIMEOUT_S)
        raise claudehub.ConnectFailed(claudehub.Failure.REFUSED, "let go")

    monkeypatch.setattr(claudehub, "connect", silent)
    monkeypatch.setattr(where, "COMPLETION_TIMEOUT_S", 0.05)
    try:
        assert project_ids(Where("ws://silent")) == []
        assert not let_go.is_set()
    finally:
        let_go.set()
