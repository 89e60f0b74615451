# cython: language_level=3
"""LSE atomics (Armv8.1, ID_AA64ISAR0_EL1.Atomic): LDADD and the like, SWP, CAS, CASP.

A read and a write in one: both permissions and both kinds of watchpoints are checked, once, before
either. Nothing can happen between them, because processors take turns on one thread. A CAS whose
comparison fails is checked as a write, too (Arm: the translation of an atomic access is for writing),
but writes nothing.

CASP with an odd Rs or Rt is UNDEFINED.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, dst, Fill, Insn, NEXT, OK, Op, src, Tlbe, UNDEF, unlikely
from guestdbg.cpu.features cimport has_lse
from guestdbg.cpu.instructions.mem_common cimport host_read, host_write, readable, set_base, writable
from guestdbg.cpu.instructions.mem_sync_slow cimport (
    result, slow_modify, slow_swap_if, slow_swap_pair_if, truncate,
)
from guestdbg.cpu.operands cimport aux, ra, set_xd, xd, xm, xn

cdef inline void modify(Cpu* c, const Insn* i, uint32_t log2) noexcept nogil:
    """LDADD ... SWP: x[rd] receives the value from memory, x[rm] is the operand."""
    cdef uint64_t va = xn(c, i)
    cdef const Tlbe* e = readable(c, va, 1 << log2)
    cdef uint64_t old
    if unlikely(e == NULL or writable(c, va, 1 << log2) == NULL or (va & ra(i)) != 0):
        slow_modify(c, i, va, log2)
        return
    old = host_read(va + e.add, log2)
    host_write(va + e.add, result(c, i, old, log2), log2)
    set_xd(c, i, old)
    NEXT(c, i)

cdef inline void swap_if(Cpu* c, const Insn* i, uint32_t log2) noexcept nogil:
    """CAS: x[rm] is compared, x[rd] stored; the value from memory goes to x[aux] (x[rm] or the sink)."""
    cdef uint64_t va = xn(c, i)
    cdef const Tlbe* e = readable(c, va, 1 << log2)
    cdef uint64_t old
    if unlikely(e == NULL or writable(c, va, 1 << log2) == NULL or (va & ra(i)) != 0):
        slow_swap_if(c, i, va, log2)
        return
    old = host_read(va + e.add, log2)
    if old == truncate(xm(c, i), log2):
        host_write(va + e.add, xd(c, i), log2)
    c.x[aux(i)] = old
    NEXT(c, i)

cdef void modify_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: modify(c, i, 0)
cdef void modify_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: modify(c, i, 1)
cdef void modify_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: modify(c, i, 2)
cdef void modify_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: modify(c, i, 3)
cdef void cas_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: swap_if(c, i, 0)
cdef void cas_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: swap_if(c, i, 1)
cdef void cas_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: swap_if(c, i, 2)
cdef void cas_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: swap_if(c, i, 3)
# Rare enough to have no fast path.
cdef void casp_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: slow_swap_pair_if(c, i, xn(c, i), 2)
cdef void casp_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: slow_swap_pair_if(c, i, xn(c, i), 3)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_modify(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_lse(c):
        return UNDEF
    set_base(o, raw)
    o.rd = dst(raw)
    o.rm = src(raw >> 16)
    o.aux = bits(raw, 15, 12)
    return OK

cdef int fill_cas(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_lse(c):
        return UNDEF
    set_base(o, raw)
    o.rd = src(raw)
    o.rm = src(raw >> 16)
    o.aux = dst(raw >> 16)
    return OK

cdef int fill_casp(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_lse(c) or raw & (1 << 16 | 1):
        return UNDEF
    set_base(o, raw)
    o.rd = src(raw)
    o.rm = src(raw >> 16)
    return OK

cdef int row(str name, str pattern, Fill fill, Op op) except -1:
    cdef bytes n = name.encode()
    cdef bytes p = pattern.encode()
    return add(n, p, fill, op)

cdef int rows(str size, str letter, Op op, Op cas) except -1:
    # a, r: acquire and release, which make no difference here.
    cdef int what
    for what, name in enumerate(("LDADD", "LDCLR", "LDEOR", "LDSET", "LDSMAX", "LDSMIN", "LDUMAX",
                                 "LDUMIN", "SWP")):
        row(name + letter, f"{size}111000 a r 1 sssss {what:04b} 00 nnnnn ttttt", fill_modify, op)
    row("CAS" + letter, size + "0010001 a 1 sssss r 11111 nnnnn ttttt", fill_cas, cas)
    return 0

cdef int register() except -1:
    rows("00", "B", modify_b, cas_b)
    rows("01", "H", modify_h, cas_h)
    rows("10", "_W", modify_w, cas_w)
    rows("11", "_X", modify_x, cas_x)
    row("CASP_W", "000010000 a 1 sssss r 11111 nnnnn ttttt", fill_casp, casp_w)
    row("CASP_X", "010010000 a 1 sssss r 11111 nnnnn ttttt", fill_casp, casp_x)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
