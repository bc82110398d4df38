"""Draw a run as one SVG: five curves over the same minutes, with the faults above them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bench.soakbench.flatness import Slope
from bench.soakbench.run import Outcome
from bench.soakbench.samples import Sample, percentile

WIDTH, LEFT, RIGHT = 960, 84, 24
TOP, PANEL_HEIGHT, PANEL_GAP = 64, 130, 40
FAULT_ROW_HEIGHT, TICKS = 16, 4
BUCKETS = 90
STYLE = """
  .ground { fill: #ffffff } .ink { fill: #1f2328 } .faint { fill: #59636e }
  .grid { stroke: #d8dee4 } .axis { stroke: #59636e } .shade { fill: #f1f3f5 }
  .a { stroke: #0a63b0 } .b { stroke: #b3541e } .c { stroke: #1a7f4b } .d { stroke: #8a3fa0 }
  .fa { fill: #0a63b0 } .fb { fill: #b3541e } .fc { fill: #1a7f4b } .fd { fill: #8a3fa0 }
  .server { stroke: #c0392b } .mark { fill: #c0392b }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } .ink { fill: #e6edf3 } .faint { fill: #9198a1 }
    .grid { stroke: #2a313a } .axis { stroke: #9198a1 } .shade { fill: #161b22 }
    .a { stroke: #58a6ff } .b { stroke: #f0883e } .c { stroke: #3fb950 } .d { stroke: #c38bdc }
    .fa { fill: #58a6ff } .fb { fill: #f0883e } .fc { fill: #3fb950 } .fd { fill: #c38bdc }
    .server { stroke: #ff7b72 } .mark { fill: #ff7b72 }
  }
"""

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """One line of a panel. `points` are (seconds, value); None in a value breaks the line."""

    name: str
    colour: str
    points: Points
    is_dashed: bool = False


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    curves: tuple[Curve, ...]
    is_logarithmic: bool = False
    slope: Slope | None = None


def text(x: float, y: float, said: str, style: str = "ink", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">'
        f"{escape(said)}</text>"
    )


def steps(low: float, high: float) -> list[float]:
    """Return round values from below `low` to above `high`."""
    raw = max(high - low, 1e-9) / TICKS
    size = 10 ** math.floor(math.log10(raw))
    size *= next(factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    first = math.floor(low / size)
    return [size * n for n in range(first, math.ceil(high / size) + 1)]


class Axes:
    """Where values lie in a panel."""

    def __init__(self, panel: Panel, top: float, total_s: float) -> None:
        values = [value for curve in panel.curves for _, value in curve.points] or [0.0, 1.0]
        self.top, self.total_s, self.is_log = top, total_s, panel.is_logarithmic
        if self.is_log:
            low = math.floor(math.log10(max(min(values), 0.1)))
            high = math.ceil(math.log10(max(*values, 1.0)))
            self.ticks = [10.0**n for n in range(low, max(high, low + 1) + 1)]
        else:
            spread = max(max(values) - min(values), max(values) * 0.05, 1.0)
            self.ticks = steps(max(0.0, min(values) - spread * 0.1), max(values) + spread * 0.1)

    def x(self, at_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at_s / self.total_s

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        if self.is_log:
            part = math.log(max(value, low) / low) / math.log(high / low)
        else:
            part = (value - low) / (high - low)
        return self.top + PANEL_HEIGHT * (1 - part)


def draw_axes(axes: Axes, panel: Panel) -> list[str]:
    bottom = axes.top + PANEL_HEIGHT
    parts = [text(LEFT, axes.top - 8, f"{panel.title} ({panel.unit})", "ink title")]
    for value in axes.ticks:
        y = axes.y(value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        )
        parts.append(text(LEFT - 8, y + 4, f"{value:,g}", "faint", "end"))
    parts.append(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}" class="axis"/>'
    )
    return parts


def draw_curve(axes: Axes, curve: Curve) -> str:
    """Draw one line, broken where the server was not there."""
    commands, last_s = [], None
    gap_s = max(10.0, axes.total_s / BUCKETS * 2.5)
    for at_s, value in curve.points:
        pen = "M" if last_s is None or at_s - last_s > gap_s else "L"
        commands.append(f"{pen}{axes.x(at_s):.1f},{axes.y(value):.1f}")
        last_s = at_s
    dashes = ' stroke-dasharray="4 3"' if curve.is_dashed else ""
    return f'<path d="{" ".join(commands)}" class="{curve.colour} line"{dashes}/>'


def draw_legend(axes: Axes, panel: Panel) -> list[str]:
    x, parts = float(WIDTH - RIGHT), []
    if panel.slope is not None:
        slope = panel.slope
        said = f"{slope.per_hour:+.2f} {slope.unit} an hour, {slope.growth:+.2f} in the window"
        parts.append(text(x, axes.top - 8, f"{said} (bound {slope.bound:.2f})", "faint", "end"))
        return parts
    for curve in reversed([curve for curve in panel.curves if curve.name]):
        parts.append(text(x, axes.top - 8, curve.name, f"f{curve.colour}", "end"))
        x -= 7.5 * len(curve.name) + 18
    return parts


def draw_time(top: float, total_s: float) -> list[str]:
    axes = Axes(Panel("", "", ()), top - PANEL_HEIGHT, total_s)
    parts = []
    for minute in steps(0, total_s / 60):
        if minute * 60 <= total_s:
            x = axes.x(minute * 60)
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + 5}" class="axis"/>'
            )
            parts.append(text(x, top + 20, f"{minute:g}", "faint", "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, top + 38, "minutes", "faint", "middle"))
    return parts


def draw_faults(outcome: Outcome, top: float, bottom: float) -> list[str]:
    """A row for each kind of fault with a mark for each time; kills of the server go all the way
    down."""
    parts = []
    axes = Axes(Panel("", "", ()), top, outcome.seconds)
    for number, kind in enumerate(outcome.plan.faults):
        y = top + number * FAULT_ROW_HEIGHT
        parts.append(text(LEFT - 8, y + 4, kind, "faint", "end"))
        for mark in outcome.marks:
            if mark.kind == kind:
                x = axes.x(mark.at_s)
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" class="mark"/>')
                if kind == "server":
                    parts.append(
                        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{bottom:.1f}" '
                        'class="server" stroke-opacity="0.5"/>'
                    )
    return parts


def buckets(points: Sequence[tuple[float, float]], total_s: float, part: float) -> Points:
    """Return a percentile, in milliseconds, for each of BUCKETS parts of the run."""
    found: dict[int, list[float]] = {}
    for at_s, took_s in points:
        found.setdefault(int(at_s / total_s * BUCKETS), []).append(took_s * 1000)
    return [
        ((number + 0.5) * total_s / BUCKETS, percentile(values, part))
        for number, values in sorted(found.items())
    ]


def panels(outcome: Outcome, slopes: Sequence[Slope]) -> list[Panel]:
    samples: list[Sample] = outcome.meter.samples

    def curve(name: str, colour: str, field: str) -> tuple[Curve, ...]:
        return (Curve(name, colour, [(s.at_s, float(getattr(s, field))) for s in samples]),)

    by_name = {slope.name: slope for slope in slopes}
    kinds = outcome.ledger.latencies.by_kind
    joins, executes = kinds.get("project_join", []), kinds.get("execute", [])
    total_s = outcome.seconds
    return [
        Panel("memory of the server", "MiB", curve("", "a", "memory_mib"), slope=by_name["memory"]),
        Panel(
            "descriptors of the server",
            "count",
            curve("", "b", "descriptors"),
            slope=by_name["descriptors"],
        ),
        Panel(
            "threads of the server", "count", curve("", "c", "threads"), slope=by_name["threads"]
        ),
        Panel("processes: server, guardian, agents", "count", curve("", "d", "processes")),
        Panel(
            "latency, request to result: median, and p99 (dashed)",
            "ms",
            (
                Curve("join", "a", buckets(joins, total_s, 0.5)),
                Curve("", "a", buckets(joins, total_s, 0.99), is_dashed=True),
                Curve("execute", "b", buckets(executes, total_s, 0.5)),
                Curve("", "b", buckets(executes, total_s, 0.99), True),
            ),
            is_logarithmic=True,
        ),
    ]


def draw(outcome: Outcome, slopes: Sequence[Slope]) -> str:
    """Return the SVG."""
    drawn = panels(outcome, slopes)
    first_top = TOP + FAULT_ROW_HEIGHT * len(outcome.plan.faults) + PANEL_GAP - 8
    bottom = first_top + len(drawn) * (PANEL_HEIGHT + PANEL_GAP) - PANEL_GAP
    height = bottom + 56
    plan = outcome.plan
    said = (
        f"claudehub soak: {plan.minutes:g} minutes, {plan.clients} clients, "
        f"{plan.projects} projects, {sum(outcome.ledger.findings.counts.values())} findings"
    )
    axes = Axes(Panel("", "", ()), first_top, outcome.seconds)
    start, end = axes.x(plan.warm_up_s), axes.x(plan.end_phase_s)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="12">',
        f"<style>{STYLE}  .title {{ font-weight: 600 }} .line {{ fill: none; stroke-width: 1.4 }}"
        "</style>",
        '<rect width="100%" height="100%" class="ground"/>',
        f'<rect x="{start:.1f}" width="{end - start:.1f}" y="{TOP - 14}" '
        f'height="{bottom - TOP + 14:.1f}" class="shade"/>',
        text(12, 24, said, "ink title"),
        text(12, 42, "red: injected faults; shaded: where the slopes are measured", "faint"),
        *draw_faults(outcome, TOP, bottom),
    ]
    for number, panel in enumerate(drawn):
        axes = Axes(panel, first_top + number * (PANEL_HEIGHT + PANEL_GAP), outcome.seconds)
        parts += draw_axes(axes, panel)
        parts += [draw_curve(axes, curve) for curve in panel.curves]
        parts += draw_legend(axes, panel)
    parts += draw_time(bottom, outcome.seconds)
    return "\n".join([*parts, "</svg>"]) + "\n"
