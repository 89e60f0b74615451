"""Random loads and stores for batches: their addresses, and the faults that they must raise."""

from __future__ import annotations

from guestdbg.arm64.instructions import Access, accesses
from guestdbg.arm64.loadstore import memory_operand
from tests.cpu.mem_prepare import displacement, field, is_register_offset, natural, signed
from tests.cpu.scale_batch import DATA_ABORT, Batch, Fault
from tests.cpu.scale_program import (
    BOTH,
    HOLE,
    KERNEL,
    KERNEL_READ_ONLY,
    ONES,
    READ_ONLY,
    page_kind,
)

IL = 1 << 25
EC_DABT = 0x24  # from EL0; one more from EL1
ALIGNMENT, TRANSLATION_3, PERMISSION_3 = 0x21, 0x07, 0x0F


def by_register(raw: int) -> bool:
    """Base and index are registers."""
    return is_register_offset(raw) and field(raw, 11, 10) == 2


def aim(batch: Batch, raw: int, address: int) -> bool:
    """Set the base so that the access begins there; False: it cannot (the base is the index)."""
    rn = field(raw, 9, 5)
    add = displacement(raw)
    if by_register(raw):
        rm, option = field(raw, 20, 16), field(raw, 15, 13)
        if rm == rn and rm != 31:
            return False
        index = batch.x(rm) if rm != 31 else 0
        if option == 2:
            index &= 0xFFFF_FFFF
        elif option == 6:
            index = signed(index & 0xFFFF_FFFF, 32)
        log2 = field(raw, 31, 30)
        if field(raw, 26, 26) and field(raw, 23, 23):
            log2 = 4
        add = index << log2 if field(raw, 12, 12) else index
    batch.set_x(rn, address - add)
    return True


def must_align(raw: int) -> int:
    """The alignment that an exclusive, ordered or atomic access needs; 1: none."""
    if field(raw, 29, 24) == 0b001000:
        return natural(raw)
    if field(raw, 29, 24) == 0b111000 and field(raw, 21, 21) and field(raw, 11, 10) == 0:
        return natural(raw)
    return 1


def made_accesses(batch: Batch, raw: int) -> tuple[Access, ...]:
    """Of the case that is being made."""

    def read(name: str) -> int:
        return batch.x(31 if name == "sp" else int(name[1:]))

    return accesses(raw, read)


def permitted(address: int, el: int, write: bool) -> int:
    """The fault status code of one byte; 0: it may be accessed."""
    kind = page_kind(address)
    if kind == HOLE:
        return TRANSLATION_3
    allowed = {
        BOTH: True,
        READ_ONLY: not write,
        KERNEL: el == 1,
        KERNEL_READ_ONLY: el == 1 and not write,
    }
    return 0 if allowed[kind] else PERMISSION_3


def expected_fault(
    batch: Batch, raw: int, *, at: int = 0, monitor_open: bool = False, strict: bool = False
) -> Fault | None:
    """What the architecture requires for the case being made. at: the instruction's number;
    strict: SCTLR_EL1.A is set."""
    el = 0 if batch.mode == "EL0" else 1
    ec = EC_DABT + el
    some = made_accesses(batch, raw)
    if not some:
        return None
    operand = memory_operand(raw)
    assert operand is not None
    alignment = must_align(raw)
    first = some[0]
    if first.address % alignment:
        write = first.is_write and not first.is_read
        return Fault(ec << 26 | IL | write << 6 | ALIGNMENT, first.address, at=at)
    if first.conditional and first.is_write and not first.is_read and not monitor_open:
        return None  # a store-exclusive that does not store looks no address up
    for access in some:
        as_el = 0 if access.unprivileged else el
        start = access.address
        if strict and start % access.element:
            write = access.is_write and not access.is_read
            return Fault(ec << 26 | IL | write << 6 | ALIGNMENT, start, at=at)
        for byte in sorted({start, (start + access.size - 1 & ~0xFFF & ONES)}):
            if not start <= byte < start + access.size:
                continue
            ways = [
                write for write in (False, True) if (access.is_write if write else access.is_read)
            ]
            for write in ways:
                fsc = permitted(byte, as_el, write)
                if fsc:
                    return Fault(
                        ec << 26 | IL | write << 6 | fsc,
                        byte,
                        DATA_ABORT,
                        at,
                        unknown_after(raw),
                    )
    return None


def unknown_after(raw: int) -> frozenset[int]:
    """The V registers that a load of several, of which one faults, may have written."""
    if not field(raw, 26, 26):
        return frozenset()
    if field(raw, 29, 27) == 0b101:  # pairs
        return frozenset((field(raw, 4, 0), field(raw, 14, 10)))
    if field(raw, 29, 27) == 0b001:  # structures: at most four registers
        return frozenset((field(raw, 4, 0) + n) % 32 for n in range(4))
    return frozenset()


def is_pure_store(raw: int) -> bool:
    operand = memory_operand(raw)
    return operand is not None and operand.writes and not operand.reads


def span(batch: Batch, raw: int) -> tuple[int, int]:
    """(address, bytes) of all that the case being made accesses."""
    some = made_accesses(batch, raw)
    low, high = min(it.address for it in some), max(it.end for it in some)
    return low, high - low
