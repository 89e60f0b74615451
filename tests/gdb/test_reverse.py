"""GDB goes back: reverse-continue to a watchpoint, reverse-stepi, reverse-next, reverse-finish."""

from itertools import groupby
from pathlib import Path

import pytest

import guestdbg
from tests.debugger.compiled import compiled, line_of, needs_gcc
from tests.gdb.gdb_client import gdb, needs_gdb, server
from tests.gdb.rsp_client import served
from tests.history.test_reverse_steps import RECURSION
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

pytestmark = needs_gdb

QUEUE = EXAMPLES / "queue.elf"


def test_reverse_continue_to_the_culprit() -> None:
    with server(QUEUE, "--history") as guest:
        found = gdb(
            guest.target,
            """
            connect()
            said = run("continue") + run("watch queue.tail") + run("reverse-continue")
            report(said=said, where=location(), tail=value("queue.tail"))
            run("stepi")
            report(after=value("queue.tail"))
            run("reverse-stepi")
            report(undone=value("queue.tail"))
            for n in range(3):
                run("reverse-continue")
            report(earlier=value("queue.tail"), there=location())
            run("delete")
            run("continue")
            run("continue")
            report(last=stops.seen[-1])
            """,
            symbols=QUEUE,
        )
    said = found["said"] + found.text  # GDB catches only a part of its output
    assert "the end of the history" in said
    assert found["where"] == "queue_push"
    assert found["after"] == found["tail"] + 1 == found["undone"] + 1
    assert "Old value = 30" in said
    assert "New value = 29" in said
    assert "Hardware watchpoint" in said
    assert found["there"] == "queue_push"
    assert found["earlier"] == found["tail"] - 3
    assert found["last"][0] == "exited"


def test_reverse_steps_by_line_and_function() -> None:
    with server(QUEUE, "--history") as guest:
        found = gdb(
            guest.target,
            """
            connect()
            run("break queue_push")
            run("continue")
            run("continue")
            run("delete")
            here = pc()
            run("next")
            line = gdb.selected_frame().find_sal().line
            run("next")
            run("next")
            run("reverse-next")
            run("reverse-next")
            report(line=line, back=gdb.selected_frame().find_sal().line, inside=location())
            run("reverse-finish")
            report(caller=location())
            run("stepi")
            report(entered=pc() == here)
            run("tbreak main")
            run("reverse-continue")
            report(main=location())
            run("reverse-continue")
            report(begin=location())
            """,
            symbols=QUEUE,
        )
    assert found["back"] == found["line"]
    assert found["inside"] == "queue_push"
    assert found["caller"] == "submit"
    assert found["entered"]
    assert found["main"] == "main"
    assert found["begin"] == "_start"


def test_the_monitor_answers_who_wrote_last() -> None:
    with server(QUEUE, "--history") as guest:
        found = gdb(
            guest.target,
            """
            connect()
            run("continue")
            at = pc()
            report(last=run("monitor last write queue.tail"))
            report(origin=run("monitor origin queue.tail"), register=run("monitor origin x0"))
            report(unknown=run("monitor origin queue.tial"), none=run("monitor origin"))
            report(same=pc() == at)
            report(history=run("monitor history"))
            report(gone=run("monitor goto 8592534"), bad=run("monitor goto nowhere"))
            """,
            symbols=QUEUE,
        )
    assert "write of queue.tail (4 bytes" in found["last"]
    assert "submit+0x2c (main.c:29)" in found["last"]
    assert "queue.tail = 0x1e by str w1, [x19, #4] in queue_push+0x54" in found["origin"]
    assert "(monitor goto 0:0:859253" in found["origin"]
    assert "it was computed by `msub w1, w2, w3, w1`" in found["origin"]
    assert "a call to the hypervisor" in found["register"]
    assert "no member of struct queue named 'tial'" in found["unknown"]
    assert "monitor origin EXPRESSION" in found["none"]
    assert found["same"]
    assert "end:   turn 0, vCPU 0, 8594841 instructions" in found["history"]
    assert "queue_push+0x58" in found["gone"]
    assert "monitor goto INSTRUCTIONS" in found["bad"]


def test_without_history_gdb_says_so() -> None:
    with server(QUEUE) as guest:
        found = gdb(
            guest.target,
            """
            connect()
            try:
                run("reverse-stepi")
                report(error="none")
            except gdb.error as error:
                report(error=str(error))
            report(monitor=run("monitor history"))
            """,
        )
    assert "does not support" in found["error"]
    assert "--history" in found["monitor"]


@needs_gcc
@pytest.mark.parametrize(("command", "into"), [("reverse-step", True), ("reverse-next", False)])
def test_gdb_and_the_library_go_to_the_same_lines(command: str, into: bool, tmp_path: Path) -> None:
    """GDB stops in a loop of one line each time, and not at the entry of a function.

    It also stops where a row of the line table begins after a call in its line.
    """
    path = compiled(tmp_path, {"main.c": RECURSION}, ("-g", "-O0"))
    place = f"main.c:{line_of(RECURSION, 'return total;')}"
    with server(path, "--history") as guest:
        found = gdb(
            guest.target,
            f"""
            connect()
            run("tbreak {place}")
            run("continue")
            lines = []
            for n in range(20):
                run("{command}")
                frame = gdb.selected_frame()
                lines.append([frame.name(), frame.find_sal().line])
            report(lines=lines)
            """,
            symbols=path,
        )
    theirs = [each for each, _ in groupby(tuple(line) for line in found["lines"])]
    ours = []
    with guestdbg.load(path, console=None, history=True) as machine:
        machine.run(until=place)
        begin = machine.history.begin
        while len(ours) <= len(theirs) and machine.history.now.position > begin:
            stop = machine.reverse_step_line(into=into)
            assert stop.location.function is not None
            entry = machine.symbol(stop.location.function).address
            line = (stop.location.function, stop.location.line)
            if stop.pc != entry and ours[-1:] != [line]:
                ours.append(line)
    rest = iter(ours)
    expected, extra = next(rest, None), []
    for line in theirs:
        if line == expected:
            expected = next(rest, None)
        else:
            extra.append(line)
    assert len(theirs) > 6
    assert len(extra) < 3
    assert set(extra) <= {line for line in theirs if line[0] == "main"}


@needs_gcc
def test_gdb_and_the_library_find_the_same_calls(tmp_path: Path) -> None:
    path = compiled(tmp_path, {"main.c": RECURSION}, ("-g", "-O1"))
    with server(path, "--history") as guest:
        found = gdb(
            guest.target,
            """
            connect()
            run("break last")
            calls = []
            for n in range(4):
                run("continue")
                run("stepi")
                run("disable")
                run("reverse-finish")
                calls.append(pc())
                run("enable")
                run("stepi 3")
            report(calls=calls)
            """,
            symbols=path,
        )
    calls = []
    with guestdbg.load(path, console=None, history=True) as machine:
        point = machine.break_("last")
        for _ in range(4):
            machine.run()
            machine.step()
            point.enabled = False
            calls.append(machine.reverse_step_out().pc)
            point.enabled = True
            machine.step(3)
    assert found["calls"] == calls


def test_points_of_all_kinds_backwards() -> None:
    with server(QUEUE, "--history") as guest:
        found = gdb(
            guest.target,
            """
            connect()
            run("break queue_push")
            run("ignore 1 30")
            run("continue")
            start = pc()
            said = ""
            run("delete")
            run("watch queue.tail")
            run("continue")
            report(tail=value("queue.tail"))
            at = pc()
            back = run("reverse-stepi")
            report(undone=value("queue.tail"), back=back, there=location())
            run("delete")
            run("rwatch queue.size")
            said += run("reverse-continue")
            report(read=location())
            run("delete")
            run("awatch queue.head")
            said += run("reverse-continue")
            report(accessed=location())
            run("delete")
            run("break queue_push if queue.tail == 20")
            run("reverse-continue")
            report(condition=value("queue.tail"), hit=location(), last=stops.seen[-1])
            run("delete")
            run("break queue_pop")
            run("ignore $bpnum 3")
            before = value("queue.head")
            run("reverse-continue")
            report(ignored=before - value("queue.head"), pop=location())
            run("delete")
            said += run("reverse-continue")
            said += run("reverse-continue")
            report(said=said, begin=location(), threads=run("info threads"))
            """,
            symbols=QUEUE,
        )
    said = found["said"] + found.text
    assert found["undone"] == found["tail"] - 1
    assert found["there"] == "queue_push"
    assert f"Old value = {found['tail']}" in found["back"] + found.text
    assert f"New value = {found['undone']}" in found["back"] + found.text
    assert "Hardware read watchpoint" in said
    assert "Hardware access (read/write) watchpoint" in said
    assert (found["condition"], found["hit"]) == (20, "queue_push")
    assert found["last"][0] == "breakpoint"
    assert (found["ignored"], found["pop"]) == (3, "queue_pop")
    assert found["begin"] == "_start"
    assert "No more reverse-execution history" in said
    assert found["threads"].count("Thread") == 1


def test_threads_backwards() -> None:
    with server("smp", "--history", "--smp", "2") as guest:
        found = gdb(
            guest.target,
            """
            connect()
            run("tbreak main")
            run("continue")
            begin = pc()
            run("break secondary_main")
            run("continue")
            report(thread=gdb.selected_thread().num, where=location())
            run("stepi 20")
            run("reverse-stepi 20")
            report(same=gdb.selected_thread().num, back=location(), threads=run("info threads"))
            run("delete")
            run("thread 1")
            run("reverse-stepi")
            report(first=gdb.selected_thread().num)
            run("tbreak main")
            run("reverse-continue")
            report(main=pc() == begin, last=gdb.selected_thread().num)
            """,
            symbols="smp",
        )
    assert found["thread"] == found["same"] == 2
    assert found["where"] == found["back"]
    assert found["threads"].count("Thread") == 2
    assert found["first"] == 1
    assert found["main"]
    assert found["last"] == 1


def test_the_past_is_not_written() -> None:
    with server(QUEUE, "--history") as guest:
        found = gdb(
            guest.target,
            """
            connect()
            run("break queue_push")
            run("continue")
            run("reverse-stepi")
            errors = []
            before = value("$x0"), value("queue.size")
            for command in ("set var $x0 = 5", "set var queue.size = 7", "print $pc = 0"):
                try:
                    run(command)
                except gdb.error as error:
                    errors.append(str(error))
            run("maintenance flush register-cache")
            report(errors=errors, same=(value("$x0"), value("queue.size")) == before)
            run("monitor history branch")
            run("set var queue.size = 7")
            report(written=value("queue.size"))
            """,
            symbols=QUEUE,
        )
        guest.wait_for("refused: the guest is in its past")
        guest.wait_for("history.branch")
    assert len(found["errors"]) == 3
    assert found["same"]
    assert found["written"] == 7


def test_what_lldb_21_sends(tmp_path: Path) -> None:
    """`process continue --reverse` and steps of LLDB 21: bc, and Hc with bs; never a vCont.

    Its ProcessGDBRemote takes `replaylog` as the boundary of the history.
    """
    with (
        served(tmp_path, "queue", load_options={"history": True}) as running,
        running.client() as wire,
    ):
        features = wire.ask(b"qSupported:xmlRegisters=i386,arm,mips,arc;multiprocess+")
        assert b"ReverseStep+" in features.split(b";")
        assert b"ReverseContinue+" in features.split(b";")
        assert b"replaylog:begin;" in wire.ask(b"bc")
        address = running.guest.symbol("queue_push").address
        assert wire.ask(b"Z0,%x,4" % address) == b"OK"
        for _ in range(3):
            wire.ask(b"c")
        assert wire.ask(b"Hc1") == b"OK"
        assert wire.ask(b"bs").startswith(b"T05")
        assert wire.ask(b"bc").startswith(b"T05"), "the hit before"
        assert running.guest.cpu.pc == address
        # A client that leaves its watchpoint where it is goes on all the same.
        tail = running.guest.resolve("queue.tail").address
        assert wire.ask(b"z0,%x,4" % address) == b"OK"
        wire.ask(b"Z0,%x,4" % address)
        wire.ask(b"c")
        wire.ask(b"z0,%x,4" % address)
        assert wire.ask(b"Z2,%x,4" % tail) == b"OK"
        assert b"watch:%x;" % tail in wire.ask(b"bc")
        assert b"watch" not in wire.ask(b"bs")
        wire.ask(b"z2,%x,4" % tail)
        assert b"replaylog:begin;" in wire.ask(b"bc")
        assert b"replaylog:begin;" in wire.ask(b"bs")
        assert wire.ask(b"QNonStop:1") == b"OK"
        assert wire.ask(b"bc").startswith(b"E")


def test_ctrl_c_ends_going_back(tmp_path: Path) -> None:
    with (
        served(tmp_path, "loop-endless", load_options={"history": True}) as running,
        running.client() as wire,
    ):
        guest = running.guest
        guest.run(max_instructions=100_000_000)
        now = guest.history.now
        assert wire.ask(b"Z2,40100000,8") == b"OK"  # nothing writes there
        wire.send(b"bc")
        wire.socket.sendall(b"\x03")
        reply = wire.reply()
        if b"replaylog:begin;" not in reply:
            assert reply.startswith(b"T02")
            assert guest.history.now == now
        assert wire.ask(b"bs").startswith(b"T05"), "it was for that one only"
