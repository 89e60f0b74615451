# cython: language_level=3
"""What the SIMD and FP instructions share: operands, results, the check that they are enabled.

Insn.rd, rn, rm and ra are register numbers 0 to 31. A 64-bit vector's result zeroes the upper half:
imm is the mask of the upper half, all ones for 128 bits (set_vector), so that most functions compute
128 bits and need no second form.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, unlikely
from guestdbg.cpu.exception cimport raise_fp_trap
from guestdbg.cpu.operands cimport imm, va, vd, vm, vn

cdef extern from *:
    """
    #include <string.h>
    /* A register is written by one store of 128 bits: a load of 128 bits that follows two stores of 64
       bits has to wait until both have reached the cache. */
    #if defined(__GNUC__)
    typedef unsigned long long guestdbg_vector __attribute__((vector_size(16), aligned(1), may_alias));
    #define GUESTDBG_WRITE(to, low, high) \
        (*(guestdbg_vector *)(to) = (guestdbg_vector){(low), (high)})
    /* One of them may be guest memory, which may lie anywhere in the host. */
    #define GUESTDBG_COPY(to, from) (*(guestdbg_vector *)(to) = *(const guestdbg_vector *)(from))
    /* From halves: what was computed by halves then stays in registers, and what was computed as a vector
       is a vector again. */
    #define GUESTDBG_MASKED_COPY(to, from, upper) \
        (*(guestdbg_vector *)(to) = (guestdbg_vector){(from)[0], (from)[1]} & (guestdbg_vector){~0ULL, (upper)})
    #else
    #define GUESTDBG_WRITE(to, low, high) ((to)[0] = (low), (to)[1] = (high))
    #define GUESTDBG_COPY(to, from) memcpy((to), (from), 16)
    #define GUESTDBG_MASKED_COPY(to, from, upper) GUESTDBG_WRITE(to, (from)[0], (from)[1] & (upper))
    #endif
    """
    void store_halves "GUESTDBG_WRITE"(uint64_t* to, uint64_t low, uint64_t high) nogil
    void copy_vector "GUESTDBG_COPY"(uint64_t* to, const uint64_t* source) nogil
    void copy_masked "GUESTDBG_MASKED_COPY"(uint64_t* to, const uint64_t* source, uint64_t upper) nogil

cdef inline bint fp_is_trapped(Cpu* c, const Insn* i) noexcept nogil:
    """The registers are disabled or trapped (CPACR_EL1.FPEN, CPTR_EL2.TFP), and the exception was
    raised: the instruction's function returns. Every SIMD and FP instruction begins with this."""
    if unlikely(c.fp_trapped):
        raise_fp_trap(c, i)
        return True
    return False

# ---- results ----------------------------------------------------------------------------------

cdef inline void write_vd(Cpu* c, const Insn* i, uint64_t low, uint64_t high) noexcept nogil:
    store_halves(vd(c, i), low, high)

cdef inline void write_vector(Cpu* c, const Insn* i, const uint64_t* result) noexcept nogil:
    """result: 128 bits. What a 64-bit vector does not have is cleared by imm."""
    copy_masked(vd(c, i), result, imm(i))

cdef inline void write_full(Cpu* c, const Insn* i, const uint64_t* result) noexcept nogil:
    """result: 128 bits, all of which the vector has."""
    store_halves(vd(c, i), result[0], result[1])

# ---- decode -----------------------------------------------------------------------------------

cdef inline void set_registers(Insn* o, uint32_t raw) noexcept nogil:
    """Rd, Rn, Rm at their usual places, and Ra of three-source FP instructions."""
    o.rd = <uint8_t>(raw & 31)
    o.rn = <uint8_t>((raw >> 5) & 31)
    o.rm = <uint8_t>((raw >> 16) & 31)
    o.ra = <uint8_t>((raw >> 10) & 31)

cdef inline void set_vector(Insn* o, uint32_t raw) noexcept nogil:
    """The same, and imm from Q (bit 30)."""
    set_registers(o, raw)
    o.imm = ~<uint64_t>0 if raw & (1 << 30) else 0
