"""Instructions that take an operand from the one before, against the same ones run singly.

Within a block, a function forwards a value to the next one (operand_forwarding.pyx); in a block of
one instruction nothing is forwarded. So the same random program is run whole and one instruction at
a time, and nothing may differ: registers, flags, memory, counts, exceptions. Registers are few, so
that nearly every instruction needs what the one before it wrote; most values are addresses, so that
they are forwarded to loads and stores, too.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import capstone
import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT, PhysicalMemory, Processor, encodings

from .extensions import give
from .oracle import Row, random_encoding
from .processor_features import LSE
from .scale_rows import Rows
from .support import B_SELF, DATA, EL0T, EL1H, MDE, NOP, RAM, TDE, Bench
from .system_support import enc

PAGE = 4096
LOW = 0x0  # small numbers are addresses, too
HIGH = 0x4000_0000
SIZE = 4 * PAGE  # of each of the two memories
CODE = HIGH + SIZE  # a memory of its own: programs do not write it
VECTORS = CODE + PAGE
LENGTH = 12
VBAR_EL1 = enc("VBAR_EL1")
ESR_EL1 = enc("ESR_EL1")
FAR_EL1 = enc("FAR_EL1")
FEW = range(6)
BASES, INDICES = (20, 21, 22), (24, 25)  # registers that keep an address, a small number
BREAK = 0x1E7  # DBGBCR: EL0 and EL1, as a hypervisor sets it


def _of(row: Row) -> str:
    """What a row is good for here, by bits 28..25; "" for nothing."""
    op0 = row.value >> 25 & 15
    if op0 in (8, 9, 5, 13):
        return "data"
    if op0 & 5 == 4 and not row.value >> 26 & 1:
        return "memory"
    return "branch" if row.name.startswith(("cb", "tb", "b.cond", "br", "ret")) else ""


TABLE = [Row(*row) for row in encodings()]
DATA_ROWS = Rows([row for row in TABLE if _of(row) == "data"])
MEMORY_ROWS = Rows([row for row in TABLE if _of(row) == "memory"])
BRANCH_ROWS = Rows([row for row in TABLE if _of(row) == "branch"])


def number(rng: random.Random) -> int:
    """More often than not an address of memory, aligned: without an MMU it has to be."""
    kind = rng.randrange(8)
    if kind < 3:
        return HIGH + rng.randrange(SIZE // 2) & ~rng.choice((0, 7, 15, 15))
    if kind < 6:
        return LOW + rng.randrange(SIZE // 2) & ~rng.choice((0, 7, 15, 15))
    if kind == 6:
        return rng.choice((0, 1, (1 << 64) - 1, 1 << 63, 1 << 31, 0xFFFF_FFFF))
    return rng.getrandbits(64)


def few_registers(rng: random.Random, row: Row, raw: int) -> int:
    """The same instruction of registers that others of the program use."""
    for at in (0, 5, 16, 10):
        if row.mask >> at & 31 == 0 and (at != 10 or row.name.endswith("3src")):
            register = 31 if rng.random() < 0.06 else rng.choice(FEW)
            raw = raw & ~(31 << at) | register << at
    return raw


def instruction(rng: random.Random) -> tuple[Row, int]:
    rows = MEMORY_ROWS if rng.random() < 0.35 else DATA_ROWS
    while True:
        row, raw = rows.draw(rng)
        candidate = few_registers(rng, row, raw)
        if rows is MEMORY_ROWS and rng.random() < 0.6:
            candidate = candidate & ~(31 << 5) | rng.choice(BASES) << 5
        if row.name.endswith(("lsl", "uxtw", "sxtw")) and rng.random() < 0.5:
            candidate = candidate & ~(31 << 16) | rng.choice(INDICES) << 16
        if rows is MEMORY_ROWS and "uimm" in row.name:
            candidate &= ~(0xFF0 << 10)  # near the base
        elif row.name.endswith(("pre", "post")) or row.name[2:4] in ("UR", "TR"):
            # of pairs, these bits are others
            candidate &= ~0 if "P_" in row.name or "PSW" in row.name else ~(15 << 12)
        if all((candidate ^ value) & mask for mask, value in rows._special[row]):
            return row, candidate


@dataclass
class Program:
    """Straight code with a branch after it, and the registers and memory before."""

    rows: list[Row]
    words: list[int]
    registers: list[int]
    sp: int
    nzcv: int
    memory: bytes

    def __str__(self) -> str:
        engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
        code = engine.disasm(struct.pack(f"<{len(self.words)}I", *self.words), CODE)
        return "\n".join(f"{it.address:#x}: {it.mnemonic} {it.op_str}" for it in code)


def program(rng: random.Random, length: int = LENGTH) -> Program:
    drawn = [instruction(rng) for _ in range(length)]
    row, raw = BRANCH_ROWS.draw(rng)
    raw = few_registers(rng, row, raw)
    if row.name.startswith("tb"):
        raw = raw & ~(0x3FFF << 5) | 3 << 5
    elif row.name.startswith(("b.", "cb")):
        raw = raw & ~(0x7FFFF << 5) | 3 << 5
    drawn.append((row, raw))
    registers = [number(rng) for _ in range(31)]
    for n in BASES:
        registers[n] = rng.choice((LOW, HIGH)) + 0x400 + 16 * rng.randrange(SIZE // 64)
    for n in INDICES:
        registers[n] = 16 * rng.randrange(SIZE // 256)
    words = [*(raw for _, raw in drawn), 0xD280_0140, B_SELF, 0xD280_0160, B_SELF]
    return Program(
        [row for row, _ in drawn],
        words,
        registers,
        HIGH + 16 * rng.randrange(SIZE // 32),
        rng.getrandbits(4),
        b"".join(struct.pack("<Q", number(rng)) for _ in range(2 * SIZE // 8)),
    )


class Machine:
    """One processor that runs programs; `state` is everything observable."""

    def __init__(self) -> None:
        self.low, self.high = bytearray(SIZE), bytearray(SIZE)
        self.code = bytearray(2 * PAGE)
        self.memory = PhysicalMemory()
        self.memory.map(0, LOW, self.low)
        self.memory.map(1, HIGH, self.high)
        self.memory.map(2, CODE, self.code)
        self.p = Processor(self.memory, identification=LSE)
        give(self.p, "LRCPC", "QARMA5", "FlagM")
        self.p.set_sysreg(VBAR_EL1, VECTORS)
        self.code[PAGE:] = struct.pack("<I", B_SELF) * (PAGE // 4)

    def load(self, it: Program, el: int = 1) -> None:
        p = self.p
        self.low[:], self.high[:] = it.memory[:SIZE], it.memory[SIZE:]
        self.code[: 4 * len(it.words)] = struct.pack(f"<{len(it.words)}I", *it.words)
        self.memory.code_changed(CODE, PAGE)
        for n, value in enumerate(it.registers):
            p.set_x(n, value)
        p.sp_el0 = p.sp_el1 = it.sp
        p.pc, p.pstate = CODE, (EL1H if el else EL0T) | it.nzcv << 28
        p.set_sysreg(ESR_EL1, 0)
        p.set_sysreg(FAR_EL1, 0)
        p.esr_el2 = p.far_el2 = 0
        self.start = p.instructions

    def arm(
        self, breakpoints: Sequence[int] = (), watchpoints: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.p.mdcr_el2 |= TDE
        self.p.mdscr_el1 |= MDE
        bvr, bcr, wvr, wcr = ([0] * 16 for _ in range(4))
        for n, address in enumerate(breakpoints):
            bvr[n], bcr[n] = address, BREAK
        for n, (address, control) in enumerate(watchpoints):
            wvr[n], wcr[n] = address, control
        self.p.load_debug(bcr, bvr, wcr, wvr)

    def run(self, count: int, piece: int) -> int:
        """count instructions in pieces; the exit that came before, or EXIT_LIMIT."""
        end = self.start + count
        while self.p.instructions < end:
            code = self.p.run(min(end, self.p.instructions + piece))
            if code != EXIT_LIMIT:
                return code
        return EXIT_LIMIT

    def state(self) -> tuple[object, ...]:
        p = self.p
        return (
            [p.get_x(n) for n in range(31)], p.sp_el0, p.sp_el1, p.pc, p.pstate,
            p.instructions - self.start, p.get_sysreg(ESR_EL1), p.get_sysreg(FAR_EL1),
            p.esr_el2, p.far_el2, bytes(self.low), bytes(self.high),
        )  # fmt: skip


@pytest.fixture(scope="module")
def pair(tier: str) -> tuple[Machine, Machine]:
    return Machine(), Machine()


def both(
    pair: tuple[Machine, Machine], it: Program, count: int, el: int = 1, piece: int = LENGTH + 8
) -> int:
    """Runs the program whole on one machine, singly on the other; how it ended."""
    whole, single = pair
    whole.load(it, el)
    single.load(it, el)
    ended = whole.run(count, piece), single.run(count, 1)
    assert ended[0] == ended[1], f"ended with {ended}:\n{it}"
    one, other = whole.state(), single.state()
    assert one == other, f"whole {one[:10]}\nsingly {other[:10]}\n{it}"
    return ended[0]


def needs(row: Row, raw: int, register: int) -> bool:
    """Whether a source field of the encoding names the register."""
    sources = [at for at in (5, 16) if row.mask >> at & 31 == 0]
    return any(raw >> at & 31 == register for at in sources)


@pytest.mark.parametrize("part", range(4))
def test_whole_and_singly(pair: tuple[Machine, Machine], part: int) -> None:
    rng = random.Random(0x5EED + part)
    given: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    ended: Counter[int] = Counter()
    for _ in range(500):
        it = program(rng)
        for n in range(1, len(it.rows)):
            if needs(it.rows[n], it.words[n], it.words[n - 1] & 31):
                given[it.rows[n - 1].name] += 1
                taken[it.rows[n].name] += 1
        ended[both(pair, it, LENGTH + 3, el=rng.randrange(2))] += 1
    assert len(given) > 200
    assert len(taken) > 200
    assert set(ended) == {EXIT_LIMIT, EXIT_EL2}  # an access outside the slots goes to EL2


def test_pieces_of_any_length(pair: tuple[Machine, Machine]) -> None:
    """A limit within a block: the next instruction starts a new block."""
    rng = random.Random(0xB0B)
    for _ in range(800):
        both(pair, program(rng), rng.randrange(1, LENGTH + 4), piece=rng.randrange(2, 7))


def test_breakpoints_on_any_of_them(pair: tuple[Machine, Machine]) -> None:
    """Armed before or after the block was decoded; stepped past and armed again."""
    rng = random.Random(0xB1)
    stopped = 0
    for _ in range(600):
        it = program(rng)
        whole, single = pair
        at = rng.randrange(LENGTH + 1)
        if rng.random() < 0.5:
            whole.arm()
            both(pair, it, LENGTH + 3)
        whole.arm([CODE + 4 * at])
        whole.load(it)
        if whole.run(LENGTH + 3, LENGTH + 3) == EXIT_EL2 and whole.p.pc == CODE + 4 * at:
            stopped += 1
            single.load(it)
            single.run(at, 1)
            assert whole.state()[:6] == single.state()[:6], str(it)
            assert whole.p.instructions - whole.start == at
            whole.arm()
            whole.run(LENGTH + 3, LENGTH + 3)
            single.run(LENGTH + 3, 1)
            assert whole.state()[:8] == single.state()[:8], str(it)
        whole.arm()
    assert stopped > 150


def test_watchpoints_on_what_they_access(pair: tuple[Machine, Machine]) -> None:
    """Both machines watch the same 64 bytes, or half the memory, and step past hits."""
    rng = random.Random(0xAB)
    hits = 0
    for _ in range(600):
        it = program(rng)
        wide = rng.random() < 0.5
        size = 13 if wide else 6
        address = rng.choice((LOW, HIGH)) + (rng.randrange(SIZE // 2) >> size << size)
        control = 0x1FFF & ~(3 << 3) | rng.randrange(1, 4) << 3 | size << 24
        for machine in pair:
            machine.arm(watchpoints=[(address, control)])
        code = both(pair, it, LENGTH + 3)
        for _ in range(LENGTH):
            if code != EXIT_EL2 or pair[0].p.esr_el2 >> 26 != 0x34:
                break
            hits += 1
            ends = []
            for machine, piece in zip(pair, (LENGTH + 3, 1), strict=True):
                machine.arm()
                machine.run(machine.p.instructions - machine.start + 1, 1)
                machine.arm(watchpoints=[(address, control)])
                machine.p.esr_el2 = machine.p.far_el2 = 0
                ends.append(machine.run(LENGTH + 3, piece))
            assert ends[0] == ends[1]
            assert pair[0].state() == pair[1].state(), str(it)
            code = ends[0]
    for machine in pair:
        machine.arm()
    assert hits > 150


def test_random_encodings_keep_their_rows() -> None:
    """Registers are chosen anew in an encoding: it is still the same instruction."""
    rng = random.Random(1)
    for rows in (DATA_ROWS, MEMORY_ROWS):
        for row in rows.rows:
            raw = few_registers(rng, row, random_encoding(rng, row))
            assert (raw ^ row.value) & row.mask == 0


@pytest.mark.parametrize("word", [0x29401022, 0x69401022, 0xA9401022, 0x28C11022])
@pytest.mark.parametrize("offset", [0, 3, 0xFFC, 0xFFE])
def test_a_slow_pair_hands_over_its_first_register(word: int, offset: int) -> None:
    """LDP, LDPSW: unaligned, over a page's end; the next instruction takes what was loaded."""
    bench = Bench([NOP, word, 0x91000445, B_SELF])  # add x5, x2, #1
    bench.p.hcr_el2 = 1 << 12
    for n in range(4):
        bench.set_u64(DATA + 0xFF0 + 8 * n, 0x8182_8384_F5F6_F7F8 + n * 0x1011_1213_1415)
        bench.set_u64(DATA + 8 * n, 0x9192_9394_8586_8788 + n * 0x1011_1213_1415)
    for _ in range(2):
        bench.p.pc = RAM
        bench.p.set_x(1, DATA + offset)
        bench.run(4)
        size = 8 if word >> 31 else 4
        first = int.from_bytes(bench.ram[DATA - RAM + offset :][:size], "little")
        if word == 0x69401022:
            first = (first ^ 1 << 31) - (1 << 31) & (1 << 64) - 1
        assert bench.p.get_x(2) == first
        assert bench.p.get_x(5) == first + 1 & (1 << 64) - 1
