"""A plain model of the EL1&0 translation regime of Armv8.0-A, written from the manual.

The processor and guestdbg.arm64.translate are compared with it; it shares no code with them.
Chapters: D5 (The AArch64 Virtual Memory System Architecture): translation table walks, descriptor
formats, access permissions, the order of MMU faults; D1 and D17 for ESR_ELx, FAR_ELx, PAR_EL1.

Stage 2 is flat: physical memory is what `read` (walks) and `Machine.memory` (accesses) know, and
everything else is a stage 2 translation fault.

Where the manual leaves a choice to the implementation, `Choices` names it; the tests expect the
processor to make the same choice everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

PA_BITS = 44  # ID_AA64MMFR0_EL1.PARange is 0b0100

ReadU64 = Callable[[int], int | None]


class Kind(IntEnum):
    """MMU faults; the value is the fault status code without its level."""

    ADDRESS_SIZE = 0b000000
    TRANSLATION = 0b000100
    ACCESS_FLAG = 0b001000
    PERMISSION = 0b001100
    ALIGNMENT = 0b100001


@dataclass(frozen=True)
class Fault:
    """A fault of stage 1, or (ipa is not None) of stage 2; s1ptw: stage 2 of a table walk."""

    kind: Kind
    level: int
    ipa: int | None = None
    s1ptw: bool = False

    @property
    def fsc(self) -> int:
        return int(self.kind) if self.kind is Kind.ALIGNMENT else int(self.kind) | self.level


# Stage 2 has no tables here. The processor reports level 1 where there is no memory, and level 3
# where memory may not be written; hypervisors look at the kind only.
STAGE2_NO_MEMORY = (Kind.TRANSLATION, 1)
STAGE2_READ_ONLY = (Kind.PERMISSION, 3)


@dataclass(frozen=True)
class Choices:
    """What the manual leaves open, as one implementation has decided it."""

    small_txsz_faults: bool = False  # TxSZ < 16: level 0 translation fault, or as if it were 16
    large_txsz_faults: bool = False  # TxSZ > 39: the same, or as if it were 39
    contiguous_faults: bool = False  # a contiguous bit that reaches beyond the input address
    reserved_tg0: int = 12  # TCR_EL1.TG0 == 0b11: log2 of the granule that it selects
    reserved_tg1: int = 12  # TCR_EL1.TG1 == 0b00
    device_fetch_faults: bool = False  # code in Device memory that is not execute-never
    device_crossing_faults: bool = True  # unaligned, and only its second page is Device memory


@dataclass(frozen=True)
class Regime:
    """The registers that control EL1&0 stage 1."""

    sctlr: int = 0
    tcr: int = 0
    ttbr0: int = 0
    ttbr1: int = 0
    mair: int = 0
    hcr: int = 0
    choices: Choices = Choices()

    @property
    def enabled(self) -> bool:
        hcr_dc = self.hcr >> 12 & 1
        return bool(self.sctlr & 1) and not hcr_dc

    @property
    def wxn(self) -> bool:
        return bool(self.sctlr >> 19 & 1)

    @property
    def output_bits(self) -> int:
        ips = self.tcr >> 32 & 7
        return min({0: 32, 1: 36, 2: 40, 3: 42, 4: 44}.get(ips, 48), PA_BITS)

    @property
    def asid(self) -> int:
        ttbr = self.ttbr1 if self.tcr >> 22 & 1 else self.ttbr0
        asid = ttbr >> 48
        return asid if self.tcr >> 36 & 1 else asid & 0xFF

    def top(self, va: int) -> int:
        """The most significant bit of an address that counts: 55 where the top byte is a tag."""
        tbi = self.tcr >> (38 if va >> 55 & 1 else 37) & 1
        return 55 if tbi else 63

    def branch_address(self, va: int) -> int:
        """What the PC becomes when this is branched to: a tag is replaced by bit 55."""
        if self.top(va) == 63:
            return va
        low = va & (1 << 56) - 1
        return low | 0xFF << 56 if va >> 55 & 1 else low


@dataclass(frozen=True)
class Found:
    """A translation: where va is, and with what rights."""

    pa: int
    level: int
    bits: int  # log2 of what the last descriptor maps
    user_read: bool = True
    user_write: bool = True
    kernel_write: bool = True
    uxn: bool = False  # as in the descriptors; what SCTLR_EL1.WXN and AP add comes at the access
    pxn: bool = False
    attr: int = 0  # the byte of MAIR_EL1
    sh: int = 0
    ng: bool = False
    contiguous: bool = False
    stage1: bool = True  # False: stage 1 is off, and permissions are not checked
    path: tuple[tuple[int, int], ...] = ()  # (address, descriptor) from the first level to the last

    @property
    def device(self) -> bool:
        return self.attr >> 4 == 0


@dataclass(frozen=True)
class _Half:
    """One of the two halves of the address space, as TCR_EL1 describes it."""

    ttbr: int
    size_field: int
    granule: int
    disabled: bool
    upper: bool


def _half(regime: Regime, va: int) -> _Half:
    t = regime.tcr
    if va >> 55 & 1:
        tg = t >> 30 & 3
        granule = {0b10: 12, 0b01: 14, 0b11: 16}.get(tg, regime.choices.reserved_tg1)
        return _Half(regime.ttbr1, t >> 16 & 63, granule, bool(t >> 23 & 1), True)
    tg = t >> 14 & 3
    granule = {0b00: 12, 0b10: 14, 0b01: 16}.get(tg, regime.choices.reserved_tg0)
    return _Half(regime.ttbr0, t & 63, granule, bool(t >> 7 & 1), False)


def _bits(value: int, high: int, low: int) -> int:
    return value >> low & (1 << high - low + 1) - 1


# In the order of the manual's pseudocode, to be read beside it.
def walk(regime: Regime, va: int, read: ReadU64) -> Found | Fault:  # noqa: C901
    """The translation of va, by the tables as they are in memory. Permissions are not looked at.

    read: the descriptor at a physical address, None where there is no memory.
    """
    top = regime.top(va)
    if not regime.enabled:
        if top >= PA_BITS and _bits(va, top, PA_BITS):
            return Fault(Kind.ADDRESS_SIZE, 0)
        # Device-nGnRnE, unless HCR_EL2.DC makes Normal write-back memory the default
        attr = 0xFF if regime.hcr >> 12 & 1 else 0x00
        return Found(_bits(va, top, 0) & (1 << 48) - 1, 0, 0, attr=attr, stage1=False)

    half = _half(regime, va)
    choices = regime.choices
    size = half.size_field
    if size < 16:
        if choices.small_txsz_faults:
            return Fault(Kind.TRANSLATION, 0)
        size = 16
    elif size > 39:
        if choices.large_txsz_faults:
            return Fault(Kind.TRANSLATION, 0)
        size = 39
    input_bits = 64 - size
    above = _bits(va, top, input_bits)
    expected = (1 << top - input_bits + 1) - 1 if half.upper else 0
    if above != expected or half.disabled:
        return Fault(Kind.TRANSLATION, 0)

    output_bits = regime.output_bits
    if half.ttbr & (1 << 48) - 1 >> output_bits << output_bits:
        return Fault(Kind.ADDRESS_SIZE, 0)

    granule = half.granule
    stride = granule - 3
    levels = -(-(input_bits - granule) // stride)
    level = 4 - levels
    # the first table has as many entries as the input address has bits left for it
    low = granule + (3 - level) * stride
    base_low = input_bits - low + 3
    base = _bits(half.ttbr, 47, base_low) << base_low
    high = input_bits - 1
    read_only = kernel_only = uxn = pxn = False
    path: list[tuple[int, int]] = []
    while True:
        low = granule + (3 - level) * stride
        address = base | _bits(va, high, low) << 3
        descriptor = read(address)
        if descriptor is None:
            kind, at = STAGE2_NO_MEMORY
            return Fault(kind, at, address, True)
        path.append((address, descriptor))
        kind_bits = descriptor & 3
        if kind_bits in (0b00, 0b10) or (kind_bits == 0b01 and level == 3):
            return Fault(Kind.TRANSLATION, level)
        is_table = kind_bits == 0b11 and level < 3
        too_far = bool(_bits(descriptor, 47, output_bits))
        if not is_table:
            break
        if too_far:
            return Fault(Kind.ADDRESS_SIZE, level)
        base = _bits(descriptor, 47, granule) << granule
        read_only |= bool(descriptor >> 62 & 1)
        kernel_only |= bool(descriptor >> 61 & 1)
        uxn |= bool(descriptor >> 60 & 1)
        pxn |= bool(descriptor >> 59 & 1)
        level += 1
        high = low - 1

    if level < (1 if granule == 12 else 2):  # there are no blocks as large as this
        return Fault(Kind.TRANSLATION, level)
    contiguous = bool(descriptor >> 52 & 1)
    if contiguous and choices.contiguous_faults:
        least = {12: (1, 34), 14: (2, 30), 16: (2, 34)}[granule]
        if level == least[0] and input_bits < least[1]:
            return Fault(Kind.TRANSLATION, level)
    if too_far:
        return Fault(Kind.ADDRESS_SIZE, level)
    if not descriptor >> 10 & 1:
        return Fault(Kind.ACCESS_FLAG, level)
    read_only |= bool(descriptor >> 7 & 1)
    user = bool(descriptor >> 6 & 1) and not kernel_only
    return Found(
        pa=_bits(descriptor, 47, low) << low | _bits(va, low - 1, 0),
        level=level,
        bits=low,
        user_read=user,
        user_write=user and not read_only,
        kernel_write=not read_only,
        uxn=uxn or bool(descriptor >> 54 & 1),
        pxn=pxn or bool(descriptor >> 53 & 1),
        attr=regime.mair >> (descriptor >> 2 & 7) * 8 & 0xFF,
        sh=descriptor >> 8 & 3,
        ng=bool(descriptor >> 11 & 1),
        contiguous=contiguous,
        path=tuple(path),
    )


# ---- accesses ---------------------------------------------------------------------------------


class How(IntEnum):
    READ = 0
    WRITE = 1
    ATOMIC = 2  # reads and writes at once
    FETCH = 3
    MAINTAIN = 4  # cache maintenance by address: no rights needed at EL1
    MAINTAIN_WRITE = 5  # DC IVAC: right to write needed


@dataclass(frozen=True)
class Part:
    """One element of what an instruction accesses: a register of a pair, for instance."""

    offset: int
    size: int
    whole: int = 0  # aligned to this it is accessed in whole parts (0: to its size)


@dataclass(frozen=True)
class Access:
    how: How
    parts: tuple[Part, ...]
    unprivileged: bool = False  # LDTR, STTR
    always_aligned: int = 0  # exclusive, ordered, atomic: to this many bytes
    zero: bool = False  # DC ZVA
    tagged_far: bool = False  # FAR is the address as the instruction gave it (DC)
    syndrome: int | None = None  # ISS bits 24:14 at a stage 2 fault, with ISV; None: not valid


@dataclass(frozen=True)
class Stopped:
    """The access faults: at this byte, for this reason; what was accessed before that."""

    far: int
    fault: Fault
    write: bool
    before: tuple[tuple[int, int], ...]
    crossing: bool  # an element of it reaches over a page boundary


@dataclass(frozen=True)
class Done:
    pieces: tuple[tuple[int, int], ...]  # (physical address, bytes) in order


def permitted(found: Found, how: How, privileged: bool, wxn: bool) -> tuple[bool, bool]:
    """Whether the access is allowed; and, if not, whether it counts as a write."""
    if not found.stage1:
        return True, False
    readable = privileged or found.user_read
    writable = found.kernel_write if privileged else found.user_write
    if how is How.FETCH:
        never = found.pxn or found.user_write if privileged else found.uxn
        never = never or (wxn and writable)
        return not never, False
    if how is How.ATOMIC:
        return readable and writable, readable
    if how in (How.WRITE, How.MAINTAIN_WRITE):
        return writable, True
    if how is How.MAINTAIN and privileged:
        return True, False
    return readable, how is How.MAINTAIN


@dataclass
class Machine:
    """Registers, memory and the exception level: what decides about an access."""

    regime: Regime
    read: ReadU64
    is_memory: Callable[[int], bool]
    is_writable: Callable[[int], bool]
    el: int = 1
    translate: Callable[[int], Found | Fault] | None = None  # in place of a walk: a TLB entry

    def _found(self, va: int) -> Found | Fault:
        return self.translate(va) if self.translate else walk(self.regime, va, self.read)

    def _one(
        self, va: int, access: Access, privileged: bool, aligned: bool
    ) -> tuple[int, Fault | None, bool]:
        """One byte or one aligned element: (physical address, fault, counts as write)."""
        how = access.how
        write = how in (How.WRITE, How.MAINTAIN, How.MAINTAIN_WRITE)
        found = self._found(va)
        if isinstance(found, Fault):
            return 0, found, write
        if found.device and how is not How.FETCH and (not aligned or access.zero):
            return 0, Fault(Kind.ALIGNMENT, found.level), write
        allowed, failed_write = permitted(found, how, privileged, self.regime.wxn)
        if how is How.FETCH and found.stage1 and found.device:
            allowed = allowed and not self.regime.choices.device_fetch_faults
        if not allowed:
            return 0, Fault(Kind.PERMISSION, found.level), failed_write
        if not self.is_memory(found.pa):
            kind, level = STAGE2_NO_MEMORY
            return 0, Fault(kind, level, found.pa), write
        if how in (How.WRITE, How.ATOMIC, How.MAINTAIN_WRITE) and not self.is_writable(found.pa):
            kind, level = STAGE2_READ_ONLY
            return 0, Fault(kind, level, found.pa), True
        return found.pa, None, write

    def access(self, va: int, access: Access) -> Done | Stopped:
        """The bytes that an access reaches, in order, or the first fault."""
        privileged = self.el == 1 and not access.unprivileged
        write = access.how in (How.WRITE, How.MAINTAIN, How.MAINTAIN_WRITE)
        done: list[tuple[int, int]] = []

        def stop(at: int, fault: Fault, wr: bool, crossing: bool) -> Stopped:
            far = va if access.tagged_far else at
            return Stopped(far, fault, wr, tuple(done), crossing)

        if access.always_aligned and va % access.always_aligned:
            return stop(va, Fault(Kind.ALIGNMENT, 0), write, False)
        for part in access.parts:
            at = (va + part.offset) & (1 << 64) - 1
            aligned = at % part.size == 0 or access.zero or access.tagged_far
            if not aligned and self.regime.sctlr & 2:
                return stop(at, Fault(Kind.ALIGNMENT, 0), write, False)
            # Not aligned, it is so many accesses to bytes; only the first of a page can fault.
            in_page = part.size if access.zero else min(part.size, 0x1000 - at % 0x1000)
            crossing = in_page < part.size
            pa, fault, wr = self._one(at, access, privileged, aligned)
            if fault:
                return stop(at, fault, wr, crossing)
            done.append((pa, in_page))
            if crossing:
                at = (at + in_page) & (1 << 64) - 1
                checked = not self.regime.choices.device_crossing_faults
                pa, fault, wr = self._one(at, access, privileged, checked)
                if fault:
                    return stop(at, fault, wr, crossing)
                done.append((pa, part.size - in_page))
        return Done(tuple(done))


# ---- what a fault looks like ------------------------------------------------------------------

IL = 1 << 25


def syndrome(access: Access, stopped: Stopped, el: int) -> int:
    """ESR_EL1 of the abort, or ESR_EL2 where stage 2 is at fault."""
    fault = stopped.fault
    stage2 = fault.ipa is not None
    fetch = access.how is How.FETCH
    maintain = access.how in (How.MAINTAIN, How.MAINTAIN_WRITE)
    ec = 0x20 if fetch else 0x24
    if not stage2 and el == 1:
        ec += 1
    iss = fault.fsc
    if fault.s1ptw:
        iss |= 1 << 7
    if not fetch:
        iss |= stopped.write << 6
        iss |= maintain << 8
        if stage2 and not fault.s1ptw and access.syndrome is not None:
            iss |= access.syndrome
    return ec << 26 | IL | iss


def hpfar(ipa: int) -> int:
    return ipa >> 12 << 4


# ---- PAR_EL1 ----------------------------------------------------------------------------------

PAR_KNOWN = ~(1 << 9 | 1 << 10)  # NS and an IMPLEMENTATION DEFINED bit


def par(regime: Regime, va: int, read: ReadU64, write: bool, user: bool) -> int | Fault:
    """PAR_EL1 after AT S1E{1,0}{R,W}; a Fault where it goes to EL2: stage 2 of the walk."""
    found = walk(regime, va, read)
    if isinstance(found, Found):
        how = How.WRITE if write else How.READ
        if not permitted(found, how, not user, regime.wxn)[0]:
            found = Fault(Kind.PERMISSION, found.level)
    if isinstance(found, Fault):
        if found.s1ptw:
            return found
        return 1 | found.fsc << 1 | 1 << 11
    # Device and Normal non-cacheable memory are reported as Outer Shareable
    outer = found.device or found.attr == 0x44
    sh = 0b10 if outer else found.sh
    if not found.stage1 and not outer:
        sh = 0
    return found.attr << 56 | _bits(found.pa, 47, 12) << 12 | 1 << 11 | sh << 7
