"""The key with which this user's commands come in: a check of `claudehub doctor`."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from actors.doctor.finding import Finding, Setup, ok, warning
from actors.doctor.keys import lets_in
from claudehub.cli.options import KEY_VARIABLE
from claudehub.client.identity import default_keys, public_path

_MAKE = "ssh-keygen -t ed25519"


def client_key(setup: Setup) -> Iterator[Finding]:
    """Compare the keys of this user with AUTHORIZED_KEYS."""
    authorized = setup.config.authorized_keys
    if authorized is None:
        yield ok("not needed")
        return
    if setup.config.socket is not None:
        yield ok("not needed at the socket")
        return
    if shutil.which("ssh-keygen", path=setup.environment.get("PATH")) is None:
        yield warning("ssh-keygen was not found: commands cannot sign", "install openssh-client")
        return
    named = setup.environment.get(KEY_VARIABLE)
    keys = [Path(os.path.expanduser(named))] if named else default_keys()
    if not keys:
        yield warning("this user has no SSH key: commands cannot come in", _MAKE)
        return
    good = [key for key in keys if lets_in(Path(authorized), _read(public_path(key)), setup.clock)]
    if good:
        yield ok(f"{good[0]} comes in")
    else:
        yield warning(
            f"{authorized} has none of this user's keys ({', '.join(map(str, keys))})",
            f"cat {public_path(keys[0])} >> {authorized}",
        )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""
