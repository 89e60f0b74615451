"""The `monitor` commands on snapshots, registers, devices and the state of the guest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.gdb.monitor.snapshots import MAX_SNAPSHOTS
from guestdbg.machine.devices.pl011 import Reg
from guestdbg.machine.layout import UART_BASE
from tests.gdb.gdb_client import gdb, needs_gdb, server
from tests.gdb.rsp_client import Served, Wire, served


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, "counter") as here:
        yield here


@pytest.fixture
def wire(counter: Served) -> Iterator[Wire]:
    with counter.client() as client:
        yield client


def go_to(here: Served, wire: Wire, where: str) -> None:
    place = here.guest.symbol(where).address
    assert wire.ask(b"Z1,%x,4" % place) == b"OK"
    wire.send(b"vCont;c")
    assert wire.reply().startswith(b"T05")
    assert wire.ask(b"p20") == place.to_bytes(8, "little").hex().encode()
    wire.ask(b"z1,%x,4" % place)


# ---- snapshots --------------------------------------------------------------------------------


def test_back_and_forth(counter: Served, wire: Wire) -> None:
    go_to(counter, wire, "main")
    at_main = wire.ask(b"g")
    assert re.match(
        r"snapshot here: after [\d,]+ instructions, [\d,]+ KiB", wire.monitor("snapshot here")
    )
    go_to(counter, wire, "power_off")
    at_end = wire.ask(b"g")
    assert wire.monitor("snapshot").startswith("snapshot 1: ")
    assert wire.monitor("restore here").startswith("the guest is at snapshot here, in main")
    assert wire.ask(b"?").startswith(b"T05")
    assert wire.ask(b"g") == at_main
    wire.monitor("restore 1")
    assert wire.ask(b"g") == at_end
    wire.send(b"vCont;c")
    assert wire.reply() == b"W00"
    # The end of the guest is undone, too.
    wire.monitor("restore here")
    assert wire.ask(b"?").startswith(b"T05")
    go_to(counter, wire, "power_off")
    assert wire.ask(b"g") == at_end


def test_breakpoints_stay(counter: Served, wire: Wire) -> None:
    wire.monitor("snapshot start")
    place = counter.guest.symbol("main").address
    wire.ask(b"Z0,%x,4" % place)
    for _ in range(3):
        wire.send(b"vCont;c")
        assert wire.reply().startswith(b"T05")
        assert wire.ask(b"p20") == place.to_bytes(8, "little").hex().encode()
        wire.monitor("restore start")
    assert "1 vCPU" in wire.monitor("caps")


def test_the_list_and_names(wire: Wire) -> None:
    assert wire.monitor("snapshots") == "no snapshots; to take one: monitor snapshot NAME\n"
    wire.monitor("snapshot b")
    wire.monitor("snapshot a.1")
    assert [row.partition(":")[0] for row in wire.monitor("snapshots").splitlines()] == ["b", "a.1"]
    assert "already" in wire.monitor("snapshot b")
    for name in ("all", "'a b'", "-x", "x" * 65, "''", "\u00e9"):
        assert "cannot be named" in wire.monitor(f"snapshot {name}"), name
    assert "the snapshots are: b, a.1" in wire.monitor("restore c")
    assert "the snapshots are: b, a.1" in wire.monitor("restore")
    assert "delete NAME | all" in wire.monitor("snapshots remove b")
    assert "there is no snapshot" in wire.monitor("snapshots delete c")
    assert wire.monitor("snapshots delete b") == ""
    assert wire.monitor("snapshots").startswith("a.1: ")
    wire.monitor("snapshots delete all")
    assert "no snapshots" in wire.monitor("snapshots")


def test_there_is_a_limit(wire: Wire) -> None:
    for _ in range(MAX_SNAPSHOTS):
        assert wire.monitor("snapshot").startswith("snapshot ")
    assert "which is the most" in wire.monitor("snapshot")


def test_the_next_client_has_them(counter: Served) -> None:
    with counter.client() as wire:
        wire.monitor("snapshot mine")
    with counter.client() as wire:
        assert wire.monitor("snapshots").startswith("mine: ")
        assert "at snapshot mine" in wire.monitor("restore mine")


def test_not_while_it_runs(tmp_path: Path) -> None:
    with served(tmp_path, "spin") as here, here.client() as wire:
        wire.ask(b"QNonStop:1")
        assert wire.ask(b"vCont;c:1") == b"OK"
        for command in ("snapshot", "restore x"):
            assert "the guest runs" in wire.monitor(command)
        assert "the guest runs" in wire.monitor("status")


@needs_gdb
def test_snapshots_in_gdb() -> None:
    with server("counter") as guest:
        results = gdb(
            guest.target,
            """
            connect()
            run("break main")
            run("continue")
            report(taken=run("monitor snapshot m"))
            before = pc()
            run("stepi 5")
            moved = pc() != before
            run("monitor restore m")
            run("maintenance flush register-cache")
            report(moved=moved, back=pc() == before)
            run("stepi 5")
            run("tbreak power_off")
            run("continue")
            report(stop=stops.seen[-1][0], at=location())
            """,
            symbols="counter",
        )
    assert results["taken"].startswith("snapshot m: ")
    assert results["moved"]
    assert results["back"]
    assert (results["stop"], results["at"]) == ("breakpoint", "power_off")


# ---- registers --------------------------------------------------------------------------------


def test_every_register_of_the_description(counter: Served, wire: Wire) -> None:
    names = re.findall(
        r'<reg name="(\w+)"', wire.ask(b"qXfer:features:read:target.xml:0,7000").decode()
    )
    document, at = b"", 0
    while True:
        piece = wire.ask(b"qXfer:features:read:target.xml:%x,7000" % at)
        document += piece[1:]
        at += len(piece) - 1
        if piece[:1] == b"l":
            break
    names = re.findall(r'<reg name="(\w+)"[^>]* regnum="(\d+)"', document.decode())
    assert len(names) > 150
    for name, number in names:
        value = int.from_bytes(bytes.fromhex(wire.ask(b"p%x" % int(number)).decode()), "little")
        shown = wire.monitor(f"register {name}")
        assert f" = {value:#x}" in shown.splitlines()[0], (name, shown)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x5", "x5 = 0x1122334455667788 (1234605616436508552)"),
        ("w5", "w5 = 0x55667788 (1432778632)"),
        ("$x5", "x5 = 0x1122334455667788 (1234605616436508552)"),
        ("V3", "v3 = 0xffeeddccbbaa99887766554433221100 (340193404210632335760508365704335069440)"),
        ("q3", "q3 = 0xffeeddccbbaa99887766554433221100 (340193404210632335760508365704335069440)"),
        ("d3", "d3 = 0x7766554433221100 (1.4402392267837606e+267)"),
        ("s3", "s3 = 0x33221100 (3.7734026e-08)"),
        ("h3", "h3 = 0x1100 (0.0006104)"),
        ("b3", "b3 = 0x0 (0)"),
        ("pc", "pc = 0x40200000 <_start>"),
        ("fpcr", "fpcr = 0x0 (0)"),
    ],
)
def test_views(wire: Wire, name: str, shown: str) -> None:
    wire.ask(b"P5=8877665544332211")
    wire.ask(b"P25=00112233445566778899aabbccddeeff")
    assert wire.monitor(f"register {name}") == shown + "\n"


def test_registers_in_words(wire: Wire) -> None:
    assert wire.monitor("register cpsr").startswith("CPSR = 0x3c5: ")
    assert "ESR_EL1 = 0x0: " in wire.monitor("register esr_el1")
    for wrong in ("x31", "v32", "d32", "w31", "nothing", "''"):
        assert "there is no" in wire.monitor(f"register {wrong}"), wrong
    assert "monitor register NAME" in wire.monitor("register")


# ---- device registers -------------------------------------------------------------------------


def word(wire: Wire, offset: int) -> int | None:
    reply = wire.ask(b"m%x,4" % (UART_BASE + offset))
    return None if reply[:1] == b"E" else int.from_bytes(bytes.fromhex(reply.decode()), "little")


def test_device_registers_without_side_effects(counter: Served, wire: Wire) -> None:
    uart = counter.guest.board.uart
    uart.write(Reg.IBRD, 4, 0x1234)
    state = uart.snapshot()
    assert word(wire, Reg.FR) == 0x90
    assert word(wire, Reg.IBRD) == 0x1234
    assert word(wire, Reg.CR) == 0x300
    assert [word(wire, 0xFE0 + 4 * n) for n in range(8)] == [17, 16, 20, 0, 13, 240, 5, 177]
    # Bytes, halves and pieces of registers.
    assert wire.ask(b"m%x,1" % (UART_BASE + Reg.IBRD + 1)) == b"12"
    assert wire.ask(b"m%x,8" % (UART_BASE + Reg.IBRD)) == b"3412000000000000"
    assert wire.ask(b"m%x,10" % (UART_BASE + 0xFFC)) == b"b1000000", "to the end of the device"
    # Reading the data register would take a byte from the guest.
    assert word(wire, Reg.DR) is None
    assert wire.ask(b"M%x,4:00000000" % (UART_BASE + Reg.IBRD)).startswith(b"E")
    assert word(wire, 0x1000) is None, "nothing is there"
    assert "0x09000018: 90 00 00 00" in wire.monitor("phys 0x9000018 4")
    wire.ask(b"qSupported:error-message+")
    assert b"side effect" in wire.ask(b"m%x,4" % (UART_BASE + Reg.DR))
    assert uart.snapshot() == state


def test_waiting_input_is_seen_and_stays(counter: Served, wire: Wire) -> None:
    assert wire.monitor("type ab") == ""
    for _ in range(3):
        assert word(wire, Reg.FR) == 0xC0, "the FIFO is off: one byte fills it"
    assert counter.guest.board.console.pending_input == 2
    counter.guest.board.deliver_inputs()
    assert word(wire, Reg.FR) == 0xC0
    assert word(wire, Reg.RIS) == 0x50
    assert counter.guest.board.uart.read(Reg.DR, 4) == ord("a")


def test_through_the_page_tables(tmp_path: Path) -> None:
    with served(tmp_path, "mmu") as here, here.client() as wire:
        go_to(here, wire, "main")
        assert wire.ask(b"m9000018,4").startswith(b"E"), "not mapped at this address"
        assert wire.ask(b"Qqemu.PhyMemMode:1") == b"OK"
        assert word(wire, Reg.CR) is not None


def test_status(counter: Served, wire: Wire) -> None:
    assert wire.monitor("status").splitlines() == [
        "stopped by the debugger",
        "vCPU 0: EL1, _start (start.S:12)",
    ]
    go_to(counter, wire, "main")
    assert wire.monitor("status").startswith("stopped: ")
    wire.send(b"vCont;c")
    assert wire.reply() == b"W00"
    assert wire.monitor("status").startswith("the guest has ended: it powered off")


def test_status_of_a_lost_guest(tmp_path: Path) -> None:
    with served(tmp_path, "lost", wait=False) as here, here.client() as wire:
        if not wire.ask(b"?").startswith(b"T06"):
            wire.send(b"vCont;c")
            while not wire.reply().startswith(b"T06"):
                pass
        assert wire.monitor("status").startswith("stopped: error at ")
