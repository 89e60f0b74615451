"""Points in one address space only: filtered by the provider, by Python, and by a condition.

Filtered by the provider, its hit programs may handle what is left.

Random programs switch tables and ASIDs and access the same virtual addresses all the time; the
three ways must give the same hits at the same instructions.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.check import assembler as asm
from guestdbg.debugger import Guest
from guestdbg.debugger.breakpoints.restriction import HitContext
from guestdbg.debugger.program.resolver import Code, Data
from guestdbg.kvm import (
    ExitIntr,
    GuestDebug,
    KvmError,
    SupportsInstructionLimit,
    SupportsTableFilters,
)
from guestdbg.kvm.constants import KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_USE_HW
from guestdbg.kvm.regs import PC, sys_reg
from guestdbg.kvm.table_filters import Tables, table_of

from .assembled import CODE, DATA, RAM, assembled
from .mapped import PAGE, SCATTERED, frame, map_memory

SEED = 20261130
TTBR0 = sys_reg("TTBR0_EL1")
#: Level 1 tables; the first is map_memory's, and the second is a copy of it.
TABLES = [RAM + 0x1_0000, RAM + 0x2_0000, RAM + 0x3_0000]
OTHER_FRAMES = RAM + 0x30_0000
PAGES = 4
STEPS = 250
#: (table, ASID): tables that map the same may share an ASID without a TLBI between.
SPACES = [(0, 1), (1, 1), (1, 4), (2, 2), (2, 3)]


@dataclass
class Only:
    """A restriction to tables; ``by_provider``: the debug registers are to be limited to them."""

    accepted: Tables
    by_provider: bool
    asked: int = 0
    by_tables_alone: bool = False

    @property
    def tables(self) -> Tables | None:
        return self.accepted if self.by_provider else None

    def matches(self, context: HitContext) -> bool:
        self.asked += 1
        return table_of(context.vcpu.get_one_reg(TTBR0)) in self.accepted

    @property
    def pending(self) -> bool:
        return not self.accepted

    def translate(self, address: int) -> int | None:
        return None

    def describe(self) -> str:
        return "some tables"

    def release(self) -> None:
        pass


def space(guest: Guest, table: int, frames: int) -> None:
    """A level 1 table, with the tables below it: as map_memory's, with the pages at ``frames``."""
    first = TABLES[table]
    entries = bytearray(guest.board.read_phys(TABLES[0], 0x3000))
    for offset, below in ((16, first + PAGE), (PAGE, first + 2 * PAGE)):
        entries[offset : offset + 8] = struct.pack("<Q", below | 3)
    for page in range(PAGES):
        at = 2 * PAGE + 8 * page
        (old,) = struct.unpack_from("<Q", entries, at)
        new = (old & ~0xFFFF_FFFF_F000) | (frames + page * PAGE if frames else frame(page))
        struct.pack_into("<Q", entries, at, new | 1 << 11)  # not global
    guest.board.write_phys(first, bytes(entries))


def program(rng: random.Random) -> list[int]:
    """x1: SCATTERED; x10 to x14: TTBR0_EL1 of the SPACES."""
    code: list[int] = []
    for step in range(STEPS):
        if rng.random() < 0.2:
            code += [asm.msr("TTBR0_EL1", 10 + rng.randrange(len(SPACES))), asm.ISB]
        page, offset = rng.randrange(PAGES), rng.choice([0, 8, 64, 0xFF0])
        code += [*asm.mov(2, SCATTERED + page * PAGE + offset), *asm.mov(3, step + 1)]
        kind = rng.randrange(4)
        code.append([asm.str_(3, 2), asm.ldr(4, 2), asm.stp(3, 3, 2), asm.str_(3, 2)][kind])
    return [*code, asm.b(0)]


def guest_of(code: list[int]) -> Guest:
    guest = assembled(code)
    map_memory(guest, range(PAGES))
    space(guest, 1, 0)
    space(guest, 2, OTHER_FRAMES)
    space(guest, 0, 0)
    cpu = guest.vcpus[0]
    for n, (table, asid) in enumerate(SPACES):
        cpu.x[10 + n] = TABLES[table] | asid << 48
    cpu.set_reg("TTBR0_EL1", cpu.x[10])
    return guest


def points(rng: random.Random) -> list[tuple[int, int, str, tuple[int, ...]]]:
    """(address, length, access, tables); the last one is a breakpoint at an instruction."""
    chosen = []
    for _ in range(3):
        address = SCATTERED + rng.randrange(PAGES) * PAGE + rng.choice([0, 8, 64, 0xFF0])
        accepted = rng.sample(range(3), rng.randrange(3))
        access = rng.choice(["write", "read", "any"])
        length = rng.choice([8, 8, 4])
        chosen.append((address, length, access, tuple(TABLES[n] for n in accepted)))
    return chosen


def hits(seed: int, way: str) -> tuple[list[tuple[Any, ...]], int]:
    """All hits of a random program, and how often Python had to compare."""
    rng = random.Random(seed)
    code = program(rng)
    watched, broken = points(rng), rng.sample(range(len(code) - 1), 2)
    later = [tuple(rng.sample(TABLES, rng.randrange(3))) for _ in watched]
    found: list[tuple[Any, ...]] = []
    with guest_of(code) as guest:
        start = guest.vcpus[0].pc
        only: list[Only] = []

        def restriction(accepted: Tables) -> dict[str, Any]:
            if way == "condition":
                tests = [f"(TTBR0_EL1 & 0xfffffffffffe) == {table:#x}" for table in accepted]
                return {"when": " or ".join(tests) or "0 == 1"}
            only.append(Only(accepted, way != "python", by_tables_alone=way == "programs"))
            return {"when": None, "task": only[-1]}

        def note(hit: Any) -> None:
            count = guest.vcpus[0].vcpu.instructions
            found.append((hit.point.number, hit.pc - start, count, hit.access, hit.old, hit.new))

        made = []
        for address, length, access, accepted in watched:
            data = Data(f"{address:#x}", address, length)
            made.append(guest.points.watch(data, access=access, **restriction(accepted))(note))
        for n in broken:
            guest.points.breakpoint(
                Code("here", (start + 4 * n,)),
                kind="hardware",
                ignore=0,
                name=None,
                el="any",
                context=None,
                **restriction((TABLES[0], TABLES[2])),
            )(note)
        guest.run(max_instructions=len(code) // 2)
        for each, accepted in zip(only, later, strict=False):
            each.accepted = accepted
        if way == "condition":
            for point, accepted in zip(made, later, strict=True):
                point.when = restriction(accepted)["when"]
        else:
            guest.execution.tasks_changed()
        guest.run(max_instructions=len(code) // 2 + 1)
        asked = sum(each.asked for each in only)
        found.append(tuple(guest.board.read_phys(frame(n), PAGE) for n in range(PAGES)))
        found.append((guest.board.read_phys(OTHER_FRAMES, PAGES * PAGE),))
    return found, asked


@pytest.mark.parametrize("first", range(4))
def test_the_three_ways_give_the_same_hits(first: int) -> None:
    reported = by_provider = by_python = 0
    for seed in range(SEED + first * 6, SEED + first * 6 + 6):
        filtered, asked = hits(seed, "provider")
        compared, asked_python = hits(seed, "python")
        assert filtered == compared, f"seed {seed}"
        assert filtered == hits(seed, "condition")[0], f"seed {seed}"
        assert filtered == hits(seed, "programs")[0], f"seed {seed}"
        reported += len(filtered) - 2
        by_provider, by_python = by_provider + asked, by_python + asked_python
    assert reported > 50
    assert by_provider < 1.1 * reported  # the provider exits for little else
    assert by_python > 1.5 * reported


def test_a_filter_that_can_not_be() -> None:
    with pytest.raises(KvmError, match="65 tables: one register has at most 64"):
        GuestDebug(watch_tables=(tuple(range(0, 130, 2)),))
    with pytest.raises(KvmError, match="0x1000000004000 is no table"):
        GuestDebug(break_tables=(None, (0x1_0000_0000_4000,)))


def test_a_register_without_a_filter_matches_again() -> None:
    """One that had a filter before, with the same values."""
    guest = assembled([asm.str_(3, 2), asm.str_(3, 2), asm.str_(3, 2), asm.b(0)])
    with guest:
        guest.vcpus[0].x[2] = DATA
        vcpu = guest.vcpus[0].vcpu
        assert isinstance(vcpu, SupportsTableFilters)
        assert vcpu.max_tables == 64
        assert isinstance(vcpu, SupportsInstructionLimit)
        control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW
        for filters, passes in ((((),), True), (((2,),), True), ((), False), (((0,),), False)):
            debug = GuestDebug(control, (), (), (0x1FF7,), (DATA,), watch_tables=filters)
            vcpu.set_guest_debug(debug)
            vcpu.set_one_reg(PC, CODE)
            vcpu.max_instructions = vcpu.instructions + 1  # type: ignore[attr-defined]
            assert (type(vcpu.run()) is ExitIntr) == passes
            assert (vcpu.get_one_reg(PC) == CODE + 4) == passes
