"""The mock's tools: whether one must be asked for, and running it."""

import json
import os
import shlex
import signal
import subprocess
import threading

SAFE = ("echo", "true", "sleep", "ls", "cat", "pwd", "printf")
CLEANING_S = 1.5
ALWAYS_ASK = ("AskUserQuestion", "ExitPlanMode")


def must_ask(mock, name, tool_input):
    if name in ALWAYS_ASK:
        return True
    if mock.mode == "bypassPermissions" or is_ruled(mock.allowed, name, tool_input):
        return False
    if is_ruled(mock.remembered, name, tool_input):
        return False
    if name == "Bash":
        words = shlex.split(tool_input["command"].split(";")[0])
        edits = mock.mode == "acceptEdits" and words[0] in ("touch", "mkdir", "rm")
        return words[0] not in SAFE and not edits
    if name == "Write":
        return mock.mode != "acceptEdits"
    if name == "Read":
        folders = (os.getcwd(), *mock.folders)
        path = os.path.abspath(tool_input["file_path"])
        return not any(path.startswith(folder + "/") for folder in folders)
    return False


def is_denied(mock, name, tool_input):
    return mock.mode == "dontAsk" or is_ruled(mock.denied, name, tool_input)


def is_ruled(rules, name, tool_input):
    for rule in rules:
        tool, _, content = rule.partition("(")
        if tool != name:
            continue
        if not content:
            return True
        wanted = content.rstrip(")").removesuffix(":*").removesuffix(" *").removesuffix("**")
        said = tool_input.get("command") or tool_input.get("file_path") or ""
        if said.startswith(wanted.removeprefix("/")):
            return True
    return False


def suggestions(name, tool_input):
    """Alternatives, as the CLI offers them."""
    mode = {"type": "setMode", "mode": "acceptEdits", "destination": "session"}
    if name == "Write":
        return [mode]
    if name == "Bash":
        rule = {"toolName": "Bash", "ruleContent": tool_input["command"]}
        rules = {"type": "addRules", "rules": [rule], "behavior": "allow"}
        folders = {"type": "addDirectories", "directories": [os.getcwd()]}
        return [
            {**rules, "destination": "localSettings"},
            {**folders, "destination": "session"},
            mode,
        ]
    if name == "Read":
        folder = os.path.dirname(tool_input["file_path"])
        rule = {"toolName": "Read", "ruleContent": f"/{folder}/**"}
        rules = {"type": "addRules", "rules": [rule], "behavior": "allow"}
        return [{**rules, "destination": "session"}]
    return []


def blocked_path(name, tool_input):
    words = tool_input.get("command", "").split()
    return os.path.abspath(words[-1]) if name == "Bash" and words[0] == "touch" else None


def remember(mock, permissions):
    for permission in permissions:
        if permission["type"] == "addRules":
            for rule in permission["rules"]:
                mock.remembered.append(f"{rule['toolName']}({rule['ruleContent']})")
        elif permission["type"] == "setMode":
            mock.change_mode(permission["mode"])


def start_command(command):
    """Each command is a session and process group of its own."""
    return subprocess.Popen(
        ["/bin/bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end_command(process):
    """SIGTERM, and SIGKILL to what is still there 1.5 s later, as both versions do."""

    def kill():
        try:
            process.wait(CLEANING_S)
        except subprocess.TimeoutExpired:
            signal_group(process, signal.SIGKILL)
            process.wait()

    signal_group(process, signal.SIGTERM)
    ending = threading.Thread(target=kill, daemon=True)
    ending.start()
    return ending


def signal_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def result_of(name, tool_input):
    """What a tool other than Bash says."""
    if name == "Write":
        with open(tool_input["file_path"], "w") as file:
            file.write(tool_input["content"])
        return "File created successfully"
    if name == "Read":
        with open(tool_input["file_path"]) as file:
            return file.read()
    if name == "AskUserQuestion":
        answers = tool_input.get("answers")
        if not answers:
            return "The user did not answer the questions."
        said = ", ".join(f'"{q}"="{a}"' for q, a in answers.items())
        return f"Your questions have been answered: {said}. You can now continue."
    if name == "ExitPlanMode":
        return "User has approved your plan."
    return json.dumps(tool_input)
