"""Decoding of every A64 load and store into what it accesses (DDI 0487, C4.1.96).

Covers the base instruction set and its extensions up to Armv9.3: exclusives, ordered accesses,
compare-and-swap, atomics (LSE, LSE128), LRCPC 1 to 3, pairs, literals, SIMD&FP registers and
structures, pointer-authenticated loads, 64-byte loads and stores, memory tagging. Not covered:
SVE and SME, and the memory copy and set instructions, whose extent is IMPLEMENTATION DEFINED.
"""

from __future__ import annotations

from dataclasses import dataclass

from guestdbg.arm64.structures import MULTIPLE_STRUCTURES

#: As a base register: the address is relative to the instruction's own.
PC = 32
#: As a base register: SP; as any other: the zero register.
SP = 31


def _field(raw: int, high: int, low: int) -> int:
    return raw >> low & ((1 << (high - low + 1)) - 1)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


@dataclass(frozen=True)
class MemoryOperand:
    """What a load or store accesses, as its encoding says, without values of registers.

    The instruction makes `count` accesses of `size` bytes each, one after the other,
    beginning at base + offset (+ the index register, extended and shifted). `element` is the size
    of one datum where an access holds several (structures, exclusive pairs), otherwise `size`.
    `reads` and `writes` are both set for atomics; `conditional` says that the write may not
    happen (store-exclusive, compare-and-swap). `registers` are the data registers' numbers;
    `simd` says that they are V registers.
    """

    base: int
    size: int
    reads: bool
    writes: bool
    offset: int = 0
    count: int = 1
    element: int = 0
    registers: tuple[int, ...] = ()
    simd: bool = False
    index: int | None = None
    extend: int = 3
    shift: int = 0
    writeback: bool = False
    exclusive: bool = False
    acquire: bool = False
    release: bool = False
    conditional: bool = False
    unprivileged: bool = False
    authenticated: bool = False
    status: int | None = None

    @property
    def written(self) -> frozenset[int]:
        """The numbers of the X registers that it may write, 31 for SP.

        Of atomics, the source is among them.
        """
        found = set(self.registers) if self.reads and not self.simd else set()
        found.discard(31)
        if self.writeback:
            found.add(self.base)
        if self.status is not None:
            found.add(self.status)
        return frozenset(found)

    @property
    def total(self) -> int:
        """All the bytes accessed."""
        return self.size * self.count


def memory_operand(raw: int) -> MemoryOperand | None:
    """Decode a load or store; None for anything else, prefetches and unallocated encodings."""
    if raw >> 27 & 1 == 0 or raw >> 25 & 1:
        return None
    group = _field(raw, 29, 27)
    if group == 0b001:
        if raw >> 26 & 1:
            return _structures(raw)
        return _exclusive(raw) if raw >> 24 & 1 == 0 else None
    if group == 0b011:
        if raw >> 24 & 1 == 0:
            return _literal(raw)
        return _ordered_or_tagged(raw)
    if group == 0b101:
        return _pair(raw)
    if group == 0b111:
        return _single(raw)
    return None


def is_prefetch(raw: int) -> bool:
    """PRFM in its literal, immediate, unscaled and register forms (RPRFM included)."""
    if raw & 0xFF000000 == 0xD8000000:  # literal
        return True
    if raw & 0xFFC00000 == 0xF9800000:  # unsigned immediate
        return True
    if raw & 0xFFE00C00 == 0xF8800000:  # unscaled
        return True
    return raw & 0xFFE00C00 == 0xF8A00800  # register


def _exclusive(raw: int) -> MemoryOperand | None:
    """Exclusives, ordered loads and stores, compare-and-swap."""
    size = _field(raw, 31, 30)
    o2, load, o1, o0 = raw >> 23 & 1, raw >> 22 & 1, raw >> 21 & 1, raw >> 15 & 1
    rs, rt2, rn, rt = (_field(raw, b + 4, b) for b in (16, 10, 5, 0))
    if not o2 and (not o1 or size >= 2):
        pair = bool(o1)
        element = 1 << size
        return MemoryOperand(
            base=rn,
            size=2 * element if pair else element,
            element=element,
            reads=bool(load),
            writes=not load,
            registers=(rt, rt2) if pair else (rt,),
            exclusive=True,
            acquire=bool(load and o0),
            release=bool(not load and o0),
            conditional=not load,
            status=None if load else rs,
        )
    if o2 and not o1:
        return MemoryOperand(
            base=rn,
            size=1 << size,
            reads=bool(load),
            writes=not load,
            registers=(rt,),
            # Without o0 they are the LORegion forms, which order within their region.
            acquire=bool(load),
            release=not load,
        )
    # Compare-and-swap, single (o2) or pair; Rt2 must be all ones.
    if rt2 != 31:
        return None
    registers: tuple[int, ...] = (rs, rt)
    if o2:
        element = 1 << size
        total = element
    else:
        if rs & 1 or rt & 1:
            return None
        element = 4 << (size & 1)
        total = 2 * element
        registers = (rs, rs + 1, rt, rt + 1)
    return MemoryOperand(
        base=rn,
        size=total,
        element=element,
        reads=True,
        writes=True,
        registers=registers,
        acquire=bool(load),
        release=bool(o0),
        conditional=True,
    )


def _literal(raw: int) -> MemoryOperand | None:
    opc, simd = _field(raw, 31, 30), bool(raw >> 26 & 1)
    if opc == 3:
        return None  # PRFM, or unallocated with V
    size = 4 << opc if simd else (4, 8, 4)[opc]
    return MemoryOperand(
        base=PC,
        size=size,
        reads=True,
        writes=False,
        offset=_signed(_field(raw, 23, 5), 19) << 2,
        registers=(raw & 31,),
        simd=simd,
    )


def _ordered_or_tagged(raw: int) -> MemoryOperand | None:
    """LDAPUR and STLUR, LRCPC3, memory tags, 128-bit atomics."""
    size, simd, opc = _field(raw, 31, 30), bool(raw >> 26 & 1), _field(raw, 23, 22)
    rn, rt, how = _field(raw, 9, 5), raw & 31, _field(raw, 11, 10)
    if raw >> 21 & 1:
        if simd:
            return None
        return _tags(raw) if size == 3 else _atomic128(raw) if size < 2 else None
    offset = _signed(_field(raw, 20, 12), 9)
    if simd:
        if how != 2:
            return None
        return _simd_unscaled(raw, offset, ordered=True)
    if how == 0:
        if (size == 3 and opc >= 2) or (size == 2 and opc == 3):
            return None
        return MemoryOperand(
            base=rn,
            size=1 << size,
            reads=opc != 0,
            writes=opc == 0,
            offset=offset,
            registers=(rt,),
            acquire=opc != 0,
            release=opc == 0,
        )
    if how == 2 and size >= 2:
        return _rcpc3(raw)
    return None


def _rcpc3(raw: int) -> MemoryOperand | None:
    """LDIAPP and STILP (pairs), and LDAPR and STLR with writeback."""
    element = 1 << _field(raw, 31, 30)
    opc, rn, rt = _field(raw, 23, 22), _field(raw, 9, 5), raw & 31
    load = bool(opc & 1)
    if opc >= 2:
        if _field(raw, 20, 12):
            return None
        return MemoryOperand(
            base=rn,
            size=element,
            reads=load,
            writes=not load,
            # LDAPR is post-indexed, STLR pre-indexed.
            offset=0 if load else -element,
            registers=(rt,),
            writeback=True,
            acquire=load,
            release=not load,
        )
    form = _field(raw, 15, 12)
    if form > 1:
        return None
    return MemoryOperand(
        base=rn,
        size=element,
        count=2,
        reads=load,
        writes=not load,
        offset=-2 * element if form == 0 and not load else 0,
        registers=(rt, _field(raw, 20, 16)),
        writeback=form == 0,
        acquire=load,
        release=not load,
    )


def _tags(raw: int) -> MemoryOperand | None:
    """Memory tagging: only the forms that zero data as well access data."""
    opc, how, rn = _field(raw, 23, 22), _field(raw, 11, 10), _field(raw, 9, 5)
    if how == 0 or not opc & 1:
        return None
    # STZG and STZ2G: post-indexed, signed offset, pre-indexed.
    offset = 0 if how == 1 else _signed(_field(raw, 20, 12), 9) << 4
    return MemoryOperand(
        base=rn,
        size=16,
        count=2 if opc == 3 else 1,
        reads=False,
        writes=True,
        offset=offset,
        writeback=how != 2,
    )


def _atomic128(raw: int) -> MemoryOperand | None:
    """LDCLRP, LDSETP, SWPP (LSE128) and their read-check-write forms."""
    how, o3, opc = _field(raw, 11, 10), raw >> 15 & 1, _field(raw, 14, 12)
    rs, rn, rt = _field(raw, 20, 16), _field(raw, 9, 5), raw & 31
    registers: tuple[int, ...]
    if how == 0:
        # o3 clear: clear and set by LSE128; o3 set: swap, and the read-check-write forms.
        if raw >> 30 & 1 == 0 and (o3, opc) not in ((0, 1), (0, 3), (1, 0), (1, 1), (1, 3), (1, 2)):
            return None
        if raw >> 30 & 1 and (o3, opc) not in ((1, 1), (1, 2), (1, 3)):
            return None
        size, element, registers = 16, 8, (rt, rs)
    elif how == 2 and o3 == 0 and opc == 0:
        size, element, registers = 8, 8, (rs, rt)
    elif how == 3 and o3 == 0 and opc == 0:
        size, element, registers = 16, 8, (rs, rs + 1, rt, rt + 1)
    else:
        return None
    return MemoryOperand(
        base=rn,
        size=size,
        element=element,
        reads=True,
        writes=True,
        registers=registers,
        acquire=bool(raw >> 23 & 1),
        release=bool(raw >> 22 & 1),
        conditional=how != 0,
    )


def _pair(raw: int) -> MemoryOperand | None:
    opc, simd, mode = _field(raw, 31, 30), bool(raw >> 26 & 1), _field(raw, 24, 23)
    load = bool(raw >> 22 & 1)
    offset = _signed(_field(raw, 21, 15), 7)
    rt2, rn, rt = (_field(raw, b + 4, b) for b in (10, 5, 0))
    if opc == 3:
        return None
    if simd:
        size = 4 << opc
        scale = size
    elif opc == 1:
        if mode == 0:
            return None
        # LDPSW, or STGP: two doublewords, and a tag; its offset counts granules.
        size, scale = (4, 4) if load else (8, 16)
    else:
        size = 4 if opc == 0 else 8
        scale = size
    return MemoryOperand(
        base=rn,
        size=size,
        count=2,
        reads=load,
        writes=not load,
        offset=0 if mode == 1 else offset * scale,
        registers=(rt, rt2),
        simd=simd,
        writeback=mode in (1, 3),
    )


def _transfer(raw: int) -> tuple[int, bool] | None:
    """(bytes, is a load) from size, V and opc of the single-register forms."""
    size, simd, opc = _field(raw, 31, 30), raw >> 26 & 1, _field(raw, 23, 22)
    if simd:
        if opc >= 2:
            return (16, opc == 3) if size == 0 else None
        return 1 << size, opc == 1
    if (size == 3 and opc >= 2) or (size == 2 and opc == 3):
        # Size 3 with opc 2 is PRFM where there is one; a prefetch accesses nothing we count.
        return None
    return 1 << size, opc != 0


def _simd_unscaled(raw: int, offset: int, *, ordered: bool) -> MemoryOperand | None:
    transfer = _transfer(raw)
    if transfer is None:
        return None
    size, load = transfer
    return MemoryOperand(
        base=_field(raw, 9, 5),
        size=size,
        reads=load,
        writes=not load,
        offset=offset,
        registers=(raw & 31,),
        simd=True,
        acquire=ordered and load,
        release=ordered and not load,
    )


def _single(raw: int) -> MemoryOperand | None:
    """One register: unsigned offset, unscaled, indexed, unprivileged, register offset, atomic."""
    simd = bool(raw >> 26 & 1)
    rn, rt, how = _field(raw, 9, 5), raw & 31, _field(raw, 11, 10)
    offset, writeback, unprivileged = 0, False, False
    index: int | None = None
    extend, shift = 3, 0
    if raw >> 24 & 1 == 0 and raw >> 21 & 1:
        if how == 0:
            return _atomic(raw)
        if how != 2:
            return _authenticated(raw)
    transfer = _transfer(raw)
    if transfer is None:
        return None
    size, load = transfer
    if raw >> 24 & 1:
        offset = _field(raw, 21, 10) * size
    elif raw >> 21 & 1:
        extend = _field(raw, 15, 13)
        if not extend & 2:
            return None
        index = _field(raw, 20, 16)
        shift = size.bit_length() - 1 if raw >> 12 & 1 else 0
    else:
        imm = _signed(_field(raw, 20, 12), 9)
        unprivileged = how == 2
        if unprivileged and simd:
            return None
        offset = 0 if how == 1 else imm
        writeback = how in (1, 3)
    return MemoryOperand(
        base=rn,
        size=size,
        reads=load,
        writes=not load,
        offset=offset,
        registers=(rt,),
        simd=simd,
        index=index,
        extend=extend,
        shift=shift,
        writeback=writeback,
        unprivileged=unprivileged,
    )


def _atomic(raw: int) -> MemoryOperand | None:
    """Atomic memory operations, LDAPR, and the 64-byte loads and stores."""
    size, simd = 1 << _field(raw, 31, 30), bool(raw >> 26 & 1)
    acquire, release = bool(raw >> 23 & 1), bool(raw >> 22 & 1)
    rs, o3, opc = _field(raw, 20, 16), raw >> 15 & 1, _field(raw, 14, 12)
    rn, rt = _field(raw, 9, 5), raw & 31
    if simd:
        # Floating-point atomics (LSFE); size 00 is BFloat16.
        if opc not in (0, 4, 5, 6, 7) or (o3 and (rt != 31 or acquire)):
            return None
        return MemoryOperand(
            base=rn,
            size=max(size, 2),
            reads=True,
            writes=True,
            registers=(rs,) if o3 else (rs, rt),
            simd=True,
            acquire=acquire,
            release=release,
        )
    if o3 and opc == 4:
        if not (acquire and not release and rs == 31):
            return None
        return MemoryOperand(
            base=rn, size=size, reads=True, writes=False, registers=(rt,), acquire=True
        )
    if o3 and opc and size == 8 and not (acquire or release):
        # LD64B, ST64B, ST64BV, ST64BV0: eight registers from an even Rt up to X22.
        if opc not in (1, 2, 3, 5) or rt & 1 or rt > 22 or (opc in (1, 5) and rs != 31):
            return None
        return MemoryOperand(
            base=rn,
            size=64,
            element=8,
            reads=opc == 5,
            writes=opc != 5,
            registers=tuple(range(rt, rt + 8)),
            conditional=opc in (2, 3),
            status=rs if opc in (2, 3) else None,
        )
    if o3 and opc:
        # Read-check-write of a doubleword: clear, swap, set; bit 30 is the software-checked form.
        if size > 2 or opc > 3:
            return None
        size = 8
    return MemoryOperand(
        base=rn,
        size=size,
        reads=True,
        writes=True,
        registers=(rs, rt),
        acquire=acquire,
        release=release,
    )


def _authenticated(raw: int) -> MemoryOperand | None:
    """LDRAA and LDRAB."""
    if _field(raw, 31, 30) != 3 or raw >> 26 & 1:
        return None
    offset = _signed((raw >> 22 & 1) << 9 | _field(raw, 20, 12), 10) << 3
    return MemoryOperand(
        base=_field(raw, 9, 5),
        size=8,
        reads=True,
        writes=False,
        offset=offset,
        registers=(raw & 31,),
        writeback=bool(raw >> 11 & 1),
        authenticated=True,
    )


def _structures(raw: int) -> MemoryOperand | None:
    """LD1 to LD4, ST1 to ST4, LD1R to LD4R."""
    if raw >> 31:
        return None
    post, load = bool(raw >> 23 & 1), bool(raw >> 22 & 1)
    wide, size = raw >> 30 & 1, _field(raw, 11, 10)
    rm, rn, rt = (_field(raw, b + 4, b) for b in (16, 5, 0))
    ordered = False
    if raw >> 24 & 1 == 0:
        known = MULTIPLE_STRUCTURES.get(_field(raw, 15, 12))
        if known is None or raw >> 21 & 1 or (not post and rm):
            return None
        count, structure = known
        if size == 3 and not wide and structure > 1:
            return None
        element = 1 << size
        total = count * (16 if wide else 8)
    else:
        opcode, s = _field(raw, 15, 13), raw >> 12 & 1
        count = ((opcode & 1) << 1 | raw >> 21 & 1) + 1
        if not post and rm:
            # LDAP1 and STL1 sit where Rm would be.
            ordered = rm == 1 and (opcode, s, size, count) == (4, 0, 1, 1)
            if not ordered:
                return None
        scale = opcode >> 1
        if scale == 3:
            if not load or s:
                return None
            element = 1 << size
        elif scale == 2:
            if size > 1 or (size == 1 and s):
                return None
            element = 8 if size else 4
        elif scale == 1:
            if size & 1:
                return None
            element = 2
        else:
            element = 1
        total = count * element
    return MemoryOperand(
        base=rn,
        size=total,
        element=element,
        reads=load,
        writes=not load,
        registers=tuple((rt + i) % 32 for i in range(count)),
        simd=True,
        writeback=post,
        acquire=ordered and load,
        release=ordered and not load,
    )
