#!/usr/bin/env python3
"""Answer the agent's permissions by rules, in all projects of a hub; leave the rest to people.

    examples/answer_bot.py [RULES] [--url URL] [--key FILE]

RULES is a file with one rule a line; `#` begins a comment:

    allow Bash git status ...    a command of exactly these words; `...` stands for any more
    allow Read ./                a path inside the project
    allow WebSearch              this tool, whatever its input
    deny  Bash rm                every command that calls rm, also as part of a longer one
    deny  WebFetch

A denial counts more than a permission. The bot allows something only in projects that you trust,
because `npm test`, and even `git status`, run what the folder says. It allows no command with
quotes, variables, pipes, or anything else that the shell reads. What no rule covers waits for a
person, and so do questions and plans.

It goes on over lost connections and restarts of the hub. Ctrl-C ends it.
"""

import argparse
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import claudehub

USUAL = """
allow Bash git status ...
allow Bash git diff
allow Bash npm test
allow Read ./
allow Grep ./
deny Bash rm
deny Bash curl
deny Bash wget
deny Bash ssh
deny Bash scp
deny Bash nc
deny WebFetch
deny WebSearch
"""
FOR_PEOPLE = ("AskUserQuestion", "ExitPlanMode")
# A command of these characters is only words. Everything else may mean something to the shell.
ONLY_WORDS = re.compile(r"[A-Za-z0-9_./:,@%+= -]+")
# Quotes too, because of `sh -c "rm …"`.
BETWEEN_COMMANDS = re.compile(r"[;&|()<>{}`$\"'\n]+")
# What may stand before the name of the program.
BEFORE_PROGRAMS = re.compile(r"(sudo|env|exec|nohup|time|command|xargs|\w+=.*)$")
# Any other input, such as one that switches off the CLI's own sandbox, is for a person to read.
INPUTS_OF_BASH = {"command", "description", "timeout"}


@dataclass(frozen=True)
class Rule:
    """A line of the rules."""

    decision: str
    tool: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.decision, self.tool, *self.words))

    def covers(self, tool: str, tool_input: Mapping[str, Any], folder: str) -> bool:
        """Return True if the rule decides about this call."""
        if tool != self.tool:
            return False
        if self.words == ("./",):
            return is_inside(tool_input.get("file_path") or tool_input.get("path"), folder)
        if not self.words:
            return True
        command = str(tool_input.get("command", ""))
        if self.decision == "deny":
            return any(words[: len(self.words)] == self.words for words in programs(command))
        if not ONLY_WORDS.fullmatch(command) or not tool_input.keys() <= INPUTS_OF_BASH:
            return False
        words = tuple(command.split())
        if self.words[-1] == "...":
            return words[: len(self.words) - 1] == self.words[:-1]
        return words == self.words


def is_inside(path: object, folder: str) -> bool:
    """Return True if a path is in the folder, also when its links have been followed."""
    if not isinstance(path, str) or path.startswith("~"):
        return False
    return (Path(folder) / path).resolve().is_relative_to(Path(folder).resolve())


def programs(command: str) -> list[tuple[str, ...]]:
    """Return the programs that a command line names, with their arguments. The bot does not see a
    program behind a variable or an alias: such a command waits for a person."""
    found = []
    for part in BETWEEN_COMMANDS.split(command):
        words = part.split()
        while words and BEFORE_PROGRAMS.match(name := words[0].rpartition("/")[2]):
            del words[0]
        if words:
            found.append((name, *words[1:]))
    return found


def read_rules(text: str) -> list[Rule]:
    """Return the rules of a file, denials first. Raises ValueError."""
    rules = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] not in ("allow", "deny") or len(words) < 2:
            raise ValueError(f"line {number} is no rule: {line}")
        if words == ["allow", "Bash"]:
            raise ValueError(f"line {number} would allow every command; name one")
        rules.append(Rule(words[0], words[1], tuple(words[2:])))
    return sorted(rules, key=lambda rule: rule.decision != "deny")


def decide(
    rules: list[Rule], project: claudehub.ProjectInfo, tool: str, tool_input: Mapping[str, Any]
) -> Rule | None:
    """Return the rule that decides, or None to leave it to people."""
    if tool in FOR_PEOPLE:
        return None
    for rule in rules:
        may_decide = rule.decision == "deny" or project.trusted
        if may_decide and rule.covers(tool, tool_input, project.path):
            return rule
    return None


def answer(project: claudehub.Project, rules: list[Rule], question: Mapping[str, Any]) -> None:
    """Answer one question, if a rule covers it. `question` is the data of a permission_request."""
    tool, tool_input = question["tool"], question.get("input")
    if tool_input is None:
        return  # too large to be listed: a person looks at it
    rule = decide(rules, project.info(), tool, tool_input)
    said = "for a person" if rule is None else str(rule)
    # What the agent wrote may hold characters that steer a terminal.
    print(f"{project.id}: {tool} {dict(tool_input)!a}: {said}", flush=True)
    if rule is None:
        return
    why = f"The rule `{rule}` forbids it" if rule.decision == "deny" else None
    try:
        project.answer(question["permission_id"], rule.decision, message=why)
    except claudehub.RequestRefused as error:
        print(f"{project.id}: too late: {error.message}", flush=True)


def serve_project(project: claudehub.Project, rules: list[Rule]) -> None:
    """Answer the questions of one project until it is deleted."""
    try:
        with project.follow(ephemeral=False) as updates:
            # The follow has begun: what comes after this list is among its updates.
            for question in project.info().pending_permissions:
                answer(project, rules, question)
            for update in updates:
                if isinstance(update, claudehub.PermissionRequest):
                    answer(project, rules, update.data)
    except claudehub.HubError as error:
        print(f"{project.id}: {error}", file=sys.stderr, flush=True)


def serve(hub: claudehub.Hub, rules: list[Rule]) -> None:
    """Serve every project, also new ones, each in a thread."""
    served: set[str] = set()
    for update in hub.watch():
        if isinstance(update, claudehub.ProjectDeleted):
            served.discard(update.project_id)
        elif update.project_id not in served:
            served.add(update.project_id)
            print(f"{update.project_id}: here I answer", flush=True)
            arguments = (hub.project(update.project_id), rules)
            threading.Thread(target=serve_project, args=arguments, daemon=True).start()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rules", nargs="?", type=Path, help="a file; some usual rules without it")
    parser.add_argument("--url", help="the hub; CLAUDEHUB_URL, or this machine's, without it")
    parser.add_argument("--key", type=Path, help="an SSH key, for a hub that wants one")
    given = parser.parse_args()
    try:
        rules = read_rules(given.rules.read_text() if given.rules else USUAL)
        with claudehub.connect(given.url, key=given.key) as hub:
            hub.on_state(lambda state: print(f"{hub.url}: {state} ({hub.why})", flush=True))
            serve(hub, rules)
    except (claudehub.HubError, OSError, ValueError) as error:
        print(f"answer_bot: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
