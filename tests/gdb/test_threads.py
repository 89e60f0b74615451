"""Several vCPUs are several threads: each is reported, stepped and read by itself."""

from __future__ import annotations

import textwrap

from tests.gdb.gdb_client import Mi, Results, gdb, needs_gdb, server

pytestmark = needs_gdb

_TO_THE_END = """
run("continue")
report(end=stops.seen[-1])
"""


def of_two(script: str) -> Results:
    """The results of a script in GDB on a guest of two vCPUs, which then runs to its end."""
    with server("smp", "--vcpus", "2") as guest:
        results = gdb(guest.target, "connect()\n" + textwrap.dedent(script) + _TO_THE_END)
        assert guest.ended() == 0
    assert results["end"] == ["exited", 0]
    assert b"smp: all well" in guest.output
    return results


def test_threads_are_the_vcpus() -> None:
    results = of_two(
        """
        def threads():
            return [[t.num, t.name, t.is_stopped()] for t in
                    sorted(gdb.selected_inferior().threads(), key=lambda t: t.num)]
        report(at_first=threads(), words=run("info threads"))
        run("break work")
        run("continue")
        run("continue")
        report(hit_by=sorted({t.num for t in gdb.selected_inferior().threads()
                            if t.is_valid()}), second=gdb.selected_thread().num,
             now=run("info threads"))
        run("thread 1")
        one = [value("$sp"), value("$mpidr_el1") & 0xff]
        run("thread 2")
        two = [value("$sp"), value("$mpidr_el1") & 0xff]
        report(one=one, two=two, both=run("thread apply all -s backtrace 1"))
        run("delete")
        """
    )
    assert results["at_first"] == [[1, "vCPU 0", True], [2, "vCPU 1", True]]
    assert "powered off" in results["words"]
    assert results["one"][1] == 0
    assert results["two"][1] == 1
    assert results["one"][0] != results["two"][0]
    assert results["both"].count("#0") == 2


def test_both_hit_the_same_watchpoint() -> None:
    with server("smp", "--vcpus", "2") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("break work")
            run("continue")
            run("delete")
            # Not `counter`: the vCPU that changes it holds the lock, so the other cannot.
            run("watch unlocked")
            seen = []
            for _ in range(30):
                run("continue")
                seen.append([gdb.selected_thread().num, location()])
            report(seen=seen)
            """,
        )
    assert {number for number, _ in results["seen"]} == {1, 2}
    assert {name for _, name in results["seen"]} == {"work"}


def test_stepping_one_with_the_others_held_or_running() -> None:
    results = of_two(
        """
        run("break work")
        run("continue")
        run("delete")
        run("watch unlocked")
        while gdb.selected_thread().num == 1:
            run("continue")
        run("delete")
        run("thread 2")
        run("set scheduler-locking on")
        def other():
            run("thread 1")
            found = [value("$x%d" % n) for n in range(31)] + [value("$sp"), pc()]
            run("thread 2")
            return found
        before = other()
        for _ in range(40):
            run("stepi")
        report(held=other() == before, stepped=pc())
        run("set scheduler-locking off")
        for _ in range(40):
            run("stepi")
        report(ran=other() != before)
        run("set scheduler-locking step")
        before = other()
        for _ in range(20):
            run("stepi")
        report(held_again=other() == before)
        run("set scheduler-locking off")
        """
    )
    assert results["held"]
    assert results["ran"]
    assert results["held_again"]


def test_a_lock_taken_step_by_step_by_two_vcpus() -> None:
    """Load-exclusive to store-exclusive is one step, also while the other vCPU tries to lock."""
    results = of_two(
        """
        run("break work")
        run("continue")
        run("continue")
        run("delete")
        run("display/i $pc")
        taken = 0
        for _ in range(300):
            run("stepi")
            if location() == "give_lock":
                taken += 1
                run("finish")
        report(taken=taken, counter=value("counter"))
        run("watch lock")
        seen = []
        for _ in range(8):
            run("continue")
            seen.append([gdb.selected_thread().num, location(), value("lock")])
        report(seen=seen)
        run("delete")
        run("undisplay 1")
        """
    )
    assert results["taken"] >= 3
    assert results["counter"] >= results["taken"]
    assert {name for _, name, _ in results["seen"]} <= {"take_lock", "give_lock"}
    assert {lock for _, _, lock in results["seen"]} == {0, 1}


def test_non_stop() -> None:
    """Each thread stops by itself while the others run on; as an editor does it, through MI."""
    with server("smp", "--vcpus", "3") as guest, Mi() as mi:
        mi.ask("-gdb-set non-stop on")
        mi.ask("-gdb-set mi-async on")
        mi.ask(f"-target-select remote {guest.target}")
        mi.until(lambda: mi.states("1", "2", "3") == ["stopped"] * 3)
        mi.ask("-break-insert secondary_main")
        mi.ask("-exec-continue --all")
        mi.until(lambda: mi.states("3") == ["running"])
        # The others reach the breakpoint; the first, which does not execute that code, runs on.
        mi.until(lambda: mi.states("1", "2", "3") == ["running", "stopped", "stopped"])
        frame = mi.ask("-stack-info-frame --thread 3")
        assert 'func="secondary_main"' in frame
        mi.ask("-exec-interrupt --thread 1")
        mi.until(lambda: mi.states("1") == ["stopped"])
        assert 'func="main"' in mi.ask("-stack-list-frames --thread 1")
        mi.ask("-exec-continue --thread 1")
        mi.until(lambda: mi.states("1", "2") == ["running", "stopped"])
        # Memory is read while one runs; the third is stepped at the same time.
        counted = mi.ask("-data-evaluate-expression --thread 3 counter")
        assert 'value="1000"' in counted, "the first has finished"
        mi.ask("-exec-next --thread 3")
        mi.until(lambda: mi.states("3") == ["running"])
        mi.until(lambda: mi.states("3") == ["stopped"])
        assert mi.states("1", "2") == ["running", "stopped"]
        mi.ask("-break-delete")
        mi.ask("-exec-continue --all")
        mi.until(lambda: mi.ended)
        assert guest.ended() == 0
    assert b"smp: all well" in guest.output
