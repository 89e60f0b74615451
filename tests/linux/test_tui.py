"""The terminal interface with Linux: tasks, the kernel's symbols, a breakpoint in a system call."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("textual", reason="textual is not installed")
pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

from tests.linux.support import load
from tests.tui.screens import Screen, on_screen


async def go_to_pane(screen: Screen, name: str) -> None:
    while f"─{name}" not in screen.text:
        await screen.press("f4")


def test_from_the_first_instruction_to_a_system_call_of_the_shell(kernel: Path) -> None:
    async def test(screen: Screen) -> None:
        await screen.shows("no line of source is known here", "b     #0x")
        await screen.enter("continue")
        await go_to_pane(screen, "console")
        await screen.shows("guest#")
        await screen.press("ctrl+c")
        await screen.shows("stopped  EL", "task ")
        await screen.enter("break __arm64_sys_newuname")
        await screen.enter("continue")
        await screen.press("f6", *"uname -r", "enter")
        await screen.shows("B=>", "stopped  EL1h  __arm64_sys_newuname  task ", " uname ")
        await go_to_pane(screen, "hits")
        await screen.shows("#1 break __arm64_sys_newuname", "task uname (")
        await screen.enter("info tasks")
        await go_to_pane(screen, "messages")
        await screen.shows("kworker")

    on_screen(test, load=partial(load, "bookworm"))
