"""The man page and docs/command-line.md: whether they are what the commands say now."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from claudehub.cli.exit_codes import BY_OUTCOME, IN_HELP
from claudehub.cli.main import main
from claudehub.cli.man_page import man_page
from claudehub.cli.manual import sections
from claudehub.cli.reference_page import reference_page
from tests.harness import ROOT

COMMANDS = [command for _, commands in sections() for command in commands]


@pytest.mark.parametrize(
    ("name", "made", "module"),
    [
        ("claudehub.1", man_page, "man_page"),
        ("command-line.md", reference_page, "reference_page"),
    ],
)
def test_a_page_is_up_to_date(name: str, made: Callable[[], str], module: str) -> None:
    is_same = (ROOT / "docs" / name).read_text().rstrip() == made().rstrip()
    assert is_same, f"python -m claudehub.cli.{module} > docs/{name}"


def test_every_command_is_there_with_its_groups_commands() -> None:
    paths = {command.path for command in COMMANDS}
    assert {"claudehub serve", "claudehub projects create", "claudehub hub use"} <= paths
    assert {path.split()[1] for path in paths} == {
        n for names in main.sections().values() for n in names
    }


def test_the_reference_names_every_option_exit_code_and_variable() -> None:
    page = reference_page()
    for command in COMMANDS:
        assert f"# {command.path}\n" in page
        assert all(f"- `{option.names}`: " in page for option in command.options)
        variables = [option.variable for option in command.options if option.variable]
        assert all(f"- `{name}`: the option" in page for name in variables)
    assert all(f"- `{code}`: " in page for code in BY_OUTCOME.values())
    assert re.findall(r"(?m)^ +(\d+) ", IN_HELP) == re.findall(r"(?m)^- `(\d+)`: ", page)


@pytest.mark.parametrize("made", [man_page, reference_page])
def test_no_page_names_the_home_of_whoever_made_it(made: Callable[[], str]) -> None:
    assert str(Path.home()) not in made()
