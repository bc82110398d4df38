"""What an answer with `remember` would allow from then on, in words."""

from collections.abc import Iterable, Mapping
from typing import Any

from claudehub.show.safe_text import string, visible

_MODES = {
    "acceptEdits": "all edits of files in the project",
    "bypassPermissions": "everything, without a question",
    "dontAsk": "what the rules allow; everything else is refused without a question",
    "default": "nothing more: the CLI asks as usual",
    "plan": "nothing more: the CLI only plans",
}
_CONTENTS = {
    "Bash": "Bash commands `{}`",
    "Read": "reading `{}`",
    "Edit": "edits of `{}`",
    "Write": "writing `{}`",
    "WebFetch": "fetching `{}`",
}
_BEHAVIORS = {"allow": "", "deny": "never ", "ask": "only with a question: "}


def remembered(suggestions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a phrase for each thing that would hold for the rest of the session, such as
    "Bash commands `npm test:*`". An unknown suggestion is shown as JSON."""
    found: list[str] = []
    for suggestion in suggestions:
        try:
            found += _phrases(suggestion)
        except (KeyError, TypeError, AttributeError):
            found.append(string(suggestion))  # a newer CLI: nothing may be granted unseen
    return [visible(phrase).replace("\n", "\\n") for phrase in found]


def _phrases(suggestion: Mapping[str, Any]) -> list[str]:
    match suggestion["type"]:
        case "addRules":
            behavior = _BEHAVIORS[suggestion["behavior"]]
            return [behavior + _rule(rule) for rule in suggestion["rules"]]
        case "replaceRules":
            behavior = _BEHAVIORS[suggestion["behavior"]]
            phrases = [behavior + _rule(rule) for rule in suggestion["rules"]]
            return [f"in the place of the present rules: {phrase}" for phrase in phrases]
        case "removeRules":
            return [f"no longer: {_rule(rule)}" for rule in suggestion["rules"]]
        case "addDirectories":
            return [f"work in the folder {path}" for path in suggestion["directories"]]
        case "removeDirectories":
            return [f"no longer: work in the folder {path}" for path in suggestion["directories"]]
        case "setMode":
            mode = suggestion["mode"]
            return [f"{_MODES[mode]} (mode {mode})"]
    return [string(suggestion)]


def _rule(rule: Mapping[str, Any]) -> str:
    tool, content = rule["toolName"], rule.get("ruleContent")
    if not content:
        return f"every use of {tool}"
    return _CONTENTS.get(tool, f"{tool} with `{{}}`").replace("{}", content)
