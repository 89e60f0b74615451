"""The interface on Textual's own driver, without a terminal."""

from __future__ import annotations

import asyncio
import time
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from textual import events
from textual.keys import REPLACED_KEYS, _character_to_key, _get_unicode_name_from_key

import guestdbg
from guestdbg.tui.app import GuestApp
from guestdbg.tui.feed import Feed
from guestdbg.tui.session import Session
from tests.cli.guests import EXAMPLES

SECONDS = 60


class Screen:
    """An interface under test: what is on the screen, and the keyboard."""

    def __init__(self, app: GuestApp, pilot: Any) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        """All rows of the screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    @property
    def rows(self) -> list[str]:
        return self.text.split("\n")

    async def press(self, *keys: str) -> None:
        """Type keys. Textual's pilot waits after each until nothing uses the processor: never."""
        for key in keys:
            name = _character_to_key(key) if len(key) == 1 and not key.isalnum() else key
            original = REPLACED_KEYS.get(name, name)
            try:
                character = unicodedata.lookup(_get_unicode_name_from_key(original))
            except KeyError:
                character = key if len(key) == 1 else None
            event = events.Key(name, character)
            event.set_sender(self.app)
            assert self.app._driver is not None
            self.app._driver.send_message(event)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.03)

    async def enter(self, line: str) -> None:
        """Type a line at the prompt."""
        await self.press(*line, "enter")

    async def shows(self, *texts: str) -> None:
        """Wait until all of these are on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), str(texts))

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}\n{self.text}"
            await asyncio.sleep(0.02)

    async def stopped(self) -> None:
        """Wait until the guest is stopped, and shown."""
        await self.until(lambda: not self.app.guest_thread.running, "stopped")
        await asyncio.sleep(0.15)


def on_screen(
    test: Callable[[Screen], Awaitable[None]],
    guest: str | Path = "queue.elf",
    *,
    size: tuple[int, int] = (80, 24),
    lines: Sequence[str] = (),
    theme: str = "dark",
    load: Callable[..., guestdbg.Guest] | None = None,
    **options: Any,
) -> None:
    """Run a test of the interface to a guest."""
    feed = Feed()
    made = (
        guestdbg.load(EXAMPLES / guest, provider="soft", console=feed.print, **options)
        if load is None
        else load(console=feed.print, **options)
    )
    with made:
        app = GuestApp(Session(made, feed, [EXAMPLES]), lines, theme)

        async def run() -> None:
            async with app.run_test(size=size) as pilot:
                await test(Screen(app, pilot))

        try:
            asyncio.run(run())
        finally:
            assert app.guest_thread.close()
