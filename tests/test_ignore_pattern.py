"""Patterns of `.gitignore` files, held to git itself, and to a time that nothing can stretch."""

import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.ignore_pattern import parse_pattern
from storage.ignore_rules import IgnoreRules

_GLOBS = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            "ab",
            "*",
            "?",
            "**",
            "/",
            "[ab]",
            "[!a]",
            "[a-b]",
            "[^b]",
            ".",
            "\\*",
            "\\!",
            "-",
        ]
    ),
    min_size=1,
    max_size=7,
).map("".join)
# Next to something else `**` is two stars, says gitignore(5), but git takes `a**/b` for `ab`, too.
_GLOB = _GLOBS.filter(lambda glob: not re.search(r"[^/]\*\*|\*\*[^/]", glob))
_LINE = st.tuples(st.sampled_from(["", "", "!"]), _GLOB, st.sampled_from(["", "/"])).map("".join)
_PATH = st.lists(
    st.sampled_from(["a", "b", "ab", "ba", "aab", ".a", "a.b", "*", "-", "!"]),
    min_size=1,
    max_size=5,
).map("/".join)
_FILES = st.tuples(st.sampled_from(["", "near/"]), _PATH).map("".join)


def is_ignored(line: str, parts: list[str]) -> bool:
    """A file there, or a folder above it."""
    pattern = parse_pattern(line)
    return pattern is not None and any(
        pattern.match(parts[:depth], is_folder=depth < len(parts))
        for depth in range(1, len(parts) + 1)
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def ignored_by_git(repository: Path, paths: list[str]) -> list[str]:
    done = subprocess.run(
        ["git", "-c", "core.excludesFile=", "check-ignore", "--no-index", "-z", "--stdin"],
        cwd=repository,
        input="".join(f"{path}\0" for path in paths).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.decode().split("\0")[:-1]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(_LINE, min_size=1, max_size=4),
    nearer=st.lists(_LINE, max_size=2),
    paths=st.lists(_FILES, min_size=1, max_size=12, unique=True),
)
def test_generated_rules_match_as_in_git(
    repository: Path, lines: list[str], nearer: list[str], paths: list[str]
) -> None:
    (repository / ".gitignore").write_text("\n".join(lines))
    (repository / "near").mkdir(exist_ok=True)
    (repository / "near" / ".gitignore").write_text("\n".join(nearer))
    rules = IgnoreRules(repository)
    assert [path for path in paths if rules.match(path)] == ignored_by_git(repository, paths)


@pytest.mark.parametrize(
    ("line", "path", "expected"),
    [
        ("", "a", False),
        ("# a", "# a", False),
        ("\\# a", "# a", True),
        ("a  ", "a", True),
        ("a\\ ", "a ", True),
        ("a\r", "a", True),
        ("/", "a", False),
        ("a//b", "a/b", False),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("**", "a/b", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a**b", "axxb", True),
        ("a**b", "a/b", False),
        ("[]a]x", "]x", True),
        ("[!]a]x", "bx", True),
        ("[^a]", "b", True),
        ("[\\]]", "]", True),
        ("[a", "[a", False),
        ("[z-a]", "z", False),
        ("a\\", "a\\", False),
        ("x" * 2000, "x" * 2000, False),
    ],
)
def test_chosen_rules_match_as_in_git(line: str, path: str, *, expected: bool) -> None:
    assert is_ignored(line, path.split("/")) is expected


def test_negations_and_folders_match_as_in_git() -> None:
    negated, folder = parse_pattern("!a"), parse_pattern("build/")
    assert negated is not None and negated.is_negated and negated.match(["a"], is_folder=False)
    assert folder is not None and folder.folders_only
    assert folder.match(["build"], is_folder=True) and not folder.match(["build"], is_folder=False)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("*a*/" * 6 + "z", "/".join(["a" * 30] * 6) + "/y"),
        ("*a*/" * 100 + "z", "/".join(["a" * 250] * 15) + "/y"),
        ("*a" * 120 + "*b", "a" * 250),
        ("**/*a*/**/*a*z", "/".join(["a" * 250] * 15)),
        ("**/a/" * 200 + "b", "a/" * 1500 + "c"),
        ("?" * 250 + "*" * 250 + "b", "a" * 250),
        ("[!b]*" * 80, "b" * 250),
    ],
)
def test_matching_time_is_linear(line: str, path: str) -> None:
    pattern = parse_pattern(line)
    assert pattern is not None
    began_s = time.process_time()
    assert not pattern.match(path.split("/"), is_folder=False)
    assert time.process_time() - began_s < 5  # minutes to ages, where stars multiply
