# cython: language_level=3
"""FMLAL, FMLSL, FMLAL2, FMLSL2 (FEAT_FHM): products of half precision, added in single precision.

The products are of as many elements as the result has: the first ones of Vn and Vm or, of FMLAL2 and
FMLSL2, the ones after those. FPCR.FZ16 does not matter, FZ does.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport bits, Cpu, Insn, NEXT, OK, Op, UNDEF
from guestdbg.cpu.features cimport has_fhm
from guestdbg.cpu.fp.formats cimport SINGLE
from guestdbg.cpu.instructions.simd.fp_each cimport each_muladd_long
from guestdbg.cpu.instructions.simd.fp_shape cimport INDEX, row, set_shape
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped

cdef inline void long_products(Cpu* c, const Insn* i, bint subtract, bint upper, bint indexed) noexcept nogil:
    if fp_is_trapped(c, i): return
    each_muladd_long(c, i, subtract, upper, indexed)
    NEXT(c, i)

cdef void fmlal(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_products(c, i, False, False, False)
cdef void fmlal2(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_products(c, i, False, True, False)
cdef void fmlsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_products(c, i, True, False, False)
cdef void fmlsl2(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: long_products(c, i, True, True, False)
cdef void fmlal_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    long_products(c, i, False, False, True)
cdef void fmlal2_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    long_products(c, i, False, True, True)
cdef void fmlsl_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    long_products(c, i, True, False, True)
cdef void fmlsl2_element(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    long_products(c, i, True, True, True)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_vectors(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return set_shape(o, raw, SINGLE) if has_fhm(c) else UNDEF

cdef int fill_element(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """Vm is one of V0 to V15, the index is H:L:M."""
    if not has_fhm(c):
        return UNDEF
    set_shape(o, raw, SINGLE)
    o.aux |= (bits(raw, 11, 11) << 2 | bits(raw, 21, 20)) << INDEX
    o.rm &= 15
    return OK

cdef int register() except -1:
    row("FMLAL_asimdsame_F", "0 q 0 01110 00 1 mmmmm 11101 1 nnnnn ddddd", fill_vectors, fmlal)
    row("FMLSL_asimdsame_F", "0 q 0 01110 10 1 mmmmm 11101 1 nnnnn ddddd", fill_vectors, fmlsl)
    row("FMLAL2_asimdsame_F", "0 q 1 01110 00 1 mmmmm 11001 1 nnnnn ddddd", fill_vectors, fmlal2)
    row("FMLSL2_asimdsame_F", "0 q 1 01110 10 1 mmmmm 11001 1 nnnnn ddddd", fill_vectors, fmlsl2)
    row("FMLAL_asimdelem_LH", "0 q 0 01111 10 lm mmmm 0000 h 0 nnnnn ddddd", fill_element, fmlal_element)
    row("FMLSL_asimdelem_LH", "0 q 0 01111 10 lm mmmm 0100 h 0 nnnnn ddddd", fill_element, fmlsl_element)
    row("FMLAL2_asimdelem_LH", "0 q 1 01111 10 lm mmmm 1000 h 0 nnnnn ddddd", fill_element, fmlal2_element)
    row("FMLSL2_asimdelem_LH", "0 q 1 01111 10 lm mmmm 1100 h 0 nnnnn ddddd", fill_element, fmlsl2_element)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
