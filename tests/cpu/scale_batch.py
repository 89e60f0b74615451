"""Batches of cases on both machines: made, run, compared; a difference is reduced.

The seed of every batch is in the text of a failure: GUESTDBG_ORACLE_SEED takes another one,
GUESTDBG_ORACLE_COUNT multiplies the work.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from tests.cpu.oracle import EDGES, SEED, disassemble
from tests.cpu.scale_machines import EL0T, EL1H, EL1T, ProcessorUnderTest, Reference, Stopped
from tests.cpu.scale_program import (
    CASE_SIZE,
    CODE,
    CODE_SIZE,
    DATA,
    DATA_SIZE,
    FPCR_AT,
    FPSR_AT,
    MAX_CASES,
    NOP,
    NZCV_AT,
    ONES,
    PC_AT,
    REPORT_AT,
    REPORT_SIZE,
    SLOT_OVERHEAD,
    SP_AT,
    X_AT,
    slot,
)

UNDEFINED_ESR = 0x0200_0000
UNDEFINED, DATA_ABORT = 1, 4  # Unicorn's numbers of exceptions
MODES = {"EL0": EL0T, "EL1": EL1H, "EL1 with SP_EL0": EL1T}
EDGE_BYTES = [struct.pack("<Q", value & ONES) for value in EDGES] + [
    struct.pack("<Q", value + step & ONES) for value in EDGES for step in (-1, 1)
]
_QUAD = struct.Struct("<Q")


@dataclass(frozen=True)
class Fault:
    """The exception that the architecture says a case ends in.

    number: Unicorn's for it. at: which of the case's instructions raises it. far: None where it is
    not written. unknown: V registers that are UNKNOWN after it.
    """

    esr: int
    far: int | None
    number: int = DATA_ABORT
    at: int = 0
    unknown: frozenset[int] = frozenset()
    returns_after: bool = False  # ELR is the next instruction (SVC)
    elr: int | None = None  # somewhere else: a branch went there, and there is no instruction


@dataclass(frozen=True)
class Case:
    """Instructions, their address, and the block that they start with."""

    names: tuple[str, ...]  # of the instructions' rows
    at: int  # address of the slot
    words: tuple[int, ...]
    x30: int
    block: bytes
    fault: Fault | None = None


@dataclass
class Batch:
    """Cases that run one after the other on the same data."""

    seed: str
    mode: str = "EL1"
    rng: random.Random = field(init=False)
    cases: list[Case] = field(default_factory=list)
    data: bytes = b""
    extra: list[tuple[int, bytes]] = field(default_factory=list)  # code elsewhere
    unjudged: list[tuple[int, int]] = field(default_factory=list)  # data left UNKNOWN: (at, bytes)
    next_slot: int = CODE
    blocks: bytearray = field(init=False, default_factory=bytearray)
    at: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.seed = f"{SEED} {self.seed}"
        self.rng = random.Random(self.seed)
        if not self.data:
            self.data = self.rng.randbytes(DATA_SIZE)

    def prepare(self, count: int) -> None:
        """Random blocks for so many cases."""
        assert count <= MAX_CASES
        self.blocks = bytearray(self.rng.randbytes(count * CASE_SIZE))

    # The case that is being made: its registers are changed in place.

    def fill(self, edges: int = 8) -> None:
        """Begin a case: some registers near where arithmetic changes; FPCR and FPSR within what
        there is of them."""
        rng, blocks, at = self.rng, self.blocks, self.at
        for _ in range(edges):
            bits = rng.getrandbits(16)
            n = at + X_AT + 8 * (bits & 31)  # 31 is SP
            blocks[n : n + 8] = EDGE_BYTES[(bits >> 5) % len(EDGE_BYTES)]
        _QUAD.pack_into(blocks, at + FPCR_AT, rng.getrandbits(32) & 0x07C0_0000)
        _QUAD.pack_into(blocks, at + FPSR_AT, rng.getrandbits(32) & 0x0800_009F)
        (nzcv,) = _QUAD.unpack_from(blocks, at + NZCV_AT)
        _QUAD.pack_into(blocks, at + NZCV_AT, nzcv & 0xF000_0000)
        blocks[at + PC_AT : at + CASE_SIZE] = bytes(CASE_SIZE - PC_AT)

    def x(self, n: int) -> int:
        """X0 to X29, SP as 31. (X30 comes from the slot.)"""
        (value,) = _QUAD.unpack_from(self.blocks, self.at + X_AT + 8 * n)
        return int(value)

    def set_x(self, n: int, value: int) -> None:
        _QUAD.pack_into(self.blocks, self.at + X_AT + 8 * n, value & ONES)

    def set_nzcv(self, nzcv: int) -> None:
        _QUAD.pack_into(self.blocks, self.at + NZCV_AT, nzcv << 28)

    def slot_at(self, words: int) -> int:
        """The slot of a case with so many instructions; those under test are 12 bytes after it."""
        size = SLOT_OVERHEAD + 4 * words + 7 & ~7
        if self.next_slot + size > CODE + CODE_SIZE:
            raise ValueError("the batch has more code than there is room for")
        return self.next_slot

    def add(
        self,
        names: Sequence[str],
        words: Sequence[int],
        x30: int | None = None,
        fault: Fault | None = None,
    ) -> None:
        """The case whose registers were set is done."""
        at = self.slot_at(len(words))
        self.next_slot = at + SLOT_OVERHEAD + 4 * len(words) + 7 & ~7
        if x30 is None:
            x30 = self.x(30)
        _QUAD.pack_into(self.blocks, self.at + PC_AT, at + 8)
        block = bytes(self.blocks[self.at : self.at + CASE_SIZE])
        self.cases.append(Case(tuple(names), at, tuple(words), x30, block, fault))
        self.at += CASE_SIZE

    def of(self, cases: Iterable[Case]) -> Batch:
        """The same with these cases only."""
        some = replace(self, cases=list(cases))
        some.seed, some.rng = self.seed, self.rng
        return some


@dataclass
class Tally:
    """What was compared, by the names of the instructions."""

    executed: Counter[str] = field(default_factory=Counter)
    undefined: int = 0
    faulted: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.executed += other.executed
        self.undefined += other.undefined
        self.faulted += other.faulted

    @property
    def instructions(self) -> int:
        return self.executed.total() + self.undefined + self.faulted.total()


NAMES = [f"X{n}" for n in range(31)] + ["SP", "NZCV", "FPCR", "FPSR", "PC"]
REGISTERS = struct.Struct("<36Q")  # from X_AT on


class Pair:
    """Both machines over the same kind of memory."""

    def __init__(self, tested: ProcessorUnderTest, reference: Reference | None) -> None:
        self.tested = tested
        self.reference = reference

    def _run(self, batch: Batch) -> tuple[bytes, bytes, bytes, bytes]:
        """Blocks and data: of the tested processor, of Unicorn."""
        machines: list[ProcessorUnderTest | Reference] = [self.tested]
        if self.reference is not None:
            machines.append(self.reference)
        image = bytearray(batch.next_slot - CODE)
        for case in batch.cases:
            code = slot(case.at, case.x30, case.words)
            image[case.at - CODE : case.at - CODE + len(code)] = code
        blocks = b"".join(case.block for case in batch.cases)
        found: list[bytes] = []
        for machine in machines:
            machine.place(CODE, bytes(image))
            for at, content in batch.extra:
                machine.place(at, content)
            machine.forget_code()
            machine.data[:] = batch.data
            found += [machine.run(blocks, MODES[batch.mode]), machine.data[:]]
        if self.reference is None:
            found += found
        return found[0], found[2], found[1], found[3]

    def results(self, batch: Batch) -> bytes:
        """The blocks of the cases after they ran on the processor under test."""
        return self._run(batch)[0]

    def differences(self, batch: Batch) -> dict[int, list[str]]:
        """By the number of the case; -1: unknown (data, or a machine that stopped)."""
        try:
            tested, reference, data, other_data = self._run(batch)
        except Stopped as error:
            return {-1: [f"stopped: {error}"]}
        wrong: dict[int, list[str]] = {}
        self.outcomes = [0] * len(batch.cases)  # instructions that retired
        report = REPORT_AT, REPORT_AT + REPORT_SIZE
        quiet = bytes(REPORT_SIZE)
        alone = self.reference is None
        for n, case in enumerate(batch.cases):
            at = n * CASE_SIZE
            reported = tested[at + report[0] : at + report[1]]
            number = reference[at + report[0] : at + report[1]]
            if reported == quiet == number and case.fault is None:
                self.outcomes[n] = len(case.words)
                if tested[at : at + CASE_SIZE] != reference[at : at + CASE_SIZE]:
                    mine, other = (it[at : at + CASE_SIZE] for it in (tested, reference))
                    wrong[n] = self._registers(mine, other, frozenset())
                continue
            mine, other = (it[at : at + CASE_SIZE] for it in (tested, reference))
            lines = self._exception(batch, n, reported, reported if alone else number, mine)
            unknown = case.fault.unknown if case.fault else frozenset()
            if mine[: report[0]] != other[: report[0]]:
                lines += self._registers(mine, other, unknown)
            if lines:
                wrong[n] = lines
        if data != other_data and not wrong:
            judged = bytearray(data)
            for at, size in batch.unjudged:
                judged[at - DATA : at - DATA + size] = other_data[at - DATA : at - DATA + size]
            where = [k for k, (a, b) in enumerate(zip(judged, other_data, strict=True)) if a != b]
            if where:
                first, last = where[0], min(where[-1] + 1, where[0] + 64)
                wrong[-1] = [
                    f"memory at {DATA + first:#x}: tested {data[first:last].hex()}, "
                    f"Unicorn's {other_data[first:last].hex()} ({len(where)} bytes differ)"
                ]
        return wrong

    def _registers(self, tested: bytes, reference: bytes, unknown: frozenset[int]) -> list[str]:
        lines = []
        for n in range(32):
            mine, other = tested[16 * n : 16 * n + 16], reference[16 * n : 16 * n + 16]
            if mine != other and n not in unknown:
                pair = (int.from_bytes(it, "little") for it in (mine, other))
                lines.append("V{}: tested {:#x}, Unicorn's {:#x}".format(n, *pair))
        values = zip(
            NAMES,
            REGISTERS.unpack_from(tested, X_AT),
            REGISTERS.unpack_from(reference, X_AT),
            strict=True,
        )
        lines += [
            f"{name}: tested {mine:#x}, Unicorn's {other:#x}"
            for name, mine, other in values
            if mine != other
        ]
        return lines

    def _exception(
        self, batch: Batch, n: int, reported: bytes, number: bytes, after: bytes
    ) -> list[str]:
        """A case that one or both of them ended with an exception, or that should have."""
        case, alone = batch.cases[n], self.reference is None
        esr, far, elr, spsr = struct.unpack("<4Q", reported)
        other, _, other_pc, _ = struct.unpack("<4Q", number)
        lines = []
        if not any(reported) or not any(number):
            if any(reported):
                return [f"only tested took an exception: ESR_EL1 {esr:#x}, FAR_EL1 {far:#x}"]
            if any(number):
                return [f"only Unicorn took an exception: number {other - 1}"]
            return ["neither took an exception"]
        first = case.at + 12
        fault = case.fault or Fault(UNDEFINED_ESR, None, UNDEFINED, (elr - first) // 4)
        expected_elr = first + 4 * (fault.at + fault.returns_after)
        if fault.elr is not None:
            expected_elr = fault.elr
        self.outcomes[n] = fault.at
        if esr != fault.esr:
            lines.append(f"ESR_EL1: tested {esr:#x}, the architecture's {fault.esr:#x}")
        if fault.far is not None and far != fault.far:
            lines.append(f"FAR_EL1: tested {far:#x}, the architecture's {fault.far:#x}")
        if elr != expected_elr or (case.fault is None and not 0 <= fault.at < len(case.words)):
            lines.append(f"ELR_EL1: tested {elr:#x}, the architecture's {expected_elr:#x}")
        (nzcv,) = _QUAD.unpack_from(after, NZCV_AT)
        if spsr != MODES[batch.mode] | nzcv:
            lines.append(f"SPSR_EL1: tested {spsr:#x}, expected {MODES[batch.mode] | nzcv:#x}")
        if not alone:
            if other != fault.number + 1:
                lines.append(f"Unicorn's exception is {other - 1}, expected {fault.number}")
            if other_pc != expected_elr:
                lines.append(f"Unicorn's PC is {other_pc:#x}, expected {expected_elr:#x}")
        return lines

    def check(self, batch: Batch) -> Tally:
        """AssertionError with the first case that differs, reduced."""
        wrong = self.differences(batch)
        if wrong:
            raise AssertionError(self._failure(batch, wrong))
        tally = Tally()
        for case, retired in zip(batch.cases, self.outcomes, strict=True):
            tally.executed.update(case.names[:retired])
            if retired < len(case.words):
                if case.fault is not None:
                    tally.faulted[case.names[retired]] += 1
                else:
                    tally.undefined += 1
        return tally

    # ---- making a failure small -----------------------------------------------------------------

    def _failure(self, batch: Batch, wrong: dict[int, list[str]]) -> str:
        note = f"{len(wrong)} of {len(batch.cases)} cases differ"
        small = self._isolate(batch, wrong)
        if len(small.cases) == 1:
            small = self._reduce(small)
        after = self.differences(small) or wrong
        lines = [f"seed {batch.seed}, {batch.mode}: {note}"]
        if len(small.cases) > 1:
            lines.append(f"(not by itself: only after {len(small.cases) - 1} others)")
        case = small.cases[-1]
        lines.append(f"{', '.join(case.names)} at {case.at + 12:#x}:")
        for n, raw in enumerate(case.words):
            lines.append(f"  {raw:#010x}  {disassemble(raw, case.at + 12 + 4 * n)}")
        values = REGISTERS.unpack_from(case.block, X_AT)
        given = [f"{name}={value:#x}" for name, value in zip(NAMES, values, strict=True)]
        given[30] = f"X30={case.x30:#x}"
        lines.append("  before: " + " ".join(it for it in given[:-1] if not it.endswith("=0x0")))
        lines += [f"  {line}" for some in list(after.values())[-1:] for line in some]
        if case.fault is not None:
            lines.append(f"  expected: {case.fault}")
        return "\n".join(lines)

    def _fails(self, batch: Batch) -> bool:
        return bool(self.differences(batch))

    def _isolate(self, batch: Batch, wrong: dict[int, list[str]]) -> Batch:
        """One case if one alone does it, otherwise the shortest beginning of the batch."""
        for n in [n for n in wrong if n >= 0][:5]:
            alone = batch.of([batch.cases[n]])
            if self._fails(alone):
                return alone
        low, high = 0, len(batch.cases)  # fails with `high` cases, not with `low`
        while high - low > 1:
            middle = (low + high) // 2
            if self._fails(batch.of(batch.cases[:middle])):
                high = middle
            else:
                low = middle
        alone = batch.of([batch.cases[high - 1]])
        return alone if self._fails(alone) else batch.of(batch.cases[:high])

    def _reduce(self, batch: Batch) -> Batch:
        """NOPs for instructions that do not matter, 0 for registers, while the same differs."""

        def what(some: Case) -> list[str]:
            wrong = self.differences(batch.of([some]))
            return [line.split(":")[0] for lines in wrong.values() for line in lines[:1]]

        def keep(smaller: Case) -> bool:
            nonlocal case
            if smaller == case or what(smaller) != first:
                return False
            case = smaller
            return True

        case = batch.cases[0]
        first = what(case)
        if case.fault is None:
            for n in range(len(case.words)):
                keep(replace(case, words=(*case.words[:n], NOP, *case.words[n + 1 :])))
        keep(replace(case, block=bytes(X_AT) + case.block[X_AT:]))
        keep(replace(case, x30=0))
        for at in (*range(X_AT, SP_AT + 1, 8), NZCV_AT, FPCR_AT, FPSR_AT):
            (value,) = _QUAD.unpack_from(case.block, at)
            for less in (0, 1, value & 0xFF, value & 0xFFFF_FFFF):
                block = case.block[:at] + _QUAD.pack(less) + case.block[at + 8 :]
                if value == less or keep(replace(case, block=block)):
                    break
        return batch.of([case])


Make = Callable[[Batch], None]

#: What run_batches() has compared with Unicorn, for tools/exactness.py.
COMPARED: list[Tally] = []


def run_batches(
    pair: Pair, name: str, modes: Sequence[str], sizes: Sequence[int], make: Make
) -> Tally:
    """As many batches as there are sizes (of cases), the modes in turn; make() adds a case."""
    total = Tally()
    if pair.reference is not None:
        COMPARED.append(total)
    for n, size in enumerate(sizes):
        batch = Batch(f"{name} {n}", modes[n % len(modes)])
        batch.prepare(size)
        while len(batch.cases) < size:
            make(batch)
        total.add(pair.check(batch))
    print(
        f"seed {SEED}, {name}: {total.instructions} instructions compared, of "
        f"{len(total.executed)} rows; {total.undefined} UNDEFINED, {total.faulted.total()} faults"
    )
    return total
