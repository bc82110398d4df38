"""Draw ratios as bars in SVG, from the data of performance.py."""

import math
import statistics
from html import escape

WIDTH, LEFT, RIGHT, ROW_HEIGHT, TOP = 860, 330, 60, 44, 56
LOWEST, HIGHEST = 0.05, 16.0
COLOURS = {"hub": "#2f6f9f", "hub-never": "#9fc3dd"}
NAMES = {"hub": "LOG_SYNC=always", "hub-never": "LOG_SYNC=never"}


def _x(ratio: float) -> float:
    """Return the place on a logarithmic scale, where 2 and 1/2 are equally far from 1."""
    share = math.log(min(max(ratio, LOWEST), HIGHEST) / LOWEST) / math.log(HIGHEST / LOWEST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="#222">{escape(text)}</text>'
    )


def _grid(height: float) -> list[str]:
    parts = []
    for ratio in (0.1, 0.2, 0.5, 1, 2, 5, 10):
        colour, width = ("#444", 1.5) if ratio == 1 else ("#ddd", 1)
        x = _x(ratio)
        parts.append(
            f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{height - 14}" '
            f'stroke="{colour}" stroke-width="{width}"/>'
        )
        parts.append(_text(x, TOP - 14, f"{ratio:g}", "middle", 12))
    return parts


def _bar(hub: str, ratios: list[float], target: float | None, y: float) -> list[str]:
    median = statistics.median(ratios)
    start, end = sorted((_x(1), _x(median)))
    parts = [
        f'<rect x="{start:.1f}" y="{y:.1f}" width="{max(end - start, 1):.1f}" height="13" '
        f'fill="{COLOURS[hub]}"/>',
        f'<line x1="{_x(min(ratios)):.1f}" y1="{y + 6.5:.1f}" x2="{_x(max(ratios)):.1f}" '
        f'y2="{y + 6.5:.1f}" stroke="#222" stroke-width="1"/>',
        _text(WIDTH - RIGHT + 10, y + 11, f"{median:.2f}", size=12),
    ]
    if target is not None:
        x = _x(target)
        parts.append(
            f'<line x1="{x:.1f}" y1="{y - 2:.1f}" x2="{x:.1f}" y2="{y + 15:.1f}" '
            'stroke="#c0392b" stroke-width="2.5"/>'
        )
    return parts


def draw(rows: list, results: list) -> str:
    """Draw a bar from 1 to the median, a line over the range, and a red mark at the target."""
    height = TOP + ROW_HEIGHT * len(rows) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="white"/>',
        _text(10, 20, "claudehub with its log on, as a ratio to gorilla without one", size=15),
        *_grid(height),
    ]
    for number, (row, result) in enumerate(zip(rows, results, strict=True)):
        y = TOP + number * ROW_HEIGHT
        better = "" if row.more_is_better else " (less is better)"
        parts.append(_text(10, y + 14, row.name, size=12))
        if better:
            parts.append(_text(10, y + 29, better.strip(), size=11))
        for place, (hub, target) in enumerate(zip(COLOURS, row.targets, strict=True)):
            if hub in result.ratios:
                parts += _bar(hub, result.ratios[hub], target, y + 3 + place * 17)
    x = 10.0
    for hub, colour in COLOURS.items():
        parts.append(f'<rect x="{x}" y="{height - 20}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x + 17, height - 10, NAMES[hub], size=12))
        x += 160
    parts.append(f'<rect x="{x}" y="{height - 20}" width="3" height="12" fill="#c0392b"/>')
    parts.append(_text(x + 9, height - 10, "target", size=12))
    return "\n".join([*parts, "</svg>"]) + "\n"
