# cython: language_level=3
"""What SIMD has of its own for one element: differences, comparisons that give a mask."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu
from guestdbg.cpu.fp.arithmetic cimport fp_muladd, fp_sub
from guestdbg.cpu.fp.compare cimport fp_eq, fp_ge, fp_gt
from guestdbg.cpu.fp.estimate cimport unsigned_recip_estimate, unsigned_rsqrt_estimate
from guestdbg.cpu.instructions.simd.fp_shape cimport sign_bit

cdef uint64_t element_abd(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    return fp_sub(c, fmt, a, b) & ~sign_bit(fmt)

cdef uint64_t element_mulsub(Cpu* c, int fmt, uint64_t addend, uint64_t a, uint64_t b) noexcept nogil:
    """addend - a * b: the sign of a changes even if it is a NaN."""
    return fp_muladd(c, fmt, addend, a ^ sign_bit(fmt), b)

# ---- comparisons: all ones or zero ------------------------------------------------------------

cdef inline uint64_t mask(bint condition) noexcept nogil:
    return <uint64_t>0 - <uint64_t>condition

cdef uint64_t element_cmeq(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    return mask(fp_eq(c, fmt, a, b))

cdef uint64_t element_cmge(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    return mask(fp_ge(c, fmt, a, b))

cdef uint64_t element_cmgt(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    return mask(fp_gt(c, fmt, a, b))

cdef uint64_t element_acge(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    return mask(fp_ge(c, fmt, a & ~sign_bit(fmt), b & ~sign_bit(fmt)))

cdef uint64_t element_acgt(Cpu* c, int fmt, uint64_t a, uint64_t b) noexcept nogil:
    return mask(fp_gt(c, fmt, a & ~sign_bit(fmt), b & ~sign_bit(fmt)))

cdef uint64_t element_cmeq0(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    return mask(fp_eq(c, fmt, a, 0))

cdef uint64_t element_cmge0(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    return mask(fp_ge(c, fmt, a, 0))

cdef uint64_t element_cmgt0(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    return mask(fp_gt(c, fmt, a, 0))

cdef uint64_t element_cmle0(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    return mask(fp_ge(c, fmt, 0, a))

cdef uint64_t element_cmlt0(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    return mask(fp_gt(c, fmt, 0, a))

# ---- estimates of unsigned integers -----------------------------------------------------------

cdef uint64_t element_recpe(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    return unsigned_recip_estimate(<uint32_t>a)

cdef uint64_t element_rsqrte(Cpu* c, int fmt, uint64_t a) noexcept nogil:
    return unsigned_rsqrt_estimate(<uint32_t>a)
