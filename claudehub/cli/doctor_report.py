"""The report of `claudehub doctor`: the configuration first, then everything else."""

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from actors.config.sources import Look, default_file, fault_lines, look
from actors.doctor.examination import CHECKS, Report, examine
from actors.doctor.finding import Finding, Level, Setup, of_line, ok
from actors.runtime.clock import SystemClock
from claudehub.cli.doctor_client import client_key
from claudehub.cli.doctor_hub import running_hub
from claudehub.cli.tables import print_json
from claudehub.show.safe_text import one_line
from claudehub.show.screen import Style, screen_of

_STYLES = {Level.OK: Style.GREEN, Level.WARNING: Style.YELLOW, Level.FAULT: Style.RED}
_LEVEL_WIDTH = max(len(level) for level in Level)


def examined(flags: Mapping[str, object], config_file: Path | None) -> tuple[list[Report], Look]:
    """Look at everything. What depends on a setting that is wrong is checked with its default."""
    file = config_file or default_file()
    found = look(flags, file)
    lines = fault_lines(found, file)
    told = [of_line(line) for line in lines] or [_read(found, file)]
    reports = [Report("configuration", told)]
    if found.mended is None:
        return reports, found
    setup = Setup(found.mended, dict(os.environ), SystemClock(), running_hub(found.mended))
    return [*reports, *examine(setup, {**CHECKS, "your key": client_key})], found


def _read(found: Look, file: Path | None) -> Finding:
    count = len(found.origins)
    settings = f"{count} setting{'s' * (count != 1)} given, the others have their defaults"
    return ok(settings if file is None else f"{settings}; the file is {file}")


def print_as_json(reports: Sequence[Report]) -> None:
    """Print one object a line, for each finding."""
    for report in reports:
        for found in report.findings:
            print_json(
                {
                    "check": report.check,
                    "level": str(found.level),
                    "text": found.text,
                    "remedy": found.remedy,
                }
            )


def print_lines(reports: Sequence[Report]) -> None:
    """Print a line for each finding, below it what mends it, and at the end how many there are."""
    screen = screen_of(sys.stdout)
    width = max(len(report.check) for report in reports)
    for report in reports:
        for found in report.findings:
            level = (_STYLES[found.level], f"{found.level:<{_LEVEL_WIDTH}}")
            screen.line(level, f"  {report.check:<{width}}  {one_line(found.text)}")
            if found.remedy is not None:
                margin = " " * (_LEVEL_WIDTH + width + 4)
                screen.line(f"{margin}mend it: {one_line(found.remedy)}")
    screen.line(summary(reports))


def summary(reports: Sequence[Report]) -> str:
    """Return how many findings are what."""
    counts = Counter(found.level for report in reports for found in report.findings)
    if counts.keys() == {Level.OK}:
        return "all is well"
    named = (Level.FAULT, Level.WARNING)
    parts = [f"{counts[each]} {each}{'s' * (counts[each] != 1)}" for each in named if counts[each]]
    return " and ".join(parts)
