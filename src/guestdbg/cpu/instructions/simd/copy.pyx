# cython: language_level=3
"""Advanced SIMD copy (C4.1.96): DUP, INS, SMOV, UMOV.

imm5 gives the element's size, by its lowest bit that is set, and above that bit the element's index.
Elements are addressed in host memory: aux is the offset of the element that is read, imm of INS the
offset of the one that is written, both from the beginning of Cpu.v.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, dst, Insn, NEXT, OK
from guestdbg.cpu.instructions.simd.lanes cimport BYTE, DOUBLEWORD, every, HALFWORD, WORD
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_vector, write_vd
from guestdbg.cpu.operand_forwarding cimport forwards, FORWARDS_RESULT, write_xd
from guestdbg.cpu.operands cimport aux, imm, xn

cdef inline const uint8_t* source(const Cpu* c, const Insn* i) noexcept nogil:
    return <const uint8_t*>c.v + aux(i)

cdef inline uint64_t element8(const Cpu* c, const Insn* i) noexcept nogil: return source(c, i)[0]
cdef inline uint64_t element16(const Cpu* c, const Insn* i) noexcept nogil: return (<const uint16_t*>source(c, i))[0]
cdef inline uint64_t element32(const Cpu* c, const Insn* i) noexcept nogil: return (<const uint32_t*>source(c, i))[0]
cdef inline uint64_t element64(const Cpu* c, const Insn* i) noexcept nogil: return (<const uint64_t*>source(c, i))[0]

# ---- DUP --------------------------------------------------------------------------------------

cdef inline void dup(Cpu* c, const Insn* i, uint64_t word) noexcept nogil:
    write_vd(c, i, word, word & imm(i))
    NEXT(c, i)

cdef void dup_element8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    dup(c, i, every(BYTE, element8(c, i)))

cdef void dup_element16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    dup(c, i, every(HALFWORD, element16(c, i)))

cdef void dup_element32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    dup(c, i, every(WORD, element32(c, i)))

cdef void dup_element64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    dup(c, i, element64(c, i))

cdef void dup_general8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    dup(c, i, every(BYTE, <uint8_t>xn(c, i)))

cdef void dup_general16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    dup(c, i, every(HALFWORD, <uint16_t>xn(c, i)))

cdef void dup_general32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    dup(c, i, every(WORD, <uint32_t>xn(c, i)))

cdef void dup_general64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    dup(c, i, xn(c, i))

cdef void dup_scalar8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_vd(c, i, element8(c, i), 0)
    NEXT(c, i)

cdef void dup_scalar16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_vd(c, i, element16(c, i), 0)
    NEXT(c, i)

cdef void dup_scalar32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_vd(c, i, element32(c, i), 0)
    NEXT(c, i)

cdef void dup_scalar64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_vd(c, i, element64(c, i), 0)
    NEXT(c, i)

# ---- INS --------------------------------------------------------------------------------------

cdef inline uint8_t* target(Cpu* c, const Insn* i) noexcept nogil:
    return <uint8_t*>c.v + imm(i)

cdef void ins_element8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    target(c, i)[0] = <uint8_t>element8(c, i)
    NEXT(c, i)

cdef void ins_element16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    (<uint16_t*>target(c, i))[0] = <uint16_t>element16(c, i)
    NEXT(c, i)

cdef void ins_element32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    (<uint32_t*>target(c, i))[0] = <uint32_t>element32(c, i)
    NEXT(c, i)

cdef void ins_element64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    (<uint64_t*>target(c, i))[0] = element64(c, i)
    NEXT(c, i)

cdef void ins_general8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    target(c, i)[0] = <uint8_t>xn(c, i)
    NEXT(c, i)

cdef void ins_general16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    (<uint16_t*>target(c, i))[0] = <uint16_t>xn(c, i)
    NEXT(c, i)

cdef void ins_general32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    (<uint32_t*>target(c, i))[0] = <uint32_t>xn(c, i)
    NEXT(c, i)

cdef void ins_general64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    (<uint64_t*>target(c, i))[0] = xn(c, i)
    NEXT(c, i)

# ---- SMOV, UMOV -------------------------------------------------------------------------------

cdef void umov8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, element8(c, i))

cdef void umov16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, element16(c, i))

cdef void umov32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, element32(c, i))

cdef void umov64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, element64(c, i))

cdef void smov8_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, <uint32_t><int8_t>element8(c, i))

cdef void smov16_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, <uint32_t><int16_t>element16(c, i))

cdef void smov8_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, <uint64_t><int64_t><int8_t>element8(c, i))

cdef void smov16_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, <uint64_t><int64_t><int16_t>element16(c, i))

cdef void smov32_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_xd(c, i, <uint64_t><int64_t><int32_t>element32(c, i))

# ---- decode -----------------------------------------------------------------------------------

cdef inline uint32_t offset(uint32_t imm5) noexcept nogil:
    """The bytes before the element in its register: the bit that gives the size, taken away."""
    return (imm5 & (imm5 - 1)) >> 1

cdef int fill_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_vector(o, raw)
    o.aux = 16 * o.rn + offset(bits(raw, 20, 16))
    return OK

cdef int fill_general(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_vector(o, raw)                        # X31 is XZR: x[31] reads as zero
    return OK

cdef int fill_insert(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t imm5 = bits(raw, 20, 16)
    set_vector(o, raw)
    o.imm = 16 * o.rd + offset(imm5)
    o.aux = 16 * o.rn + (bits(raw, 14, 11) & ~((imm5 & (~imm5 + 1)) - 1))    # imm4<3:size>
    return OK

cdef int fill_move(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    fill_element(c, o, raw, pc)
    o.rd = dst(raw)
    return OK

cdef int register() except -1:
    add(b"DUP_element_B", b"0q 001110000 iiii1 000001 nnnnn ddddd", fill_element, dup_element8)
    add(b"DUP_element_H", b"0q 001110000 iii10 000001 nnnnn ddddd", fill_element, dup_element16)
    add(b"DUP_element_S", b"0q 001110000 ii100 000001 nnnnn ddddd", fill_element, dup_element32)
    add(b"DUP_element_D", b"01 001110000 i1000 000001 nnnnn ddddd", fill_element, dup_element64)
    add(b"DUP_general_B", b"0q 001110000 iiii1 000011 nnnnn ddddd", fill_general, dup_general8)
    add(b"DUP_general_H", b"0q 001110000 iii10 000011 nnnnn ddddd", fill_general, dup_general16)
    add(b"DUP_general_S", b"0q 001110000 ii100 000011 nnnnn ddddd", fill_general, dup_general32)
    add(b"DUP_general_D", b"01 001110000 i1000 000011 nnnnn ddddd", fill_general, dup_general64)
    add(b"DUP_scalar_B", b"01 011110000 iiii1 000001 nnnnn ddddd", fill_element, dup_scalar8)
    add(b"DUP_scalar_H", b"01 011110000 iii10 000001 nnnnn ddddd", fill_element, dup_scalar16)
    add(b"DUP_scalar_S", b"01 011110000 ii100 000001 nnnnn ddddd", fill_element, dup_scalar32)
    add(b"DUP_scalar_D", b"01 011110000 i1000 000001 nnnnn ddddd", fill_element, dup_scalar64)
    add(b"INS_element_B", b"01 101110000 iiii1 0jjjj1 nnnnn ddddd", fill_insert, ins_element8)
    add(b"INS_element_H", b"01 101110000 iii10 0jjjj1 nnnnn ddddd", fill_insert, ins_element16)
    add(b"INS_element_S", b"01 101110000 ii100 0jjjj1 nnnnn ddddd", fill_insert, ins_element32)
    add(b"INS_element_D", b"01 101110000 i1000 0jjjj1 nnnnn ddddd", fill_insert, ins_element64)
    add(b"INS_general_B", b"01 001110000 iiii1 000111 nnnnn ddddd", fill_insert, ins_general8)
    add(b"INS_general_H", b"01 001110000 iii10 000111 nnnnn ddddd", fill_insert, ins_general16)
    add(b"INS_general_S", b"01 001110000 ii100 000111 nnnnn ddddd", fill_insert, ins_general32)
    add(b"INS_general_D", b"01 001110000 i1000 000111 nnnnn ddddd", fill_insert, ins_general64)
    add(b"UMOV_W_B", b"00 001110000 iiii1 001111 nnnnn ddddd", fill_move, umov8)
    add(b"UMOV_W_H", b"00 001110000 iii10 001111 nnnnn ddddd", fill_move, umov16)
    add(b"UMOV_W_S", b"00 001110000 ii100 001111 nnnnn ddddd", fill_move, umov32)
    add(b"UMOV_X_D", b"01 001110000 i1000 001111 nnnnn ddddd", fill_move, umov64)
    add(b"SMOV_W_B", b"00 001110000 iiii1 001011 nnnnn ddddd", fill_move, smov8_w)
    add(b"SMOV_W_H", b"00 001110000 iii10 001011 nnnnn ddddd", fill_move, smov16_w)
    add(b"SMOV_X_B", b"01 001110000 iiii1 001011 nnnnn ddddd", fill_move, smov8_x)
    add(b"SMOV_X_H", b"01 001110000 iii10 001011 nnnnn ddddd", fill_move, smov16_x)
    add(b"SMOV_X_S", b"01 001110000 ii100 001011 nnnnn ddddd", fill_move, smov32_x)
    return 0

cdef int register_forwards() except -1:
    """An element that goes to a general-purpose register is often used at once."""
    forwards(FORWARDS_RESULT, umov8)
    forwards(FORWARDS_RESULT, umov16)
    forwards(FORWARDS_RESULT, umov32)
    forwards(FORWARDS_RESULT, umov64)
    forwards(FORWARDS_RESULT, smov8_w)
    forwards(FORWARDS_RESULT, smov16_w)
    forwards(FORWARDS_RESULT, smov8_x)
    forwards(FORWARDS_RESULT, smov16_x)
    forwards(FORWARDS_RESULT, smov32_x)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
    register_forwards()
