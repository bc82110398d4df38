"""What a prompt's options ask of a process, in two parts: what only its arguments can set, and what
can be changed while it runs. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from protocol.requests import Options

ASK = "ask"  # PERMISSION_MODE: the CLI's `default`; its questions become requests
_DEFAULT_MODE = "default"
# A process that was started without it refuses it later (`bypass_not_launched`).
_LAUNCH_MODE = "bypassPermissions"


@dataclass(frozen=True, slots=True)
class Rules:
    """Permission rules, as apply_flag_settings takes them."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.allow or self.deny or self.folders)

    def __add__(self, other: "Rules") -> "Rules":
        return Rules(self.allow + other.allow, self.deny + other.deny, self.folders + other.folders)

    def as_setting(self) -> dict[str, Any]:
        lists = {
            "allow": self.allow,
            "deny": self.deny,
            "additionalDirectories": self.folders,
        }
        return {name: list(values) for name, values in lists.items() if values}


NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """What a process must be started with; other values need another process.

    `max_turns` counts per turn, so a process may continue with it. `trusts`: the folder's own
    settings take effect.
    """

    fallback_model: str | None = None
    append_system_prompt: str | None = None
    max_turns: int | None = None
    bypasses: bool = False
    trusts: bool = True


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """What can be changed between turns. `model` None is the default model."""

    mode: str = _DEFAULT_MODE
    model: str | None = None
    rules: Rules = NO_RULES


def settings_of(
    options: Options, default_mode: str, remembered_mode: str | None = None, rules: Rules = Rules()
) -> tuple[LaunchSettings, TurnSettings]:
    """Return what the options ask for. `default_mode` is PERMISSION_MODE; `remembered_mode` and
    `rules` are what a user has allowed for the rest of the session."""
    fallback = _DEFAULT_MODE if default_mode == ASK else default_mode
    mode = options.permission_mode or remembered_mode or fallback
    asked = Rules(
        _tuple(options.allowed_tools), _tuple(options.disallowed_tools), _tuple(options.add_dirs)
    )
    launch = LaunchSettings(
        fallback_model=options.fallback_model,
        append_system_prompt=options.append_system_prompt,
        max_turns=options.max_turns,
        bypasses=mode == _LAUNCH_MODE,
    )
    return launch, TurnSettings(mode, options.model, rules + asked)


def _tuple(values: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(values or ())
