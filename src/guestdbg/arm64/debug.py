"""Breakpoint and watchpoint registers: from ranges and addresses to register values, and back.

Source: DDI 0487, D2.8 (Breakpoint exceptions), D2.10 (Watchpoint exceptions), D24.3
(DBGBCR<n>_EL1 and the other debug registers).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from guestdbg.arm64.errors import ArchitectureError, RangeNeedsMoreRegisters
from guestdbg.arm64.fields import Field, Register, flag

AccessKind = Literal["read", "write", "any"]
Privilege = Literal["any", "el0", "el1"]

#: The widest range one watchpoint register covers: MASK = 31.
MAX_MASK_BYTES = 1 << 31

_LSC: dict[str, int] = {"read": 1, "write": 2, "any": 3}
# With HMC = 0 and SSC = 0 (both security states), PAC and PMC choose EL1 and EL0 directly.
_PRIVILEGE: dict[str, int] = {"el1": 1, "el0": 2, "any": 3}

_ENABLED = {0: "disabled", 1: "enabled"}
_HMC = flag("HMC", 13, "higher mode control set: see SSC", "EL2 is not matched")
_SSC = Field(
    "SSC",
    15,
    14,
    {
        0: "both security states",
        1: "Non-secure state only",
        2: "Secure state only",
        3: "Secure EL2 (with HMC) or as PMC says",
    },
)
_LEVELS = {
    0: "no Exception level of EL0 and EL1",
    1: "EL1 only",
    2: "EL0 only",
    3: "EL1 and EL0",
}


def _byte_list(value: int, unit: int) -> str:
    """Selected bytes in words: "bytes 4 to 7 of the doubleword"."""
    chosen = [i for i in range(8) if value >> i & 1]
    where = "doubleword" if unit == 8 else "word"
    if not chosen:
        return "no byte: it never matches"
    if len(chosen) == unit:
        return f"all {unit} bytes of the {where}"
    if len(chosen) == 1:
        return f"byte {chosen[0]} of the {where}"
    if chosen[-1] - chosen[0] + 1 == len(chosen):
        return f"bytes {chosen[0]} to {chosen[-1]} of the {where}"
    return f"bytes {', '.join(map(str, chosen))}: not contiguous, which is not permitted"


def _mask_words(value: int) -> str:
    if value == 0:
        return "no mask"
    if value < 3:
        return "reserved value"
    return f"the low {value} address bits are ignored: a range of {format_size(1 << value)}"


def format_size(size: int) -> str:
    """A power-of-two size in words: 8 bytes, 64 KiB, 2 GiB."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << shift and size % (1 << shift) == 0:
            return f"{size >> shift} {unit}"
    return "1 byte" if size == 1 else f"{size} bytes"


def _linked(value: int) -> str:
    return f"linked to breakpoint {value}, where the type is a linked one"


_BREAKPOINT_TYPES = {
    0: "address match",
    1: "address match, linked to a context match",
    2: "context match: CONTEXTIDR_EL1",
    3: "context match, linked to: CONTEXTIDR_EL1",
    4: "address mismatch (AArch32 only)",
    5: "address mismatch, linked (AArch32 only)",
    6: "CONTEXTIDR_EL1 match (FEAT_VHE)",
    7: "CONTEXTIDR_EL1 match, linked to (FEAT_VHE)",
    8: "VMID match",
    9: "VMID match, linked to",
    10: "VMID and CONTEXTIDR_EL1 match",
    11: "VMID and CONTEXTIDR_EL1 match, linked to",
    12: "CONTEXTIDR_EL2 match",
    13: "CONTEXTIDR_EL2 match, linked to",
    14: "CONTEXTIDR_EL1 and CONTEXTIDR_EL2 match",
    15: "CONTEXTIDR_EL1 and CONTEXTIDR_EL2 match, linked to",
}
#: BT values that compare an address (the others compare a context).
ADDRESS_TYPES = frozenset({0, 1, 4, 5})


def _is_address_breakpoint(value: int) -> bool:
    return value >> 20 & 15 in ADDRESS_TYPES


DBGBCR = Register(
    "DBGBCR",
    "Debug Breakpoint Control Register",
    (
        Field(
            "LBNX",
            31,
            30,
            "upper bits of the linked number (FEAT_Debugv8p9)",
            when=lambda v: bool(v >> 30 & 3),
        ),
        flag("SSCE", 29, "Root or Realm matching as SSC says"),
        Field("MASK", 28, 24, _mask_words, when=lambda v: bool(v >> 24 & 31)),
        Field("BT", 23, 20, _BREAKPOINT_TYPES),
        Field("LBN", 19, 16, _linked, when=lambda v: v >> 20 & 15 in (1, 5)),
        _SSC,
        _HMC,
        Field("BAS", 8, 5, lambda v: _byte_list(v, 4), when=_is_address_breakpoint),
        Field("PMC", 2, 1, _LEVELS),
        Field("E", 0, 0, _ENABLED),
    ),
)

DBGWCR = Register(
    "DBGWCR",
    "Debug Watchpoint Control Register",
    (
        flag("SSCE", 29, "Root or Realm matching as SSC says"),
        Field("MASK", 28, 24, _mask_words),
        Field(
            "LBNX",
            23,
            22,
            "upper bits of the linked number (FEAT_Debugv8p9)",
            when=lambda v: bool(v >> 22 & 3),
        ),
        flag("WT2", 21, "address mismatch (FEAT_BWE2)"),
        flag("WT", 20, "linked to a context-matching breakpoint", "unlinked"),
        Field("LBN", 19, 16, _linked, when=lambda v: bool(v >> 20 & 1)),
        _SSC,
        _HMC,
        Field("BAS", 12, 5, lambda v: _byte_list(v, 8)),
        Field(
            "LSC",
            4,
            3,
            {
                0: "reserved value",
                1: "loads (read)",
                2: "stores (write)",
                3: "loads and stores (any access)",
            },
        ),
        Field("PAC", 2, 1, _LEVELS),
        Field("E", 0, 0, _ENABLED),
    ),
)

DBGBVR = Register(
    "DBGBVR",
    "Debug Breakpoint Value Register (address match)",
    (
        Field(
            "RESS", 63, 57, "sign extension of the address", when=lambda v: v >> 57 not in (0, 0x7F)
        ),
        Field("VA", 56, 2, lambda v: f"address {_extended(v << 2, 56):#x}"),
    ),
)

DBGBVR_CONTEXT = Register(
    "DBGBVR_CONTEXT",
    "Debug Breakpoint Value Register (context match)",
    (
        Field("VMID", 47, 32, "VMID, for the types that compare one"),
        Field("ContextID", 31, 0, "compared with CONTEXTIDR_EL1"),
    ),
)

DBGWVR = Register(
    "DBGWVR",
    "Debug Watchpoint Value Register",
    (
        Field(
            "RESS", 63, 57, "sign extension of the address", when=lambda v: v >> 57 not in (0, 0x7F)
        ),
        Field("VA", 56, 2, lambda v: f"address {_extended(v << 2, 56):#x}"),
    ),
)


def _extended(address: int, top: int) -> int:
    """Bits 63 to top+1 made copies of bit `top`."""
    low = address & ((1 << (top + 1)) - 1)
    if address >> top & 1:
        low |= (1 << 64) - (1 << (top + 1))
    return low


class RegisterPair(NamedTuple):
    """A control register and its value register (DBGWCR and DBGWVR, or DBGBCR and DBGBVR)."""

    control: int
    value: int


def _check_address(address: int, what: str) -> int:
    if not 0 <= address < 1 << 64:
        raise ArchitectureError(f"{what} {address:#x} is not a 64-bit address")
    # In no address size of AArch64 do bits 55 to 52 differ (bit 55 selects the TTBR).
    if address >> 52 & 15 not in (0, 15):
        raise ArchitectureError(
            f"{what} {address:#x} lies in neither half of the address space: "
            "bits 55 to 52 of an arm64 virtual address are all equal"
        )
    return address


def canonical(address: int) -> int:
    """An address as the value registers hold it: the top byte, possibly a tag, copies bit 55."""
    return _extended(address, 55)


def _choose(table: dict[str, int], value: str, what: str) -> int:
    try:
        return table[value]
    except KeyError:
        raise ArchitectureError(
            f"{what} is {value!r}: it must be one of {', '.join(table)}"
        ) from None


def _link(linked_to: int | None) -> tuple[int, int]:
    """(linked?, LBN) of a control register."""
    if linked_to is None:
        return 0, 0
    if not 0 <= linked_to < 16:
        raise ArchitectureError(f"breakpoint {linked_to} cannot be linked to: numbers are 0 to 15")
    return 1, linked_to


def breakpoint(
    address: int, *, el: Privilege = "any", linked_to: int | None = None
) -> RegisterPair:
    """The pair that stops before the instruction at `address` is executed.

    `linked_to` is the number of a context-matching breakpoint that must match as well.
    Raises ArchitectureError for an address that is not a multiple of 4 or not an arm64 one.
    """
    _check_address(address, "breakpoint address")
    if address & 3:
        raise ArchitectureError(
            f"breakpoint address {address:#x} is not a multiple of 4: "
            f"A64 instructions are; the one around it is at {address & ~3:#x}"
        )
    linked, number = _link(linked_to)
    control = DBGBCR.encode(E=1, PMC=_choose(_PRIVILEGE, el, "el"), BAS=0xF, BT=linked, LBN=number)
    return RegisterPair(control, canonical(address))


def context_breakpoint(
    context_id: int, *, el: Privilege = "any", linked: bool = False
) -> RegisterPair:
    """The pair that matches while CONTEXTIDR_EL1 holds `context_id` (32 bits).

    With `linked` it generates no exception itself; others link to it. Only the highest-numbered
    breakpoints can match a context (ID_AA64DFR0_EL1.CTX_CMPs says how many).
    """
    if not 0 <= context_id < 1 << 32:
        raise ArchitectureError(f"context id {context_id:#x} does not fit CONTEXTIDR_EL1's 32 bits")
    control = DBGBCR.encode(E=1, PMC=_choose(_PRIVILEGE, el, "el"), BAS=0xF, BT=3 if linked else 2)
    return RegisterPair(control, context_id)


def watchpoint(
    address: int,
    length: int,
    access: AccessKind = "write",
    *,
    el: Privilege = "any",
    max_registers: int | None = None,
    linked_to: int | None = None,
) -> list[RegisterPair]:
    """The fewest pairs that together watch exactly the `length` bytes at `address`.

    Within one doubleword a pair selects bytes (BAS); an aligned power-of-two range up to 2 GiB
    is one pair with MASK; anything else is split. Sorted by address.

    Raises ArchitectureError for an empty range, one that no address space holds or an unknown
    access, and RangeNeedsMoreRegisters where more than `max_registers` would be needed.
    """
    if length <= 0:
        raise ArchitectureError(
            f"a watched range of {length} bytes is empty: the length must be 1 or more"
        )
    _check_address(address, "watched address")
    last = _check_address(address + length - 1, "end of the watched range")
    if canonical(address) - address != canonical(last) - last or (last ^ address) >> 55 & 1:
        raise ArchitectureError(
            f"{length:#x} bytes at {address:#x} reach beyond the address space's half they begin in"
        )
    linked, number = _link(linked_to)
    common = DBGWCR.encode(
        E=1,
        PAC=_choose(_PRIVILEGE, el, "el"),
        LSC=_choose(_LSC, access, "access"),
        WT=linked,
        LBN=number,
    )
    if max_registers is not None:
        # A range that is much too long is refused by its length, without making a million pieces.
        needed = length >> 31 if length >> 31 > 64 else len(split(address, length))
        if needed > max_registers:
            raise RangeNeedsMoreRegisters(address, length, needed, max_registers)
    pairs = []
    for start, size in split(address, length):
        if size > 8:
            control = DBGWCR.encode(base=common, BAS=0xFF, MASK=size.bit_length() - 1)
        else:
            control = DBGWCR.encode(base=common, BAS=((1 << size) - 1) << (start & 7))
        pairs.append(RegisterPair(control, canonical(start & ~7)))
    return pairs


def split(address: int, length: int) -> list[tuple[int, int]]:
    """A range cut into the fewest (address, size) pieces that one register each can watch.

    Two aligned power-of-two blocks are nested or disjoint, so taking the largest block that fits at
    each address gives the fewest; a partial doubleword at either end takes one more.
    """
    pieces = []
    end = address + length
    while address < end:
        left = end - address
        if address & 7 or left < 8:
            size = min(8 - (address & 7), left)
        else:
            aligned = address & -address if address else MAX_MASK_BYTES
            size = min(aligned, 1 << (left.bit_length() - 1), MAX_MASK_BYTES)
        pieces.append((address, size))
        address += size
    return pieces


def watched_range(pair: RegisterPair) -> tuple[int, int] | None:
    """(first byte, number of bytes) that a watchpoint pair watches, disregarding its E bit.

    None where it watches nothing, or where BAS and MASK are CONSTRAINED UNPREDICTABLE (bytes not
    contiguous, MASK with a partial BAS, MASK 1 or 2).
    """
    fields = DBGWCR.decode(pair.control & 0xFFFFFFFF)
    bas, mask = fields["BAS"], fields["MASK"]
    if mask:
        if mask < 3 or bas != 0xFF:
            return None
        size = 1 << mask
        return pair.value & ~(size - 1) & (1 << 64) - 1, size
    if pair.value & 4:
        # A word-aligned value register selects among four bytes only.
        bas &= 0xF
    if bas == 0:
        return None
    first = (bas & -bas).bit_length() - 1
    size = bas.bit_length() - first
    if bas != ((1 << size) - 1) << first:
        return None
    return (pair.value & ~3 & (1 << 64) - 1) + first, size
