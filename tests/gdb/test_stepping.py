"""Single steps over instructions that are not like the others, and code that changes underneath."""

from __future__ import annotations

from pathlib import Path

from guestdbg.check.assembler import ERET, NOP, add, daifclr, flat, hvc, ldr, mov, msr, str_
from tests.debugger.assembled import (
    CODE,
    DATA,
    IRQ_LINE_CPU,
    VECTORS,
    assembled,
    cbnz,
    cbnz_w,
    ldaxr,
    stlxr,
    words,
)
from tests.gdb.rsp_client import Wire, served

OFF = flat(mov(0, 0x8400_0008), hvc())
WFI, WFE, SEVL = 0xD503207F, 0xD503205F, 0xD50320BF
SELF = 0x14000000
SP, PC = 0x1F, 0x20


def register(wire: Wire, number: int) -> int:
    return int.from_bytes(bytes.fromhex(wire.ask(b"p%x" % number).decode()), "little")


def set_register(wire: Wire, number: int, value: int) -> None:
    assert wire.ask(b"P%x=%s" % (number, value.to_bytes(8, "little").hex().encode())) == b"OK"


def go(wire: Wire, packet: bytes = b"vCont;c") -> bytes:
    wire.send(packet)
    return wire.reply()


def step(wire: Wire) -> int:
    """One step; where it led to."""
    assert go(wire, b"vCont;s:1").startswith(b"T05")
    return register(wire, PC)


def test_an_exclusive_sequence_is_one_step_and_makes_progress(tmp_path: Path) -> None:
    prologue = flat(mov(1, DATA), mov(5, 3))
    loop = [ldaxr(2, 1), add(2, 2, 1), stlxr(3, 2, 1), cbnz_w(3, -12), 0xD10004A5, cbnz(5, -20)]
    start = CODE + 4 * len(prologue)
    with served(tmp_path, assembled(flat(prologue, loop, OFF))) as here, here.client() as wire:
        while register(wire, PC) != start:
            step(wire)
        trail = []
        for _ in range(9):
            trail.append(step(wire) - start)
        assert trail == [16, 20, 0, 16, 20, 0, 16, 20, 24]
        assert wire.ask(b"m%x,8" % DATA) == b"0300000000000000"


def test_a_watch_within_an_exclusive_sequence(tmp_path: Path) -> None:
    """As GDB does it: reported before the access, removed, stepped over, inserted again."""
    prologue = flat(mov(1, DATA), mov(5, 4))
    loop = [ldaxr(2, 1), add(2, 2, 1), stlxr(3, 2, 1), cbnz_w(3, -12), 0xD10004A5, cbnz(5, -20)]
    start = CODE + 4 * len(prologue)
    for kind, first in ((b"2", 8), (b"3", 0), (b"4", 0)):
        guest = assembled(flat(prologue, loop, OFF))
        point = b"%s,%x,8" % (kind, DATA)
        directory = tmp_path / kind.decode()
        directory.mkdir()
        with served(directory, guest) as here, here.client() as wire:
            values = []
            for _ in range(4):
                assert wire.ask(b"Z" + point) == b"OK"
                reply = go(wire)
                assert b"watch:%x;" % DATA in reply, reply
                assert register(wire, PC) == start + first
                assert wire.ask(b"z" + point) == b"OK"
                step(wire)
                values.append(int.from_bytes(bytes.fromhex(wire.ask(b"m%x,8" % DATA).decode())))
            assert [v >> 56 for v in values] == [1, 2, 3, 4]
            assert go(wire) == b"W00"


def test_a_watchpoint_is_reported_once_before_each_access(tmp_path: Path) -> None:
    code = flat(mov(1, DATA), mov(2, 0), [add(2, 2, 1), str_(2, 1), SELF - 2 + (1 << 26)])
    store = CODE + 4 * (len(code) - 2)
    with served(tmp_path, assembled(code)) as here, here.client() as wire:
        point = b"2,%x,4" % DATA
        for turn in range(1, 6):
            assert wire.ask(b"Z" + point) == b"OK"
            assert b"watch:%x;" % DATA in go(wire)
            assert register(wire, PC) == store
            before = wire.ask(b"m%x,4" % DATA)
            assert before == (turn - 1).to_bytes(4, "little").hex().encode()
            assert wire.ask(b"z" + point) == b"OK"
            assert step(wire) == store + 4
            assert wire.ask(b"m%x,4" % DATA) == turn.to_bytes(4, "little").hex().encode()
        # A client that does not remove it gets past the access too: it was reported.
        assert wire.ask(b"Z" + point) == b"OK"
        assert b"watch:" in go(wire)
        assert b"watch:" in go(wire)
        assert register(wire, 2) == 7


def test_steps_over_hints_and_into_an_interrupt(tmp_path: Path) -> None:
    """WFI waits until something comes; an interrupt is served before the step is taken."""
    prologue = flat(mov(1, DATA), mov(2, VECTORS), msr("VBAR_EL1", 2), daifclr(2))
    guest = assembled(
        flat(prologue, SEVL, WFE, NOP, WFI, NOP, OFF),
        {0x280: flat(add(28, 28, 1), ldr(27, 1, 8), NOP, ERET)},
    )
    start = CODE + 4 * len(prologue)
    with served(tmp_path, guest) as here, here.client() as wire:
        while register(wire, PC) != start:
            step(wire)
        assert [step(wire) - start for _ in range(3)] == [4, 8, 12]
        # On WFI without an interrupt to come, it waits; Ctrl-C ends that.
        wire.send(b"vCont;s:1")
        wire.socket.sendall(b"\x03")
        assert wire.reply().startswith(b"T0")
        assert register(wire, PC) - start in (12, 16)
        set_register(wire, PC, start + 8)
        # An interrupt handler that is entered runs to its end; a breakpoint in it is hit.
        vector = VECTORS + 0x280
        assert wire.ask(b"Z0,%x,4" % vector) == b"OK"
        here.guest.board.vm.irq_line(IRQ_LINE_CPU, 1)
        assert b"swbreak" in go(wire, b"vCont;s:1")
        assert register(wire, PC) == vector
        here.guest.board.vm.irq_line(IRQ_LINE_CPU, 0)
        assert wire.ask(b"z0,%x,4" % vector) == b"OK"
        assert step(wire) == vector + 4
        assert register(wire, 28) == 1


def test_a_brk_that_the_guest_overwrote_is_put_back(tmp_path: Path) -> None:
    """Seven breakpoints, so that one is a BRK; the guest loads other code there, then runs it."""
    target = CODE + 0x1000
    code = flat(
        mov(1, target),
        mov(3, DATA),
        ldr(2, 3),  # eight bytes of code
        str_(2, 1),
        [0xD5033B9F, 0xD508751F, 0xD5033B9F, 0xD5033FDF],  # DSB, IC IALLU, DSB, ISB
        [0xD61F0020],  # BR X1
    )
    guest = assembled(code)
    guest.board.write_phys(target, words(NOP, NOP))
    guest.board.write_phys(DATA, words(*flat(mov(9, 7)), SELF))
    loaded = CODE + 4 * (len(code) - 1)
    with served(tmp_path, guest) as here, here.client() as wire:
        for n in range(6):
            assert wire.ask(b"Z1,%x,4" % (CODE + 0x2000 + 4 * n)) == b"OK"
        assert wire.ask(b"Z0,%x,4" % target) == b"OK"
        assert "software breakpoint" in wire.monitor("debug-state")
        assert wire.ask(b"m%x,4" % target) == words(NOP).hex().encode(), "it is not visible"
        # The client stops the guest between the write and the execution.
        while register(wire, PC) != loaded:
            step(wire)
        assert wire.ask(b"m%x,4" % target) == words(*flat(mov(9, 7))).hex().encode()
        assert b"swbreak" in go(wire)
        assert register(wire, PC) == target
        assert wire.ask(b"m%x,4" % target) == words(*flat(mov(9, 7))).hex().encode()
        assert wire.ask(b"z0,%x,4" % target) == b"OK"
        step(wire)
        assert register(wire, 9) == 7, "the code that the guest wrote was executed"
