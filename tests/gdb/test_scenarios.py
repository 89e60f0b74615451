"""What people do in a session, with gdb-multiarch, on guests that do the same every time."""

from __future__ import annotations

import re

import pytest

from tests.gdb.gdb_client import gdb, needs_gdb, server

pytestmark = needs_gdb


def test_tbreak_until_finish_and_the_frames() -> None:
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("tbreak inner")
            run("continue")
            frames, frame = [], gdb.newest_frame()
            while frame is not None:
                frames.append([frame.name(), frame.find_sal().symtab.filename.rpartition("/")[2]])
                frame = frame.older()
            report(frames=frames, points=run("info breakpoints"))
            run("up")
            report(up=location())
            run("finish")
            report(finished=location(), counter=value("counter"))
            run("tbreak factorial if n == 3")
            run("continue")
            report(n=value("n"), depth=run("backtrace").count("factorial (n="))
            run("finish")
            report(returned=str(gdb.parse_and_eval("$")), inside=location())
            run("until *power_off")
            report(n_then=value("n"), end=location())
            """,
        )
    assert [name for name, _ in results["frames"]] == ["inner", "middle", "outer", "main"]
    assert {file for _, file in results["frames"]} == {"counter.c"}
    assert "No breakpoints" in results["points"]
    assert results["up"] == "middle"
    assert results["finished"] == "outer"
    assert results["counter"] == 1
    assert results["n"] == 3
    assert results["depth"] == 8
    assert (results["returned"], results["inside"]) == ("6", "factorial")
    assert results["end"] == "factorial", "until ends where the frame does"
    assert results["n_then"] == 5


def test_lines_are_stepped_into_and_over() -> None:
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("break main")
            run("continue")
            seen = []
            for command in ("step", "step", "step", "finish", "next", "next", "until", "until"):
                run(command)
                seen.append([command, location()])
            report(seen=seen, counter=value("counter"))
            """,
        )
    names = [name for _, name in results["seen"]]
    assert "outer" in names[:3] or "middle" in names[:3]
    assert names[-1] in ("main", "outer", "middle")
    assert results["counter"] >= 1


def test_structures_arrays_and_types_are_printed_from_memory() -> None:
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("break power_off")
            run("continue")
            report(sizes=str(gdb.parse_and_eval("sizes")), pair=run("output pair"),
                 table=run("output table[60]@4"), type=run("ptype sizes"),
                 where=run("info symbol &table[63]"),
                 words=run("x/2xg &pair"), code=run("x/2i count"))
            """,
        )
    assert results["sizes"] == "{byte = 132 '\\204', half = 900, word = 900, doubleword = 900}"
    assert results["pair"] == "{900, 901}"
    assert results["table"] == "{960, 961, 962, 963}"
    assert "uint64_t doubleword;" in results["type"]
    assert results["where"] == "table + 252 in section .bss\n"
    assert "0x0000000000000384\t0x0000000000000385" in results["words"]
    assert "adrp" in results["code"]


def test_registers_and_memory_are_changed() -> None:
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("break count")
            run("continue")
            run("set var counter = 500")
            run("set $x9 = 0x1122334455667788")
            run("set $w10 = -1")
            run("set $v3.d.u[1] = 0xdeadbeef")
            run("set $tpidr_el1 = 0xfeed")
            run("set $cpsr = $cpsr | (1 << 30)")
            report(x9=value("$x9"), w10=value("$x10"), v3=str(gdb.parse_and_eval("$v3.d.u")),
                 tpidr=value("$tpidr_el1"), cpsr=str(gdb.parse_and_eval("$cpsr")))
            run("delete")
            run("stepi")
            report(kept=[value("$x9"), value("$tpidr_el1")])
            # GDB calls a function of the guest, and restores everything afterwards.
            names = "info registers x0 x1 x2 x9 x10 x29 x30 sp pc cpsr v3 fpsr tpidr_el1"
            before = run(names)
            report(called=value("factorial(5)"), same=run(names) == before)
            run("set var $pc = power_off")
            report(moved=location())
            inferior = gdb.selected_inferior()
            inferior.write_memory(value("&table[0]"), bytes(range(256)))
            report(read=bytes(inferior.read_memory(value("&table[0]"), 256)) == bytes(range(256)),
                 found=inferior.search_memory(value("&table[0]"), 256, bytes([200, 201])))
            run("continue")
            report(seen=stops.seen[-1])
            """,
        )
    assert results["x9"] == 0x1122334455667788
    assert results["w10"] == 0xFFFFFFFF
    assert results["v3"] == "{0, 3735928559}"
    assert results["tpidr"] == 0xFEED
    assert "Z" in results["cpsr"].split()
    assert results["kept"] == [0x1122334455667788, 0xFEED]
    assert results["called"] == 120
    assert results["same"]
    assert results["moved"] == "power_off"
    assert results["read"]
    assert results["found"]
    assert results["seen"] == ["exited", 0]


def test_system_registers_have_fields() -> None:
    with server("mmu") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("break main")
            run("continue")
            report(sctlr=run("monitor register sctlr_el1"), vbar=value("$vbar_el1"),
                 vectors=value("(unsigned long)&vectors"), group=run("info registers system"))
            try:
                run("set $midr_el1 = 0x1234")
                report(refused=False)
            except gdb.error as error:
                report(refused=str(error))
            report(after=location(), midr=value("$midr_el1"))
            """,
        )
    assert re.search(r"\[0\]  M = 1", results["sctlr"]), results["sctlr"]
    assert results["vbar"] == results["vectors"]
    assert "ttbr1_el1" in results["group"]
    assert "x30" not in results["group"]
    assert "midr_el1" in str(results["refused"]), "an ID register is not written"
    assert results["after"] == "main", "the connection still works"
    assert results["midr"] != 0x1234


def test_a_breakpoint_with_a_condition_and_one_with_commands() -> None:
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("break count if counter == 321")
            run("continue")
            report(at=value("counter"))

            class Counted(gdb.Breakpoint):
                times = 0
                def stop(self):
                    self.times += 1
                    return self.times == 50
            counted = Counted("inner")
            run("delete 1")
            run("continue")
            report(times=counted.times, now=value("counter"))
            """,
        )
    assert results["at"] == 321
    assert results["times"] == 50
    assert results["now"] == 371


def test_twelve_breakpoints_and_hardware_ones_among_them() -> None:
    """More than registers: the rest are BRK instructions, which readers of memory do not see."""
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            names = ["count", "inner", "middle", "outer", "write_sizes", "write_pair",
                     "fill_table", "take_lock", "give_lock", "factorial", "put_line", "main"]
            code = bytes(gdb.selected_inferior().read_memory(value("(long)&count"), 4))
            run("set breakpoint always-inserted on")
            for name in names:
                run("break *%s" % name)
            run("continue")
            report(state=run("monitor debug-state"))
            run("delete 12")
            hit = set()
            while len(hit) < 9:
                run("continue")
                hit.add(location())
            report(hit=sorted(hit), same=code == bytes(
                gdb.selected_inferior().read_memory(value("(long)&count"), 4)))
            # A hardware breakpoint gets a register that a software one had.
            run("hbreak *power_off")
            report(taken=run("monitor debug-state"))
            run("delete")
            run("hbreak *power_off")
            run("continue")
            report(end=location())
            """,
        )
    assert results["state"].count("hardware breakpoint") == 6
    assert results["state"].count("software breakpoint") == 6
    assert len(results["hit"]) == 9
    assert results["same"]
    lines = [line for line in results["taken"].splitlines() if line.startswith("Z1 ")]
    assert len(lines) == 1
    assert "hardware breakpoint" in lines[0]
    assert results["end"] == "power_off"


def test_five_watchpoints_are_refused_by_gdb_with_a_message() -> None:
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("break main")
            run("continue")
            for n in (0, 8, 16, 24, 32):
                run("watch table[%d]" % n)
            try:
                gdb.execute("continue")
                report(went_on=True)
            except gdb.error as error:
                report(went_on=False)
            run("delete 6")
            run("continue")
            report(at=location())
            """,
        )
    assert not results["went_on"]
    assert "Could not insert hardware watchpoint 6." in results.text
    assert results["at"] == "fill_table"


def test_a_wide_watchpoint() -> None:
    """An array that five registers would cover exactly, and there are four: what lies around it
    stops the guest too, which is resumed without a report to GDB."""
    with server("counter", "--overwatch", "512") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("break main")
            run("continue")
            run("watch table")
            run("continue")
            report(at=location(), hit=run("monitor hit"),
                 table=value("(long)&table"))
            run("continue")
            report(hit2=run("monitor hit"))
            """,
        )
    assert results["at"] == "fill_table"
    # The very first write is a zero over a zero: GDB does not stop if the value is unchanged.
    assert f"write of 4 bytes at {results['table'] + 4:#x} by fill_table" in results["hit"]
    assert "  before: 00 00 00 00" in results["hit"] or "  before: 0x0" in results["hit"]
    assert f"write of 4 bytes at {results['table'] + 8:#x} by fill_table" in results["hit2"]


def test_extended_remote_runs_again() -> None:
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect("extended-remote")
            run("break count")
            run("continue")
            run("continue")
            report(second=value("counter"))
            run("run")
            report(anew=value("counter"), at=location())
            run("delete")
            run("continue")
            report(ended=["exited", 0] in stops.seen)
            run("break main")
            run("run")
            report(again=location())
            run("kill")
            """,
        )
        assert guest.ended() == 0
    assert results["second"] == 1
    assert (results["anew"], results["at"]) == (0, "count")
    assert results["ended"]
    assert results["again"] == "main"


def test_a_guest_that_relocates_itself_has_its_symbols_moved() -> None:
    """As `--slide` says it: GDB asks by how much (qOffsets)."""
    with server("counter", "--slide", "0x1000") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            report(main=value("(unsigned long)&main"), variable=value("(unsigned long)&counter"),
                 line=gdb.decode_line("counter.c:25")[1][0].pc)
            """,
        )
    with server("counter") as guest:
        unmoved = gdb(
            guest.target,
            """
            connect()
            report(main=value("(unsigned long)&main"), variable=value("(unsigned long)&counter"),
                 line=gdb.decode_line("counter.c:25")[1][0].pc)
            """,
        )
    assert results == {name: address + 0x1000 for name, address in unmoved.items()}


@needs_gdb
@pytest.mark.parametrize(
    "off",
    [
        ["supported-packets"],
        ["swbreak-feature", "hwbreak-feature"],
        ["verbose-resume", "multiprocess-feature", "threads", "noack"],
        ["target-features", "memory-map", "fetch-register", "set-register", "binary-download"],
    ],
    ids=lambda names: names[0],
)
def test_a_client_with_fewer_features(off: list[str]) -> None:
    """Older GDBs, and other programs that speak the protocol: what is news to them is not said."""
    with server("queue") as guest:
        results = gdb(
            guest.target,
            f"""
            for packet in {off!r}:
                run("set remote %s-packet off" % packet)
            connect()
            run("break queue_push")
            run("continue")
            report(soft=location())
            run("hbreak queue_pop")
            watch = gdb.Breakpoint("queue.tail", gdb.BP_WATCHPOINT)
            run("continue")
            report(watch=stops.seen[-1], tail=value("queue.tail"))
            watch.delete()
            run("stepi")
            run("set var queue.peak = 9")
            run("set $x5 = 77")
            report(peak=value("queue.peak"), x5=value("$x5"))
            run("delete 1")
            run("continue")
            report(hard=location())
            run("finish")
            report(finish=location(), threads=run("info threads"))
            """,
            symbols="queue",
        )
    assert (results["soft"], results["hard"], results["finish"]) == (
        "queue_push",
        "queue_pop",
        "worker",
    )
    assert results["watch"] == ["breakpoint", [3]]
    assert (results["tail"], results["peak"], results["x5"]) == (1, 9, 77)
    assert "vCPU 0" in results["threads"]
