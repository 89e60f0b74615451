# cython: language_level=3
from libc.stdint cimport uint64_t, uint32_t
from guestdbg.cpu.core cimport Cpu, Insn

cdef enum:
    EC_UNKNOWN = 0x00
    EC_WFX = 0x01
    EC_FP_ASIMD = 0x07
    EC_PAC = 0x09
    EC_BTI = 0x0D
    EC_ILL = 0x0E
    EC_SVC64 = 0x15
    EC_HVC64 = 0x16
    EC_SMC64 = 0x17
    EC_SYS64 = 0x18
    EC_IABT_LOW = 0x20
    EC_IABT_CUR = 0x21
    EC_PC_ALIGN = 0x22
    EC_DABT_LOW = 0x24
    EC_DABT_CUR = 0x25
    EC_SP_ALIGN = 0x26
    EC_SERROR = 0x2F
    EC_BREAKPT_LOW = 0x30
    EC_SOFTSTP_LOW = 0x32
    EC_WATCHPT_LOW = 0x34
    EC_BRK64 = 0x3C

# For all of these: i is the instruction that raises the exception and has not retired; after the
# call its function just returns.

cdef void raise_undefined(Cpu* c, const Insn* i) noexcept nogil
"""UNDEFINED, to EL1 (EC 0). HCR_EL2.TGE is not supported: KVM never sets it for a guest."""

cdef void raise_fp_trap(Cpu* c, const Insn* i) noexcept nogil
"""A SIMD or FP instruction with Cpu.fp_trapped: to EL1 by CPACR_EL1.FPEN, otherwise to EL2 by
CPTR_EL2.TFP. ISS: CV = 1, COND = 0b1110, as for every trapped A64 instruction."""

cdef void raise_el1(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss) noexcept nogil
"""Synchronous exception to EL1. ec: for abort and debug classes, the one for a lower EL; 1 is added when
it is taken from EL1. IL = 1."""

cdef void raise_el1_far(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss, uint64_t far) noexcept nogil

cdef void raise_el2(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss) noexcept nogil
"""Exception to EL2: ESR_EL2 is set (IL = 1), run() returns EXIT_EL2 with PC at i.
PSTATE stays the guest's (what SPSR_EL2 would hold)."""

cdef void raise_el2_far(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss, uint64_t far) noexcept nogil

cdef void after_el1(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss) noexcept nogil
"""As raise_el1, but the preferred return address is the next instruction (SVC): i has retired."""
cdef void after_el2(Cpu* c, const Insn* i, uint32_t ec, uint32_t iss) noexcept nogil
"""HVC (and SMC trapped is raise_el2: its return address is the SMC itself)."""

cdef void take_el1(Cpu* c, uint64_t ret, uint32_t esr, uint32_t vector, bint has_far, uint64_t far) noexcept nogil
"""Between blocks: take an exception to EL1. vector: 0 sync, 0x80 IRQ, 0x100 FIQ, 0x180 SError."""

cdef void take_el2(Cpu* c, uint32_t ec, uint32_t iss) noexcept nogil
"""Between blocks: an exception to EL2; run() will return."""

cdef void do_eret(Cpu* c, const Insn* i, uint64_t to) noexcept nogil
"""ERET at EL1, to this address: i ends its block here."""

cdef uint64_t get_spsr(Cpu* c) noexcept nogil
"""PSTATE in the layout of SPSR_ELx."""
cdef bint set_pstate(Cpu* c, uint64_t spsr) noexcept nogil
"""PSTATE from an SPSR value; False: illegal (AArch32, EL2, EL3, ...): nothing changed."""
cdef void set_el(Cpu* c, uint32_t el, uint32_t spsel) noexcept nogil
"""Change EL/SPSel: banks SP, changes regime."""
