"""What the code must look like: layers, sizes, what belongs to one file, the wheel, the docs."""

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.errors import ErrorCode
from protocol.requests import MODELS, PERMISSION_MODES, Options
from protocol.updates import Outcome, UpdateType
from tests.harness import ROOT

PACKAGES = ("actors", "protocol", "storage", "claudehub")
MAY_IMPORT = {
    "protocol": {"protocol"},
    "storage": {"storage"},
    "actors": {"actors", "protocol", "storage"},
    "claudehub": {"claudehub", "protocol", "actors", "storage"},
}
FILE_LINES_MAX = 300
# Programs that tests start: an agent may take its time.
AGENTS = ("fake_messages_api.py", "mock_claude.py", "mock_turn.py")
FUNCTION_LINES_MAX = 40


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def all_imports() -> Iterator[tuple[str, str]]:
    for path in sources(*PACKAGES):
        for name in imports(ast.parse(path.read_text())):
            yield str(path.relative_to(ROOT)), name


def test_each_layer_imports_only_what_it_may() -> None:
    wrong = [
        (path, name)
        for path, name in all_imports()
        if (top := name.split(".")[0]) in PACKAGES and top not in MAY_IMPORT[path.split("/")[0]]
    ]
    assert wrong == []


def test_the_command_line_imports_of_the_server_only_what_starts_it() -> None:
    used = {
        name
        for path, name in all_imports()
        if path.startswith("claudehub/") and name.startswith("actors.")
    }
    starts = {
        "actors.server",
        "actors.server.main",
        "actors.server.errors",
        "actors.server.errors.StartFailed",
    }
    assert used <= {
        *starts,
        "actors.config.settings",
        "actors.config.settings.Config",
        "actors.config.sources",
        "actors.config.sources.data_folder",
        "actors.config.sources.local_socket",
    }


def test_what_belongs_to_one_room_is_imported_nowhere_else() -> None:
    only_in = {
        "asyncio": (),
        "subprocess": (
            "actors/feed/compression.py",
            "actors/executor/cli_facts.py",
            "actors/process_tree/guardian.py",
            "actors/executor/process.py",
            "claudehub/cli/demo.py",
            "claudehub/client/identity.py",
        ),
        "socket": ("actors/frontend/", "claudehub/client/target.py"),
        "websocket_server": ("actors/frontend/listener.py",),
        "psutil": ("actors/executor/", "actors/process_tree/", "storage/compressor.py"),
        "watchdog": ("actors/watch/"),
        "fcntl": ("storage/", "actors/frontend/socket_transport.py"),
    }
    wrong = [
        (path, name)
        for path, name in all_imports()
        if (top := name.split(".")[0]) in only_in and not path.startswith(tuple(only_in[top]))
    ]
    assert wrong == []


def test_only_the_clock_reads_the_time() -> None:
    reading = re.compile(r"\b(time\.(time|monotonic|perf_counter)|datetime\.(now|utcnow))\(")
    found = [
        str(path.relative_to(ROOT))
        for path in sources("actors", "protocol", "storage")
        if reading.search(path.read_text())
    ]
    assert found == ["actors/runtime/clock.py"]


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") < FILE_LINES_MAX
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it owns"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            # A dispatch is one line a message, and a command one a flag.
            allowed = 60 if node.name == "receive" else FUNCTION_LINES_MAX
            assert lines <= allowed, f"{node.name} has {lines} lines"


def test_tests_do_not_sleep_and_are_not_skipped() -> None:
    unwanted = re.compile(r"\bsleep\(|mark\.(skip|xfail)|pytest\.(skip|xfail|importorskip)")
    for path in sources("tests"):
        if path.name not in AGENTS and path.name != "test_structure.py":
            assert not unwanted.search(path.read_text()), path


def test_the_protocol_page_has_every_word_of_the_protocol() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    words = [*MODELS, "ping", *ErrorCode, *UpdateType, *Outcome, *Options.model_fields]
    missing = [word for word in (*words, *PERMISSION_MODES) if f"`{word}`" not in text]
    assert missing == []
    for name, model in MODELS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        for field, info in model.model_fields.items():
            assert f"`{info.alias or field}`" in row, (name, field)


def test_the_security_page_names_tests_that_are_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 40
    everything = "".join(path.read_text() for path in (ROOT / "tests").glob("*.py"))
    assert [name for name in sorted(named) if f"def {name}(" not in everything] == []


def test_links_in_the_documentation_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")]
    assert len(pages) > 8
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_wheel_holds_the_packages_and_nothing_else(tmp_path: Path) -> None:
    """Built from a copy, so that nothing is left in the checkout."""
    copy = tmp_path / "copy"
    listed = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if not (ROOT / name).is_file() or name.startswith("bench/"):
            continue
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(copy)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    packed = {name for name in names if name.endswith(".py")}
    assert packed == {str(path.relative_to(ROOT)) for path in sources(*PACKAGES)}
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
