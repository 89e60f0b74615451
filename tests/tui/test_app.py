"""The interface itself, on Textual's driver."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("textual", reason="textual is not installed")
pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

from rich.text import Text

from guestdbg.tui.feed import CONSOLE_BYTES, HITS, Feed
from guestdbg.tui.widgets.console import ConsoleView
from guestdbg.tui.widgets.lines import LinesView, folded
from guestdbg.tui.widgets.prompt import Prompt
from tests.tui.screens import Screen, on_screen

SMALL, LARGE = (80, 24), (160, 50)


@pytest.mark.parametrize("size", [SMALL, LARGE, (120, 30), (100, 60)])
def test_a_session_at_each_size(size: tuple[int, int]) -> None:
    async def test(screen: Screen) -> None:
        await screen.shows("_start", "=>", "x0", "(guestdbg)", "stopped")
        await screen.enter("break queue_push")
        await screen.enter("display queue.tail")
        await screen.press("f5")
        await screen.shows(
            "#1 break queue_push", "queue.c:", "bool queue_push", "stp", "queue.tail"
        )
        assert len(screen.rows) == size[1]
        assert all(len(row) == size[0] for row in screen.rows)
        assert [row for row in screen.rows if "*x0" in row]
        assert [row for row in screen.rows if "B=>" in row]

    on_screen(test, size=size)


def test_what_fits_beside_each_other() -> None:
    async def small(screen: Screen) -> None:
        await screen.stopped()
        assert "hits" in screen.text
        assert "─console" not in screen.text
        await screen.press("f4")
        await screen.shows("─hits")
        await screen.press("f4", "f4")
        await screen.shows("─stack", "#0 _start")
        await screen.pilot.resize_terminal(*LARGE)
        await screen.shows("─messages", "─hits", "─console", "─stack", "─registers")
        await screen.pilot.resize_terminal(40, 12)
        await screen.stopped()
        await screen.pilot.resize_terminal(*SMALL)
        await screen.shows("─stack", "─registers", "(guestdbg)")

    on_screen(small)


def test_code_panes_and_zoom() -> None:
    async def test(screen: Screen) -> None:
        await screen.stopped()
        await screen.press("f2")
        await screen.until(lambda: "─disassembly" not in screen.text)
        await screen.press("f2")
        await screen.shows("─disassembly")
        assert "─source" not in screen.text
        await screen.press("f2")
        await screen.press("shift+tab", "f3")
        await screen.until(lambda: screen.text.count("─") + screen.text.count("═") < 90)
        await screen.press("f3")
        await screen.shows("─source", "─disassembly")

    on_screen(test)


def test_lines_that_are_typed_ahead_are_lines_of_their_own() -> None:
    async def test(screen: Screen) -> None:
        await screen.stopped()
        await screen.press(*"tb", " ", *"main", "enter", "c", "enter", *"si", "enter")
        await screen.shows("#1 break main", "(guestdbg) si")

    on_screen(test)


def test_earlier_lines_and_completion() -> None:
    async def test(screen: Screen) -> None:
        prompt = screen.app.query_one(Prompt)
        await screen.stopped()
        await screen.press(*"tb", "space", *"queue", "_", "p", "tab")
        assert prompt.value == "tb queue_p"
        await screen.press("tab")
        await screen.shows("queue_pop  queue_push")
        await screen.press("u", "tab")
        assert prompt.value == "tb queue_push "
        await screen.press("enter")
        await screen.enter("info line")
        await screen.press("up", "up")
        assert prompt.value == "tb queue_push"
        await screen.press("down", "down")
        assert prompt.value == ""
        await screen.press("t", "b", "ctrl+r")
        assert prompt.value == "tb queue_push"
        await screen.press("ctrl+c")
        assert prompt.value == ""
        await screen.press(*"inf", "tab", *"loc", "tab")
        assert prompt.value == "info locals "

    on_screen(test)


def test_a_running_guest_is_stopped_and_asked() -> None:
    async def test(screen: Screen) -> None:
        await screen.stopped()
        await screen.enter("c")
        await screen.shows("running", "(running)")
        await screen.enter("print $pc")
        await screen.shows("$pc = 10")
        await screen.enter("next")
        await screen.shows("the guest runs already")
        await screen.press("ctrl+c")
        await screen.shows("stopped (interrupt)", "(guestdbg)")
        for _ in range(3):
            await screen.enter("c")
            await screen.until(lambda: screen.app.guest_thread.running)
            await screen.press("ctrl+c")
            await screen.stopped()
        before = screen.app.session.cpu.pc
        await screen.enter("si")
        await screen.until(lambda: screen.app.session.cpu.pc != before, "a step")

    on_screen(test, "loop-endless.elf")


def test_a_step_over_an_endless_call_can_be_stopped() -> None:
    async def test(screen: Screen) -> None:
        await screen.stopped()
        await screen.enter("until nowhere")
        await screen.shows("error: there is no symbol")
        await screen.enter("until loop_done")
        await screen.until(lambda: screen.app.guest_thread.running)
        await screen.press("ctrl+c")
        await screen.shows("stopped (interrupt)")

    on_screen(test, "loop-endless.elf")


def test_a_hundred_thousand_hits_a_second_do_not_stop_the_interface() -> None:
    async def test(screen: Screen) -> None:
        await screen.stopped()
        await screen.enter("log awatch loop_data")
        await screen.enter("c")
        await screen.press("f4")
        await screen.shows("more hits", "write loop_data")
        await screen.enter("info target")
        await screen.press("ctrl+c")
        await screen.stopped()
        hits = screen.app.query_one("#hits", LinesView)
        assert len(hits.lines) <= 5000

    on_screen(test, "loop-endless.elf")


def test_the_feed_is_bounded() -> None:
    feed = Feed()
    for n in range(100_000):
        feed.print(b"line %d\n" % n)
        if feed.wants_hits:
            feed.hit(Text("hit"))
        else:
            feed.count_hit()
        feed.say(Text("message"))
    news = feed.take()
    assert len(news.console) == CONSOLE_BYTES
    assert news.console.endswith(b"line 99999\n")
    assert news.console_lost > 0
    assert len(news.hits) + news.hits_lost == 100_000
    assert len(news.hits) == HITS
    assert len(news.messages) < 10_000
    assert feed.take() == (b"", 0, [], 0, [], None, None)


def test_a_million_lines_of_console_and_escape_sequences() -> None:
    async def test(screen: Screen) -> None:
        await screen.stopped()
        console = screen.app.query_one(ConsoleView)
        await screen.press("f6")
        before = screen.rows
        feed = screen.app.session.feed
        for n in range(1_000_000):
            feed.print(b"\x1b[2J\x1b[H\x1b]0;x\x07\x1b[?1049h\x1b[31mline %d\r\n" % n)
            if n % 50_000 == 0:
                await asyncio.sleep(0.01)
        await screen.shows("line 999999", "line 999998")
        assert len(console.lines) <= 5000
        assert [line for line in console.lines if "bytes are left out" in line]
        assert screen.rows[0][:10] == before[0][:10]
        assert screen.rows[-1] == before[-1]
        assert "\x1b" not in screen.text

    on_screen(test)


def test_keys_go_to_the_guest_in_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = bytearray()

    async def test(screen: Screen) -> None:
        await screen.stopped()
        console = screen.app.session.guest.board.console
        monkeypatch.setattr(console, "feed", typed.extend)
        await screen.press("f6")
        await screen.shows("keys go to the guest")
        await screen.press(*"ls", "space", "tab", "up", "backspace", "ctrl+c", "ctrl+z", "enter")
        await screen.press("escape", "ctrl+d", "pageup")
        await screen.press("ctrl+right_square_bracket")
        assert isinstance(screen.app.focused, Prompt)
        await screen.enter(r"type a\x01b\n")
        await screen.until(lambda: typed.endswith(b"\n"))

    on_screen(test)
    assert bytes(typed) == b"ls \t\x1b[A\x7f\x03\x1a\r\x1b\x04\x1b[5~a\x01b\n"


def test_bad_commands_lose_nothing() -> None:
    async def test(screen: Screen) -> None:
        await screen.stopped()
        await screen.enter("break queue_push")
        for line in ("foo", "print (", "break nowhere", "x", "delete 7", "rc"):
            await screen.enter(line)
        await screen.shows("error:")
        await screen.enter("info b")
        await screen.shows("#1 breakpoint queue_push")

    on_screen(test, size=LARGE)


def test_a_defect_in_a_command_is_said_and_nothing_else_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(screen: Screen) -> None:
        await screen.stopped()
        monkeypatch.setattr(type(screen.app.session), "frames", lambda session: 1 // 0)
        await screen.enter("bt")
        await screen.enter("frame 0")
        await screen.shows("this is a defect of guestdbg: ZeroDivisionError")
        monkeypatch.undo()
        await screen.enter("frame 0")
        await screen.shows("#0 0x40200000")

    on_screen(test, size=LARGE)


@pytest.mark.parametrize("theme", ["light", "terminal"])
def test_other_colours(theme: str) -> None:
    async def test(screen: Screen) -> None:
        await screen.shows("_start")
        await screen.press("f9", "f9", "f9", "f1")
        await screen.shows("Ctrl-C")

    on_screen(test, theme=theme)


def test_quitting_while_the_guest_runs() -> None:
    async def test(screen: Screen) -> None:
        await screen.enter("c")
        await screen.until(lambda: screen.app.guest_thread.running)
        await screen.enter("quit")
        await screen.until(lambda: not screen.app.is_running or screen.app._exit, "the end")

    on_screen(test, "loop-endless.elf")


def test_lines_are_folded_at_spaces() -> None:
    rows = folded(Text("a line of some words, and of others"), 12)
    assert [row.plain for row in rows] == ["a line of ", "some words, ", "and of ", "others"]
    assert [row.plain for row in folded(Text("x" * 25), 10)] == ["x" * 10, "x" * 10, "x" * 5]
    assert [row.plain for row in folded(Text("漢字漢字"), 5)] == ["漢字", "漢字"]
    assert [row.plain for row in folded(Text("ab cd"), 4, words=False)] == ["ab c", "d"]
