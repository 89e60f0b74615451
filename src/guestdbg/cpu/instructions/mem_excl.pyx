# cython: language_level=3
"""Load- and store-exclusive (single registers and pairs); load-acquire, store-release.

Ordering between processors needs no work: they take turns on one thread. mem_sync_slow.pyx, which has
the slow paths, explains the exclusive monitor.

CONSTRAINED UNPREDICTABLE cases, as QEMU does (and Arm allows): STXR with Rs == Rt stores the old
value, with Rs == Rn uses the old address; LDXP with Rt == Rt2 leaves the second register's value.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, dst, Fill, Insn, NEXT, OK, Op, src, Tlbe, UNDEF, unlikely
from guestdbg.cpu.features cimport has_lrcpc
from guestdbg.cpu.instructions.mem_common cimport host_read, host_write, LD, readable, set_base, ST, writable
from guestdbg.cpu.instructions.mem_sync_slow cimport slow_load_exclusive, slow_store_exclusive
from guestdbg.cpu.instructions.mem_slow cimport slow_ordered
from guestdbg.cpu.operands cimport aux, ra, set_xd, set_xm, xd, xn

cdef inline void load(Cpu* c, const Insn* i, uint32_t log2, bint pair) noexcept nogil:
    cdef uint64_t va = xn(c, i)
    cdef const Tlbe* e = readable(c, va, 1 << log2)
    cdef uint64_t p
    if unlikely(e == NULL or (va & ra(i)) != 0):
        slow_load_exclusive(c, i, va, log2, pair)
        return
    p = va + e.add
    c.ex_open = 1
    c.ex_pa = p
    c.ex_size = 1 << log2
    c.ex_lo = host_read(p, 3 if log2 == 4 else log2)
    if log2 == 4:
        c.ex_hi = host_read(p + 8, 3)
    if not pair:
        set_xd(c, i, c.ex_lo)
    elif log2 == 4:
        set_xd(c, i, c.ex_lo)
        c.x[aux(i)] = c.ex_hi
    else:
        set_xd(c, i, <uint32_t>c.ex_lo)
        c.x[aux(i)] = c.ex_lo >> 32
    NEXT(c, i)

cdef inline void store(Cpu* c, const Insn* i, uint32_t log2, bint pair) noexcept nogil:
    cdef uint64_t va = xn(c, i)
    cdef const Tlbe* e = writable(c, va, 1 << log2)
    cdef uint64_t p
    cdef bint good
    if unlikely(e == NULL or (va & ra(i)) != 0):
        slow_store_exclusive(c, i, va, log2, pair)
        return
    p = va + e.add
    good = c.ex_open and c.ex_pa == p and c.ex_size == <uint64_t>1 << log2
    good = good and host_read(p, 3 if log2 == 4 else log2) == c.ex_lo
    if log2 == 4:
        good = good and host_read(p + 8, 3) == c.ex_hi
    if good:
        if not pair:
            host_write(p, xd(c, i), log2)
        else:
            host_write(p, xd(c, i), log2 - 1)
            host_write(p + (1 << (log2 - 1)), c.x[aux(i)], log2 - 1)
    c.ex_open = 0
    set_xm(c, i, not good)
    NEXT(c, i)

cdef void ldxrb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load(c, i, 0, False)
cdef void ldxrh(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load(c, i, 1, False)
cdef void ldxr_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load(c, i, 2, False)
cdef void ldxr_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load(c, i, 3, False)
cdef void ldxp_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load(c, i, 3, True)
cdef void ldxp_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load(c, i, 4, True)
cdef void stxrb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store(c, i, 0, False)
cdef void stxrh(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store(c, i, 1, False)
cdef void stxr_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store(c, i, 2, False)
cdef void stxr_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store(c, i, 3, False)
cdef void stxp_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store(c, i, 3, True)
cdef void stxp_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store(c, i, 4, True)

# ---- load-acquire, store-release ----------------------------------------------------------------

cdef inline void acquire(Cpu* c, const Insn* i, uint32_t log2) noexcept nogil:
    cdef uint64_t va = xn(c, i)
    cdef const Tlbe* e = readable(c, va, 1 << log2)
    if unlikely(e == NULL or (va & ra(i)) != 0):
        slow_ordered(c, i, log2 << 2 | LD, va)
        return
    set_xd(c, i, host_read(va + e.add, log2))
    NEXT(c, i)

cdef inline void release(Cpu* c, const Insn* i, uint32_t log2) noexcept nogil:
    cdef uint64_t va = xn(c, i)
    cdef const Tlbe* e = writable(c, va, 1 << log2)
    if unlikely(e == NULL or (va & ra(i)) != 0):
        slow_ordered(c, i, log2 << 2 | ST, va)
        return
    host_write(va + e.add, xd(c, i), log2)
    NEXT(c, i)

cdef void ldarb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: acquire(c, i, 0)
cdef void ldarh(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: acquire(c, i, 1)
cdef void ldar_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: acquire(c, i, 2)
cdef void ldar_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: acquire(c, i, 3)
cdef void stlrb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: release(c, i, 0)
cdef void stlrh(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: release(c, i, 1)
cdef void stlr_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: release(c, i, 2)
cdef void stlr_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: release(c, i, 3)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_load(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_base(o, raw)
    o.rd = dst(raw)
    o.aux = dst(raw >> 10)
    return OK

cdef int fill_store(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_base(o, raw)
    o.rd = src(raw)
    o.aux = src(raw >> 10)
    o.rm = dst(raw >> 16)
    return OK

cdef int fill_lor(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    # LDLAR, STLLR: Armv8.1's limited ordering regions, ID_AA64MMFR1_EL1.LO.
    if bits(<uint32_t>c.id_aa64mmfr1, 19, 16) == 0:
        return UNDEF
    return fill_load(c, o, raw, pc) if raw & (1 << 22) else fill_store(c, o, raw, pc)

cdef int fill_ldapr(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    # Weaker than LDAR; between processors that take turns there is no difference.
    return fill_load(c, o, raw, pc) if has_lrcpc(c) else UNDEF

cdef int row(str name, str pattern, Fill fill, Op op) except -1:
    cdef bytes n = name.encode()
    cdef bytes p = pattern.encode()
    return add(n, p, fill, op)

# Fields that an instruction does not use are should-be-one; they are ignored.

cdef int rows(str size, str letter, Op ldxr, Op stxr, Op ldar, Op stlr) except -1:
    row(f"STXR{letter}", size + "001000000 sssss 0 uuuuu nnnnn ttttt", fill_store, stxr)
    row(f"STLXR{letter}", size + "001000000 sssss 1 uuuuu nnnnn ttttt", fill_store, stxr)
    row(f"LDXR{letter}", size + "001000010 sssss 0 uuuuu nnnnn ttttt", fill_load, ldxr)
    row(f"LDAXR{letter}", size + "001000010 sssss 1 uuuuu nnnnn ttttt", fill_load, ldxr)
    row(f"STLLR{letter}", size + "001000100 sssss 0 uuuuu nnnnn ttttt", fill_lor, stlr)
    row(f"STLR{letter}", size + "001000100 sssss 1 uuuuu nnnnn ttttt", fill_store, stlr)
    row(f"LDLAR{letter}", size + "001000110 sssss 0 uuuuu nnnnn ttttt", fill_lor, ldar)
    row(f"LDAPR{letter}", size + "111000101 11111 1 10000 nnnnn ttttt", fill_ldapr, ldar)
    row(f"LDAR{letter}", size + "001000110 sssss 1 uuuuu nnnnn ttttt", fill_load, ldar)
    return 0

cdef int pair_rows(str size, str letter, Op ldxp, Op stxp) except -1:
    row(f"STXP{letter}", size + "001000001 sssss 0 uuuuu nnnnn ttttt", fill_store, stxp)
    row(f"STLXP{letter}", size + "001000001 sssss 1 uuuuu nnnnn ttttt", fill_store, stxp)
    row(f"LDXP{letter}", size + "001000011 sssss 0 uuuuu nnnnn ttttt", fill_load, ldxp)
    row(f"LDAXP{letter}", size + "001000011 sssss 1 uuuuu nnnnn ttttt", fill_load, ldxp)
    return 0

cdef int register() except -1:
    rows("00", "B", ldxrb, stxrb, ldarb, stlrb)
    rows("01", "H", ldxrh, stxrh, ldarh, stlrh)
    rows("10", "_W", ldxr_w, stxr_w, ldar_w, stlr_w)
    rows("11", "_X", ldxr_x, stxr_x, ldar_x, stlr_x)
    pair_rows("10", "_W", ldxp_w, stxp_w)
    pair_rows("11", "_X", ldxp_x, stxp_x)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
