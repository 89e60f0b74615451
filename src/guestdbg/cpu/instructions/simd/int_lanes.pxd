# cython: language_level=3
"""What the integer instructions of Advanced SIMD share: the lanes of a vector, results, saturation.

A lane's type says its size and whether it is signed. Functions take a value of that type to choose it,
and an operation as a constant: they are inline, so that only this operation remains. What may overflow
is computed as unsigned.

Insn.ra selects the mask of the lanes that the result has (result_mask): a 64-bit vector or a scalar
has the function of the 128-bit vector, and the mask clears the rest.
"""
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from guestdbg.cpu.core cimport Cpu, Insn, unlikely
from guestdbg.cpu.fp.formats cimport FPSR_QC
from guestdbg.cpu.instructions.simd.simd_common cimport write_vd
from guestdbg.cpu.operands cimport ra, rd

ctypedef fused lane:
    uint8_t
    uint16_t
    uint32_t
    uint64_t
    int8_t
    int16_t
    int32_t
    int64_t

ctypedef fused wide:       # what two narrow lanes make in a long instruction
    uint16_t
    uint32_t
    uint64_t
    int16_t
    int32_t
    int64_t

cdef enum:                 # Insn.ra: what the result has
    HAS_64 = 0
    HAS_128 = 2
    HAS_32 = 4
    HAS_16 = 6
    HAS_8 = 8

cdef extern from *:
    """
    #include <stdint.h>
    static const uint64_t guestdbg_result_masks[10] = {
        ~UINT64_C(0), 0, ~UINT64_C(0), ~UINT64_C(0), 0xFFFFFFFF, 0, 0xFFFF, 0, 0xFF, 0,
    };
    """
    const uint64_t guestdbg_result_masks[10]

cdef inline const uint64_t* result_mask(const Insn* i) noexcept nogil:
    return &guestdbg_result_masks[ra(i)]

# ---- lanes ------------------------------------------------------------------------------------

cdef inline int lanes(lane kind) noexcept nogil:
    """How many there are in 128 bits."""
    if lane is uint8_t or lane is int8_t:
        return 16
    elif lane is uint16_t or lane is int16_t:
        return 8
    elif lane is uint32_t or lane is int32_t:
        return 4
    else:
        return 2

cdef inline int width(lane kind) noexcept nogil:
    # Without a sign it is C's division, which needs none of Python's.
    return <int>(<uint32_t>128 // <uint32_t>lanes(kind))

cdef inline bint has_sign(lane kind) noexcept nogil:
    return lane is int8_t or lane is int16_t or lane is int32_t or lane is int64_t

cdef inline lane maximum(lane kind) noexcept nogil:
    return <lane>(~<uint64_t>0 >> (64 - width(kind) + has_sign(kind)))

# The addresses of registers are sums of 64-bit values: only then does the compiler see that elements
# are adjacent, and makes one load of them.

cdef inline const lane* lanes_of(const Cpu* c, uint8_t register, lane kind) noexcept nogil:
    return <const lane*>(<const uint8_t*>c.v + 16 * <uint64_t>register)

cdef inline const uint8_t* half_of(const Cpu* c, uint8_t register, uint64_t half) noexcept nogil:
    """The lower (0) or the upper (1) half of a register."""
    return <const uint8_t*>c.v + 16 * <uint64_t>register + 8 * half

cdef inline wide extended(const uint8_t* narrow, int k, wide kind) noexcept nogil:
    """Lane k, of half the width, zero- or sign-extended."""
    if wide is uint16_t:
        return narrow[k]
    elif wide is uint32_t:
        return (<const uint16_t*>narrow)[k]
    elif wide is uint64_t:
        return (<const uint32_t*>narrow)[k]
    elif wide is int16_t:
        return (<const int8_t*>narrow)[k]
    elif wide is int32_t:
        return (<const int16_t*>narrow)[k]
    else:
        return (<const int32_t*>narrow)[k]

# ---- results ----------------------------------------------------------------------------------

# Which of the two functions is better depends on what the compiler makes of the loop over the lanes: a
# vector in a register, or two halves. A vector that is written to memory as halves and read as a whole
# costs ten cycles.

cdef inline void write_lanes(Cpu* c, const Insn* i, const uint64_t* result) noexcept nogil:
    """result: 128 bits, of which those are kept that the result has. A vector: byte by byte the mask is
    applied to it at once."""
    cdef const uint8_t* mask = <const uint8_t*>result_mask(i)
    cdef const uint8_t* r = <const uint8_t*>result
    cdef uint8_t* d = <uint8_t*>c.v + 16 * <uint64_t>rd(i)
    cdef int k
    for k in range(16):
        d[k] = r[k] & mask[k]

cdef inline void write_halves(Cpu* c, const Insn* i, const uint64_t* result) noexcept nogil:
    """The same of two halves."""
    cdef const uint64_t* mask = result_mask(i)
    write_vd(c, i, result[0] & mask[0], result[1] & mask[1])

cdef inline uint64_t at_lane(int k, lane value) noexcept nogil:
    """value as lane k of a word, counted from the lowest."""
    if lane is uint8_t or lane is int8_t:
        return <uint64_t><uint8_t>value << (8 * k)
    elif lane is uint16_t or lane is int16_t:
        return <uint64_t><uint16_t>value << (16 * k)
    elif lane is uint32_t or lane is int32_t:
        return <uint64_t><uint32_t>value << (32 * k)
    else:
        return <uint64_t>value

cdef inline bint any_lost(const Insn* i, const uint64_t* lost) noexcept nogil:
    """lost: not zero in the lanes that were saturated. Only those that the result has count."""
    cdef const uint64_t* mask = result_mask(i)
    return (lost[0] & mask[0] | lost[1] & mask[1]) != 0

cdef inline void set_qc(Cpu* c, bint saturated) noexcept nogil:
    if unlikely(saturated):
        c.fpsr |= FPSR_QC
