"""What a folder would have the CLI take up by itself is found, and a look at it always ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.folder_settings import (
    ENTRIES_MAX,
    INSTRUCTION_FILES_MAX,
    TEXT_BYTES_MAX,
    WORDS_MAX,
    FolderSettings,
    look_into,
)
from storage.git_settings import CONFIG_BYTES_MAX, programs_of_git

NOTHING = FolderSettings()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "project"
    made.mkdir()
    return made


def put(folder: Path, name: str, text: str = "x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def look(folder: Path) -> FolderSettings:
    return look_into(str(folder), None)


def test_a_folder_of_text_has_nothing_to_trust(folder: Path) -> None:
    for name in ("CLAUDE.md", "README.md", ".claude/CLAUDE.md", ".claude/rules/a.md", "src/a.py"):
        put(folder, name)
    put(folder, ".claude/notes.txt")
    (folder / ".claude/agents").mkdir()
    assert look(folder) == NOTHING


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (".claude/settings.json", ".claude/settings.json"),
        (".claude/settings.local.json", ".claude/settings.local.json"),
        (".mcp.json", ".mcp.json"),
        ("CLAUDE.local.md", "CLAUDE.local.md"),
        (".claude/agents/a.md", ".claude/agents/"),
        (".claude/commands/deep/c.md", ".claude/commands/"),
        (".claude/skills/s/SKILL.md", ".claude/skills/"),
        (".claude/output-styles/o.md", ".claude/output-styles/"),
        (".claude/workflows/w.js", ".claude/workflows/"),
    ],
)
def test_each_kind_of_settings_is_named(folder: Path, name: str, shown: str) -> None:
    put(folder, name)
    assert look(folder) == FolderSettings((shown,))


def test_a_dangling_link_counts(folder: Path) -> None:
    """The file that it leads to may come."""
    (folder / ".mcp.json").symlink_to(folder / "later.json")
    assert look(folder).files == (".mcp.json",)


def test_the_users_own_settings_need_no_trust(folder: Path) -> None:
    """The project is the user's home."""
    put(folder, ".claude/settings.json")
    put(folder, ".claude/agents/a.md")
    put(folder, ".mcp.json")
    own = look_into(str(folder), str(folder / ".claude"))
    assert own.files == (".mcp.json",)


# -- text that would carry another file to the model -----------------------------------------


@pytest.mark.parametrize("name", ["CLAUDE.md", ".claude/CLAUDE.md", ".claude/rules/deep/x.md"])
def test_instructions_that_lead_out_are_not_read(folder: Path, name: str) -> None:
    secret = put(folder.parent, "id_rsa", "key")
    put(folder, name).unlink()
    (folder / name).symlink_to(secret)
    assert look(folder) == FolderSettings((name,), reads_text=False)


def test_a_claude_folder_that_leads_out_is_not_read(folder: Path) -> None:
    put(folder.parent, "other/CLAUDE.md")
    (folder / ".claude").symlink_to(folder.parent / "other")
    assert look(folder) == FolderSettings((".claude/CLAUDE.md",), reads_text=False)


def test_a_linked_folder_of_rules_that_leads_out_is_not_read(folder: Path) -> None:
    put(folder.parent, "other/a.md")
    (folder / ".claude/rules").mkdir(parents=True)
    (folder / ".claude/rules/more").symlink_to(folder.parent / "other")
    assert look(folder).files == (".claude/rules/more",)


def test_an_import_that_leads_out_through_a_link_is_not_read(folder: Path) -> None:
    secret = put(folder.parent, "id_rsa", "key")
    put(folder, "CLAUDE.md", "See @docs/a.md for more.")
    put(folder, "docs/a.md", "- @b.md")
    (folder / "docs/b.md").symlink_to(secret)
    assert look(folder) == FolderSettings(("docs/b.md",), reads_text=False)


def test_links_and_imports_within_the_folder_are_read(folder: Path) -> None:
    put(folder, "docs/real.md", "@CLAUDE.md, @/etc/passwd, @~/x and me@example.org")
    (folder / "CLAUDE.md").symlink_to("docs/real.md")
    put(folder, ".claude/rules/a.md", "@../../docs/real.md @nowhere.md @../../../above.md")
    assert look(folder) == NOTHING


def test_more_instructions_than_a_look_takes_are_not_read(folder: Path) -> None:
    for number in range(INSTRUCTION_FILES_MAX + 1):
        put(folder, f".claude/rules/{number}.md")
    assert look(folder) == FolderSettings((".claude/",), reads_text=False)


def test_a_look_at_many_files_ends(folder: Path) -> None:
    put(folder, "CLAUDE.md")
    for number in range(ENTRIES_MAX):
        put(folder, f".claude/rules/{number}.txt")
    assert not look(folder).reads_text


def test_a_text_full_of_imports_ends(folder: Path) -> None:
    put(folder, "CLAUDE.md", " @x" * 100_000 + " @docs/a.md" * 1000)
    put(folder, "docs/a.md", "".join(f" @../{number}.md" for number in range(WORDS_MAX)))
    put(folder, "x")
    assert not look(folder).reads_text


def test_text_beyond_what_a_look_reads_is_not_read(folder: Path) -> None:
    put(folder, "CLAUDE.md", "x" * TEXT_BYTES_MAX)
    put(folder, ".claude/CLAUDE.md")
    assert look(folder) == FolderSettings((".claude/",), reads_text=False)


def test_a_circle_of_links_ends(folder: Path) -> None:
    rules = folder / ".claude/rules"
    rules.mkdir(parents=True)
    for name in ("a", "b"):
        (rules / name).symlink_to(rules)
    assert look(folder) == NOTHING


def test_a_named_pipe_keeps_nobody_waiting(folder: Path) -> None:
    os.mkfifo(folder / "CLAUDE.md")
    (folder / ".git").mkdir()
    os.mkfifo(folder / ".git/config")
    assert look(folder).files == (".git/config",)


HOSTILE = FolderSettings((".claude/",), reads_text=False, git_runs=True)


def test_a_look_raises_nothing(folder: Path) -> None:
    put(folder, ".git", "gitdir: " + "x" * 300)
    assert look(folder) == HOSTILE
    put(folder, ".git", "gitdir: a\0b")
    assert look(folder) == HOSTILE


@pytest.mark.parametrize("limit", [1000, 10_000])
def test_a_folder_that_is_nested_too_deeply_is_hostile(folder: Path, limit: int) -> None:
    """It once ended the actor of its project, for ever. Python's own limit must not matter: another
    version, or another part of the program, has another one."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(limit)
    fd = os.open(folder, os.O_RDONLY)
    for name in (".claude", "rules", *["d"] * 1900):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    try:
        assert not look(folder).reads_text
    finally:
        sys.setrecursionlimit(before)
        # pytest's own cleaning recurses, and would not reach the bottom.
        subprocess.run(["rm", "-rf", str(folder)], check=True)


# -- git -------------------------------------------------------------------------------------

USUAL = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tfsmonitor = true
[remote "origin"]
\turl = https://example.org/x.git
\tfetch = +refs/heads/*:refs/remotes/origin/*
[branch "main"]
\tremote = origin ; ours
\tmerge = refs/heads/main
[user]
\tname = Ann "the" Ox
[filter "lfs"]
\tclean = git-lfs clean -- %f
\trequired = true
"""


def config(folder: Path, text: str) -> list[str]:
    put(folder, ".git/config", text)
    return programs_of_git(folder)


def test_a_usual_repository_runs_nothing(folder: Path) -> None:
    assert config(folder, USUAL) == []
    assert look(folder) == NOTHING


@pytest.mark.parametrize(
    "text",
    [
        "[core]\n\tfsmonitor = ./evil",
        "[Core] FSMonitor=./evil",
        '[core]\nfsmonitor = "./evil"',
        "[core]\npager = ./evil",
        "[core]\nsshCommand = ./evil",
        '[core]\nfsmonitor = "0 ; ./evil"',
        '[filter "lfs"]\nclean = "git-lfs clean -- %f ; ./evil"',
        "[core]\n#\x0c[user]\nfsmonitor = ./evil",
        "[core]\n# x\r[user]\nname = x",
        '[core]\nhooksPath = evil"join"',
        "[user]\nname = a \\\n[core]\nfsmonitor = ./evil",
        "[core.sub]\nsshCommand = ./evil",
        '[submodule "s"]\nignore = none',
        "[user]\nname = " + "ä" * (CONFIG_BYTES_MAX // 2),
        '[filter "x"]\nclean = ./evil',
        '[filter "lfs"]\nclean = ./evil',
        "[diff]\nexternal = ./evil",
        '[diff "x"]\ntextconv = ./evil',
        '[merge "x"]\ndriver = ./evil',
        '[remote "origin"]\nuploadpack = ./evil',
        '[submodule "s"]\nupdate = !./evil',
        "[gpg]\nprogram = ./evil",
        "[credential]\nhelper = !./evil",
        "[alias]\nst = !./evil",
        "[include]\npath = ../evil",
        '[includeIf "gitdir:/"]\npath = ../evil',
        "[protocol]\next.allow = always",
        "[core]\nfs\\\nmonitor = ./evil",
        "no setting at all = = =\n[core",
        "\ufeff[core]\nfsmonitor=./evil",
        "[user]\nname = x\n" + "#" * CONFIG_BYTES_MAX,
    ],
)
def test_settings_that_run_something_are_named(folder: Path, text: str) -> None:
    assert config(folder, text) == [".git/config"]
    assert look(folder) == FolderSettings((".git/config",), git_runs=True)


def test_the_settings_of_a_worktree_count_too(folder: Path) -> None:
    put(folder, ".git/config.worktree", "[core]\nfsmonitor = ./evil")
    assert config(folder, USUAL) == [".git/config.worktree"]


def test_hooks_count_where_reading_runs_them(folder: Path) -> None:
    put(folder, ".git/hooks/pre-commit").chmod(0o700)
    put(folder, ".git/hooks/post-index-change")
    assert config(folder, USUAL) == []
    put(folder, ".husky/post-index-change").chmod(0o700)
    assert config(folder, "[core]\nhooksPath = .husky") == [".husky/post-index-change"]


def test_a_git_file_leads_to_its_repository(folder: Path) -> None:
    """An archive may bring both, beside each other."""
    put(folder, "inner/config", "[core]\nfsmonitor = ./evil")
    put(folder, ".git", "gitdir: inner\n")
    assert programs_of_git(folder) == ["inner/config"]
    put(folder.parent, "outer/config", "[core]\nfsmonitor = ./evil")
    put(folder, ".git", f"gitdir: {folder.parent}/outer\n")
    assert programs_of_git(folder) == ["../outer/config"]
    put(folder.parent, "outer/config", USUAL)
    assert programs_of_git(folder) == [], "a worktree of the user's own repository"
    put(folder, ".git", "nonsense")
    assert programs_of_git(folder) == []


def test_a_worktree_has_the_settings_of_its_repository(folder: Path) -> None:
    put(folder, "main/config", "[core]\nfsmonitor = ./evil")
    put(folder, "main/worktrees/w/commondir", "../..\n")
    put(folder, ".git", "gitdir: main/worktrees/w\n")
    assert programs_of_git(folder) == ["main/config"]


def test_the_repository_around_a_folder_counts(folder: Path) -> None:
    put(folder, ".git/config", "[core]\nfsmonitor = ./evil")
    below = folder / "a/b"
    below.mkdir(parents=True)
    assert programs_of_git(below) == ["../../.git/config"]


def test_a_bare_repository_counts(folder: Path) -> None:
    put(folder, "config", "[core]\nfsmonitor = ./evil")
    put(folder, "HEAD", "ref: refs/heads/main")
    for name in ("objects", "refs"):
        (folder / name).mkdir()
    assert programs_of_git(folder) == ["config"]


def test_submodules_have_settings_of_their_own(folder: Path) -> None:
    put(folder, ".gitmodules", '[submodule "s"]\npath = s')
    (folder / ".git/modules/s").mkdir(parents=True)
    assert config(folder, USUAL) == [".git/modules", ".gitmodules"]


def test_what_git_itself_makes_is_usual(folder: Path) -> None:
    quiet = {"HOME": str(folder.parent), "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    for command in (
        ["init", "-q"],
        ["remote", "add", "origin", "https://example.org/x.git"],
        ["config", "user.name", "Ann"],
        ["config", "pull.rebase", "true"],
    ):
        subprocess.run(["git", *command], cwd=folder, env=quiet, check=True)
    assert look(folder) == NOTHING
