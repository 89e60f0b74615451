# cython: language_level=3
"""One result from all lanes of a vector (AdvSIMD across lanes): ADDV, SADDLV, SMAXV and so on."""
from libc.stdint cimport (
    int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
)
from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport extended, half_of, lane, lanes, wide, width
from guestdbg.cpu.instructions.simd.int_rows cimport fill_vector, row
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, write_vd
from guestdbg.cpu.operands cimport imm, rn

cdef inline void write_scalar(Cpu* c, const Insn* i, uint64_t value, int bits) noexcept nogil:
    write_vd(c, i, value & (~<uint64_t>0 >> (64 - bits)), 0)

cdef inline void sum_of_lanes(Cpu* c, const Insn* i, lane kind) noexcept nogil:
    cdef const lane* low = <const lane*>half_of(c, rn(i), 0)
    cdef const lane* high = <const lane*>half_of(c, rn(i), 1)
    cdef lane first = 0
    cdef lane second = 0
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind) >> 1):
        first += low[k]
        second += high[k]
    write_scalar(c, i, first + (second & imm(i)), width(kind))
    NEXT(c, i)

cdef inline void long_sum_of_lanes(Cpu* c, const Insn* i, wide kind) noexcept nogil:
    cdef const uint8_t* low = half_of(c, rn(i), 0)
    cdef const uint8_t* high = half_of(c, rn(i), 1)
    cdef wide first = 0
    cdef wide second = 0
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind)):           # of half a register, of narrow lanes
        first += extended(low, k, kind)
        second += extended(high, k, kind)
    write_scalar(c, i, <uint64_t>first + (<uint64_t>second & imm(i)), width(kind))
    NEXT(c, i)

cdef inline void extreme_of_lanes(Cpu* c, const Insn* i, bint maximum, lane kind) noexcept nogil:
    # A vector of 64 bits is taken twice: that changes no maximum.
    cdef const lane* low = <const lane*>half_of(c, rn(i), 0)
    cdef const lane* high = <const lane*>half_of(c, rn(i), imm(i) & 1)
    cdef lane found = low[0]
    cdef lane other
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(lanes(kind) >> 1):
        if maximum:
            other = low[k] if low[k] > high[k] else high[k]
            found = other if other > found else found
        else:
            other = low[k] if low[k] < high[k] else high[k]
            found = other if other < found else found
    write_scalar(c, i, <uint64_t>found, width(kind))
    NEXT(c, i)

cdef void addv_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sum_of_lanes(c, i, <uint8_t>0)
cdef void addv_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sum_of_lanes(c, i, <uint16_t>0)
cdef void addv_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sum_of_lanes(c, i, <uint32_t>0)
cdef void saddlv_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_sum_of_lanes(c, i, <int16_t>0)
cdef void saddlv_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_sum_of_lanes(c, i, <int32_t>0)
cdef void saddlv_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_sum_of_lanes(c, i, <int64_t>0)
cdef void uaddlv_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_sum_of_lanes(c, i, <uint16_t>0)
cdef void uaddlv_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_sum_of_lanes(c, i, <uint32_t>0)
cdef void uaddlv_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_sum_of_lanes(c, i, <uint64_t>0)
cdef void smaxv_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, True, <int8_t>0)
cdef void smaxv_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, True, <int16_t>0)
cdef void smaxv_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, True, <int32_t>0)
cdef void umaxv_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, True, <uint8_t>0)
cdef void umaxv_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, True, <uint16_t>0)
cdef void umaxv_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, True, <uint32_t>0)
cdef void sminv_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, False, <int8_t>0)
cdef void sminv_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, False, <int16_t>0)
cdef void sminv_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, False, <int32_t>0)
cdef void uminv_b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, False, <uint8_t>0)
cdef void uminv_h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, False, <uint16_t>0)
cdef void uminv_s(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    extreme_of_lanes(c, i, False, <uint32_t>0)

# ---- decode -----------------------------------------------------------------------------------

cdef int rows(str name, str u, str opcode, Op b, Op h, Op s) except -1:
    cdef str tail = f"11000 {opcode} 10 nnnnn ddddd"
    row(f"{name}_vector_B", f"0 q {u} 01110 00 {tail}", fill_vector, b)
    row(f"{name}_vector_H", f"0 q {u} 01110 01 {tail}", fill_vector, h)
    row(f"{name}_vector_S", f"0 1 {u} 01110 10 {tail}", fill_vector, s)  # there is none of two lanes
    return 0

cdef int register() except -1:
    rows("SADDLV", "0", "00011", saddlv_b, saddlv_h, saddlv_s)
    rows("UADDLV", "1", "00011", uaddlv_b, uaddlv_h, uaddlv_s)
    rows("SMAXV", "0", "01010", smaxv_b, smaxv_h, smaxv_s)
    rows("UMAXV", "1", "01010", umaxv_b, umaxv_h, umaxv_s)
    rows("SMINV", "0", "11010", sminv_b, sminv_h, sminv_s)
    rows("UMINV", "1", "11010", uminv_b, uminv_h, uminv_s)
    rows("ADDV", "0", "11011", addv_b, addv_h, addv_s)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
