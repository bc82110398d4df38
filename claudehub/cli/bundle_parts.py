"""What goes into `claudehub doctor --bundle`: facts for whoever helps, without secrets, prompts and
answers."""

import os
import platform
import re
import resource
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import simplejson

from actors.config.key_blocks import without_key_blocks
from actors.config.report import settings
from actors.config.secrets import HIDDEN, secret_values, without_secrets
from actors.config.sources import Look
from actors.doctor.examination import Report
from claudehub.cli.version import version_text
from storage.audit import read_lines

AUDIT_LINES_MAX = 2_000
LOG_BYTES_MAX = 4 << 20
FILES_MAX = 20_000
# Of an audit line only these: no address, user or key, and no details.
_AUDIT_FIELDS = ("timestamp", "action", "ok", "code", "project_id", "execution_id", "client_id")
_PLAIN = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")
# Ids that a log is of no use without.
_ID = re.compile(
    r"\b((?:execution|client|project|request)(?:_id)?\"?(?:=|: ?)\"?"
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b"
)
_LIMITS = ("NOFILE", "NPROC", "AS", "CORE", "FSIZE", "MEMLOCK", "STACK")
_KERNEL = (
    "kernel/threads-max",
    "kernel/pid_max",
    "vm/max_map_count",
    "fs/file-max",
    "fs/inotify/max_user_instances",
    "fs/inotify/max_user_watches",
    "user/max_user_namespaces",
)
_PROC = Path("/proc/sys")


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the bundle. `about` says for people what is in it."""

    name: str
    about: str
    content: bytes


class Cleaner:
    """Takes secrets out of a text: what looks like one, and the values of variables whose names say
    that they are."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._values = secret_values(environment)

    def clean(self, text: str) -> str:
        text = without_key_blocks(text, HIDDEN)
        for value in self._values:
            text = text.replace(value, HIDDEN)
        pieces = _ID.split(text)  # ids at the odd places
        pieces[::2] = [without_secrets(piece) for piece in pieces[::2]]
        return "".join(pieces)


def parts(
    reports: Sequence[Report],
    look: Look,
    log: bytes | None,
    environment: Mapping[str, str],
) -> Iterator[Part]:
    """Yield every file. `log` is what the hub has written to standard error."""
    cleaner = Cleaner(environment)
    yield _part("report.jsonl", "what doctor has found", _report(reports, cleaner))
    yield _text("configuration.txt", "settings, and where they come from", _config(look), cleaner)
    yield _text("versions.txt", "versions of programs and libraries", _versions(), cleaner)
    yield _text("limits.txt", "limits of this system", _limits(), cleaner)
    names = sorted(environment)
    yield _text("variables.txt", "names of environment variables, no values", names, cleaner)
    if look.mended is not None:
        folder = Path(look.mended.data_dir)
        about = "the data folder: names, sizes and times of files"
        yield _part("files.jsonl", about, _files(folder, cleaner))
        about = f"the last {AUDIT_LINES_MAX} audit lines: {', '.join(_AUDIT_FIELDS)}"
        yield _part("audit.jsonl", about, _audit(folder, cleaner))
    if log is not None:
        text = log[-LOG_BYTES_MAX:].decode("utf-8", errors="replace")
        text = without_key_blocks(text, HIDDEN)  # over its lines
        yield _text("log.txt", "the end of the log that you gave", text.splitlines(), cleaner)


def _part(name: str, about: str, lines: Iterable[str]) -> Part:
    return Part(name, about, "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))


def _text(name: str, about: str, lines: Iterable[str], cleaner: Cleaner) -> Part:
    return _part(name, about, map(cleaner.clean, lines))


def _report(reports: Sequence[Report], cleaner: Cleaner) -> Iterator[str]:
    for report in reports:
        for found in report.findings:
            remedy = None if found.remedy is None else cleaner.clean(found.remedy)
            facts = {"level": str(found.level), "text": cleaner.clean(found.text), "remedy": remedy}
            yield simplejson.dumps({"check": report.check, **facts})


def _config(look: Look) -> list[str]:
    return [f"{row.name.upper()}={row.value}    # {row.origin}" for row in settings(look)]


def _versions() -> list[str]:
    packages = {f"{each.name} {each.version}" for each in distributions()}
    return [version_text(), platform.platform(), sys.version.replace("\n", " "), *sorted(packages)]


def _limits() -> list[str]:
    lines = [
        f"{name.lower()} {' '.join(map(str, resource.getrlimit(getattr(resource, known))))}"
        for name in _LIMITS
        if hasattr(resource, known := f"RLIMIT_{name}")
    ]
    for name in _KERNEL:
        try:
            lines.append(f"{name} {(_PROC / name).read_text().strip()}")
        except OSError:
            continue  # another system, or not for this user
    return lines


def _files(folder: Path, cleaner: Cleaner) -> Iterator[str]:
    """Yield a line for each file of the data folder, without a look into it."""
    count = 0
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            count += 1
            if count > FILES_MAX:
                yield simplejson.dumps({"more": True})
                return
            path = os.path.join(place, name)
            try:
                found = os.lstat(path)
            except OSError:
                continue  # it is gone by now
            facts = {"size_bytes": found.st_size, "mode": f"{found.st_mode:o}"}
            facts["modified_s"] = int(found.st_mtime)
            shown = cleaner.clean(os.path.relpath(path, folder))
            yield simplejson.dumps({"path": shown, **facts})


def _audit(folder: Path, cleaner: Cleaner) -> Iterator[str]:
    try:
        last = deque(read_lines(folder), maxlen=AUDIT_LINES_MAX)
    except OSError as error:
        yield simplejson.dumps({"error": str(error)})
        return
    for raw in last:
        try:
            line = simplejson.loads(raw)
        except (ValueError, RecursionError):
            continue  # torn
        if isinstance(line, dict):
            known = {name: line[name] for name in _AUDIT_FIELDS if name in line}
            yield simplejson.dumps({name: _plain(value, cleaner) for name, value in known.items()})


def _plain(value: Any, cleaner: Cleaner) -> Any:
    if not isinstance(value, str) or _PLAIN.fullmatch(value):
        return value
    return cleaner.clean(value)
