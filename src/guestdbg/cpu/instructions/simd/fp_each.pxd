# cython: language_level=3
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Cpu, Insn

ctypedef uint64_t (*Unary)(Cpu*, int, uint64_t) noexcept nogil
ctypedef uint64_t (*Binary)(Cpu*, int, uint64_t, uint64_t) noexcept nogil
ctypedef uint64_t (*Ternary)(Cpu*, int, uint64_t, uint64_t, uint64_t) noexcept nogil

cdef void each_unary(Cpu* c, const Insn* i, Unary f) noexcept nogil
cdef void each_binary(Cpu* c, const Insn* i, Binary f) noexcept nogil
cdef void each_ternary(Cpu* c, const Insn* i, Ternary f) noexcept nogil
"""f(Vd[e], Vn[e], Vm[e])"""

cdef void each_binary_indexed(Cpu* c, const Insn* i, Binary f) noexcept nogil
"""f(Vn[e], Vm[index])"""

cdef void each_ternary_indexed(Cpu* c, const Insn* i, Ternary f) noexcept nogil

cdef void each_pair(Cpu* c, const Insn* i, Binary f) noexcept nogil
"""f of neighbours, first those of Vn, then those of Vm."""

cdef void pair_to_scalar(Cpu* c, const Insn* i, Binary f) noexcept nogil
"""f(Vn[0], Vn[1])"""

cdef void reduce_all(Cpu* c, const Insn* i, Binary f) noexcept nogil
"""Reduce(): f of the two halves' results."""

cdef void each_round(Cpu* c, const Insn* i) noexcept nogil
cdef void each_to_fixed(Cpu* c, const Insn* i) noexcept nogil
cdef void each_from_fixed(Cpu* c, const Insn* i) noexcept nogil

cdef void each_lengthened(Cpu* c, const Insn* i) noexcept nogil
"""FCVTL: aux has the shape of the source; its FLAG says that it is Vn's upper half."""

cdef void each_narrowed(Cpu* c, const Insn* i, bint odd) noexcept nogil
"""FCVTN, FCVTXN: aux has the shape of the result; its FLAG says that it goes to Vd's upper half."""

cdef void each_muladd_long(Cpu* c, const Insn* i, bint subtract, bint upper, bint indexed) noexcept nogil
"""FMLAL, FMLSL: aux has the shape of the result."""

cdef void each_complex_add(Cpu* c, const Insn* i) noexcept nogil
cdef void each_complex_muladd(Cpu* c, const Insn* i, bint indexed) noexcept nogil
