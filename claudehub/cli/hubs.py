"""The hubs that a user has given names: `$XDG_CONFIG_HOME/claudehub/hubs.json`."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simplejson

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class HubsUnusable(Exception):
    """The file, or what was asked of it, is no good; the text says why and what helps."""


@dataclass(frozen=True, slots=True)
class NamedHub:
    """A hub and the key for it; `key` is a path as the user wrote it."""

    url: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Hubs:
    """All named hubs, and which one is used without a name."""

    by_name: dict[str, NamedHub]
    used: str | None = None

    def get(self, name: str) -> NamedHub:
        """Raises HubsUnusable."""
        if name not in self.by_name:
            there = ", ".join(sorted(self.by_name)) or "none"
            raise HubsUnusable(f"no hub is named {name!r}; there are: {there}")
        return self.by_name[name]


def hubs_file() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home) / "claudehub" / "hubs.json"


def load_hubs() -> Hubs:
    """Read the file; without one there are no names. Raises HubsUnusable."""
    path = hubs_file()
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Hubs({})
    except (OSError, ValueError) as error:
        raise HubsUnusable(f"{path} cannot be read: {error}") from None
    try:
        found = simplejson.loads(text)
        by_name = {name: _named_hub(hub) for name, hub in found["hubs"].items()}
        return Hubs(by_name, _maybe_string(found.get("used")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise HubsUnusable(
            f"{path} is not what `claudehub hub add` writes; move it away and add the hubs again"
        ) from None


def _named_hub(hub: dict[str, Any]) -> NamedHub:
    """Raises TypeError, and what an object of another shape raises."""
    if not isinstance(hub["url"], str):
        raise TypeError("url")
    return NamedHub(hub["url"], _maybe_string(hub.get("key")))


def _maybe_string(value: Any) -> str | None:
    """Raises TypeError."""
    if value is None or isinstance(value, str):
        return value
    raise TypeError("no string")


def save_hubs(hubs: Hubs) -> None:
    """Replace the file in one step. Raises HubsUnusable."""
    path = hubs_file()
    named = {
        name: {"url": hub.url} | ({"key": hub.key} if hub.key else {})
        for name, hub in sorted(hubs.by_name.items())
    }
    text = simplejson.dumps({"used": hubs.used, "hubs": named}, indent=2) + "\n"
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, "utf-8")
        new.replace(path)
    except OSError as error:
        raise HubsUnusable(f"{path} cannot be written: {error}") from None
