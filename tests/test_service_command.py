"""`claudehub service`, with programs in the place of systemctl and launchctl that note what they
are asked for. Whether systemd takes the unit is tried by .ci/units; nothing was tried on macOS."""

import errno
import json
import os
import plistlib
import shlex
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from claudehub.cli import service_cli, service_managers
from claudehub.cli.main import main
from claudehub.cli.service_files import Service, launch_agent, user_unit

LINUX, MACOS = "linux", "darwin"
PLATFORMS = pytest.mark.parametrize("platform", [LINUX, MACOS])
TARGET = f"gui/{os.getuid()}/claudehub.serve"


class StubManager:
    """systemctl and launchctl on PATH, which note their arguments. `answer` has one do more."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self._programs = folder / "programs"
        self._programs.mkdir()
        self.path = f"{self._programs}:/usr/bin:relative:/bin:/usr/bin"
        self._calls = folder / "calls"
        self._calls.touch()
        for name in ("systemctl", "launchctl"):
            self.answer(name)

    def answer(self, name: str, lines: str = "exit 0") -> None:
        program = self._programs / name
        noted = f'echo {name} "$@" >>{shlex.quote(str(self._calls))}'
        program.write_text(f"#!/bin/sh\n{noted}\n{lines}\n")
        program.chmod(0o755)

    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines()

    def invoke(self, platform: str, *words: str) -> Result:
        environment = {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "PATH": self.path,
        }
        with patch.object(service_cli, "PLATFORM", platform):
            return CliRunner().invoke(main, ["service", *words], env=environment)

    def file(self, platform: str) -> Path:
        if platform == MACOS:
            return self.home / "Library" / "LaunchAgents" / "claudehub.serve.plist"
        return self.home / "config" / "systemd" / "user" / "claudehub.service"

    def install(self, platform: str) -> None:
        assert self.invoke(platform, "install", "--yes").exit_code == 0
        self._calls.write_text("")


@pytest.fixture
def stub(scratch: Path) -> StubManager:
    return StubManager(scratch)


# -- install


def test_install_on_linux_writes_the_unit_and_starts_it(stub: StubManager) -> None:
    done = stub.invoke(LINUX, "install", "--yes")
    assert done.exit_code == 0, done.output
    assert stub.calls() == [
        "systemctl --user daemon-reload",
        "systemctl --user enable claudehub.service",
        "systemctl --user restart claudehub.service",
    ]
    assert "loginctl enable-linger" in done.stdout
    unit = stub.file(LINUX).read_text()
    assert "\nType=notify\n" in unit and "\nKillMode=mixed\n" in unit
    assert f":{os.pathsep}" not in unit and ":/usr/bin:/bin\n" in unit, "relative, or twice"


def test_install_on_macos_writes_the_agent_and_starts_it(stub: StubManager) -> None:
    done = stub.invoke(MACOS, "install", "--yes")
    assert done.exit_code == 0, done.output
    file = stub.file(MACOS)
    assert stub.calls() == [
        f"launchctl bootout {TARGET}",
        f"launchctl enable {TARGET}",
        f"launchctl bootstrap gui/{os.getuid()} {file}",
    ]
    agent = plistlib.loads(file.read_bytes())
    assert agent["Label"] == "claudehub.serve"
    assert agent["ProgramArguments"][-1] == "serve"
    assert Path(agent["ProgramArguments"][0]).is_absolute()
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["ExitTimeOut"] >= 60
    assert agent["StandardErrorPath"] == f"{stub.home}/Library/Logs/claudehub.log"


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ("", 90),
        ('stop_grace = "30m"', 1890),
        ('stop_grace = "1500ms"', 92),
        ('stop_grace = "30m"\nmax_conn = "x"', 1890),
        ('stop_grace = "x"', 90),
        ("no TOML", 90),
    ],
)
def test_launchd_waits_longer_than_the_hub_for_its_agents(
    stub: StubManager, lines: str, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOP_GRACE", "1h")  # the service does not get it
    named, usual = stub.home / "named.toml", stub.home / "config" / "claudehub" / "config.toml"
    usual.parent.mkdir(parents=True)
    for file, options in ((named, ["--config", str(named)]), (usual, [])):
        file.write_text(lines)
        done = stub.invoke(MACOS, "install", "--print", *options)
        assert done.exit_code == 0, done.output
        assert plistlib.loads(done.stdout.encode())["ExitTimeOut"] == seconds
        assert "STOP_GRACE and 90 more" in done.stdout


@PLATFORMS
def test_install_shows_all_and_does_nothing_where_nobody_can_be_asked(
    stub: StubManager, platform: str
) -> None:
    done = stub.invoke(platform, "install")
    assert done.exit_code == 1
    assert "--yes" in done.stderr
    assert str(stub.file(platform)) in done.stdout
    assert ("Type=notify" if platform == LINUX else "<key>KeepAlive</key>") in done.stdout
    assert ("systemctl --user restart" if platform == LINUX else "launchctl boot") in done.stdout
    assert stub.calls() == [] and not stub.file(platform).exists()


@pytest.mark.parametrize("answer", [True, False])
def test_install_asks_at_a_terminal(stub: StubManager, answer: bool) -> None:
    with (
        patch.object(service_cli, "is_interactive", return_value=True),
        patch("click.confirm", return_value=answer) as asked,
    ):
        done = stub.invoke(LINUX, "install")
    asked.assert_called_once()
    assert (done.exit_code == 0) is answer
    assert bool(stub.calls()) is stub.file(LINUX).exists() is answer


@PLATFORMS
def test_print_prints_the_file_and_nothing_else(stub: StubManager, platform: str) -> None:
    printed = stub.invoke(platform, "install", "--print").stdout
    assert stub.calls() == [] and not stub.file(platform).exists()
    stub.install(platform)
    assert printed == stub.file(platform).read_text()


def test_a_second_install_says_that_it_replaces_the_file(stub: StubManager) -> None:
    assert "This writes" in stub.invoke(LINUX, "install").stdout
    stub.install(LINUX)
    assert "This replaces" in stub.invoke(LINUX, "install").stdout


def test_the_configuration_file_is_named_in_full(stub: StubManager, scratch: Path) -> None:
    file = scratch / "100% mine.toml"
    file.touch()
    printed = stub.invoke(LINUX, "install", "--print", "--config", str(file)).stdout
    quoted = str(file).replace("%", "%%")
    assert f'serve --config "{quoted}"\n' in printed
    assert stub.invoke(LINUX, "install", "--print", "--config", "/nowhere").exit_code == 2


def test_the_program_is_the_script_beside_python_or_the_checkouts_file(
    stub: StubManager, scratch: Path
) -> None:
    with patch.object(sys, "executable", str(scratch / "python3")):
        from_checkout = stub.invoke(LINUX, "install", "--print").stdout
        (scratch / "claudehub").touch()
        from_script = stub.invoke(LINUX, "install", "--print").stdout
    assert f"ExecStart={scratch}/python3 " in from_checkout
    assert "/claudehub/__main__.py serve\n" in from_checkout
    assert f"ExecStart={scratch}/claudehub serve\n" in from_script


@PLATFORMS
def test_a_failing_command_is_told_with_what_it_printed(stub: StubManager, platform: str) -> None:
    for name in ("systemctl", "launchctl"):
        stub.answer(name, 'case "$*" in *restart*|bootstrap*) echo no luck >&2; exit 1;; esac')
    done = stub.invoke(platform, "install", "--yes")
    assert done.exit_code == 1
    assert "no luck" in done.stderr
    assert ("journalctl --user" in done.stderr) is (platform == LINUX)


def test_without_a_user_manager_the_other_ways_are_named(stub: StubManager) -> None:
    stub.answer("systemctl", "echo Failed to connect to bus: No medium found >&2; exit 1")
    done = stub.invoke(LINUX, "install", "--yes")
    assert done.exit_code == 1 and "su or sudo" in done.stderr


def test_a_machine_without_systemd_is_told_so(stub: StubManager) -> None:
    stub.install(LINUX)
    with patch.object(service_managers.subprocess, "run", side_effect=FileNotFoundError):
        done = stub.invoke(LINUX, "status")
    assert done.exit_code == 1 and "systemctl was not found" in done.stderr


def test_other_systems_are_refused(stub: StubManager) -> None:
    done = stub.invoke("freebsd14", "install", "--yes")
    assert done.exit_code == 1 and "freebsd14" in done.stderr


# A newline and a directive, another control character, and a byte that is no UTF-8.
ODD = pytest.mark.parametrize("odd", ["/a\nExecStartPre=/bin/evil\n", "/a\x01b", "/a\udcff"])


@PLATFORMS
@ODD
def test_what_cannot_stand_in_the_file_is_refused_and_the_good_file_stays(
    stub: StubManager, platform: str, odd: str
) -> None:
    stub.install(platform)
    good = stub.file(platform).read_text()
    stub.path = f"{stub.path}:{odd}"
    done = stub.invoke(platform, "install", "--yes")
    assert done.exit_code == 1 and done.stdout == ""
    assert done.stderr.startswith("claudehub: PATH has '/a\\")
    assert len(done.stderr.splitlines()) == 1
    assert stub.calls() == [] and stub.file(platform).read_text() == good


@PLATFORMS
def test_a_configuration_file_with_a_newline_in_its_name_is_refused(
    stub: StubManager, platform: str, scratch: Path
) -> None:
    file = scratch / "x\nExecStartPre=-sh -c evil"
    file.touch()
    done = stub.invoke(platform, "install", "--print", "--config", str(file))
    assert done.exit_code == 1 and done.stdout == "" and "the command has" in done.stderr


@PLATFORMS
def test_a_link_is_replaced_and_not_what_it_leads_to(
    stub: StubManager, platform: str, scratch: Path
) -> None:
    other = scratch / "precious"
    other.write_text("precious")
    file = stub.file(platform)
    file.parent.mkdir(parents=True)
    file.symlink_to(other)
    stub.install(platform)
    assert other.read_text() == "precious"
    assert not file.is_symlink() and "claudehub" in file.read_text()


@PLATFORMS
def test_a_file_that_cannot_be_written_leaves_the_one_before(
    stub: StubManager, platform: str
) -> None:
    stub.install(platform)
    good = stub.file(platform).read_text()
    with patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        done = stub.invoke(platform, "install", "--yes")
    problem = f"{stub.file(platform)} cannot be written: No space left on device"
    assert done.exit_code == 1 and problem in done.stderr
    assert stub.calls() == [] and stub.file(platform).read_text() == good
    assert [each.name for each in stub.file(platform).parent.iterdir()] == [
        stub.file(platform).name
    ]


# -- uninstall


@PLATFORMS
def test_uninstall_stops_the_hub_and_removes_the_file(stub: StubManager, platform: str) -> None:
    stub.install(platform)
    refused = stub.invoke(platform, "uninstall")
    assert refused.exit_code == 1 and stub.calls() == [] and stub.file(platform).exists()
    assert stub.invoke(platform, "uninstall", "--yes").exit_code == 0
    assert not stub.file(platform).exists()
    assert (
        stub.calls()
        == {
            LINUX: [
                "systemctl --user disable --now claudehub.service",
                "systemctl --user daemon-reload",
            ],
            MACOS: [f"launchctl bootout {TARGET}"],
        }[platform]
    )


@PLATFORMS
def test_uninstall_of_nothing_changes_nothing(stub: StubManager, platform: str) -> None:
    done = stub.invoke(platform, "uninstall", "--yes")
    assert done.exit_code == 0 and "there is no service" in done.stderr
    assert stub.calls() == []


def test_a_service_that_cannot_be_stopped_keeps_its_file(stub: StubManager) -> None:
    stub.install(LINUX)
    stub.answer("systemctl", "exit 1")
    assert stub.invoke(LINUX, "uninstall", "--yes").exit_code == 1
    assert stub.file(LINUX).exists()


# -- status

RUNNING = {
    LINUX: "printf 'ActiveState=active\\nSubState=running\\nMainPID=4711\\n'",
    MACOS: "printf 'gui/501/claudehub.serve = {\\n\\tstate = running\\n\\n\\tpid = 4711\\n}\\n'",
}
STOPPED = {
    LINUX: "printf 'ActiveState=failed\\nSubState=failed\\nMainPID=0\\n'",
    MACOS: "echo 'Could not find service' >&2; exit 113",
}


def answer_both(stub: StubManager, lines: str) -> None:
    for name in ("systemctl", "launchctl"):
        stub.answer(name, lines)


@PLATFORMS
def test_status_of_a_running_service(stub: StubManager, platform: str) -> None:
    stub.install(platform)
    answer_both(stub, RUNNING[platform])
    done = stub.invoke(platform, "status")
    assert done.exit_code == 0, done.output
    assert str(stub.file(platform)) in done.stdout and "process 4711" in done.stdout
    said = json.loads(stub.invoke(platform, "status", "--json").stdout)
    assert said["running"] is said["installed"] is True and said["pid"] == 4711


@PLATFORMS
def test_status_of_a_service_that_does_not_run(stub: StubManager, platform: str) -> None:
    answer_both(stub, STOPPED[platform])
    done = stub.invoke(platform, "status")
    assert done.exit_code == 1
    assert "claudehub service install" in done.stdout
    assert {LINUX: "failed", MACOS: "not loaded"}[platform] in done.stdout
    said = json.loads(stub.invoke(platform, "status", "--json").stdout)
    assert said["running"] is said["installed"] is False and said["pid"] is None


# -- what is written


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/opt/hub", "/opt/hub"),
        ("/opt/my hub", '"/opt/my hub"'),
        ('/opt/"hub"', '"/opt/\\"hub\\""'),
        ("/opt/back\\slash", '"/opt/back\\\\slash"'),
        ("/opt/50%", "/opt/50%%"),
        ("/opt/$HOME", "/opt/$$HOME"),
    ],
)
def test_a_word_of_the_unit_is_quoted_as_systemd_reads_it(word: str, written: str) -> None:
    unit = user_unit(Service([word, "serve"], "/bin", Path("/home/ann")))
    assert f"ExecStart={written} serve\n" in unit


def test_a_property_list_takes_any_path() -> None:
    program = ["/Users/ann/a <b> & c/claudehub", "serve"]
    text = launch_agent(Service(program, "/bin", Path("/Users/ann")))
    assert plistlib.loads(text.encode())["ProgramArguments"] == program
