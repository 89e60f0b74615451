# cython: language_level=3
"""What the shifts by immediate (C4.1.96) share: decoders, saturation, narrow results.

immh (bits 22..19) gives the size of the elements, by its highest bit; immh:immb is the shift plus that
size, or twice the size minus the shift if it is a right shift.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport bits, Cpu, Insn, OK
from guestdbg.cpu.fp.formats cimport FPSR_QC
from guestdbg.cpu.instructions.simd.lanes cimport BYTE, DOUBLEWORD, HALFWORD, upper_mask, WORD
from guestdbg.cpu.instructions.simd.simd_common cimport (
    set_registers, set_vector, store_halves, vd, vn, write_vd,
)
from guestdbg.cpu.operands cimport imm, ra

cdef inline uint32_t size_of_shifted(uint32_t raw) noexcept nogil:
    """Decoders of shifts by immediate: esize, from the highest bit of immh (bits 22..19)."""
    if raw & (1 << 22):
        return DOUBLEWORD
    if raw & (1 << 21):
        return WORD
    return HALFWORD if raw & (1 << 20) else BYTE

cdef inline uint32_t left_shift(uint32_t raw) noexcept nogil:
    """0 to the size minus 1."""
    return bits(raw, 22, 16) - (8 << size_of_shifted(raw))

cdef inline uint32_t right_shift(uint32_t raw) noexcept nogil:
    """1 to the size."""
    return (16 << size_of_shifted(raw)) - bits(raw, 22, 16)

cdef inline bint is_scalar(uint32_t raw) noexcept nogil:
    return (raw >> 28) & 1

cdef inline void set_shifted(Insn* o, uint32_t raw) noexcept nogil:
    """Registers, and imm as set_vector() makes it: a scalar's bit 30 is set, but it has no upper half."""
    set_vector(o, raw)
    if is_scalar(raw):
        o.imm = 0

cdef inline int fill_right(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """rm: the shift minus 1, for shifts in two steps."""
    set_shifted(o, raw)
    o.rm = <uint8_t>(right_shift(raw) - 1)
    return OK

# ---- saturation -------------------------------------------------------------------------------

cdef inline void elements_of(const Cpu* c, const Insn* i, uint64_t* n) noexcept nogil:
    """Vn, with 0 for what is no element, which never saturates: imm masks the upper half, and ra is the
    number of bits above a scalar in the lower half."""
    store_halves(n, vn(c, i)[0] << ra(i) >> ra(i), vn(c, i)[1] & imm(i))

cdef inline void set_qc(Cpu* c, bint saturated) noexcept nogil:
    if saturated:
        c.fpsr |= FPSR_QC

# ---- narrow results ---------------------------------------------------------------------------
# Shifts are made in two steps: by rm, which is one less than the shift, and by one. Rounding adds the bit
# that is lowest between the steps.
#
# A vector's elements are all 128 bits of Vn. The result goes to the lower half of Vd and clears the upper
# one; or, if aux is all ones (the names that end in 2), it goes to the upper half and leaves the lower one.

cdef inline void write_narrow(Cpu* c, const Insn* i, uint64_t result) noexcept nogil:
    cdef uint64_t second = upper_mask(i)
    write_vd(c, i, (vd(c, i)[0] & second) | (result & ~second), result & second)

cdef inline int fill_narrow(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.rm = <uint8_t>(right_shift(raw) - 1)
    o.imm = ~<uint64_t>0
    o.ra = 0
    o.aux = 0xFFFFFFFF if raw & (1 << 30) else 0
    if is_scalar(raw):
        o.imm = 0
        o.ra = <uint8_t>(64 - (16 << size_of_shifted(raw)))
        o.aux = 0
    return OK
