# cython: language_level=3
"""Instructions without the host's arithmetic: after the check for traps, complete, and end with NEXT."""

from guestdbg.cpu.core cimport Cpu, Insn

cdef void slow_add(Cpu* c, const Insn* i, int fmt) noexcept nogil
cdef void slow_sub(Cpu* c, const Insn* i, int fmt) noexcept nogil
cdef void slow_mul(Cpu* c, const Insn* i, int fmt) noexcept nogil
cdef void slow_nmul(Cpu* c, const Insn* i, int fmt) noexcept nogil
cdef void slow_div(Cpu* c, const Insn* i, int fmt) noexcept nogil
cdef void slow_max(Cpu* c, const Insn* i, int fmt) noexcept nogil
cdef void slow_min(Cpu* c, const Insn* i, int fmt) noexcept nogil
cdef void slow_maxnm(Cpu* c, const Insn* i, int fmt) noexcept nogil
cdef void slow_minnm(Cpu* c, const Insn* i, int fmt) noexcept nogil
cdef void slow_sqrt(Cpu* c, const Insn* i, int fmt) noexcept nogil

cdef void slow_muladd(Cpu* c, const Insn* i, int fmt, bint negate_a, bint negate_n) noexcept nogil
"""The addend, and the first factor, are negated."""

cdef void slow_compare(Cpu* c, const Insn* i, int fmt, bint with_zero, bint signal_all) noexcept nogil

cdef void slow_convert(Cpu* c, const Insn* i, int source, int target) noexcept nogil

cdef void slow_round(Cpu* c, const Insn* i, int fmt, int rounding, bint exact) noexcept nogil

cdef void slow_to_integer(Cpu* c, const Insn* i) noexcept nogil
"""imm: the bits of the element. aux: bits 7..0 fbits, bit 8 unsigned, bits 14..12 the rounding, bits 17..16
the format, bit 20 is set for 64 bits."""

cdef void slow_from_integer(Cpu* c, const Insn* i) noexcept nogil
"""aux as for slow_to_integer; the rounding is FPCR's."""
