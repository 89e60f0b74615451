# cython: language_level=3
from guestdbg.cpu.core cimport Cpu, Insn

cdef void dc_zva(Cpu* c, const Insn* i) noexcept nogil
"""DC ZVA, x[rd] (Rt of the encoding: 31 is XZR): a complete instruction, except for its traps
(DCZID_EL0.DZP, SCTLR_EL1.DZE, HCR_EL2.TDZ), which come before it. Ends with NEXT."""
