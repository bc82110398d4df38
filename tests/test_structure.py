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
from protocol.fields import PERMISSION_MODES
from protocol.requests import MODELS, Options
from protocol.updates import Outcome, UpdateType
from tests.harness import ROOT

PACKAGES = ("actors", "protocol", "storage", "claudehub")
MAY_IMPORT = {
    "protocol": {"protocol"},
    "storage": {"storage"},
    "actors": {"actors", "protocol", "storage"},
    "claudehub": {"claudehub", "protocol", "actors", "storage"},
}
# 95 % of all files are shorter than the first, and none is longer than the second.
FILE_LINES_USUAL = 300
FILE_LINES_MAX = 450
ROOMS_MAX = 20
LOOSE_MODULES = {"actors/directory.py", "actors/ports.py"}
PROJECT_FILES_MAX = 13
# Programs that tests start: an agent may take its time.
AGENTS = (
    "fake_messages_api.py",
    "mock_claude.py",
    "mock_turn.py",
    "playing_agent.py",
    "scripted_agent.py",
)
FUNCTION_LINES_MAX = 40


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports, also under TYPE_CHECKING and inside functions."""
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


def file_arrows() -> dict[str, set[str]]:
    """Return which of our files each of our files imports."""
    files = {str(path.relative_to(ROOT)) for path in sources(*PACKAGES)}
    arrows: dict[str, set[str]] = {file: set() for file in files}
    for path in sources(*PACKAGES):
        file = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{a.name}" for a in node.names}
                parts = {name for name in whole if file_of(name, files)}
                names = [*parts, *([node.module] if parts != whole else [])]
            found = {file_of(name, files) for name in names}
            arrows[file] |= {target for target in found if target and target != file}
    return arrows


def file_of(module: str, files: set[str]) -> str | None:
    base = module.replace(".", "/")
    return next((f for f in (f"{base}.py", f"{base}/__init__.py") if f in files), None)


def folder_of(file: str) -> str:
    """Return the room of a file; a loose module is a room of its own."""
    return file.rpartition("/")[0] if file.count("/") > 1 else file


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Return one circle, or nothing: what is left when all without a way on are taken out."""
    left = {start: set(ends) for start, ends in arrows.items()}
    while free := [start for start, ends in left.items() if not ends & left.keys()]:
        for start in free:
            del left[start]
    return sorted(left)


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
        "actors.server.memory",
        "actors.server.outlet",
    }
    looks = ("actors.config.", "actors.doctor.")
    others = {name for name in used if not name.startswith(looks)}
    assert others - {"actors.runtime.clock", "actors.runtime.clock.SystemClock"} <= starts


def test_what_belongs_to_one_room_is_imported_nowhere_else() -> None:
    only_in = {
        "asyncio": ("claudehub/aio.py", "claudehub/client/async_", "claudehub/tui/"),
        "subprocess": (
            "actors/feed/compression.py",
            "actors/executor/cli_probe.py",
            "actors/process_tree/children.py",
            "actors/process_tree/guardian.py",
            "actors/executor/process.py",
            "actors/executor/sandbox.py",
            "actors/executor/short_output.py",
            "claudehub/cli/demo.py",
            "claudehub/cli/service_managers.py",
            "claudehub/client/identity.py",
        ),
        "socket": (
            "actors/frontend/",
            "actors/executor/output.py",
            "actors/executor/streams.py",
            "claudehub/cli/doctor_hub.py",
            "claudehub/client/address.py",
            "claudehub/client/dialling.py",
            "claudehub/client/engine.py",
            "claudehub/show/inbox.py",
            "actors/server/service_manager.py",
            "claudehub/testing.py",
        ),
        "websocket_server": ("actors/frontend/listener.py",),
        "psutil": (
            "actors/executor/",
            "actors/hub/machine.py",
            "actors/process_tree/",
            "storage/compressor.py",
        ),
        "opentelemetry": ("actors/tracing/otel.py",),
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


PARSERS = {"simplejson.loads", "json.loads", "tomllib.loads", "_decoder.raw_decode"}
# What the hub itself has parsed or made before.
PARSE_OUR_OWN = {"actors/feed/open_records.py", "claudehub/cli/standin_agent.py"}


def test_what_others_have_written_is_parsed_where_deep_nesting_is_expected() -> None:
    """`[[[[…` raises RecursionError, which is no ValueError."""
    careless = []
    for path in sources(*PACKAGES):
        tree = ast.parse(path.read_text())
        careful = {
            id(node)
            for block in ast.walk(tree)
            if (isinstance(block, ast.Try) and "RecursionError" in ast.unparse(block.handlers))
            or (isinstance(block, ast.With) and "RecursionError" in ast.unparse(block.items))
            for part in block.body
            for node in ast.walk(part)
        }
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        wrong = [c for c in calls if ast.unparse(c.func) in PARSERS and id(c) not in careful]
        if wrong:
            careless.append(str(path.relative_to(ROOT)))
    assert set(careless) == PARSE_OUR_OWN


def test_no_file_imports_itself_by_way_of_others() -> None:
    assert circle(file_arrows()) == []


def test_no_room_imports_itself_by_way_of_others() -> None:
    rooms: dict[str, set[str]] = {}
    for file, targets in file_arrows().items():
        room = rooms.setdefault(folder_of(file), set())
        room |= {folder_of(target) for target in targets} - {folder_of(file)}
    assert len(rooms) > ROOMS_MAX  # of all packages: the arrows were found
    assert circle(rooms) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["a", "b", "c", "d"]


def test_actors_has_few_rooms_and_next_to_no_loose_modules() -> None:
    rooms = [path for path in (ROOT / "actors").iterdir() if (path / "__init__.py").exists()]
    assert len(rooms) <= ROOMS_MAX
    loose = {f"actors/{path.name}" for path in (ROOT / "actors").glob("*.py")}
    assert loose - {"actors/__init__.py"} == LOOSE_MODULES
    assert len(list((ROOT / "actors" / "project").glob("*.py"))) <= PROJECT_FILES_MAX


def test_files_are_short() -> None:
    lines = {path: path.read_text().count("\n") for path in sources(*PACKAGES)}
    assert {path: count for path, count in lines.items() if count > FILE_LINES_MAX} == {}
    long = [path for path, count in lines.items() if count >= FILE_LINES_USUAL]
    assert len(long) <= 0.05 * len(lines), long


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_are_short_and_modules_say_what_they_own(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a module says what it owns"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            # A dispatch is one line a message, and a command one a flag.
            allowed = 60 if node.name == "on_receive" else FUNCTION_LINES_MAX
            assert lines <= allowed, f"{node.name} has {lines} lines"


def test_tests_do_not_sleep_and_are_not_skipped() -> None:
    unwanted = re.compile(r"\bsleep\(|mark\.(skip|xfail)|pytest\.(skip|xfail|importorskip)")
    for path in sources("tests"):
        if path.name not in AGENTS and path.name != "test_structure.py":
            assert not unwanted.search(path.read_text()), path


def test_the_protocol_page_has_every_word_of_the_protocol() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    requests = text.split("\n## Requests\n")[1].split("\n## ")[0]
    words = [*MODELS, "ping", *ErrorCode, *UpdateType, *Outcome, *Options.model_fields]
    missing = [word for word in (*words, *PERMISSION_MODES) if f"`{word}`" not in text]
    assert missing == []
    for name, model in MODELS.items():
        row = next(line for line in requests.splitlines() if line.startswith(f"| `{name}`"))
        for field, info in model.model_fields.items():
            assert f"`{info.alias or field}`" in row, (name, field)


def test_the_security_page_names_tests_that_are_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 40
    everything = "".join(path.read_text() for path in (ROOT / "tests").glob("*.py"))
    assert [name for name in sorted(named) if f"def {name}(" not in everything] == []


def test_links_in_the_documentation_lead_somewhere() -> None:
    folders = (ROOT / "docs", ROOT / "bench", ROOT / "examples")
    pages = [*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
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
    others = {name.split("/")[0] for name in names if ".dist-info" not in name} - set(PACKAGES)
    assert len(others) == 1
    beside = {name.partition(".data/data/")[2] for name in names if ".data/" in name}
    deployed = {f"share/claudehub/{name}" for name in ("agent-in-bwrap", "claudehub.service")}
    assert beside == deployed | {"share/man/man1/claudehub.1"}
