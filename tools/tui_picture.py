"""tui_picture: makes docs/pictures/tui.svg, the picture of `guestdbg tui`, out of a session."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path

import guestdbg
from guestdbg.tui.app import GuestApp
from guestdbg.tui.feed import Feed
from guestdbg.tui.session import Session

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "tui.svg"
SIZE = (124, 40)
LINES = (
    "break queue_push if queue.tail == 20",
    "display queue.tail",
    "log watch queue.head if new > 6",
    "continue",
    "print/x job",
    "up",
    "down",
    "nexti 5",
)
SECONDS = 60


async def _picture(app: GuestApp) -> str:
    async with app.run_test(size=SIZE) as pilot:
        deadline = time.monotonic() + SECONDS
        while app.guest_thread.running:
            if time.monotonic() > deadline:
                sys.exit("the session has not ended")
            await pilot.pause(0.1)
        await pilot.pause(0.3)
        return app.export_screenshot(title="guestdbg tui examples/queue.elf --source examples")


def smaller(svg: str) -> str:
    """The same picture without fonts from the network, names that are random, and white space."""
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"terminal-\d+", "t", svg)
    svg = svg.replace("Fira Code", "monospace")
    svg = re.sub(r'textLength="([\d.]+)"', _rounded, svg)
    svg = re.sub(r"[ \t]*\n\s*", "\n", svg)
    return re.sub(r"\n+", "\n", svg).strip() + "\n"


def _rounded(match: re.Match[str]) -> str:
    return f'textLength="{float(match[1]):g}"'


def main() -> None:
    feed = Feed()
    with guestdbg.load(ROOT / "examples/queue.elf", provider="soft", console=feed.print) as guest:
        app = GuestApp(Session(guest, feed, [ROOT / "examples"]), LINES, "dark")
        try:
            svg = asyncio.run(_picture(app))
        finally:
            app.guest_thread.close()
    PICTURE.write_text(smaller(svg))
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
