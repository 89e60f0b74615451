# cython: language_level=3
"""Flag manipulation (FEAT_FlagM): CFINV, RMIF, SETF8, SETF16."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, get_nzcv, Insn, NEXT, OK, set_nzcv, src, UNDEF
from guestdbg.cpu.features cimport has_flagm
from guestdbg.cpu.operands cimport aux, imm, xn

cdef void cfinv(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    c.cf ^= 1
    NEXT(c, i)

cdef void rmif(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    # imm: by how much the register is rotated right; aux: the flags that are written.
    cdef uint64_t value = xn(c, i)
    cdef uint32_t flags = <uint32_t>(value >> imm(i) | value << (64 - imm(i) & 63)) << 28
    set_nzcv(c, (get_nzcv(c) & ~aux(i)) | (flags & aux(i)))
    NEXT(c, i)

# SETF8, SETF16: N and Z of the low part, V where the bit above it differs from its sign; C stays.

cdef void setf8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t value = xn(c, i)
    c.nf = value << 56
    c.zf = value & 0xFF
    c.vf = (value ^ value >> 1) << 56
    NEXT(c, i)

cdef void setf16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t value = xn(c, i)
    c.nf = value << 48
    c.zf = value & 0xFFFF
    c.vf = (value ^ value >> 1) << 48
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_cfinv(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return OK if has_flagm(c) else UNDEF

cdef int fill_rmif(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_flagm(c):
        return UNDEF
    o.rn = src(raw >> 5)
    o.imm = bits(raw, 20, 15)
    o.aux = bits(raw, 3, 0) << 28
    return OK

cdef int fill_setf(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_flagm(c):
        return UNDEF
    o.rn = src(raw >> 5)
    return OK

def install() -> None:
    """Put this module's instructions into the decode table."""
    add("CFINV", "1101 0101 0000 0000 0100 0000 000 11111", fill_cfinv, cfinv)
    add("RMIF", "1011 1010 000 iiiiii 00001 nnnnn 0 mmmm", fill_rmif, rmif)
    add("SETF8", "0011 1010 0000 0000 0000 10 nnnnn 01101", fill_setf, setf8)
    add("SETF16", "0011 1010 0000 0000 0100 10 nnnnn 01101", fill_setf, setf16)
