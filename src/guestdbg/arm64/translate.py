"""Stage 1 translation of the EL1&0 regime, as a function over a memory reader (DDI 0487, D8).

All three granules, both halves of the address space, blocks and pages, hierarchical permissions,
the access flag, the contiguous hint, tagged addresses, TTBR size checks, and the fault an access
would take, with its level and status code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from guestdbg.arm64.errors import ArchitectureError
from guestdbg.arm64.faults import FaultKind, status_code
from guestdbg.errors import GuestdbgError

__all__ = [
    "SCTLR_EE",
    "SCTLR_M",
    "SCTLR_WXN",
    "AccessType",
    "Permissions",
    "Translation",
    "TranslationFault",
    "entry_span",
    "start_level",
    "translated_bounds",
    "untagged",
    "walk",
]

AccessType = Literal["read", "write", "execute"]

#: SCTLR_EL1: the MMU is on; writable memory is never executable; tables are big-endian.
SCTLR_M = 1
SCTLR_WXN = 1 << 19
SCTLR_EE = 1 << 25

#: Output address size in bits, by TCR_EL1.IPS.
_OUTPUT_BITS = (32, 36, 40, 42, 44, 48, 52, 52)
#: log2 of the granule, by TCR_EL1.TG0 and TG1. The reserved values act as 4 KiB here.
_GRANULE_BITS_TG0 = (12, 16, 14, 12)
_GRANULE_BITS_TG1 = (12, 14, 12, 16)
_SHAREABILITY = ("non-shareable", "reserved", "outer shareable", "inner shareable")
_ADDRESS_SPACE_END = 1 << 64


class TranslationFault(GuestdbgError):
    """An access that the translation tables, or the address itself, do not permit.

    `level` is the lookup level (-1 to 3), `kind` the kind of fault, `fsc` the status code that
    ESR_ELx would have, `va` the virtual address.
    """

    def __init__(self, va: int, kind: FaultKind, level: int) -> None:
        self.va = va
        self.kind = kind
        self.level = level
        self.fsc = status_code(kind, level)
        super().__init__(f"{kind}, level {level}, at virtual address {va:#x}")


class Permissions(NamedTuple):
    """What one Exception level may do with a page."""

    read: bool
    write: bool
    execute: bool

    def __str__(self) -> str:
        return "".join(c if on else "-" for c, on in zip("rwx", self, strict=True))


@dataclass(frozen=True)
class Translation:
    """A successful translation.

    `pa` is the byte's physical address; `block_size` the bytes that the descriptor maps (a page or
    block; the whole output space with the MMU off); `level` the level of the descriptor, None with
    the MMU off; `contiguous_size` the bytes of the contiguous set the descriptor claims to be in.
    `el0` and `el1` are the permissions after the hierarchical ones, WXN and the rule that what EL0
    can write EL1 cannot execute. `attributes` is the byte of MAIR_EL1.
    """

    va: int
    pa: int
    level: int | None
    block_size: int
    el0: Permissions
    el1: Permissions
    upper: bool = False
    attributes: int = 0
    shareability: str = "non-shareable"
    contiguous: bool = False
    contiguous_size: int = 0
    non_global: bool = False
    access_flag: bool = True
    descriptor: int | None = None
    descriptor_address: int | None = None

    @property
    def page_va(self) -> int:
        """The first virtual address that the same descriptor maps, without a tag."""
        return self.va & ~(self.block_size - 1)


class _Half(NamedTuple):
    """What TCR_EL1 says about one half of the address space.

    `input_bits` is 64 - TxSZ. `walks_disabled` is EPDx, `hierarchical_off` HPDx, `el0_faults`
    E0PDx, and `shareability` SHx. `top_byte_ignored` is TBIx, without TBIDx for a fetch.
    """

    upper: bool
    granule_bits: int
    input_bits: int
    walks_disabled: bool
    hierarchical_off: bool
    top_byte_ignored: bool
    el0_faults: bool
    shareability: int


def _half(tcr: int, upper: bool, *, fetch: bool = False) -> _Half:
    if upper:
        return _Half(
            upper=True,
            granule_bits=_GRANULE_BITS_TG1[tcr >> 30 & 3],
            input_bits=64 - (tcr >> 16 & 63),
            walks_disabled=bool(tcr >> 23 & 1),
            hierarchical_off=bool(tcr >> 42 & 1),
            top_byte_ignored=bool(tcr >> 38 & 1) and not (fetch and tcr >> 52 & 1),
            el0_faults=bool(tcr >> 56 & 1),
            shareability=tcr >> 28 & 3,
        )
    return _Half(
        upper=False,
        granule_bits=_GRANULE_BITS_TG0[tcr >> 14 & 3],
        input_bits=64 - (tcr & 63),
        walks_disabled=bool(tcr >> 7 & 1),
        hierarchical_off=bool(tcr >> 41 & 1),
        top_byte_ignored=bool(tcr >> 37 & 1) and not (fetch and tcr >> 51 & 1),
        el0_faults=bool(tcr >> 55 & 1),
        shareability=tcr >> 12 & 3,
    )


def _is_upper(va: int) -> bool:
    """Bit 55 selects TTBR1_EL1, also when the top byte is a tag."""
    return bool(va >> 55 & 1)


def _bits(value: int, high: int, low: int) -> int:
    return value >> low & ((1 << (high - low + 1)) - 1)


def _level_shift(granule_bits: int, level: int) -> int:
    """log2 of the bytes that one entry of a table at this level covers."""
    return granule_bits + (3 - level) * (granule_bits - 3)


def start_level(input_bits: int, granule_bits: int) -> int:
    """The level at which a walk begins, for an input size and log2 of the granule, in bits."""
    stride = granule_bits - 3
    return 4 - -(-(input_bits - granule_bits) // stride)


def untagged(va: int, tcr: int, *, fetch: bool = False) -> int:
    """`va` as the translation sees it: with TBI the top byte becomes copies of bit 55."""
    return _untagged(va, _half(tcr, _is_upper(va), fetch=fetch))


def _untagged(va: int, half: _Half) -> int:
    if not half.top_byte_ignored:
        return va
    low = va & ((1 << 56) - 1)
    return low | 0xFF << 56 if half.upper else low


def translated_bounds(tcr: int) -> tuple[int, int]:
    """(end of the lower half, start of the upper half): no table maps what lies between.

    Each half has at most 52 bits of addresses.
    """
    lower, upper = _half(tcr, False), _half(tcr, True)
    return 1 << min(lower.input_bits, 52), _ADDRESS_SPACE_END - (1 << min(upper.input_bits, 52))


def entry_span(va: int, level: int, tcr: int) -> int:
    """How many bytes of virtual addresses one table entry at this level covers around `va`."""
    half = _half(tcr, _is_upper(va))
    return 1 << min(_level_shift(half.granule_bits, level), half.input_bits)


class _Format(NamedTuple):
    """The format of the descriptors, which depends on the granule and the 52-bit extensions.

    `lpa2` is FEAT_LPA2 (TCR_EL1.DS with 4 KiB or 16 KiB granules): address bits 51:50 are at
    [9:8]. `lpa` is FEAT_LPA (64 KiB granules): address bits 51:48 are at [15:12].
    """

    granule_bits: int
    output_bits: int
    lpa2: bool
    lpa: bool

    def output_address(self, descriptor: int, lowest: int) -> int:
        """The address in a table, block or page descriptor, from bit `lowest` up (D8.3)."""
        if self.lpa2:
            return _bits(descriptor, 49, lowest) << lowest | _bits(descriptor, 9, 8) << 50
        address = _bits(descriptor, 47, lowest) << lowest
        if self.lpa:
            address |= _bits(descriptor, 15, 12) << 48
        return address

    def has_blocks(self, level: int) -> bool:
        """Whether a descriptor at this level may be a block (D8.3.1)."""
        if self.granule_bits == 12:
            return level in (1, 2) or (self.lpa2 and level == 0)
        if self.granule_bits == 14:
            return level == 2 or (self.lpa2 and level == 1)
        return level == 2 or (self.lpa and level == 1)

    def contiguous_entries(self, level: int) -> int:
        """How many adjacent descriptors a contiguous set has (D8.6.1)."""
        if self.granule_bits == 12:
            return 16
        if self.granule_bits == 14:
            return 128 if level == 3 else 32
        return 32


def _format(half: _Half, tcr: int, pa_bits: int) -> _Format:
    lpa2 = pa_bits == 52 and half.granule_bits != 16 and bool(tcr >> 59 & 1)
    lpa = pa_bits == 52 and half.granule_bits == 16
    output_bits = min(_OUTPUT_BITS[tcr >> 32 & 7], pa_bits)
    if output_bits == 52 and not (lpa2 or lpa):
        output_bits = 48
    return _Format(half.granule_bits, output_bits, lpa2, lpa)


class _Restrictions(NamedTuple):
    """What descriptors take away: AP[2], not AP[1], UXN and PXN, or their forms for tables."""

    read_only: bool
    no_el0: bool
    uxn: bool
    pxn: bool


def _restrictions(tables: int, leaf: int) -> _Restrictions:
    """Those of a page or block descriptor, and of the table descriptors above it (D8.4.1).

    `tables` are the table descriptors ORed: APTable, UXNTable and PXNTable only take away.
    """
    return _Restrictions(
        read_only=bool(tables >> 62 & 1 or leaf >> 7 & 1),
        no_el0=bool(tables >> 61 & 1 or not leaf >> 6 & 1),
        uxn=bool(tables >> 60 & 1 or leaf >> 54 & 1),
        pxn=bool(tables >> 59 & 1 or leaf >> 53 & 1),
    )


class _Leaf(NamedTuple):
    """The page or block descriptor at the end of a walk; `shift` is log2 of what it maps."""

    descriptor: int
    address: int
    level: int
    shift: int
    base: int
    restrictions: _Restrictions


def walk(
    read_u64: Callable[[int], int],
    va: int,
    *,
    tcr: int,
    ttbr0: int,
    ttbr1: int,
    sctlr: int,
    mair: int = 0,
    el: int = 1,
    access: AccessType | None = None,
    pan: bool = False,
    pa_bits: int = 48,
    check_access_flag: bool = True,
) -> Translation:
    """Translate `va` as the processor would, with the given values of the EL1 registers.

    `read_u64(pa)` gives the 64-bit little-endian word at a physical address; a LookupError it
    raises (no memory there) becomes an external abort on the walk. With `access` the permissions
    at Exception level `el` (0 or 1) are checked too, with PSTATE.PAN as `pan`; without it only the
    mapping counts, as a debugger needs it. `pa_bits` is what the processor implements
    (ID_AA64MMFR0_EL1.PARange); 52 enables the 52-bit forms (FEAT_LPA, FEAT_LVA, FEAT_LPA2).
    `check_access_flag` False also translates through pages whose access flag is clear.

    Raises TranslationFault; ArchitectureError for an address wider than 64 bits or a wrong `el`.
    """
    if not 0 <= va < 1 << 64:
        raise ArchitectureError(f"{va:#x} is not a 64-bit address")
    if el not in (0, 1):
        raise ArchitectureError(f"EL{el} is not in the EL1&0 translation regime: 0 or 1 is")

    half = _half(tcr, _is_upper(va), fetch=access == "execute")
    plain = _untagged(va, half)
    if not sctlr & SCTLR_M:
        return _flat(va, plain, half, pa_bits)
    form = _format(half, tcr, pa_bits)
    _check_input(va, half, form, el)
    leaf = _find_leaf(
        read_u64,
        va,
        plain,
        half,
        form,
        ttbr=ttbr1 if half.upper else ttbr0,
        big_endian=bool(sctlr & SCTLR_EE),
    )
    descriptor = leaf.descriptor
    access_flag = bool(descriptor >> 10 & 1)
    if check_access_flag and not access_flag:
        raise TranslationFault(va, FaultKind.ACCESS_FLAG, leaf.level)
    restrictions = leaf.restrictions
    el0, el1 = _permissions(restrictions, wxn=bool(sctlr & SCTLR_WXN))
    pan_denies = pan and not restrictions.no_el0
    if access is not None and not _allowed(el0, el1, el, access, pan_denies):
        raise TranslationFault(va, FaultKind.PERMISSION, leaf.level)

    size = 1 << leaf.shift
    contiguous = bool(descriptor >> 52 & 1)
    # FEAT_LPA2 takes SH[1:0] of the descriptor for address bits: TCR_EL1.SHx applies to all.
    shareability = half.shareability if form.lpa2 else descriptor >> 8 & 3
    return Translation(
        va=plain,
        pa=leaf.base | plain & (size - 1),
        level=leaf.level,
        block_size=size,
        el0=el0,
        el1=el1,
        upper=half.upper,
        attributes=mair >> 8 * _bits(descriptor, 4, 2) & 0xFF,
        shareability=_SHAREABILITY[shareability],
        contiguous=contiguous,
        contiguous_size=size * form.contiguous_entries(leaf.level) if contiguous else 0,
        non_global=bool(descriptor >> 11 & 1),
        access_flag=access_flag,
        descriptor=descriptor,
        descriptor_address=leaf.address,
    )


def _flat(va: int, plain: int, half: _Half, pa_bits: int) -> Translation:
    """With the MMU off: everything is permitted, but no address beyond the physical ones."""
    top = 55 if half.top_byte_ignored else 63
    if _bits(va, top, pa_bits):
        raise TranslationFault(va, FaultKind.ADDRESS_SIZE, 0)
    everything = Permissions(True, True, True)
    return Translation(
        va=plain,
        pa=va & ((1 << pa_bits) - 1),
        level=None,
        block_size=1 << pa_bits,
        el0=everything,
        el1=everything,
    )


def _check_input(va: int, half: _Half, form: _Format, el: int) -> None:
    """Whether the half translates this address at all; otherwise a fault at level 0 (D8.2)."""
    input_bits = half.input_bits
    # A size out of range may be clamped or fault (CONSTRAINED UNPREDICTABLE); here it faults.
    if not 25 <= input_bits <= (52 if form.lpa2 or form.lpa else 48):
        raise TranslationFault(va, FaultKind.TRANSLATION, 0)
    # The bits above the input size are copies of bit 55; a tag is not looked at.
    top = 55 if half.top_byte_ignored else 63
    copies = (1 << (top - input_bits + 1)) - 1 if half.upper else 0
    if _bits(va, top, input_bits) != copies:
        raise TranslationFault(va, FaultKind.TRANSLATION, 0)
    if half.walks_disabled or (el == 0 and half.el0_faults):
        raise TranslationFault(va, FaultKind.TRANSLATION, 0)


def _first_table(va: int, half: _Half, form: _Format, ttbr: int, shift: int) -> int:
    """The address in TTBRx_EL1, which is aligned to the size of the first table (D8.2.3)."""
    low = 3 + half.input_bits - shift  # log2 of the first table's size
    if form.output_bits == 52:
        # The first table is aligned to 64 bytes at least, and BADDR[5:2] are bits 51 to 48.
        low = max(low, 6)
        return _bits(ttbr, 47, low) << low | _bits(ttbr, 5, 2) << 48
    table = _bits(ttbr, 47, low) << low
    if table >> form.output_bits:
        raise TranslationFault(va, FaultKind.ADDRESS_SIZE, 0)
    return table


def _find_leaf(
    read_u64: Callable[[int], int],
    va: int,
    plain: int,
    half: _Half,
    form: _Format,
    *,
    ttbr: int,
    big_endian: bool,
) -> _Leaf:
    """Follow the table descriptors down to the page or block that maps the address (D8.2.4)."""
    level = start_level(half.input_bits, form.granule_bits)
    shift = _level_shift(form.granule_bits, level)
    table = _first_table(va, half, form, ttbr, shift)
    index_top = half.input_bits - 1
    tables = 0
    while True:
        address = table | _bits(plain, index_top, shift) << 3
        try:
            descriptor = read_u64(address)
        except LookupError as error:
            raise TranslationFault(va, FaultKind.EXTERNAL_ABORT, level) from error
        if big_endian:
            descriptor = int.from_bytes(descriptor.to_bytes(8, "little"), "big")
        is_block = not descriptor & 2
        if not descriptor & 1 or (is_block and not form.has_blocks(level)):
            raise TranslationFault(va, FaultKind.TRANSLATION, level)
        is_leaf = is_block or level == 3
        base = form.output_address(descriptor, shift if is_leaf else form.granule_bits)
        if base >> form.output_bits:
            raise TranslationFault(va, FaultKind.ADDRESS_SIZE, level)
        if is_leaf:
            restrictions = _restrictions(tables, descriptor)
            return _Leaf(descriptor, address, level, shift, base, restrictions)
        if not half.hierarchical_off:
            tables |= descriptor
        table = base
        index_top = shift - 1
        shift -= form.granule_bits - 3
        level += 1


def _permissions(denied: _Restrictions, *, wxn: bool) -> tuple[Permissions, Permissions]:
    """(EL0's, EL1's) permissions from the final AP, UXN and PXN (D8.4.1)."""
    el0_write = not denied.no_el0 and not denied.read_only
    el1_write = not denied.read_only
    el0_execute = not denied.uxn and not (wxn and el0_write)
    # What EL0 can write, EL1 never executes.
    el1_execute = not denied.pxn and not el0_write and not (wxn and el1_write)
    return (
        Permissions(not denied.no_el0, el0_write, el0_execute),
        Permissions(True, el1_write, el1_execute),
    )


def _allowed(
    el0: Permissions, el1: Permissions, el: int, access: AccessType, pan_denies: bool
) -> bool:
    """Whether Exception level `el` may make the access; PAN is for data accesses of EL1."""
    chosen = el0 if el == 0 else el1
    if access == "execute":
        return chosen.execute
    if el == 1 and pan_denies:
        return False
    return chosen.read if access == "read" else chosen.write
