# cython: language_level=3
"""The operands of a decoded instruction. A function that executes an instruction reads them only here.

Decoders write the fields of Insn; nothing else reads them directly (tests/cpu/test_operand_accessors.py
checks the sources). So one file decides where operands come from: here from the decoded instruction, in
code that is specialised for one instruction they can be constants.

Only inline functions: there is no module of this name at run time.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, Insn

# ---- fields -----------------------------------------------------------------------------------
# Register numbers are indexes into Cpu.x (see core.pxd), or into Cpu.v by twos.

cdef inline uint8_t rd(const Insn* i) noexcept nogil:
    return i.rd

cdef inline uint8_t rn(const Insn* i) noexcept nogil:
    return i.rn

cdef inline uint8_t rm(const Insn* i) noexcept nogil:
    return i.rm

cdef inline uint8_t ra(const Insn* i) noexcept nogil:
    return i.ra

cdef inline uint64_t imm(const Insn* i) noexcept nogil:
    return i.imm

cdef inline uint32_t aux(const Insn* i) noexcept nogil:
    return i.aux

cdef inline uint32_t encoding(const Insn* i) noexcept nogil:
    return i.raw

# ---- values of general-purpose registers ------------------------------------------------------

cdef inline uint64_t xd(const Cpu* c, const Insn* i) noexcept nogil:
    return c.x[rd(i)]

cdef inline uint64_t xn(const Cpu* c, const Insn* i) noexcept nogil:
    return c.x[rn(i)]

cdef inline uint64_t xm(const Cpu* c, const Insn* i) noexcept nogil:
    return c.x[rm(i)]

cdef inline uint64_t xa(const Cpu* c, const Insn* i) noexcept nogil:
    return c.x[ra(i)]

# ---- what changes while the instruction is in use ---------------------------------------------
# imm of a load of one register is a prediction, imm of a link its target: both change at run time, so
# no code may take them for constants.

cdef inline uint64_t predicted_add(const Insn* i) noexcept nogil:
    """What the TLB entry is expected to add to the guest's address (mem_common.pxd)."""
    return i.imm

cdef inline uint16_t mispredicts(const Insn* i) noexcept nogil:
    return i.mispredicts

cdef inline void set_prediction(const Insn* i, uint64_t add, uint16_t mispredicts) noexcept nogil:
    (<Insn*>i).mispredicts = mispredicts
    (<Insn*>i).imm = add

cdef inline const Insn* link_target(const Insn* link) noexcept nogil:
    """The first instruction of the next block, or the link itself while that is not known (Block)."""
    return <const Insn*>link.imm

cdef inline void set_link_target(const Insn* link, const Insn* target) noexcept nogil:
    (<Insn*>link).imm = <uint64_t>target
