# cython: language_level=3
from guestdbg.cpu.core cimport Cpu, Insn

cdef bint muladd_s(Cpu* c, const Insn* i, bint subtract, bint indexed) noexcept nogil
cdef bint muladd_d(Cpu* c, const Insn* i, bint subtract, bint indexed) noexcept nogil
"""Vd + Vn * Vm of 128 bits, or False, as the functions of fp_lanes. indexed: Vm's element."""
