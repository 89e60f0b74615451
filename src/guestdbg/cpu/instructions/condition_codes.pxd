# cython: language_level=3
"""The condition codes (C1.2.4), for conditional select and compare of integers and FP values.

Only inline functions: there is no module of this name at run time.
"""
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, Insn
from guestdbg.cpu.operands cimport aux

# ---- conditions -------------------------------------------------------------------------------

cdef inline uint64_t eq(const Cpu* c) noexcept nogil:
    return c.zf == 0

cdef inline uint64_t cs(const Cpu* c) noexcept nogil:
    return c.cf

cdef inline uint64_t mi(const Cpu* c) noexcept nogil:
    return c.nf >> 63

cdef inline uint64_t vs(const Cpu* c) noexcept nogil:
    return c.vf >> 63

cdef inline uint64_t hi(const Cpu* c) noexcept nogil:
    return c.cf & (c.zf != 0)

cdef inline uint64_t ge(const Cpu* c) noexcept nogil:
    return (~(c.nf ^ c.vf)) >> 63

cdef inline uint64_t gt(const Cpu* c) noexcept nogil:
    return ((~(c.nf ^ c.vf)) >> 63) & (c.zf != 0)

# ---- select and compare -----------------------------------------------------------------------

cdef inline uint64_t pick(const Cpu* c, uint64_t a, uint64_t b, uint64_t first) noexcept nogil:
    return b ^ ((a ^ b) & (<uint64_t>0 - first))

cdef inline uint64_t failed(const Cpu* c, const Insn* i) noexcept nogil:
    """All ones where the condition does not hold. aux: what truth() returned, in the low 16 bits."""
    cdef uint64_t nzcv = (((c.nf >> 63) << 3) | (<uint64_t>(c.zf == 0) << 2) | (c.cf << 1)
                          | (c.vf >> 63))
    return ((<uint64_t>aux(i) >> nzcv) & 1) - 1

cdef inline uint32_t truth(uint32_t cond) noexcept nogil:
    """Bit n: the condition holds when NZCV is n."""
    cdef uint32_t table = 0
    cdef uint32_t nzcv
    cdef uint32_t n, z, f, v, r
    for nzcv in range(16):
        n = nzcv >> 3
        z = (nzcv >> 2) & 1
        f = (nzcv >> 1) & 1
        v = nzcv & 1
        if cond >> 1 == 0:
            r = z
        elif cond >> 1 == 1:
            r = f
        elif cond >> 1 == 2:
            r = n
        elif cond >> 1 == 3:
            r = v
        elif cond >> 1 == 4:
            r = f & (z ^ 1)
        elif cond >> 1 == 5:
            r = 1 ^ n ^ v
        elif cond >> 1 == 6:
            r = (1 ^ n ^ v) & (z ^ 1)
        else:
            r = 1 ^ (cond & 1)  # AL and NV: always
        table |= (r ^ (cond & 1)) << nzcv
    return table
