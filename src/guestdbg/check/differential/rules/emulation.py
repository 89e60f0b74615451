"""Where the real KVM is wrong: Linux 6.1, or QEMU 7.2, which emulates its processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.arm64.esr import EC
from guestdbg.arm64.exception_class import exception_class
from guestdbg.arm64.loadstore import memory_operand
from guestdbg.check import assembler as asm
from guestdbg.check.differential import layout
from guestdbg.check.differential.reserved import watched_range
from guestdbg.check.differential.rules.base import (
    DATA_ABORTS,
    WATCHPOINTS,
    loaded_in_part,
    only,
    rule,
)

if TYPE_CHECKING:
    from guestdbg.check.differential.difference_context import DifferenceContext

_NZCV = 0xF << 28
_ALIGNMENT = 0x21


@rule(
    "qemu-unaligned-watched-too-far",
    "soft",
    "On a watched page QEMU 7.2 checks an unaligned store a second time, from the start of the "
    "page of its last byte up to that byte, and splits an unaligned load into two aligned loads. "
    "So a watchpoint beside the access hits, though nothing there is accessed. QEMU makes accesses "
    "of eight bytes for the elements of LD1 and ST1.",
)
def _watched_too_far(s: DifferenceContext) -> bool:
    entry = s.taken[1]
    if s.debug_class(1) == EC.WATCHPT_LOW:
        address, far = s.registers[1]["pc"], int(s.exits[1][3])
    elif entry is not None and s.taken_class(1) in WATCHPOINTS:
        # The guest's own watchpoint. If its base register has changed since, nothing is explained.
        address, far = entry[1], entry[3]
    else:
        return False
    access = s.access_at(1, address)
    word = s.word_at(address) or 0
    operand = memory_operand(word)
    if access is None or operand is None:
        return False
    size = 8 if _one_structure(word) else access.size
    if access.first % size == 0:
        return False
    if operand.writes:
        return access.first & -layout.PAGE <= far < access.first
    start, end = access.first & -size, (access.last | size - 1) + 1
    return start <= far < end and not access.first <= far <= access.last


def _one_structure(word: int) -> bool:
    """Whether this is LD1 or ST1 (multiple structures)."""
    plain = word & 0xBFBF0000 == 0x0C000000 or word & 0xBFA00000 == 0x0C800000
    return plain and word >> 12 & 15 in (2, 6, 7, 10)


_EL1_ALONE, _EL0_ALONE = 1, 2  # PAC


@rule(
    "qemu-unprivileged-accesses",
    "soft",
    "LDTR and STTR at EL1 match watchpoints like accesses of EL0 (DDI 0487, D2.10.4). With two "
    "stages of translation QEMU 7.2 ignores that they are unprivileged and matches them like "
    "accesses of EL1: watchpoints for one level alone (DBGWCR.PAC 0b01, 0b10) hit the wrong way "
    "round.",
)
def _unprivileged(s: DifferenceContext) -> bool:
    hits = _watched(s, 0), _watched(s, 1)
    for hit, other, level in (*hits, _EL0_ALONE), (*hits[::-1], _EL1_ALONE):
        if hit is None or (other is not None and other.place == hit.place):
            continue
        operand = memory_operand(s.word_at(hit.place) or 0)
        if operand is None or not operand.unprivileged or hit.el != 1:
            continue
        kinds = operand.reads << 3 | operand.writes << 4
        for control, value in hit.registers:
            low, high = watched_range(control, value)
            matches = control & 7 == level << 1 | 1 and control & kinds
            if matches and low < hit.end and hit.first < high:
                return True
    return False


@dataclass(frozen=True, slots=True)
class _Hit:
    """A watchpoint hit of one side.

    Attributes:
        place: the address of the instruction.
        el: its Exception level.
        first, end: the first address that it accesses, and the one after the last.
        registers: the watchpoints (control, value) that may have been in force.
    """

    place: int
    el: int
    first: int
    end: int
    registers: tuple[tuple[int, int], ...]


def _watched(s: DifferenceContext, side: int) -> _Hit | None:
    if s.debug_class(side) == EC.WATCHPT_LOW:
        place = s.registers[side]["pc"]
        access = s.access_at(side, place)
        if access is None:
            return None
        if s.debug is not None and s.uses_hardware:
            registers = tuple((c, v) for n, c, v in s.debug.watchpoints if n < 4)
        else:
            registers = tuple(s.own_watchpoints())
        return _Hit(place, s.el(side), access.first, access.last + 1, registers)
    entry = s.taken[side]
    if entry is None or s.taken_class(side) not in WATCHPOINTS:
        return None
    # The guest's own watchpoint. Its base register may have changed; FAR is in the access.
    operand = memory_operand(s.word_at(entry[1]) or 0)
    reach = operand.total if operand else 0
    own = tuple(s.own_watchpoints())
    return _Hit(entry[1], entry[2] >> 2 & 3, entry[3], entry[3] + reach, own)


_DC_WATCHED = frozenset((asm.dc("ivac", 0),))
_DC_CHECKED = frozenset(asm.dc(name, 0) for name in ("cvac", "cvau", "civac", "ivac"))


@rule(
    "qemu-cache-maintenance",
    "soft",
    "DC CVAC, CVAU, CIVAC and IVAC are checked like accesses and can abort (DDI 0487, D8.5, C5.3), "
    "and DC IVAC matches watchpoints like a store (D2.10). In QEMU 7.2 they do nothing.",
)
def _cache_maintenance(s: DifferenceContext) -> bool:
    entry = s.taken[0]
    if s.debug_class(0) == EC.WATCHPT_LOW:
        syndrome, address = int(s.exits[0][1]), s.registers[0]["pc"]
    elif entry is not None and s.taken_class(0) in (*DATA_ABORTS, *WATCHPOINTS):
        syndrome, address = entry[:2]
    else:
        return False
    word = (s.word_at(address) or 0) & ~31
    watched = exception_class(syndrome) in WATCHPOINTS
    return word in (_DC_WATCHED if watched else _DC_CHECKED) and bool(syndrome & 1 << 8)


@rule(
    "qemu-step-of-what-masks-steps",
    "soft",
    "After an MSR DAIFSet that sets PSTATE.D, EL1's own software step is not taken (D2.12; "
    "AArch64.CheckSoftwareStep in the pseudocode checks whether debug exceptions are enabled). "
    "QEMU 7.2 takes it.",
)
def _step_masked(s: DifferenceContext) -> bool:
    entry = s.taken[1]
    if entry is None or s.taken_class(1) != EC.SOFTSTP_CUR:
        return False
    return s.word_at(entry[1] - 4) == asm.daifset(8) and bool(entry[2] & 1 << 9)


@rule(
    "qemu-abort-before-pc-alignment",
    "soft",
    "If the PC is not a multiple of 4, the PC alignment fault comes before an abort of the fetch "
    "(DDI 0487, D1.3.5, priorities of synchronous exceptions). QEMU 7.2 fetches first.",
)
def _abort_before_alignment(s: DifferenceContext) -> bool:
    x, y = s.taken
    esr = s.difference.field("ESR_EL1")
    if esr is not None and only(s, "ESR_EL1") and s.registers[0]["elr_el1"] & 3:
        # The exception is taken, and its handler has been stopped before it recorded it.
        a, b = (exception_class(int(str(value))) for value in esr)
        return a == EC.PC_ALIGN and b in (EC.IABT_LOW, EC.IABT_CUR)
    return bool(
        x
        and y
        and s.taken_class(0) == EC.PC_ALIGN
        and s.taken_class(1) in (EC.IABT_LOW, EC.IABT_CUR)
        and x[1:] == y[1:]
        and x[1] & 3
    )


@rule(
    "qemu-abort-before-pending-step",
    "soft",
    "A pending software step is taken before the next instruction is fetched (DDI 0487, D1.3.5, "
    "D2.12). QEMU 7.2 fetches first, and the fetch can abort.",
)
def _abort_before_step(s: DifferenceContext) -> bool:
    x, y = s.taken
    return bool(
        x
        and y
        and s.taken_class(0) in (EC.SOFTSTP_LOW, EC.SOFTSTP_CUR)
        and s.taken_class(1) in (EC.IABT_LOW, EC.IABT_CUR)
        and (x[1], x[2], x[4]) == (y[1], y[2], y[4])
        and not x[2] & 1 << 21
        and y[3] == y[1]
    )


@rule(
    "qemu-flags-after-an-exception",
    "soft",
    "Taking an exception does not change PSTATE.{N,Z,C,V} (DDI 0487, D1.3.1; AArch64.TakeException "
    "in the pseudocode). QEMU 7.2 clears them.",
)
def _flags(s: DifferenceContext) -> bool:
    both = s.difference.field("pstate")
    if both is None or not only(s, "pstate"):
        return False
    a, b = (int(str(value)) for value in both)
    in_vectors = layout.VECTORS <= s.registers[1]["pc"] < layout.VECTORS + layout.PAGE
    return a & ~_NZCV == b != a and in_vectors


@rule(
    "qemu-alignment-of-device-memory",
    "soft",
    "An unaligned access to Device memory is an Alignment fault (DDI 0487, B2.5.2, D8.6). QEMU 7.2 "
    "makes the access.",
)
def _device_alignment(s: DifferenceContext) -> bool:
    entry = s.taken[0]
    if entry is None or s.taken_class(0) not in DATA_ABORTS:
        return False
    other = s.taken[1]
    operand = memory_operand(s.word_at(entry[1]) or 0)
    if operand is None or (other is not None and other[1] == entry[1]):
        return False
    far = entry[3]
    ram = layout.RAM <= far < layout.RAM + layout.RAM_SIZE
    unaligned = far % (operand.element or operand.size) != 0
    return entry[0] & 0x3F == _ALIGNMENT and unaligned and not (ram and s.program.mmu)


_RES0 = {"MDSCR": 0xFFFF4FFE, "DBGBC": ~0x00FFE1E7, "DBGBV": 3, "DBGWC": ~0x1F1FFFFF, "DBGWV": 3}


@rule(
    "qemu-reserved-bits-of-registers",
    "soft",
    "QEMU 7.2 keeps what is written to RES0 bits of the debug registers, and makes BAS[3] and "
    "BAS[1] of DBGBCR copies of BAS[2] and BAS[0].",
)
def _reserved_bits(s: DifferenceContext) -> bool:
    for name, a, b in s.difference.fields:
        reserved = _RES0.get(name[:5])
        if reserved is None or not isinstance(a, int) or not isinstance(b, int):
            return False
        kept = b & ~reserved
        if a & reserved or kept not in (a, _as_aarch32(a) if name[:5] == "DBGBC" else a):
            return False
    return True


def _as_aarch32(control: int) -> int:
    """A DBGBCR in which BAS[3] is a copy of BAS[2], and BAS[1] of BAS[0]."""
    return control & ~(0xA << 5) | (control & 0x5 << 5) << 1


@rule(
    "linux-injected-syndrome",
    "soft",
    "Linux 6.1 computes the syndrome of an abort that it injects as an int: bits 63 to 32 of "
    "ESR_EL1, which are RES0, become all ones. Linux 6.12 does not.",
    until=(6, 12),
)
def _injected(s: DifferenceContext) -> bool:
    both = s.difference.field("ESR_EL1")
    if both is None or not only(s, "ESR_EL1"):
        return False
    a, b = (int(str(value)) for value in both)
    aborts = (*DATA_ABORTS, EC.IABT_LOW, EC.IABT_CUR)
    return b == a | 0xFFFFFFFF << 32 != a and exception_class(a) in aborts


@rule(
    "qemu-no-trap-of-the-communications-channel",
    "soft",
    "MDSCR_EL1.TDCC traps EL0's accesses to the Debug Communications Channel to EL1 (DDI 0487, "
    "D24.3, MDSCR_EL1). QEMU 7.2 does not implement the bit.",
)
def _communications_channel(s: DifferenceContext) -> bool:
    entry = s.taken[0]
    if entry is None or s.taken_class(0) != EC.SYS64 or entry[4] != 0x400:
        return False
    return (s.word_at(entry[1]) or 0) & ~31 == asm.mrs(0, "MDCCSR_EL0")


@rule(
    "qemu-write-not-read-stays",
    "soft",
    "WnR is 1 for a write (DDI 0487, ISS encoding for a Watchpoint exception). QEMU 7.2 keeps it "
    "set for every later read that hits the same watchpoint, until the register is written again.",
)
def _wnr_stays(s: DifferenceContext) -> bool:
    x, y = s.taken
    wnr = 1 << 6
    if not x or not y or s.taken_class(0) not in WATCHPOINTS or x[1:] != y[1:]:
        return False
    operand = memory_operand(s.word_at(x[1]) or 0)
    earlier = s.b.taken[: s.b.taken.index(y)]
    return (
        y[0] == x[0] | wnr != x[0]
        and operand is not None
        and not operand.writes
        and any(exception_class(e[0]) in WATCHPOINTS and e[0] & wnr for e in earlier)
        and only(s, "memory", "page", "x24", "ESR_EL1", *loaded_in_part(s))
    )


@rule(
    "linux-injected-size-fault",
    "soft",
    "A physical address beyond the machine's limit is an Address size fault. If the processor "
    "itself has wider addresses, Linux 6.1 injects the fault, and does not set ISS.WnR for a "
    "write.",
)
def _size_fault(s: DifferenceContext) -> bool:
    x, y = s.taken
    if not x or not y or s.taken_class(0) not in DATA_ABORTS or x[1:] != y[1:]:
        return False
    return x[0] & 0x3F == 0 and x[0] == y[0] | 1 << 6 != y[0] and x[3] >> 40 != 0
