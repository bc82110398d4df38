"""The documents: each code block has a kind and runs (or says why not), and each link leads
somewhere. tests/fences.py has the marks."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import simplejson
import yaml
from pydantic import BaseModel

from protocol import codec, updates
from protocol.errors import ErrorCode
from protocol.requests import MODELS
from protocol.v0.replies import BUSY, CODES
from protocol.v0.requests import decode as decode_0
from protocol.v0.shapes import STATES
from tests.document_session import CommandFailed, DocumentSession, commands
from tests.fences import Fence, fences, pages
from tests.harness import ROOT

RUN = ("sh", "console", "python")
READ = ("json", "toml", "yaml")
OUTPUT = {"printed", "shows", "ends"}
NOTHING_TO_RUN = ("text", "mermaid")
ALL = [fence for page in pages() for fence in fences(page)]
# -- kinds and marks


@pytest.mark.parametrize("fence", ALL, ids=str)
def test_a_block_has_a_kind_and_is_run_or_says_why_not(fence: Fence) -> None:
    assert fence.language, "a block needs a language: sh, console, python, json, text, …"
    assert all(fence.marks.get("not run", ["reason"])), "`not run` needs a reason"
    for test in fence.marks.get("run by", ()):
        assert fence.page.name in (ROOT / test).read_text()
    if fence.is_run:
        assert fence.language in (*RUN, *READ, *NOTHING_TO_RUN), "mark it: <!-- not run: reason -->"


def test_most_blocks_for_users_are_run() -> None:
    """The commands of CONTRIBUTING.md and bench/ are tests and benchmarks themselves."""
    mine = [f for f in ALL if f.page.name != "CONTRIBUTING.md" and f.page.parent.name != "bench"]
    shells = [fence for fence in mine if fence.language in RUN]
    assert len([fence for fence in shells if fence.is_run]) > 0.6 * len(shells)


# -- commands and programs


def has_commands(page: Path) -> bool:
    return any(fence.is_run and fence.language in RUN for fence in fences(page))


def begins_with_a_hub(page: Path) -> bool:
    """Return True if the page's own first commands start the hub."""
    first = next(fence for fence in fences(page) if fence.is_run and fence.language in RUN)
    return re.search(r"claudehub serve\b", first.text) is not None


@pytest.fixture
def page_session(request: pytest.FixtureRequest) -> Iterator[DocumentSession]:
    session = DocumentSession(with_hub=not begins_with_a_hub(request.param))
    yield session
    session.close()


def shown(expected: str, output: str) -> bool:
    """Return True if the output has the lines of a page in their order; `…` stands for anything."""
    parts = [re.escape(part.strip()) for part in re.split("…|\n", expected)]
    return re.search(".*?".join(parts), output, re.DOTALL) is not None


def check_shown(session: DocumentSession, fence: Fence, expected: str, output: str) -> None:
    assert shown(session.with_own_port(expected), output), f"{fence}:\n{output}"


def console_parts(fence: Fence) -> Iterator[tuple[str, str]]:
    """Yield what follows each `$ `, and the lines below it."""
    for part in re.split(r"(?m)^\$ ", fence.text)[1:]:
        command, _, expected = part.partition("\n")
        while command.endswith("\\"):
            more, _, expected = expected.partition("\n")
            command += "\n" + more
        yield command, expected


def run_console(session: DocumentSession, fence: Fence) -> None:
    *_, (last, _) = console_parts(fence)
    for command, expected in console_parts(fence):
        if command == last and "goes on" in fence.marks:
            (name,) = fence.marks["goes on"]
            own = session.with_own_port(expected)
            session.begin(name, command, lambda said, own=own: shown(own, said))
            return
        output = session.run(command, fails="fails" in fence.marks)
        check_shown(session, fence, expected, f"$ {command}\n{output}")


def run_block(session: DocumentSession, fence: Fence) -> None:
    """Run a block, or compare it with what the block before it has printed."""
    for command in fence.marks.get("before", ()):
        session.run(command)
    if "shows" in fence.marks:
        (name,) = fence.marks["shows"]
        session.wait_until(name, lambda said: shown(session.with_own_port(fence.text), said))
    elif "ends" in fence.marks:
        (name,) = fence.marks["ends"]
        check_shown(session, fence, fence.text, session.end_of(name))
    elif "printed" in fence.marks:
        check_shown(session, fence, fence.text, session.printed)
    elif fence.language == "console":
        run_console(session, fence)
    elif fence.language == "python":
        session.run_python(fence.text, *fence.marks.get("until", ()))
    else:
        for command in commands(fence.text):
            session.run(command, fails="fails" in fence.marks)


@pytest.mark.parametrize(
    ("page", "page_session"),
    [(page, page) for page in pages() if has_commands(page)],
    indirect=["page_session"],
    ids=lambda page: page.stem,
)
def test_the_commands_of_a_page_work(page: Path, page_session: DocumentSession) -> None:
    for fence in fences(page):
        if fence.is_run and (fence.language in RUN or fence.marks.keys() & OUTPUT):
            try:
                run_block(page_session, fence)
            except CommandFailed as failure:
                raise AssertionError(f"{fence}: {failure}") from None


PROGRAMS = [f for f in ALL if f.language == "python" and "import claudehub" in f.text]


def test_the_programs_of_the_pages_pass_the_strict_type_checker(tmp_path: Path) -> None:
    """docs/client.md says so. The example must do so too."""
    programs = [ROOT / "examples" / "answer_bot.py"]
    for number, fence in enumerate(PROGRAMS):
        programs.append(tmp_path / f"program_{number}.py")
        programs[-1].write_text(f"# {fence}\n{fence.text}\n")
    checker = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    checked = subprocess.run(
        [*checker, *map(str, programs)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


# -- JSON, TOML, YAML


def values(text: str) -> Iterator[Any]:
    """Yield the JSON values of a block, one behind the other."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:]


def check_update(payload: dict[str, Any]) -> None:
    assert {"project_id", "update_type", "data", "timestamp"} <= payload.keys()
    kind = updates.KINDS[updates.UpdateType(payload["update_type"])]
    model = kind.data
    if model is not None and issubclass(model, BaseModel):
        found = model.model_validate(payload["data"]).model_dump(exclude_unset=True)
        assert found.keys() == payload["data"].keys()
    assert ("seq" in payload) is kind.is_logged


def check_version_0(value: dict[str, Any]) -> None:
    """Check a message of version 0: a request that can be read, or a frame of the hub."""
    data = value["data"]
    match value["type"]:
        case "error":
            assert data["code"] in {*CODES.values(), BUSY} and data["message"]
        case "project_state":
            assert data["state"] in STATES.values() and data["id"] == value["project_id"]
        case _:
            assert decode_0(json.dumps(value)).type == value["type"]


def check_message(value: dict[str, Any]) -> None:
    """Check a message of the protocol; anything else is a line of the CLI, or a part."""
    if isinstance(value.get("data"), dict) and "payload" not in value:
        check_version_0(value)
        return
    match value.get("type"):
        case "welcome":
            updates.Welcome.model_validate(value["payload"])
        case "update":
            check_update(value["payload"])
        case "error":
            assert ErrorCode(value["payload"]["code"]) and value["payload"]["message"]
        case kind if kind in MODELS or kind == "ping":
            codec.decode(simplejson.dumps(value))


def read_json(text: str) -> None:
    for value in values(text):
        if isinstance(value, dict):
            check_message(value)


READERS: dict[str, Callable[[str], Any]] = {
    "json": read_json,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
}


@pytest.mark.parametrize("fence", [f for f in ALL if f.language in READ], ids=str)
def test_a_block_of_data_is_valid(fence: Fence) -> None:
    READERS[fence.language](fence.text)


# -- links


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and mkdocs make them."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    found = set()
    for heading in re.findall(r"(?m)^#+ (.+)$", text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        words = re.sub(r"[^\w\- ]", "", plain.lower()).strip()
        found.add(words.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_anchors_of_links_exist(page: Path) -> None:
    """test_structure.py checks that the files are there."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", text):
        other = (page.parent / target).resolve() if target else page
        if other.suffix == ".md":
            assert anchor in anchors(other), f"{target}#{anchor}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_elsewhere_are_well_formed(page: Path) -> None:
    """Nothing is fetched: a test reaches no other machine."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    for link in re.findall(r"\]\(([a-z]+:[^)]*)\)", text):
        assert re.fullmatch(r"https://[a-z0-9.-]+\.[a-z]+(/[^\s<>\"]*)?", link), link
