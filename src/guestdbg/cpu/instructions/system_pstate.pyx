# cython: language_level=3
"""MSR (immediate) of the PSTATE fields of extensions: PAN, UAO, DIT, SSBS."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Fill, Insn, NEXT, OK, select_tlb, UNDEF, unlikely
from guestdbg.cpu.exception cimport raise_undefined
from guestdbg.cpu.features cimport has_dit, has_pan, has_ssbs2, has_uao
from guestdbg.cpu.operands cimport aux, imm
from guestdbg.cpu.register_bits cimport PSTATE_DIT, PSTATE_PAN, PSTATE_SSBS, PSTATE_UAO

# imm: the field's bit; aux: that bit, if it is to be set.

cdef void msr_el1(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """PAN, UAO: at EL1, and data accesses have other permissions afterwards."""
    if unlikely(c.el == 0):
        raise_undefined(c, i)
        return
    c.pstate = (c.pstate & ~<uint32_t>imm(i)) | aux(i)
    select_tlb(c)
    NEXT(c, i)

cdef void msr_el0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """DIT, SSBS: neither has an effect here. Time does not depend on data, and nothing speculates."""
    c.pstate = (c.pstate & ~<uint32_t>imm(i)) | aux(i)
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int field(Insn* o, uint32_t raw, uint32_t bit, bint implemented) noexcept nogil:
    o.imm = bit
    o.aux = bit if raw >> 8 & 1 else 0
    return OK if implemented else UNDEF

cdef int fill_pan(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return field(o, raw, PSTATE_PAN, has_pan(c))

cdef int fill_uao(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return field(o, raw, PSTATE_UAO, has_uao(c))

cdef int fill_dit(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return field(o, raw, PSTATE_DIT, has_dit(c))

cdef int fill_ssbs(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return field(o, raw, PSTATE_SSBS, has_ssbs2(c))

def install() -> None:
    """Put this module's instructions into the decode table."""
    add("MSR UAO", "1101 0101 0000 0000 0100 mmmm 011 11111", fill_uao, msr_el1)
    add("MSR PAN", "1101 0101 0000 0000 0100 mmmm 100 11111", fill_pan, msr_el1)
    add("MSR SSBS", "1101 0101 0000 0011 0100 mmmm 001 11111", fill_ssbs, msr_el0)
    add("MSR DIT", "1101 0101 0000 0011 0100 mmmm 010 11111", fill_dit, msr_el0)
