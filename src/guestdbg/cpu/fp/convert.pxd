# cython: language_level=3
from libc.stdint cimport int32_t, uint64_t

from guestdbg.cpu.core cimport Cpu

cdef uint64_t fp_to_fp(Cpu* c, int source, int target, uint64_t a) noexcept nogil
"""FPConvert. With FPCR.AHP, HALF is the alternative half-precision format."""

cdef uint64_t fp_to_fp_odd(Cpu* c, int source, int target, uint64_t a) noexcept nogil
"""FCVTXN: rounded to odd."""

cdef uint64_t fp_to_fixed(Cpu* c, int fmt, uint64_t a, int width, int fbits, bint is_unsigned,
                          int rounding) noexcept nogil
"""FPToFixed: an integer of `width` bits (16, 32, 64), saturated, with `fbits` fraction bits."""

cdef uint64_t fixed_to_fp(Cpu* c, int fmt, uint64_t value, int width, int fbits, bint is_unsigned,
                          int rounding) noexcept nogil
"""FixedToFP. value: of `width` bits, what is above them is ignored."""

cdef uint64_t fp_round_to_integral(Cpu* c, int fmt, uint64_t a, int rounding, bint exact) noexcept nogil
"""FPRoundInt. exact: an inexact result sets FPSR.IXC (FRINTX)."""

cdef uint64_t fp_to_js(Cpu* c, uint64_t a, bint* exact) noexcept nogil
"""FPToFixedJS: 32 bits, modulo 2^32. exact: PSTATE.Z of FJCVTZS."""
