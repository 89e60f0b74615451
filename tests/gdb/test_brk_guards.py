"""BRK instructions that the guest overwrites, or maps other memory over, while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from guestdbg.check.assembler import NOP, add, flat, ldr, mov, str_
from guestdbg.debugger import Guest, Watch
from tests.debugger.assembled import CODE, DATA, assembled, words
from tests.gdb.gdb_client import gdb, needs_gdb
from tests.gdb.rsp_client import Served, Wire, served

PC = 0x20
TARGET = CODE + 0x1000
ELSEWHERE = CODE + 0x2000
SELF, BLR_X1, RET, AGAIN = 0x14000000, 0xD63F0020, 0xD65F03C0, 0x17FFFFFF
IC_IALLU, DSB, ISB, TLBI_VMALLE1 = 0xD508751F, 0xD5033F9F, 0xD5033FDF, 0xD508871F
# ADD X9, X9, #7; RET: the guest loads this over NOPs.
LOADED = words(add(9, 9, 7), RET)


def register(wire: Wire, number: int) -> int:
    return int.from_bytes(bytes.fromhex(wire.ask(b"p%x" % number).decode()), "little")


def go(wire: Wire) -> bytes:
    wire.send(b"vCont;c")
    return wire.reply()


def fill_registers(wire: Wire, here: Served) -> None:
    """Insert hardware breakpoints until no register is free: the next Z0 is a BRK."""
    for n in range(here.guest.hardware.breakpoints):
        assert wire.ask(b"Z1,%x,4" % (ELSEWHERE + 4 * n)) == b"OK"


def loading(store: Sequence[int | list[int]]) -> Guest:
    """Code that copies eight bytes from DATA over TARGET, and then calls TARGET in a loop."""
    code = flat(
        *(mov(1, TARGET), mov(3, DATA), ldr(2, 3), mov(9, 0)),
        flat(*store),
        *(DSB, IC_IALLU, DSB, ISB),
        *(BLR_X1, AGAIN),
    )
    guest = assembled(code)
    guest.board.write_phys(TARGET, words(NOP, RET))
    guest.board.write_phys(DATA, LOADED)
    return guest


def test_a_byte_that_equals_that_of_the_brk(tmp_path: Path) -> None:
    """The byte written equals the byte of the BRK: memory does not change, but the code does."""
    guest = loading([mov(4, 0xD4), [0x39000C24]])
    with served(tmp_path, guest) as here, here.client() as wire:
        fill_registers(wire, here)
        guest.board.write_phys(TARGET, words(0x91000400, RET))  # ADD X0, X0, #1
        assert wire.ask(b"Z0,%x,4" % TARGET) == b"OK"
        assert b"swbreak" in go(wire)
        assert wire.ask(b"m%x,4" % TARGET) == words(0xD4000400).hex().encode()
        wire.ask(b"z0,%x,4" % TARGET)
        assert guest.board.read_phys(TARGET, 4) == words(0xD4000400)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    "store",
    [
        [str_(2, 1)],
        [0xB9000022, 0xD360FC42, 0xB9000422],  # STR W2; LSR X2, X2, #32; STR W2, [X1, #4]
        [0xA9000822],  # STP X2, X2
        [0x38001422] + [0xD348FC42, 0x38001422] * 7 + [0xD1002021],  # STRB, byte by byte
    ],
    ids=["str", "words", "stp", "bytes"],
)
def test_code_loaded_over_a_brk_is_hit_the_first_time(
    tmp_path: Path, store: Sequence[int | list[int]], plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest writes and executes without the client seeing it in between."""
    if plain:
        monkeypatch.setenv("GUESTDBG_PLAIN", "1")
    guest = loading(store)
    with served(tmp_path, guest) as here, here.client() as wire:
        fill_registers(wire, here)
        assert wire.ask(b"Z0,%x,4" % TARGET) == b"OK"
        assert "software breakpoint" in wire.monitor("debug-state")
        assert b"swbreak" in go(wire)
        assert register(wire, PC) == TARGET
        assert register(wire, 9) == 0, "it has not been executed before"
        assert wire.ask(b"m%x,8" % TARGET) == LOADED.hex().encode()
        assert b"swbreak" in go(wire)
        assert register(wire, 9) == 7, "the loaded code was executed"
        # Removed, it leaves no BRK in guest memory.
        assert wire.ask(b"z0,%x,4" % TARGET) == b"OK"
        assert guest.board.read_phys(TARGET, 8) == LOADED
        assert len([p for p in guest.points if p.enabled]) == here.guest.hardware.breakpoints


def test_without_watchpoint_registers_the_brk_is_put_back_later(tmp_path: Path) -> None:
    guest = loading([str_(2, 1)])
    with served(tmp_path, guest) as here, here.client() as wire:
        fill_registers(wire, here)
        assert wire.ask(b"Z0,%x,4" % TARGET) == b"OK"
        # The client's watchpoints take the register of the guard.
        for n in range(here.guest.hardware.watchpoints):
            assert wire.ask(b"Z2,%x,8" % (DATA + 0x1000 * (n + 1))) == b"OK"
        assert wire.ask(b"Z2,%x,8" % (DATA + 0x9000)) == b"E1c"
        assert b"swbreak" in go(wire)
        assert register(wire, PC) == TARGET
        assert register(wire, 9) > 0, "it was executed unnoticed before"


def test_a_lost_brk_gets_the_register_of_another_breakpoint(tmp_path: Path) -> None:
    guest = loading([str_(2, 1)])
    with served(tmp_path, guest) as here, here.client() as wire:
        for n in range(here.guest.hardware.breakpoints):
            assert wire.ask(b"Z0,%x,4" % (ELSEWHERE + 4 * n)) == b"OK"
        assert wire.ask(b"Z0,%x,4" % TARGET) == b"OK"
        for n in range(here.guest.hardware.watchpoints):
            assert wire.ask(b"Z2,%x,8" % (DATA + 0x1000 * (n + 1))) == b"OK"
        assert b"swbreak" in go(wire)
        state = wire.monitor("debug-state")
        assert f"Z0 at {TARGET:#x}: hardware breakpoint" in state
        assert state.count("software breakpoint") == 1
        # As GDB does: all are removed and inserted again. It still gets a register.
        places = [ELSEWHERE + 4 * n for n in range(here.guest.hardware.breakpoints)] + [TARGET]
        for place in places:
            wire.ask(b"z0,%x,4" % place)
        for place in places:
            assert wire.ask(b"Z0,%x,4" % place) == b"OK"
        assert f"Z0 at {TARGET:#x}: hardware breakpoint" in wire.monitor("debug-state")


def two_mappings(code: Sequence[int], virtual: int, first: int) -> Guest:
    """The MMU is on: 1 GiB of RAM is mapped 1:1, and 2 MiB at ``virtual`` to ``first``."""
    guest = assembled(code)
    upper, lower = DATA + 0x1000, DATA + 0x2000
    guest.write_u64(upper + 8, 0x4000_0000 | 1 << 10 | 1)
    guest.write_u64(upper + 8 * (virtual >> 30), lower | 3)
    guest.write_u64(lower, first | 1 << 10 | 1)
    cpu = guest.cpu
    for name, value in (
        ("MAIR_EL1", 0xFF),
        ("TCR_EL1", 25 | 1 << 23 | 2 << 32),
        ("TTBR0_EL1", upper),
        ("SCTLR_EL1", cpu.reg("SCTLR_EL1") | 1),
    ):
        cpu.set_reg(name, value)
    return guest


def test_memory_mapped_to_the_address_later_gets_a_brk_too(tmp_path: Path) -> None:
    """Called, mapped to other memory, called again: the breakpoint is at the virtual address."""
    virtual, first, second = 0x8000_0000, 0x4020_0000, 0x4040_0000
    code = flat(
        *(mov(1, virtual + 0x40), mov(5, DATA + 0x2000), mov(6, second | 1 << 10 | 1), mov(9, 0)),
        *(BLR_X1, str_(6, 5), DSB, TLBI_VMALLE1, DSB, ISB),
        *(BLR_X1, AGAIN),
    )
    guest = two_mappings(code, virtual, first)
    for page, count in ((first, 1), (second, 0x100)):
        guest.board.write_phys(page + 0x40, words(add(9, 9, count), RET))
    with served(tmp_path, guest) as here, here.client() as wire:
        fill_registers(wire, here)
        assert wire.ask(b"Z0,%x,4" % (virtual + 0x40)) == b"OK"
        assert b"swbreak" in go(wire)
        assert register(wire, 9) == 0
        assert b"swbreak" in go(wire)
        assert register(wire, 9) % 0x100 == 1, "in the other memory"
        assert wire.ask(b"z0,%x,4" % (virtual + 0x40)) == b"OK"
        for page, count in ((first, 1), (second, 0x100)):
            assert guest.board.read_phys(page + 0x40, 4) == words(add(9, 9, count))


def test_a_write_through_another_address_is_noticed_later(tmp_path: Path) -> None:
    """The guard is a watchpoint on the virtual address, and does not see this write."""
    virtual, first = 0x8000_0000, 0x4020_0000
    code = flat(
        *(mov(1, virtual + 0x40), mov(3, DATA), ldr(2, 3), mov(5, first + 0x40), mov(9, 0)),
        *(str_(2, 5), DSB, IC_IALLU, DSB, ISB),
        *(BLR_X1, AGAIN),
    )
    guest = two_mappings(code, virtual, first)
    guest.board.write_phys(first + 0x40, words(NOP, RET))
    guest.board.write_phys(DATA, LOADED)
    with served(tmp_path, guest) as here, here.client() as wire:
        fill_registers(wire, here)
        assert wire.ask(b"Z0,%x,4" % (virtual + 0x40)) == b"OK"
        assert b"swbreak" in go(wire)
        assert register(wire, PC) == virtual + 0x40
        assert wire.ask(b"m%x,8" % (first + 0x40)) == LOADED.hex().encode()


@needs_gdb
def test_gdb_breaks_in_code_that_the_guest_loads(tmp_path: Path) -> None:
    """Sixteen breakpoints, inserted before the guest loads the code of the last one."""
    guest = loading([str_(2, 1)])
    with served(tmp_path, guest) as here:
        results = gdb(
            here.path,
            f"""
            connect()
            for n in range(14):
                run("hbreak *%d" % ({ELSEWHERE} + 4 * n) if n < 4 else
                    "break *%d" % ({ELSEWHERE} + 4 * n))
            run("break *%d" % {TARGET})
            run("break *%d" % {TARGET + 4})
            seen = []
            for _ in range(4):
                run("continue")
                seen.append([pc(), value("$x9"), stops.seen[-1]])
            report(seen=seen, code=value("*(unsigned *){TARGET}"))
            """,
        )
    first, second = ["breakpoint", [15]], ["breakpoint", [16]]
    assert results["seen"] == [
        [TARGET, 0, first],
        [TARGET + 4, 7, second],
        [TARGET, 7, first],
        [TARGET + 4, 14, second],
    ]
    assert results["code"].to_bytes(4, "little") == LOADED[:4]


def test_guards_give_up_their_registers_and_get_them_back(tmp_path: Path) -> None:
    """A refused watchpoint does not change them; a removed one leaves its register to them."""
    guest = loading([str_(2, 1)])
    with served(tmp_path, guest) as here, here.client() as wire:
        fill_registers(wire, here)
        assert wire.ask(b"Z0,%x,4" % TARGET) == b"OK"
        guarded = guest.execution.armed
        assert "software breakpoint, guarded by a watchpoint" in wire.monitor("debug-state")
        assert sum(control & 1 for control in guarded.dbg_wcr) == 1
        # It needs more than four registers: it does not fit even without the guard.
        assert wire.ask(b"Z2,%x,%x" % (DATA + 0x1001, 0x1FFE)) == b"E1c"
        assert guest.execution.armed == guarded
        for n in range(here.guest.hardware.watchpoints):
            assert wire.ask(b"Z2,%x,8" % (DATA + 0x1000 * (n + 1))) == b"OK"
        assert not any(
            isinstance(point, Watch) and point.address == TARGET for point in guest.points
        )
        assert "guarded" not in wire.monitor("debug-state")
        assert wire.ask(b"z2,%x,8" % (DATA + 0x1000)) == b"OK"
        assert b"swbreak" in go(wire)
        assert register(wire, 9) == 0, "hit the first time: it was guarded again"


def test_monitor_watch_takes_the_register_of_a_guard_and_gives_it_back(tmp_path: Path) -> None:
    guest = loading([str_(2, 1)])
    with served(tmp_path, guest) as here, here.client() as wire:
        fill_registers(wire, here)
        assert wire.ask(b"Z0,%x,4" % TARGET) == b"OK"
        for n in range(here.guest.hardware.watchpoints):
            said = wire.monitor(f"watch {DATA + 0x1000 * (n + 1):#x},8")
            assert said.startswith(f"{n + 1}: write of"), said
        assert "guarded" not in wire.monitor("debug-state")
        assert "5 watchpoint registers" in wire.monitor(f"watch {DATA + 0x9000:#x},8")
        wire.monitor("unwatch 2")
        assert "guarded" in wire.monitor("debug-state")
        assert b"swbreak" in go(wire)
        assert register(wire, 9) == 0
