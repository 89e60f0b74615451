"""Draws docs/pictures/trace.svg: a part of a trace of examples/queue.elf, as a viewer shows it.

.venv/bin/python tools/trace_picture.py
"""

import json
import tempfile
from html import escape
from pathlib import Path

import guestdbg

ROOT = Path(__file__).parents[1]
FIRST, LAST = 54_500, 54_740
WIDTH, ROW, LEFT = 960, 20, 8
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#76b7b2", "#e15759", "#9c755f")

#: Name, begin, end, how deep it lies.
Slice = tuple[str, float, float, int]


def slices() -> list[Slice]:
    """Those of the vCPU's track, of a file for Chrome's viewer."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "queue.json"
        with (
            guestdbg.load(ROOT / "examples/queue.elf", console=None) as guest,
            guest.trace("worker", LAST, what=["calls"], to=path),
        ):
            guest.run()
        events = json.loads(path.read_bytes())
    open_: list[tuple[str, float]] = []
    found = []
    for event in events:
        if event["ph"] == "B":
            open_.append((event["name"], event["ts"] * 1000))
        elif event["ph"] == "E":
            name, since = open_.pop()
            found.append((name, since, event["ts"] * 1000, len(open_)))
    return [each for each in found if each[2] > FIRST]


def svg(found: list[Slice]) -> str:
    """The slices as boxes, with their names where there is room."""
    colours = {
        name: COLOURS[n % len(COLOURS)] for n, name in enumerate(sorted({s[0] for s in found}))
    }
    scale = (WIDTH - 2 * LEFT) / (LAST - FIRST)
    height = 34 + ROW * (1 + max(depth for *_, depth in found))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for time in range(FIRST, LAST, 20):
        x = LEFT + (time - FIRST) * scale
        parts.append(f'<path d="M{x:.1f} 16V{height}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="12" fill="#555">{time:,}</text>')
    for name, begin, end, depth in found:
        x = LEFT + (max(begin, FIRST) - FIRST) * scale
        width = max(1.0, (min(end, LAST) - max(begin, FIRST)) * scale - 0.5)
        y = 22 + ROW * depth
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 2}" '
            f'fill="{colours[name]}"><title>{escape(name)}</title></rect>'
        )
        if width > 5.8 * len(name):
            parts.append(f'<text x="{x + 3:.1f}" y="{y + 13}" fill="#fff">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    (ROOT / "docs/pictures/trace.svg").write_text(svg(slices()))
