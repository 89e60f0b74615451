"""The commands of the prompt, without a screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guestdbg.tui.commands.registry import COMMANDS
from tests.tui.guests import Prompt, prompt

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")


@pytest.fixture
def queue() -> Iterator[Prompt]:
    with prompt() as made:
        yield made


def test_a_breakpoint_with_a_condition(queue: Prompt) -> None:
    assert queue("break queue_push if queue.tail == 3").startswith("#1 breakpoint queue_push")
    assert "#1 break queue_push" in queue("continue")
    assert queue.function == "queue_push"
    assert queue("print queue.tail") == "queue.tail = 3"
    assert "if queue.tail == 3  1 hits" in queue("info breakpoints")
    assert queue.refused("condition 1 nothing > 3").startswith("there is no variable")
    assert "if queue.tail == 5" in queue("condition 1 queue.tail == 5")
    queue("c")
    assert queue("p queue.tail") == "queue.tail = 5"


def test_watches_of_each_access(queue: Prompt) -> None:
    queue("watch queue.tail if new == 4")
    assert "3 -> 4" in queue("c")
    queue("delete")
    queue("rwatch queue.head")
    assert "read queue.head" in queue("c")
    queue("delete 2")
    assert "access watch" in queue("awatch queue.peak")
    assert "queue.peak" in queue("c")
    queue("disable 3")
    assert "disabled" in queue("info watchpoints")
    queue("enable 3")
    assert "disabled" not in queue("info watchpoints")


def test_once_and_ignored(queue: Prompt) -> None:
    queue("tbreak main")
    assert "break main" in queue("c")
    assert "no breakpoints" in queue("info b")
    queue("break queue_push")
    queue("ignore 2 3")
    queue("c")
    assert "4 hits" in queue("info b")
    queue("c 3")
    assert "7 hits" in queue("info b")


def test_logged_hits_do_not_stop(queue: Prompt) -> None:
    assert "does not stop" in queue("log watch queue.tail if new > 8")
    queue("log break queue_pop if count == 2")
    queue("break queue_push if queue.tail == 12")
    execute_and_keep = queue.session.feed
    resume = queue.session.guest.run()
    queue.session.report(resume)
    shown = [line.plain for line in execute_and_keep.take().hits]
    assert any("break queue_pop" in line for line in shown)
    assert [line for line in shown if "8 -> 9" in line]
    assert "break queue_push" in shown[-1]


def test_steps(queue: Prompt) -> None:
    queue("tbreak main")
    queue("c")
    start = queue.session.cpu.pc
    queue("stepi")
    assert queue.session.cpu.pc == start + 4
    queue("nexti 2")
    line = queue.session.cpu.location.line
    queue("next")
    assert queue.function == "main"
    assert queue.session.cpu.location.line != line
    queue("until queue_push")
    assert queue.function == "queue_push"
    queue("finish")
    assert queue.function != "queue_push"
    queue("step 2")
    assert queue.refused("step 0").startswith("'0' is not a number of steps")
    assert "no symbol" in queue.refused("until nowhere")


def test_values(queue: Prompt) -> None:
    queue("tbreak queue_push")
    queue("c")
    cpu = queue.session.cpu
    assert queue("print/x $x0") == f"$x0 = {cpu.x[0]:#x}"
    assert queue("p x0 + 1") == f"x0 + 1 = {cpu.x[0] + 1} ({cpu.x[0] + 1:#x})"
    assert queue("p &queue") == f"&queue = {cpu.x[0]} ({cpu.x[0]:#x})"
    assert queue("p/a &queue") == f"&queue = {cpu.x[0]:#x} <queue>"
    assert queue("print/t 5") == "5 = 0b101"
    assert queue("print/d 0xffffffffffffffff") == "0xffffffffffffffff = -1"
    assert queue("print/c 65") == "65 = 65 'A'"
    assert ".tail = 0" in queue("print queue")
    assert ".size = 0x20" in queue("print/x queue")
    assert "SP_EL1" not in queue("info registers")
    assert "Unknown reason" in queue("info registers ESR_EL1")
    assert "q = " in queue("info locals")
    assert queue("x/2xg &queue").startswith(f"{cpu.x[0]:#x} <queue>  0x")
    assert len(queue("x/8xb &queue").split("0x")) == 10
    assert "stp" in queue("x/i $pc")
    assert "queue_push" in queue("info symbol $pc")
    assert "queue.c" in queue("info line")
    assert "there is no variable" in queue.refused("print nothing")
    assert "formats are" in queue.refused("print/z 3")
    assert "at most" in queue.refused("x/100000000xg 0")
    assert queue.refused("x/xg 0x123456789000")
    assert "of a hit" in queue.refused("print new")


def test_displayed_values_and_what_has_changed(queue: Prompt) -> None:
    queue("display queue.tail")
    queue("display/x $sp")
    queue("watch queue.head")
    queue("break queue_push")
    queue("c")
    view = queue.session.view()
    assert [row.name for row in view.watched] == ["1: queue.tail", "2: $sp", "#1 queue.head"]
    assert view.watched[0].text == "0"
    queue("c")
    view = queue.session.view()
    assert view.watched[0].text == "1"
    assert [row.changed for row in view.watched][:1] == [True]
    assert [row.name for row in view.registers if row.changed]
    queue("undisplay 1")
    assert "no display" in queue.refused("undisplay 7")
    assert len(queue.session.view().watched) == 2


def test_setting(queue: Prompt) -> None:
    queue("tbreak queue_push")
    queue("c")
    queue("set $x5 = queue.size + 1")
    assert queue("p $x5").startswith("$x5 = 33")
    queue("set queue.peak = 0x77")
    assert queue("p/x queue.peak") == "queue.peak = 0x77"
    address = queue.session.guest.symbol("queue").address
    queue(f"set {{{address:#x},4}} = 9")
    assert queue.session.guest.read_u32(address) == 9
    assert "1, 2, 4 or 8" in queue.refused("set queue = 3")
    assert queue.refused("set $x99 = 3")
    assert "=" in queue.refused("set queue.tail")


def test_frames(queue: Prompt) -> None:
    queue("break queue_push")
    queue("c")
    assert "called by" in queue("bt")
    inner = queue.session.view()
    assert "_start" in queue("up 9")
    outer = queue.session.view()
    assert outer.shown != inner.shown
    assert outer.source is not None
    assert queue("down 9")
    assert "innermost" in queue.refused("down")
    queue("list main")
    assert queue.session.view().shown == queue.session.guest.symbol("main").address
    queue("list")
    assert queue.session.view().shown == queue.session.cpu.pc
    assert "no frame 99" in queue.refused("frame 99")


def test_the_end_and_a_reset(queue: Prompt) -> None:
    assert "powered off" in queue("c")
    assert queue.session.view().state == "ended"
    assert "powered off" in queue("c")
    assert "loaded again" in queue("reset")
    assert queue.session.view().state == "stopped"
    assert queue.function == "_start"


def test_going_back() -> None:
    with prompt(history=True) as queue:
        queue("watch queue.tail")
        queue("c")
        queue("c 3")
        tail = queue("p queue.tail")
        here = queue.session.cpu.pc
        queue("rsi")
        queue("si")
        assert queue.session.cpu.pc == here
        queue("reverse-continue")
        queue("reverse-continue")
        assert queue("p queue.tail") != tail
        assert queue.session.view().state == "in the past"
        queue("reverse-step")
        queue("reverse-next")
        queue("reverse-nexti")
        queue("reverse-finish")
        queue("goto end")
        assert queue("p queue.tail") == tail
        assert queue.session.view().state == "stopped"
        queue("goto #1")
        queue("goto -10")
        queue("goto begin")
        assert queue.function == "_start"
        assert "(in the past)" in queue("history")
        queue("goto end")
        assert "queue_push" in queue("last write queue.tail")
        assert "goto begin" in queue.refused("goto nowhere")
        assert "no hit #999" in queue.refused("goto #999")


@pytest.mark.parametrize("line", ["rs", "rc", "goto begin", "last queue.tail"])
def test_without_history_it_says_how_to_have_one(queue: Prompt, line: str) -> None:
    assert "--history" in queue.refused(line)


def test_history_from_here(queue: Prompt) -> None:
    assert "history is off" in queue("history")
    assert "begin" in queue("history on")
    queue("si 5")
    queue("rsi 5")
    assert queue.session.cpu.pc == queue.session.guest.symbol("_start").address


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "break",
        "break nowhere",
        "watch",
        "watch x y z",
        "break main if",
        "p",
        "p (((",
        "x",
    ]
    + ["info", "info nothing", "delete 9", "delete x", "condition 1", "ignore 1", "frame x", "up x"]
    + [
        "vcpu 7",
        "vcpu",
        "thread x",
        "list nowhere",
        "type",
        r"type \q",
        "log",
        "log x",
        "set",
        "goto",
    ]
    + ["display (", "undisplay 3", "until", "finish now", "print/xx 3", "x/0xg 0", "re", "b *0x1"]
    + ["tasks", "info tasks", "info log", "x/99999999999999999xg 0", "p " + "(" * 500, "p " * 9999]
    + [
        "print u8[0xffffffffffffffff]",
        "print 1/0",
        "print 2**2**99",
        "enable 1.5",
        "history maybe",
    ],
)
def test_a_bad_command_changes_nothing(queue: Prompt, line: str) -> None:
    """It is refused with a message, or says what there is; no other exception comes out."""
    before = queue.session.view()
    if line not in ("info", "break"):
        assert queue.refused(line)
        assert queue.session.view() == before


def test_several_vcpus() -> None:
    with prompt("smp.elf", vcpus=2) as smp:
        assert "vCPU 1 off" in " ".join(smp("info vcpus").split())
        smp("vcpu 1")
        assert smp.session.cpu.id == 1
        assert "vCPU 1" in smp.session.view().where


def test_the_help_names_each_command(queue: Prompt) -> None:
    text = queue("help")
    for command in COMMANDS:
        assert command.names[0] in text
        assert command.summary in queue(f"help {command.names[-1]}")
    assert "Ctrl-C" in queue("help keys")
    assert len({name for command in COMMANDS for name in command.names}) == sum(
        len(command.names) for command in COMMANDS
    )
