"""Conditions and commands that the server evaluates: the same result as in GDB itself."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.gdb.gdb_client import gdb, needs_gdb, server

pytestmark = needs_gdb
pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

#: Where, and the condition: each holds first after some, but not many, arrivals.
CONDITIONS = [
    ("queue_push", "$x0 != 0 && $w1 == 7"),  # only GDB can evaluate pseudo registers
    ("queue_push", "($x1 & 0xffffffff) == 9"),
    ("queue_push", "q->tail == 12"),
    ("queue_push", "queue.tail == 3 && made > 30"),
    ("queue_push", "queue.items[5].id > 60"),
    ("queue_push", "q->items[q->tail].cost > 55 || q->tail == 33"),
    ("queue_push", "(long)$sp < 0 || job.source == SOURCE_DISK"),
    ("stats_record", "ticks > 60 && job->source != 1"),
    ("stats_record", "source_stats[job->source].worst > ticks && ticks % 7 == 3"),
    ("stats_record", "source_stats[2].worst >= 62"),
    ("stats_record", "*(unsigned short *)((char *)job + 4) == 3 && ticks / 2 > 20"),
    ("stats_record", "(int)(seed ^ 0x80000000) < -1000000000 && !(ticks & 1)"),
    ("stats_record", "(signed char)ticks < 6 && ~ticks != 0 && -(int)ticks < -3"),
    ("stats_record", "(seed >> 28) == 13 && (seed << 4) > 100"),
    ("stats_record", "$pc == (unsigned long)&stats_record && ($cpsr & 0xc) == 4 && $lr != 0"),
    ("stats_record", "($sctlr_el1 & 1) == 0 && $vbar_el1 != 0 && $fpcr == 0 && ticks > 50"),
    ("stats_record", "(ticks > 40 ? job->id : job->source) == 3"),
]

_SCRIPT = """
connect()
run("set breakpoint condition-evaluation {where}")
found = []
for place, condition in {conditions}:
    run("break %s if %s" % (place, condition))
    run("continue")
    bp = gdb.breakpoints()[-1]
    found.append([location(), condition, [value("made"), value("done"), value("seed"), pc()],
                  bp.hit_count, stops.seen[-1][0]])
    report(said=run("info breakpoints"))
    run("delete")
report(found=found)
"""


def stops(where: str) -> list[Any]:
    with server("queue") as guest:
        results = gdb(
            guest.target, _SCRIPT.format(where=where, conditions=CONDITIONS), symbols="queue"
        )
    found: list[Any] = results["found"]
    if where == "target":
        assert "target evals" in results["said"]
    return found


def test_conditions_stop_where_gdb_itself_would_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    here = stops("target")
    assert here == stops("host")
    assert [place for place, *_ in here] == [place for place, _ in CONDITIONS]
    made = [state[0] for _, _, state, *_ in here]
    assert made == sorted(made)
    assert all(kind == "breakpoint" for *_, kind in here)
    monkeypatch.setenv("GUESTDBG_PLAIN", "1")
    assert here == stops("target")


def test_a_false_condition_does_not_stop_in_gdb() -> None:
    """Twenty thousand hits evaluated by GDB would take twenty seconds."""
    with server("queue") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("set debug remote 1")
            b = gdb.Breakpoint("stats_record")
            b.condition = "job->id == 19000"
            said = run("continue")
            run("set debug remote 0")
            report(id=value("job->id"), hits=b.hit_count, jobs=value("done"),
                 resumed=said.count("vCont;c"))
            """,
            symbols="queue",
        )
    assert results["id"] == 19000
    assert results["hits"] == 1
    assert results["jobs"] > 18000


def test_a_condition_without_a_value_stops_in_gdb() -> None:
    with server("queue") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            b = gdb.Breakpoint("queue_push")
            b.condition = "*(int *)(0x123456789000 + q->tail) == 5"
            said = run("continue")
            report(where=location(), said=said)
            """,
            symbols="queue",
        )
        assert results["where"] == "queue_push"
        assert "Cannot access memory" in results.text + results["said"]
        guest.wait_for("the client's condition at queue_push .* cannot be evaluated")


DPRINTF = r"""
connect()
run("set dprintf-style {style}")
run(r'dprintf queue_push,"push %u from %hu at [%5d|%-4u|%#lx] %c%%\n",'
    r'job.id,job.source,q->tail,q->size,q,65')
run(r'dprintf stats_record,"\tticks \"%d\" of %.3x\n",ticks,job->id')
run("break queue_pop if done == 12")
gdb.execute("continue")
report(jobs=value("done"))
run("delete")
run(r'dprintf put,"put %s|%.5s|%-20s|\n",$x0,$x0,$x0')
gdb.execute("continue")
"""


def printed(text: str) -> list[str]:
    return re.findall(r"^(?:push|\tticks|put) .*$", text, re.MULTILINE)


def test_dprintf_prints_what_gdb_would_print() -> None:
    outputs = []
    for style in ("agent", "gdb"):
        with server("queue") as guest:
            results = gdb(guest.target, DPRINTF.format(style=style), symbols="queue")
            outputs.append((printed(results.text), results["jobs"]))
    assert outputs[0] == outputs[1]
    lines = outputs[0][0]
    assert len(lines) > 20
    assert lines[0] == "push 0 from 0 at [    0|32  |0x40202028] A%"
    assert [line for line in lines if line.startswith("put")][-1].startswith("put queue corrupt")


def test_dprintf_continues_after_gdb_has_disconnected() -> None:
    """With disconnected-dprintf the server prints the text."""
    with server("queue") as guest:
        gdb(
            guest.target,
            r"""
            connect()
            run("set breakpoint always-inserted on")
            run("set dprintf-style agent")
            run(r'dprintf stats_record,"%d: %u ticks\n",job->id,ticks')
            run("condition 1 job->id % 5000 == 1")
            run("break main")
            run("continue")
            run("detach")
            """,
            symbols="queue",
        )
        assert guest.ended() == 0
        said = re.findall(r"^-- (\d+): \d+ ticks$", guest.errors.decode(), re.MULTILINE)
        assert said == ["1", "5001", "10001", "15001"]


def test_dprintf_ends_with_gdb_if_disconnected_dprintf_is_off() -> None:
    with server("queue") as guest:
        gdb(
            guest.target,
            r"""
            connect()
            run("set breakpoint always-inserted on")
            run("set disconnected-dprintf off")
            run("set dprintf-style agent")
            run(r'dprintf stats_record,"%d: %u ticks\n",job->id,ticks')
            run("break main")
            run("continue")
            run("detach")
            """,
            symbols="queue",
        )
        assert guest.ended() == 0
        assert b"ticks" not in guest.errors


# ---- monitor watch -------------------------------------------------------------------------------


def test_monitor_watch_stops_where_its_condition_holds() -> None:
    with server("queue") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            report(none=run("monitor watch"))
            report(made=run("monitor watch queue.tail if new != (old + 1) % queue.size"))
            run("monitor watch 0x%x,2:rw if pc < 0x1000" % value("(long)&queue.head"))
            gdb.execute("continue")
            report(where=location(), seen=stops.seen[-1], listed=run("monitor watch"))
            run("stepi")
            report(after=stops.seen[-1])
            run("monitor unwatch 1")
            run("monitor unwatch all")
            report(left=run("monitor watch"))
            run("continue")
            report(end=stops.seen[-1])
            """,
            symbols="queue",
        )
    assert results["none"].startswith("no watches")
    assert re.fullmatch(
        r"1: write of queue.tail, 4 bytes at 0x[0-9a-f]+ if new != \(old \+ 1\) % queue.size: "
        r"no accesses yet\n",
        results["made"],
    )
    assert results["where"] == "note_worst"
    assert results["seen"] == ["stop", None]
    assert "Program received signal SIGTRAP" in results.text
    assert re.search(
        r"^watch 1: vCPU 0: write of queue.tail \(4 bytes at .*note_worst", results.text, re.M
    )
    first, second = results["listed"].splitlines()
    accesses = re.search(r": (\d+) accesses, 1 hits$", first)
    assert accesses is not None
    assert int(accesses[1]) > 6000
    assert second.startswith("2: any of 0x40202028, 2 bytes at 0x40202028 if pc < 0x1000: ")
    assert second.endswith(" accesses, 0 hits")
    assert results["after"] == ["stop", None]
    assert results["left"].startswith("no watches")
    assert results["end"] == ["exited", 0]


MISTAKES = [
    ("watch nosuch", "there is no symbol named 'nosuch'"),
    ("watch queue.tail:x", "access 'x' must be r, w or rw"),
    ("watch queue.tail if neww > 3", "there is no variable named .neww"),
    ("watch if new", "monitor watch 'if new' names nothing|there is no"),
    ("watch 1234", "write the address as 0x4d2"),
    ("watch queue.tail if (", "the condition '\\(' is not an expression"),
    ("watch queue.tail if x0 = 5", "is not an expression"),
    ("watch queue.tail if f()", "which is not part of the language"),
    ("watch source_stats,100000000", "registers|watch"),
    ("unwatch", "monitor unwatch NUMBER"),
    ("unwatch 7", "there is no watch '7'"),
    ("unwatch x", "there is no watch 'x'"),
]


@pytest.mark.parametrize(("command", "answer"), MISTAKES)
def test_mistakes(command: str, answer: str, mistakes: dict[str, str]) -> None:
    assert re.search(answer, mistakes[command]), mistakes[command]


@pytest.fixture(scope="module")
def mistakes() -> dict[str, str]:
    """The reply to every mistaken command. None of them has an effect."""
    with server("queue") as guest:
        results = gdb(
            guest.target,
            f"""
            connect()
            said = {{}}
            for command in {[command for command, _ in MISTAKES]!r}:
                try:
                    said[command] = run("monitor " + command)
                except gdb.error as error:
                    said[command] = str(error)
            run("continue")
            report(said=said, end=stops.seen[-1])
            """,
            symbols="queue",
        )
    assert results["end"] == ["exited", 0]
    said: dict[str, str] = results["said"]
    return said


def test_conditions_in_user_space_read_what_is_mapped_there() -> None:
    """At EL0: user memory by TTBR0, and the kernel's by TTBR1 although EL0 cannot access it."""
    with server("mmu") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("set breakpoint condition-evaluation target")
            run("break *0x40000c if *(unsigned long *)($x1 + 8 * $x2) == 100 && user_faults == 0")
            run("continue")
            report(where=pc(), turn=value("$x2"), level=value("$cpsr") >> 2 & 3,
                 said=run("info breakpoints"))
            run("delete")
            run("break exception if frame->esr >> 26 == 0x24 && frame->far == 0x402000")
            run("continue")
            report(faults=value("user_faults"), function=location())
            run("delete")
            run("break serve if syscalls == 1 && (frame->esr & 0xffff) == 0")
            run("continue")
            report(calls=value("syscalls"), end=location())
            """,
            symbols="mmu",
        )
    assert (results["where"], results["turn"], results["level"]) == (0x40000C, 10, 0)
    assert "target evals" in results["said"]
    assert (results["faults"], results["function"]) == (1, "exception")
    assert (results["calls"], results["end"]) == (1, "serve")


def test_conditions_hold_on_every_vcpu() -> None:
    with server("smp", "--vcpus", "2") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("set breakpoint condition-evaluation target")
            found = []
            for condition in ("counter == 100", "($mpidr_el1 & 3) == 1 && counter > 300",
                              "counter == 1900"):
                run("break give_lock if " + condition)
                run("continue")
                found.append([value("counter"), value("$mpidr_el1") & 3, location(),
                              gdb.selected_thread().num])
                run("delete")
            run("continue")
            report(found=found, end=stops.seen[-1])
            """,
            symbols="smp",
        )
        assert b"smp: all well" in guest.output
    (first, _, *_), (second, cpu, *_), (last, *_) = results["found"]
    assert (first, cpu, last) == (100, 1, 1900)
    assert 300 < second < 1900
    assert all(thread == cpu + 1 for _, cpu, _, thread in results["found"])
    assert {function for _, _, function, _ in results["found"]} == {"give_lock"}
    assert results["end"] == ["exited", 0]


def test_next_and_finish_pass_breakpoints_whose_condition_is_false() -> None:
    with server("queue") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("set breakpoint condition-evaluation target")
            run("break submit")
            run("continue")
            run("delete")
            run("break queue_push if q->tail == 1000")
            run("break queue.c:17 if q->tail == 1000")
            lines = []
            for _ in range(3):
                run("next")
                lines.append([location(), gdb.selected_frame().find_sal().line])
            run("break queue_push if q->tail == 1")
            run("continue")
            run("finish")
            report(lines=lines, end=location(), tail=value("queue.tail"))
            """,
            symbols="queue",
        )
    functions = [function for function, _ in results["lines"]]
    assert functions[0] == "submit"
    assert "queue_push" not in functions
    assert (results["end"], results["tail"]) == ("submit", 2)


@pytest.mark.parametrize("plain", ["", "1"])
def test_ctrl_c_stops_while_conditions_are_false(
    monkeypatch: pytest.MonkeyPatch, plain: str
) -> None:
    monkeypatch.setenv("GUESTDBG_PLAIN", plain)
    with server("loop-endless") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("monitor watch 0x40300000,64:rw if count == 1 << 60")
            for _ in range(40):
                run("stepi")
            run("break *%d if $sp == 0x1234" % pc())
            threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            run("continue")
            report(stop=stops.seen[-1])
            run("delete")
            run("stepi")
            run("kill")
            report(end=1)
            """,
            symbols="loop-endless",
        )
    assert results["stop"] == ["signal", "SIGINT"]
    assert results["end"] == 1
