"""GDB goes back: reverse-continue to a watchpoint, reverse-stepi, reverse-next, reverse-finish."""

import pytest

from tests.gdb.gdb_client import gdb, needs_gdb, server
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
            report(last=run("monitor last write queue.tail"), same=pc() == at)
            report(history=run("monitor history"))
            report(gone=run("monitor goto 8592534"), bad=run("monitor goto nowhere"))
            """,
            symbols=QUEUE,
        )
    assert "write of queue.tail (4 bytes" in found["last"]
    assert "submit+0x2c (main.c:29)" in found["last"]
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
