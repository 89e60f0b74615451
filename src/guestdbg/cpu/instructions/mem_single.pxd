# cython: language_level=3
"""What mem_int.pyx and mem_reg.pyx share: the access of one general-purpose register. All inlined.

k: the kind (mem_common.pxd); last, forwarded: operand_forwarding.pxd. A specialization for RD stores
the forwarded value.
"""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport (
    bits, Cpu, dst, FORWARD, Insn, likely, line, line_miss_r, line_miss_w, miss_r, miss_w, NEXT, src, Tlbe,
    tlbe, unlikely,
)
from guestdbg.cpu.instructions.mem_common cimport (
    extend, host_read, host_write, LD, LDS32, LDS64, mispredicted, NEVER, pre_offset, predicted, set_base,
    ST,
)
from guestdbg.cpu.instructions.mem_slow cimport slow, slow_wb
from guestdbg.cpu.operand_forwarding cimport fwd_xd
from guestdbg.cpu.operands cimport imm, plus_aux_low, plus_imm, predicted_add, ra, set_xd, set_xn

cdef enum:
    STRB = 0 << 2 | ST
    LDRB = 0 << 2 | LD
    LDRSB64 = 0 << 2 | LDS64
    LDRSB32 = 0 << 2 | LDS32
    STRH = 1 << 2 | ST
    LDRH = 1 << 2 | LD
    LDRSH64 = 1 << 2 | LDS64
    LDRSH32 = 1 << 2 | LDS32
    STRW = 2 << 2 | ST
    LDRW = 2 << 2 | LD
    LDRSW = 2 << 2 | LDS64
    STRX = 3 << 2 | ST
    LDRX = 3 << 2 | LD

# The two paths, through the page's TLB entry and through the line's, are separate up to their ends (for
# which setup.py has compiler options): a jump from one into the other would cost the second path as much
# as it saves.

cdef inline void stored(Cpu* c, const Insn* i, uint64_t p, uint32_t k, uint64_t last, int forwarded,
                        bint write_back, uint64_t back) noexcept nogil:
    """The store at host address p, and on to the next instruction."""
    host_write(p, fwd_xd(c, i, last, forwarded), k >> 2)
    if write_back:
        set_xn(c, i, back)
    NEXT(c, i)

cdef inline void loaded(Cpu* c, const Insn* i, uint64_t p, uint32_t k, bint write_back,
                        uint64_t back) noexcept nogil:
    cdef uint64_t value = extend(host_read(p, k >> 2), k)
    set_xd(c, i, value)
    if write_back:
        set_xn(c, i, back)
    FORWARD(c, i, value)

cdef inline void go_slow(Cpu* c, const Insn* i, uint64_t va, uint32_t k,
                         bint write_back) noexcept nogil:
    if write_back:
        slow_wb(c, i, k, va)
        return
    slow(c, i, k, va)

cdef inline void at(Cpu* c, const Insn* i, uint64_t va, uint32_t k, uint64_t base, bint write_back,
                    uint64_t back, uint64_t last, int forwarded) noexcept nogil:
    """base: the base register, if it may be SP, which must be aligned; otherwise 0."""
    cdef const Tlbe* e = tlbe(c, va)
    cdef uint64_t p
    if unlikely((base & ra(i)) != 0):
        go_slow(c, i, va, k, write_back)
        return
    if (k & 3) == ST:
        if likely(not miss_w(e, va, 1 << (k >> 2))):
            stored(c, i, va + e.add, k, last, forwarded, write_back, back)
            return
        e = line(c, va)
        if likely(not line_miss_w(e, va, 1 << (k >> 2))):
            stored(c, i, va + e.add, k, last, forwarded, write_back, back)
            return
    else:
        p = predicted(i, va)
        if likely(not miss_r(e, va, 1 << (k >> 2))):
            if unlikely(e.add != predicted_add(i)):
                mispredicted(i, e.add)
                p = va + e.add
            loaded(c, i, p, k, write_back, back)
            return
        e = line(c, va)
        if likely(not line_miss_r(e, va, 1 << (k >> 2))):
            loaded(c, i, va + e.add, k, write_back, back)
            return
    go_slow(c, i, va, k, write_back)

cdef inline uint64_t offset(const Insn* i, uint32_t k) noexcept nogil:
    return imm(i) if (k & 3) == ST else pre_offset(i)

cdef inline uint64_t plus_offset(uint64_t base, const Insn* i, uint32_t k) noexcept nogil:
    return plus_imm(base, i) if (k & 3) == ST else plus_aux_low(base, i)

cdef inline void set_offset(Insn* o, uint32_t k, int64_t n) noexcept nogil:
    if (k & 3) == ST:
        o.imm = <uint64_t>n
    else:
        o.imm = NEVER
        o.aux = <uint16_t>n

cdef inline uint32_t kind(uint32_t raw) noexcept nogil:
    return bits(raw, 31, 30) << 2 | bits(raw, 23, 22)

cdef inline void operands(Insn* o, uint32_t raw) noexcept nogil:
    set_base(o, raw)
    o.rd = src(raw) if (kind(raw) & 3) == ST else dst(raw)
