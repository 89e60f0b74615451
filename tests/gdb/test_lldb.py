"""What people do with LLDB, done with the real one."""

from __future__ import annotations

import subprocess
from itertools import pairwise

import pytest

from tests.gdb.gdb_client import server
from tests.gdb.lldb_client import lldb, needs_lldb
from tests.machine.guests import EXAMPLES

pytestmark = needs_lldb

TCP = "tcp:127.0.0.1:0"


def symbol_of(example: str, name: str) -> int:
    listing = subprocess.run(
        ["aarch64-linux-gnu-nm", str(EXAMPLES / f"{example}.elf")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return next(
        int(line.split()[0], 16) for line in listing.splitlines() if line.endswith(" " + name)
    )


def test_attach_break_backtrace_print_step_and_finish() -> None:
    with server("queue", listen=TCP) as guest:
        results = lldb(
            guest.target,
            """
            connect()
            report(at_entry=function(), why_entry=why(), name=thread().GetName())
            run("breakpoint set --hardware --name queue_push")
            run("continue")
            report(first=function(), why_first=why(),
                 frames=[f.GetFunctionName() for f in thread()], queue=value("q"),
                 size=value("q->size"), job=run("frame variable job"))
            before = register("pc")
            run("thread step-inst")
            report(stepped=register("pc") - before, why_step=why())
            run("breakpoint delete 1")
            run("thread step-out")
            report(after=function(), pushed=register("x0"))
            run("thread step-over")
            report(line=frame().GetLineEntry().GetLine())
            """,
            symbols="queue",
        )
    assert results["at_entry"] == "_start"
    assert results["name"] == "vCPU 0"
    assert results["first"] == "queue_push"
    assert results["why_first"] == "breakpoint 1.1"
    assert results["frames"] == ["queue_push", "submit", "sources_poll", "main", "_start"]
    assert results["queue"] == symbol_of("queue", "queue")
    assert results["size"] == 32
    assert "(id = 0, source = 0, cost = 0)" in results["job"]
    assert results["stepped"] == 4
    assert results["why_step"] == "instruction step into"
    assert (results["after"], results["pushed"]) == ("submit", 1)
    assert results["line"] == 31


@pytest.mark.parametrize("kind", ["write", "read", "read_write"])
def test_watch_a_variable_in_its_three_kinds(kind: str) -> None:
    """LLDB gets the hit before the access, steps over it, and shows the value after it."""
    with server("counter", listen=TCP) as guest:
        results = lldb(
            guest.target,
            f"""
            connect()
            run("breakpoint set --name main --one-shot true")
            run("continue")
            run("watchpoint set variable -w {kind} counter")
            seen = []
            for _ in range(6):
                run("continue")
                # LLDB has stepped over the access: it is the instruction before.
                code = target.ReadInstructions(lldb.SBAddress(register("pc") - 4, target), 1)
                seen.append([function(), why(), value("counter"), code[0].GetMnemonic(target)])
            report(seen=seen, words=run("watchpoint list"))
            """,
            symbols="counter",
        )
    expected = {
        "write": [["count", "watchpoint 1", n, "str"] for n in range(1, 7)],
        "read": [["count", "watchpoint 1", n, "ldr"] for n in range(6)],
        "read_write": [
            ["count", "watchpoint 1", (n + 1) // 2, "str" if n % 2 else "ldr"] for n in range(6)
        ],
    }
    assert results["seen"] == expected[kind]
    assert "Number of supported hardware watchpoints: " in results["words"]


def test_change_registers_and_memory() -> None:
    with server("counter", listen=TCP) as guest:
        results = lldb(
            guest.target,
            """
            connect()
            run("breakpoint set --name count")
            run("continue")
            run("expression counter = 1000")
            run("register write x20 0x123456789abcdef0")
            run("register write v3 '{1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16}'")
            run("register write tpidr_el1 0x77")
            report(counter=value("counter"), x20=register("x20"), v3=run("register read v3"),
                 tpidr=register("tpidr_el1"))
            run("breakpoint delete 1")
            address = target.FindFirstGlobalVariable("counter").GetLoadAddress()
            error = lldb.SBError()
            report(raw=process.ReadMemory(address, 8, error).hex(),
                 refused=not process.ReadMemory(0x7000_0000_0000, 8, lldb.SBError()))
            run("continue")
            """,
            symbols="counter",
        )
        assert results["counter"] == 1000
        assert results["x20"] == 0x1234_5678_9ABC_DEF0
        assert "0x01 0x02 0x03 0x04" in results["v3"]
        assert results["tpidr"] == 0x77
        assert int.from_bytes(bytes.fromhex(results["raw"]), "little") == 1000
        assert results["refused"]
        guest.ended()


def test_conditional_breakpoint_and_hit_count() -> None:
    with server("queue", listen=TCP) as guest:
        results = lldb(
            guest.target,
            """
            connect()
            run("breakpoint set --name queue_push --condition 'job.id == 7'")
            run("continue")
            report(job=value("job.id"), why=why())
            """,
            symbols="queue",
        )
    assert (results["job"], results["why"]) == (7, "breakpoint 1.1")


def test_two_processors() -> None:
    with server("smp", "--vcpus", "2", listen=TCP) as guest:
        results = lldb(
            guest.target,
            """
            connect()
            run("breakpoint set --name secondary_main")
            report(threads=[t.GetName() for t in process])
            run("continue")
            report(which=thread().GetIndexID(), at=[f.GetFunctionName() for f in thread()],
                 others=[t.GetStopReason() == lldb.eStopReasonNone for t in process])
            run("thread select 1")
            report(other=function())
            """,
            symbols="smp",
        )
    assert results["threads"] == ["vCPU 0", "vCPU 1"]
    assert results["which"] == 2
    assert results["at"][:2] == ["finish", "secondary_main"], "its first call is inlined"
    assert results["others"] == [True, False]
    assert results["other"] is not None


def test_interrupt_a_running_guest_detach_and_attach_again() -> None:
    with server("spin", listen=TCP) as guest:
        results = lldb(
            guest.target,
            """
            connect()
            threading.Timer(0.5, process.SendAsyncInterrupt).start()
            run("continue")
            report(state=process.GetState() == lldb.eStateStopped, why=why(), first=function())
            run("process detach")
            """,
            symbols="spin",
        )
        assert results["state"]
        assert "SIGINT" in results["why"] or "SIGSTOP" in results["why"]
        assert results["first"] == "main"
        again = lldb(guest.target, "connect()\nreport(again=function())\n", symbols="spin")
        assert again["again"] == "main"


def test_memory_regions_follow_the_page_tables() -> None:
    with server("mmu", listen=TCP) as guest:
        results = lldb(
            guest.target,
            """
            def areas():
                found, at = [], 0
                while at < 2**64 and len(found) < 64:
                    area = lldb.SBMemoryRegionInfo()
                    error = process.GetMemoryRegionInfo(at, area)
                    if error.Fail():
                        break
                    rights = "".join(c for c, on in zip("rwx", (
                        area.IsReadable(), area.IsWritable(), area.IsExecutable())) if on)
                    found.append([area.GetRegionBase(), area.GetRegionEnd(), rights])
                    at = area.GetRegionEnd() or 2**64  # LLDB's addresses wrap round
                return found
            connect()
            report(off=areas())
            run("breakpoint set --name serve")
            run("continue")
            report(on=areas(), at=function(), where=register("pc"))
            """,
            symbols="mmu",
        )
    off, on = results["off"], results["on"]
    assert [row[2] for row in off] == ["", "rwx", ""]
    assert off[1][0] == 0x4000_0000
    for rows in (off, on):
        assert rows[0][0] == 0
        assert all(a[1] == b[0] for a, b in pairwise(rows)), "no gap, no overlap"
    here = next(row for row in on if row[0] <= results["where"] < row[1])
    assert "x" in here[2]
    assert on != off


def test_killing_ends_the_guest_and_the_server() -> None:
    with server("spin") as guest:
        results = lldb(
            guest.target,
            """
            connect()
            run("process kill")
            # The state that it shows changes with the event.
            event = lldb.SBEvent()
            while process.GetState() != lldb.eStateExited:
                if not debugger.GetListener().WaitForEvent(20, event):
                    break
                lldb.SBProcess.GetStateFromEvent(event)
            report(exited=process.GetState() == lldb.eStateExited,
                 status=process.GetExitStatus(), words=process.GetExitDescription())
            """,
            symbols="spin",
        )
        assert guest.ended() == 0
    assert results["exited"]
    assert results["status"] == 9
    assert "failed" not in (results["words"] or "")


def test_the_past_by_monitor_commands() -> None:
    """LLDB before 21 has no commands that go back; the packets and `monitor goto` do it."""
    with server("queue", "--history", listen=TCP) as guest:
        results = lldb(
            guest.target,
            """
            connect()
            run("continue")
            report(at=function())
            last = run("process plugin packet monitor last write queue.tail")
            report(last=bytes.fromhex(last.split("response: ")[1]).decode())
            run("process plugin packet monitor goto 8592534")
            run("thread step-inst")
            report(after=function(), tail=value("queue.tail"))
            report(back=run("process plugin packet send bc"))
            run("thread step-inst")
            report(begin=function())
            """,
            symbols="queue",
        )
    assert results["at"] == "power_off"
    assert "write of queue.tail (4 bytes" in results["last"]
    assert "queue_push+0x54 (queue.c:17): 0x1d -> 0x1e" in results["last"]
    assert (results["after"], results["tail"]) == ("queue_push", 30)
    assert "replaylog:begin;" in results["back"]
    assert results["begin"] == "_start"
