# cython: language_level=3
"""The operands of a decoded instruction. A function that executes an instruction reads them only here.

Decoders write the fields of Insn; nothing else reads them directly (tests/cpu/test_operand_accessors.py
checks the sources). So one file, operands.h, decides where operands come from: here from the decoded
instruction; in stencils, code that is specialised for one instruction, they are constants.

Only inline functions and macros: there is no module of this name at run time.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, Insn

cdef extern from "operands.h" nogil:
    # ---- fields -------------------------------------------------------------------------------
    # Register numbers are indexes into Cpu.x (see core.pxd), or into Cpu.v by twos.
    uint8_t rd "GUESTDBG_RD"(const Insn* i)
    uint8_t rn "GUESTDBG_RN"(const Insn* i)
    uint8_t rm "GUESTDBG_RM"(const Insn* i)
    uint8_t ra "GUESTDBG_RA"(const Insn* i)
    uint64_t imm "GUESTDBG_IMM"(const Insn* i)
    uint32_t aux "GUESTDBG_AUX"(const Insn* i)
    uint32_t encoding "GUESTDBG_RAW"(const Insn* i)

    # ---- values of general-purpose registers --------------------------------------------------
    uint64_t xd "GUESTDBG_XD"(const Cpu* c, const Insn* i)
    uint64_t xn "GUESTDBG_XN"(const Cpu* c, const Insn* i)
    uint64_t xm "GUESTDBG_XM"(const Cpu* c, const Insn* i)
    uint64_t xa "GUESTDBG_XA"(const Cpu* c, const Insn* i)
    void set_xd "GUESTDBG_SET_XD"(Cpu* c, const Insn* i, uint64_t value)
    void set_xn "GUESTDBG_SET_XN"(Cpu* c, const Insn* i, uint64_t value)
    void set_xm "GUESTDBG_SET_XM"(Cpu* c, const Insn* i, uint64_t value)

    # ---- SIMD and FP registers: the two halves, the low one first -----------------------------
    uint64_t* vd "GUESTDBG_VD"(const Cpu* c, const Insn* i)
    uint64_t* vn "GUESTDBG_VN"(const Cpu* c, const Insn* i)
    uint64_t* vm "GUESTDBG_VM"(const Cpu* c, const Insn* i)
    uint64_t* va "GUESTDBG_VA"(const Cpu* c, const Insn* i)

    # ---- sums and shifts ----------------------------------------------------------------------
    # imm is a number of 32 bits with a sign here.
    uint64_t plus_imm "GUESTDBG_PLUS_IMM"(uint64_t base, const Insn* i)
    uint64_t plus_aux "GUESTDBG_PLUS_AUX"(uint64_t base, const Insn* i)
    # aux is two numbers of 16 bits with signs.
    uint64_t plus_aux_low "GUESTDBG_PLUS_LOW"(uint64_t base, const Insn* i)
    uint64_t plus_aux_high "GUESTDBG_PLUS_HIGH"(uint64_t base, const Insn* i)
    # By aux, which is less than the bits of the value.
    uint64_t shl64 "GUESTDBG_SHL64"(uint64_t value, const Insn* i)
    uint64_t shr64 "GUESTDBG_SHR64"(uint64_t value, const Insn* i)
    uint64_t sar64 "GUESTDBG_SAR64"(uint64_t value, const Insn* i)
    uint32_t shl32 "GUESTDBG_SHL32"(uint64_t value, const Insn* i)
    uint32_t shr32 "GUESTDBG_SHR32"(uint64_t value, const Insn* i)
    uint32_t sar32 "GUESTDBG_SAR32"(uint64_t value, const Insn* i)

    # ---- the links of a block -----------------------------------------------------------------
    # In a stencil, the last statement of a branch (branch_common.pxd).
    bint spend "GUESTDBG_SPEND"(Cpu* c, const Insn* i)
    # Takes aux from the budget; whether there was less.
    const bint IS_STENCIL "GUESTDBG_IS_STENCIL"
    void go_taken "GUESTDBG_TAKEN"(Cpu* c)
    void go_not_taken "GUESTDBG_NOT_TAKEN"(Cpu* c)

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
