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
        told = lldb(
            guest.target,
            """
            connect()
            tell(at_entry=function(), why_entry=why(), name=thread().GetName())
            run("breakpoint set --hardware --name queue_push")
            run("continue")
            tell(first=function(), why_first=why(),
                 frames=[f.GetFunctionName() for f in thread()], queue=value("q"),
                 size=value("q->size"), job=run("frame variable job"))
            before = register("pc")
            run("thread step-inst")
            tell(stepped=register("pc") - before, why_step=why())
            run("breakpoint delete 1")
            run("thread step-out")
            tell(after=function(), pushed=register("x0"))
            run("thread step-over")
            tell(line=frame().GetLineEntry().GetLine())
            """,
            symbols="queue",
        )
    assert told["at_entry"] == "_start"
    assert told["name"] == "vCPU 0"
    assert told["first"] == "queue_push"
    assert told["why_first"] == "breakpoint 1.1"
    assert told["frames"] == ["queue_push", "submit", "sources_poll", "main", "_start"]
    assert told["queue"] == symbol_of("queue", "queue")
    assert told["size"] == 32
    assert "(id = 0, source = 0, cost = 0)" in told["job"]
    assert told["stepped"] == 4
    assert told["why_step"] == "instruction step into"
    assert (told["after"], told["pushed"]) == ("submit", 1)
    assert told["line"] == 31


@pytest.mark.parametrize("kind", ["write", "read", "read_write"])
def test_watch_a_variable_in_its_three_kinds(kind: str) -> None:
    """LLDB is told before the access, steps over it, and shows the value behind it."""
    with server("counter", listen=TCP) as guest:
        told = lldb(
            guest.target,
            f"""
            connect()
            run("breakpoint set --name main --one-shot true")
            run("continue")
            run("watchpoint set variable -w {kind} counter")
            seen = []
            for _ in range(6):
                run("continue")
                # It has been stepped over: the access is the instruction before.
                code = target.ReadInstructions(lldb.SBAddress(register("pc") - 4, target), 1)
                seen.append([function(), why(), value("counter"), code[0].GetMnemonic(target)])
            tell(seen=seen, words=run("watchpoint list"))
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
    assert told["seen"] == expected[kind]
    assert "Number of supported hardware watchpoints: " in told["words"]


def test_change_registers_and_memory() -> None:
    with server("counter", listen=TCP) as guest:
        told = lldb(
            guest.target,
            """
            connect()
            run("breakpoint set --name count")
            run("continue")
            run("expression counter = 1000")
            run("register write x20 0x123456789abcdef0")
            run("register write v3 '{1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16}'")
            run("register write tpidr_el1 0x77")
            tell(counter=value("counter"), x20=register("x20"), v3=run("register read v3"),
                 tpidr=register("tpidr_el1"))
            run("breakpoint delete 1")
            address = target.FindFirstGlobalVariable("counter").GetLoadAddress()
            error = lldb.SBError()
            tell(raw=process.ReadMemory(address, 8, error).hex(),
                 refused=not process.ReadMemory(0x7000_0000_0000, 8, lldb.SBError()))
            run("continue")
            """,
            symbols="counter",
        )
        assert told["counter"] == 1000
        assert told["x20"] == 0x1234_5678_9ABC_DEF0
        assert "0x01 0x02 0x03 0x04" in told["v3"]
        assert told["tpidr"] == 0x77
        assert int.from_bytes(bytes.fromhex(told["raw"]), "little") == 1000
        assert told["refused"]
        guest.ended()


def test_conditional_breakpoint_and_hit_count() -> None:
    with server("queue", listen=TCP) as guest:
        told = lldb(
            guest.target,
            """
            connect()
            run("breakpoint set --name queue_push --condition 'job.id == 7'")
            run("continue")
            tell(job=value("job.id"), why=why())
            """,
            symbols="queue",
        )
    assert (told["job"], told["why"]) == (7, "breakpoint 1.1")


def test_two_processors() -> None:
    with server("smp", "--vcpus", "2", listen=TCP) as guest:
        told = lldb(
            guest.target,
            """
            connect()
            run("breakpoint set --name secondary_main")
            tell(threads=[t.GetName() for t in process])
            run("continue")
            tell(which=thread().GetIndexID(), at=[f.GetFunctionName() for f in thread()],
                 others=[t.GetStopReason() == lldb.eStopReasonNone for t in process])
            run("thread select 1")
            tell(other=function())
            """,
            symbols="smp",
        )
    assert told["threads"] == ["vCPU 0", "vCPU 1"]
    assert told["which"] == 2
    assert told["at"][:2] == ["finish", "secondary_main"], "its first call is inlined"
    assert told["others"] == [True, False]
    assert told["other"] is not None


def test_interrupt_a_running_guest_detach_and_come_back() -> None:
    with server("spin", listen=TCP) as guest:
        told = lldb(
            guest.target,
            """
            connect()
            threading.Timer(0.5, process.SendAsyncInterrupt).start()
            run("continue")
            tell(state=process.GetState() == lldb.eStateStopped, why=why(), first=function())
            run("process detach")
            """,
            symbols="spin",
        )
        assert told["state"]
        assert "SIGINT" in told["why"] or "SIGSTOP" in told["why"]
        assert told["first"] == "main"
        again = lldb(guest.target, "connect()\ntell(again=function())\n", symbols="spin")
        assert again["again"] == "main"


def test_areas_of_memory_follow_the_page_tables() -> None:
    with server("mmu", listen=TCP) as guest:
        told = lldb(
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
            tell(off=areas())
            run("breakpoint set --name serve")
            run("continue")
            tell(on=areas(), at=function(), where=register("pc"))
            """,
            symbols="mmu",
        )
    off, on = told["off"], told["on"]
    assert [row[2] for row in off] == ["", "rwx", ""]
    assert off[1][0] == 0x4000_0000
    for rows in (off, on):
        assert rows[0][0] == 0
        assert all(a[1] == b[0] for a, b in pairwise(rows)), "no gap, no overlap"
    here = next(row for row in on if row[0] <= told["where"] < row[1])
    assert "x" in here[2]
    assert on != off


def test_killing_ends_the_guest_and_the_server() -> None:
    with server("spin") as guest:
        told = lldb(
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
            tell(exited=process.GetState() == lldb.eStateExited,
                 status=process.GetExitStatus(), words=process.GetExitDescription())
            """,
            symbols="spin",
        )
        assert guest.ended() == 0
    assert told["exited"]
    assert told["status"] == 9
    assert "failed" not in (told["words"] or "")
