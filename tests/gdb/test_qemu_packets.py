"""The packets of QEMU's gdbstub that pwndbg, gef and scripts send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.check.assembler import ERET, NOP, add, flat, str_
from guestdbg.debugger import load
from tests.debugger.assembled import CODE, IRQ_LINE_CPU, VECTORS, assembled
from tests.debugger.test_interrupts import IRQ_SP_EL1, PROLOGUE
from tests.gdb.gdb_client import gdb, needs_gdb, server
from tests.gdb.rsp_client import Served, Wire, served
from tests.machine.guests import EXAMPLES


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, "counter") as here:
        yield here


@pytest.fixture
def wire(counter: Served) -> Iterator[Wire]:
    with counter.client() as client:
        yield client


def test_queries(wire: Wire) -> None:
    assert wire.ask(b"qqemu.Supported") == b"sstepbits;sstep;PhyMemMode"
    for letter in (b"q", b"Q"):
        assert wire.ask(letter + b"qemu.sstepbits") == b"ENABLE=1,NOIRQ=2,NOTIMER=4"
        assert wire.ask(letter + b"qemu.sstep") == b"0x7"
    assert wire.ask(b"qqemu.PhyMemMode") == b"0"
    for unknown in (b"qqemu", b"qqemu.", b"qqemu.Other", b"Qqemu.PhyMemMode", b"qqemu.sstep7"):
        assert wire.ask(unknown) == b"", unknown
    assert wire.ask(b"qqemu.PhyMemMode:1") == b"", "setting it takes the letter Q"


def test_setting(wire: Wire) -> None:
    for value in (b"0x1", b"3", b"5", b"7"):
        assert wire.ask(b"Qqemu.sstep=" + value) == b"OK"
        assert wire.ask(b"qqemu.sstep") == b"0x%x" % int(value, 16)
    for wrong in (b"8", b"ff", b"", b"x", b"-1", b"1" * 30):
        assert wire.ask(b"Qqemu.sstep=" + wrong) == b"E16", wrong
    assert wire.ask(b"qqemu.sstep") == b"0x7"
    for wrong in (b"", b"x", b"-1"):
        assert wire.ask(b"Qqemu.PhyMemMode:" + wrong) == b"E16", wrong
    for value, now in ((b"1", b"1"), (b"2", b"1"), (b"0", b"0")):
        assert wire.ask(b"Qqemu.PhyMemMode:" + value) == b"OK"
        assert wire.ask(b"qqemu.PhyMemMode") == now


def test_the_next_client_has_the_defaults(counter: Served) -> None:
    with counter.client() as wire:
        wire.ask(b"Qqemu.PhyMemMode:1")
        wire.ask(b"Qqemu.sstep=1")
    with counter.client() as wire:
        assert wire.ask(b"qqemu.PhyMemMode") == b"0"
        assert wire.ask(b"qqemu.sstep") == b"0x7"


def test_physical_memory(tmp_path: Path) -> None:
    """`mmu.elf` runs in the upper half: its addresses are not physical ones."""
    with served(tmp_path, "mmu") as here, here.client() as wire:
        main = here.guest.symbol("main").address
        assert wire.ask(b"Z1,%x,4" % main) == b"OK"
        wire.send(b"vCont;c")
        assert wire.reply().startswith(b"T05")
        code = wire.ask(b"m%x,10" % main)
        physical = here.guest.execution.vcpus[0].space.translate(main)
        assert physical != main
        assert wire.ask(b"Qqemu.PhyMemMode:1") == b"OK"
        assert wire.ask(b"m%x,10" % physical) == code
        assert wire.ask(b"x%x,0" % physical) == b"b"
        assert wire.ask(b"m%x,4" % main).startswith(b"E")
        assert wire.ask(b"M%x,4:deadbeef" % (physical + 4)) == b"OK"
        assert wire.ask(b"X%x,2:ab" % (physical + 8)) == b"OK"
        assert wire.ask(b"M%x,1:00" % main).startswith(b"E")
        # To the end of RAM: what there is.
        assert len(wire.ask(b"m%x,100" % (0x4000_0000 + (16 << 20) - 8))) == 16
        assert wire.ask(b"Qqemu.PhyMemMode:0") == b"OK"
        assert wire.ask(b"m%x,c" % main) == code[:8] + b"deadbeef6162" + code[20:24]


def test_physical_memory_without_the_brk_of_breakpoints(wire: Wire, counter: Served) -> None:
    main = counter.guest.symbol("main").address
    code = wire.ask(b"m%x,4" % main)
    counter.guest.break_(main, kind="software")
    wire.ask(b"Qqemu.PhyMemMode:1")
    assert wire.ask(b"m%x,4" % main) == code


def test_a_refused_write_changes_nothing_under_a_breakpoint(wire: Wire, counter: Served) -> None:
    """Its first bytes are those of a BRK, and its last ones past the end of RAM."""
    at = 0x4000_0000 + (16 << 20) - 4
    counter.guest.break_(at, kind="software")
    before = wire.ask(b"m%x,4" % at)
    wire.ask(b"Qqemu.PhyMemMode:1")
    assert wire.ask(b"M%x,8:1111111122222222" % at).startswith(b"E")
    assert wire.ask(b"m%x,4" % at) == before


def test_without_enable_a_step_continues(wire: Wire, counter: Served) -> None:
    main = counter.guest.symbol("main").address
    wire.ask(b"Z1,%x,4" % main)
    assert wire.ask(b"Qqemu.sstep=6") == b"OK"
    wire.send(b"vCont;s:1")
    assert b"hwbreak" in wire.reply()
    assert wire.ask(b"p20") == main.to_bytes(8, "little").hex().encode()


def test_a_step_into_an_interrupt(tmp_path: Path) -> None:
    """Without NOIRQ a step ends at the vector of an interrupt that was taken instead."""
    loop = flat(add(3, 3, 1), str_(3, 1), NOP)
    guest = assembled(flat(PROLOGUE, loop), {IRQ_SP_EL1: [add(28, 28, 1), NOP, ERET]})
    # The handler's first instruction is acknowledged by a breakpoint that does not stop the guest.
    guest.break_(VECTORS + IRQ_SP_EL1)(
        lambda hit: guest.board.vm.irq_line(IRQ_LINE_CPU, 0) and None
    )
    pc, vector = CODE + 4 * len(PROLOGUE), VECTORS + IRQ_SP_EL1
    guest.run(until=pc, timeout=10)
    guest.board.vm.irq_line(IRQ_LINE_CPU, 1)
    start = guest.snapshot()
    with served(tmp_path, guest) as here, here.client() as wire:
        wire.send(b"vCont;s:1")
        assert wire.reply().startswith(b"T05")
        assert wire.ask(b"p20") == (pc + 4).to_bytes(8, "little").hex().encode()
        here.guest.restore(start)
        assert wire.ask(b"Qqemu.sstep=1") == b"OK"
        wire.send(b"vCont;s:1")
        assert wire.reply().startswith(b"T05")
        assert wire.ask(b"p20") == vector.to_bytes(8, "little").hex().encode()


@needs_gdb
def test_maintenance_packet() -> None:
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            report(bits=run("maintenance packet Qqemu.sstepbits"),
                   mode=run("maintenance packet Qqemu.PhyMemMode:1"),
                   now=run("maintenance packet qqemu.PhyMemMode"),
                   memory=value("*(unsigned *)0x40200000"))
            """,
            symbols="counter",
        )
    assert 'received: "ENABLE=1,NOIRQ=2,NOTIMER=4"' in results["bits"]
    assert 'received: "OK"' in results["mode"]
    assert 'received: "1"' in results["now"]
    with load(EXAMPLES / "counter.elf", provider="soft", console=None) as loaded:
        assert results["memory"] == loaded.read_u32(0x4020_0000)
