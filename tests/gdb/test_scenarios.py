"""What people do in a session, with gdb-multiarch, on guests that do the same every time."""

from __future__ import annotations

import re

import pytest

from tests.gdb.gdb_client import gdb, needs_gdb, server

pytestmark = needs_gdb


def test_tbreak_until_finish_and_the_frames() -> None:
    with server("counter") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            run("tbreak inner")
            run("continue")
            frames, frame = [], gdb.newest_frame()
            while frame is not None:
                frames.append([frame.name(), frame.find_sal().symtab.filename.rpartition("/")[2]])
                frame = frame.older()
            tell(frames=frames, points=run("info breakpoints"))
            run("up")
            tell(up=location())
            run("finish")
            tell(finished=location(), counter=value("counter"))
            run("tbreak factorial if n == 3")
            run("continue")
            tell(n=value("n"), depth=run("backtrace").count("factorial (n="))
            run("finish")
            tell(returned=str(gdb.parse_and_eval("$")), inside=location())
            run("until *power_off")
            tell(n_then=value("n"), end=location())
            """,
        )
    assert [name for name, _ in told["frames"]] == ["inner", "middle", "outer", "main"]
    assert {file for _, file in told["frames"]} == {"counter.c"}
    assert "No breakpoints" in told["points"]
    assert told["up"] == "middle"
    assert told["finished"] == "outer"
    assert told["counter"] == 1
    assert told["n"] == 3
    assert told["depth"] == 8
    assert (told["returned"], told["inside"]) == ("6", "factorial")
    assert told["end"] == "factorial", "until ends where the frame does"
    assert told["n_then"] == 5


def test_lines_are_stepped_into_and_over() -> None:
    with server("counter") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            run("break main")
            run("continue")
            seen = []
            for command in ("step", "step", "step", "finish", "next", "next", "until", "until"):
                run(command)
                seen.append([command, location()])
            tell(seen=seen, counter=value("counter"))
            """,
        )
    names = [name for _, name in told["seen"]]
    assert "outer" in names[:3] or "middle" in names[:3]
    assert names[-1] in ("main", "outer", "middle")
    assert told["counter"] >= 1


def test_structures_arrays_and_types_are_printed_from_memory() -> None:
    with server("counter") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            run("break power_off")
            run("continue")
            tell(sizes=str(gdb.parse_and_eval("sizes")), pair=run("output pair"),
                 table=run("output table[60]@4"), type=run("ptype sizes"),
                 where=run("info symbol &table[63]"),
                 words=run("x/2xg &pair"), code=run("x/2i count"))
            """,
        )
    assert told["sizes"] == "{byte = 132 '\\204', half = 900, word = 900, doubleword = 900}"
    assert told["pair"] == "{900, 901}"
    assert told["table"] == "{960, 961, 962, 963}"
    assert "uint64_t doubleword;" in told["type"]
    assert told["where"] == "table + 252 in section .bss\n"
    assert "0x0000000000000384\t0x0000000000000385" in told["words"]
    assert "adrp" in told["code"]


def test_registers_and_memory_are_changed() -> None:
    with server("counter") as guest:
        told = gdb(
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
            tell(x9=value("$x9"), w10=value("$x10"), v3=str(gdb.parse_and_eval("$v3.d.u")),
                 tpidr=value("$tpidr_el1"), cpsr=str(gdb.parse_and_eval("$cpsr")))
            run("delete")
            run("stepi")
            tell(kept=[value("$x9"), value("$tpidr_el1")])
            # A function of the guest is called, and everything is as it was behind it.
            names = "info registers x0 x1 x2 x9 x10 x29 x30 sp pc cpsr v3 fpsr tpidr_el1"
            before = run(names)
            tell(called=value("factorial(5)"), same=run(names) == before)
            run("set var $pc = power_off")
            tell(moved=location())
            inferior = gdb.selected_inferior()
            inferior.write_memory(value("&table[0]"), bytes(range(256)))
            tell(read=bytes(inferior.read_memory(value("&table[0]"), 256)) == bytes(range(256)),
                 found=inferior.search_memory(value("&table[0]"), 256, bytes([200, 201])))
            run("continue")
            tell(seen=stops.seen[-1])
            """,
        )
    assert told["x9"] == 0x1122334455667788
    assert told["w10"] == 0xFFFFFFFF
    assert told["v3"] == "{0, 3735928559}"
    assert told["tpidr"] == 0xFEED
    assert "Z" in told["cpsr"].split()
    assert told["kept"] == [0x1122334455667788, 0xFEED]
    assert told["called"] == 120
    assert told["same"]
    assert told["moved"] == "power_off"
    assert told["read"]
    assert told["found"]
    assert told["seen"] == ["exited", 0]


def test_system_registers_have_their_fields() -> None:
    with server("mmu") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            run("break main")
            run("continue")
            tell(sctlr=run("monitor register sctlr_el1"), vbar=value("$vbar_el1"),
                 vectors=value("(unsigned long)&vectors"), group=run("info registers system"))
            try:
                run("set $midr_el1 = 0x1234")
                tell(refused=False)
            except gdb.error as error:
                tell(refused=str(error))
            tell(after=location(), midr=value("$midr_el1"))
            """,
        )
    assert re.search(r"\[0\]  M = 1", told["sctlr"]), told["sctlr"]
    assert told["vbar"] == told["vectors"]
    assert "ttbr1_el1" in told["group"]
    assert "x30" not in told["group"]
    assert "midr_el1" in str(told["refused"]), "an ID register is not written"
    assert told["after"] == "main", "the connection is up"
    assert told["midr"] != 0x1234


def test_a_breakpoint_with_a_condition_and_one_with_commands() -> None:
    with server("counter") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            run("break count if counter == 321")
            run("continue")
            tell(at=value("counter"))

            class Counted(gdb.Breakpoint):
                times = 0
                def stop(self):
                    self.times += 1
                    return self.times == 50
            counted = Counted("inner")
            run("delete 1")
            run("continue")
            tell(times=counted.times, now=value("counter"))
            """,
        )
    assert told["at"] == 321
    assert told["times"] == 50
    assert told["now"] == 371


def test_twelve_breakpoints_and_hardware_ones_among_them() -> None:
    """More than there are registers: BRK instructions, which nobody sees, take the rest."""
    with server("counter") as guest:
        told = gdb(
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
            tell(state=run("monitor debug-state"))
            run("delete 12")
            hit = set()
            while len(hit) < 9:
                run("continue")
                hit.add(location())
            tell(hit=sorted(hit), same=code == bytes(
                gdb.selected_inferior().read_memory(value("(long)&count"), 4)))
            # A hardware breakpoint gets a register that a software one had.
            run("hbreak *power_off")
            tell(taken=run("monitor debug-state"))
            run("delete")
            run("hbreak *power_off")
            run("continue")
            tell(end=location())
            """,
        )
    assert told["state"].count("hardware breakpoint") == 6
    assert told["state"].count("software breakpoint") == 6
    assert len(told["hit"]) == 9
    assert told["same"]
    lines = [line for line in told["taken"].splitlines() if line.startswith("Z1 ")]
    assert len(lines) == 1
    assert "hardware breakpoint" in lines[0]
    assert told["end"] == "power_off"


def test_five_watchpoints_are_too_many_and_gdb_says_so() -> None:
    with server("counter") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            run("break main")
            run("continue")
            for n in (0, 8, 16, 24, 32):
                run("watch table[%d]" % n)
            try:
                gdb.execute("continue")
                tell(went_on=True)
            except gdb.error as error:
                tell(went_on=False)
            run("delete 6")
            run("continue")
            tell(at=location())
            """,
        )
    assert not told["went_on"]
    assert "Could not insert hardware watchpoint 6." in told.text
    assert told["at"] == "fill_table"


def test_a_wide_watchpoint_is_one() -> None:
    """An array that five registers would cover exactly, and there are four: what lies around it
    stops the guest too, and is let go without a word to GDB."""
    with server("counter", "--overwatch", "512") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            run("break main")
            run("continue")
            run("watch table")
            run("continue")
            tell(at=location(), hit=run("monitor hit"),
                 table=value("(long)&table"))
            run("continue")
            tell(hit2=run("monitor hit"))
            """,
        )
    assert told["at"] == "fill_table"
    # The first write of all is of a zero over a zero: GDB lets go on what changes nothing.
    assert f"write of 4 bytes at {told['table'] + 4:#x} by fill_table" in told["hit"]
    assert "  before: 00 00 00 00" in told["hit"] or "  before: 0x0" in told["hit"]
    assert f"write of 4 bytes at {told['table'] + 8:#x} by fill_table" in told["hit2"]


def test_extended_remote_runs_anew() -> None:
    with server("counter") as guest:
        told = gdb(
            guest.target,
            """
            connect("extended-remote")
            run("break count")
            run("continue")
            run("continue")
            tell(second=value("counter"))
            run("run")
            tell(anew=value("counter"), at=location())
            run("delete")
            run("continue")
            tell(ended=["exited", 0] in stops.seen)
            run("break main")
            run("run")
            tell(again=location())
            run("kill")
            """,
        )
        assert guest.ended() == 0
    assert told["second"] == 1
    assert (told["anew"], told["at"]) == (0, "count")
    assert told["ended"]
    assert told["again"] == "main"


def test_a_guest_that_moves_itself_has_its_symbols_moved() -> None:
    """As `--slide` says it: GDB asks by how much (qOffsets)."""
    with server("counter", "--slide", "0x1000") as guest:
        told = gdb(
            guest.target,
            """
            connect()
            tell(main=value("(unsigned long)&main"), variable=value("(unsigned long)&counter"),
                 line=gdb.decode_line("counter.c:25")[1][0].pc)
            """,
        )
    with server("counter") as guest:
        unmoved = gdb(
            guest.target,
            """
            connect()
            tell(main=value("(unsigned long)&main"), variable=value("(unsigned long)&counter"),
                 line=gdb.decode_line("counter.c:25")[1][0].pc)
            """,
        )
    assert told == {name: address + 0x1000 for name, address in unmoved.items()}


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
def test_a_client_that_knows_less(off: list[str]) -> None:
    """Older GDBs, and other programs that speak the protocol: what is news to them is not said."""
    with server("queue") as guest:
        told = gdb(
            guest.target,
            f"""
            for packet in {off!r}:
                run("set remote %s-packet off" % packet)
            connect()
            run("break queue_push")
            run("continue")
            tell(soft=location())
            run("hbreak queue_pop")
            watch = gdb.Breakpoint("queue.tail", gdb.BP_WATCHPOINT)
            run("continue")
            tell(watch=stops.seen[-1], tail=value("queue.tail"))
            watch.delete()
            run("stepi")
            run("set var queue.peak = 9")
            run("set $x5 = 77")
            tell(peak=value("queue.peak"), x5=value("$x5"))
            run("delete 1")
            run("continue")
            tell(hard=location())
            run("finish")
            tell(finish=location(), threads=run("info threads"))
            """,
            symbols="queue",
        )
    assert (told["soft"], told["hard"], told["finish"]) == ("queue_push", "queue_pop", "worker")
    assert told["watch"] == ["breakpoint", [3]]
    assert (told["tail"], told["peak"], told["x5"]) == (1, 9, 77)
    assert "vCPU 0" in told["threads"]
