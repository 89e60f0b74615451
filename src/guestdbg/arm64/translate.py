"""Stage 1 translation of the EL1&0 regime, as a function over a memory reader (DDI 0487, D8).

All three granules, both halves of the address space, blocks and pages, hierarchical permissions,
the access flag, the contiguous hint, tagged addresses, TTBR size checks, and the fault an access
would take, with its level and status code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, NoReturn

from guestdbg.arm64.errors import ArchitectureError
from guestdbg.arm64.faults import FaultKind, status_code
from guestdbg.errors import GuestdbgError

AccessType = Literal["read", "write", "execute"]

_OUTPUT_BITS = (32, 36, 40, 42, 44, 48, 52, 52)
#: log2 of the granule, by TCR_EL1.TG0 and TG1. The reserved values act as 4 KiB here.
_GRAIN0 = (12, 16, 14, 12)
_GRAIN1 = (12, 14, 12, 16)
_SHAREABILITY = ("non-shareable", "reserved", "outer shareable", "inner shareable")


class TranslationFault(GuestdbgError):
    """An access that the tables (or the address itself) do not permit.

    `level` is the lookup level (-1 to 3), `kind` says what went wrong, `fsc` is the status code
    that ESR_ELx would show, `va` the address asked for.
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
    """What TCR_EL1 says about one half of the address space."""

    upper: bool
    grain: int
    size: int  # TxSZ
    walks_disabled: bool
    hierarchical_off: bool
    top_byte_ignored: bool
    el0_faults: bool


def _half(tcr: int, upper: bool, *, fetch: bool) -> _Half:
    if upper:
        ignored = bool(tcr >> 38 & 1) and not (fetch and tcr >> 52 & 1)
        return _Half(
            True,
            _GRAIN1[tcr >> 30 & 3],
            tcr >> 16 & 63,
            bool(tcr >> 23 & 1),
            bool(tcr >> 42 & 1),
            ignored,
            bool(tcr >> 56 & 1),
        )
    ignored = bool(tcr >> 37 & 1) and not (fetch and tcr >> 51 & 1)
    return _Half(
        False,
        _GRAIN0[tcr >> 14 & 3],
        tcr & 63,
        bool(tcr >> 7 & 1),
        bool(tcr >> 41 & 1),
        ignored,
        bool(tcr >> 55 & 1),
    )


def _bits(value: int, high: int, low: int) -> int:
    return value >> low & ((1 << (high - low + 1)) - 1)


def start_level(input_bits: int, grain: int) -> int:
    """The level at which a walk begins, for an input size and log2 of the granule, in bits."""
    stride = grain - 3
    return 4 - -(-(input_bits - grain) // stride)


def _contiguous_entries(grain: int, level: int) -> int:
    """How many adjacent descriptors a contiguous set has (D8.6.1)."""
    if grain == 12:
        return 16
    if grain == 14:
        return 128 if level == 3 else 32
    return 32


def _may_be_block(grain: int, level: int, large: bool, ds: bool) -> bool:
    """Which levels hold blocks (D8.3.1)."""
    if grain == 12:
        return level in (1, 2) or (ds and level == 0)
    if grain == 14:
        return level == 2 or (ds and level == 1)
    return level == 2 or (large and level == 1)


def untagged(va: int, tcr: int, *, fetch: bool = False) -> int:
    """`va` as the translation sees it: with TBI the top byte becomes copies of bit 55."""
    upper = bool(va >> 55 & 1)
    if not _half(tcr, upper, fetch=fetch).top_byte_ignored:
        return va
    low = va & ((1 << 56) - 1)
    return low | 0xFF << 56 if upper else low


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
    mapping counts, which is what a debugger reads by. `pa_bits` is what the processor implements
    (ID_AA64MMFR0_EL1.PARange); 52 brings the 52-bit forms (FEAT_LPA, FEAT_LVA, FEAT_LPA2).
    `check_access_flag` False looks through pages whose access flag is clear.

    Raises TranslationFault; ArchitectureError for an address or level that cannot be.
    """
    if not 0 <= va < 1 << 64:
        raise ArchitectureError(f"{va:#x} is not a 64-bit address")
    if el not in (0, 1):
        raise ArchitectureError(f"EL{el} is not in the EL1&0 translation regime: 0 or 1 is")

    def fault(kind: FaultKind, level: int) -> NoReturn:
        raise TranslationFault(va, kind, level)

    half = _half(tcr, bool(va >> 55 & 1), fetch=access == "execute")
    top = 55 if half.top_byte_ignored else 63
    plain = untagged(va, tcr, fetch=access == "execute")

    if not sctlr & 1:
        # The MMU is off: flat, everything permitted, but no address beyond the physical ones.
        if _bits(va, top, pa_bits):
            fault(FaultKind.ADDRESS_SIZE, 0)
        everything = Permissions(True, True, True)
        return Translation(
            va=plain,
            pa=va & ((1 << pa_bits) - 1),
            level=None,
            block_size=1 << pa_bits,
            el0=everything,
            el1=everything,
        )

    grain = half.grain
    ds = pa_bits == 52 and grain != 16 and bool(tcr >> 59 & 1)
    large = pa_bits == 52 and grain == 16
    input_bits = 64 - half.size
    # A size out of range may be clamped or fault (CONSTRAINED UNPREDICTABLE); here it faults.
    if not 25 <= input_bits <= (52 if ds or large else 48):
        fault(FaultKind.TRANSLATION, 0)
    beyond = _bits(va, top, input_bits)
    if beyond != ((1 << (top - input_bits + 1)) - 1 if half.upper else 0):
        fault(FaultKind.TRANSLATION, 0)
    if half.walks_disabled or (el == 0 and half.el0_faults):
        fault(FaultKind.TRANSLATION, 0)

    output_bits = min(_OUTPUT_BITS[tcr >> 32 & 7], pa_bits)
    if output_bits == 52 and not (ds or large):
        output_bits = 48
    wide = output_bits == 52

    stride = grain - 3
    level = start_level(input_bits, grain)
    shift = grain + (3 - level) * stride
    ttbr = ttbr1 if half.upper else ttbr0
    low = 3 + input_bits - shift  # log2 of the first table's size
    if wide:
        # The first table is aligned to 64 bytes at least, and BADDR[5:2] are bits 51 to 48.
        low = max(low, 6)
        table = _bits(ttbr, 47, low) << low | _bits(ttbr, 5, 2) << 48
    else:
        table = _bits(ttbr, 47, low) << low
        if table >> output_bits:
            fault(FaultKind.ADDRESS_SIZE, 0)

    def output(descriptor: int, lowest: int) -> int:
        """The address in a descriptor, from bit `lowest` up."""
        if ds:
            return _bits(descriptor, 49, lowest) << lowest | _bits(descriptor, 9, 8) << 50
        address = _bits(descriptor, 47, lowest) << lowest
        if large:
            address |= _bits(descriptor, 15, 12) << 48
        return address

    read_only = no_el0 = uxn = pxn = False
    index_top = input_bits - 1
    while True:
        address = table | _bits(plain, index_top, shift) << 3
        try:
            descriptor = read_u64(address)
        except LookupError:
            fault(FaultKind.EXTERNAL_ABORT, level)
        if sctlr >> 25 & 1:
            descriptor = int.from_bytes(descriptor.to_bytes(8, "little"), "big")
        if not descriptor & 1:
            fault(FaultKind.TRANSLATION, level)
        if level == 3:
            if not descriptor & 2:
                fault(FaultKind.TRANSLATION, level)
            break
        if not descriptor & 2:
            if not _may_be_block(grain, level, large, ds):
                fault(FaultKind.TRANSLATION, level)
            break
        table = output(descriptor, grain)
        if table >> output_bits:
            fault(FaultKind.ADDRESS_SIZE, level)
        if not half.hierarchical_off:
            read_only |= bool(descriptor >> 62 & 1)
            no_el0 |= bool(descriptor >> 61 & 1)
            uxn |= bool(descriptor >> 60 & 1)
            pxn |= bool(descriptor >> 59 & 1)
        index_top = shift - 1
        shift -= stride
        level += 1

    base = output(descriptor, shift)
    if base >> output_bits:
        fault(FaultKind.ADDRESS_SIZE, level)
    access_flag = bool(descriptor >> 10 & 1)
    if check_access_flag and not access_flag:
        fault(FaultKind.ACCESS_FLAG, level)

    read_only |= bool(descriptor >> 7 & 1)
    no_el0 |= not descriptor >> 6 & 1
    uxn |= bool(descriptor >> 54 & 1)
    pxn |= bool(descriptor >> 53 & 1)
    el0, el1 = _permissions(read_only, no_el0, uxn, pxn, wxn=bool(sctlr >> 19 & 1))

    if access is not None and not _allowed(el0, el1, el, access, pan and not no_el0):
        fault(FaultKind.PERMISSION, level)

    size = 1 << shift
    contiguous = bool(descriptor >> 52 & 1)
    return Translation(
        va=plain,
        pa=base | plain & (size - 1),
        level=level,
        block_size=size,
        el0=el0,
        el1=el1,
        upper=half.upper,
        attributes=mair >> 8 * _bits(descriptor, 4, 2) & 0xFF,
        shareability=_SHAREABILITY[tcr >> (28 if half.upper else 12) & 3]
        if ds
        else _SHAREABILITY[descriptor >> 8 & 3],
        contiguous=contiguous,
        contiguous_size=size * _contiguous_entries(grain, level) if contiguous else 0,
        non_global=bool(descriptor >> 11 & 1),
        access_flag=access_flag,
        descriptor=descriptor,
        descriptor_address=address,
    )


def _permissions(
    read_only: bool, no_el0: bool, uxn: bool, pxn: bool, *, wxn: bool
) -> tuple[Permissions, Permissions]:
    """(EL0's, EL1's) permissions from the final AP, UXN and PXN (D8.4.1)."""
    el0_write = not no_el0 and not read_only
    el1_write = not read_only
    el0_execute = not uxn and not (wxn and el0_write)
    # What EL0 can write, EL1 never executes.
    el1_execute = not pxn and not el0_write and not (wxn and el1_write)
    return (
        Permissions(not no_el0, el0_write, el0_execute),
        Permissions(True, el1_write, el1_execute),
    )


def _allowed(
    el0: Permissions, el1: Permissions, el: int, access: AccessType, pan_denies: bool
) -> bool:
    chosen = el0 if el == 0 else el1
    if access == "execute":
        return chosen.execute
    if el == 1 and pan_denies:
        return False
    return chosen.read if access == "read" else chosen.write
