# cython: language_level=3
"""Logic on vectors (AdvSIMD three same, opcode 00011), where lanes have no size."""
from libc.stdint cimport uint64_t

from guestdbg.cpu.core cimport Cpu, Insn, NEXT, Op
from guestdbg.cpu.instructions.simd.int_lanes cimport lanes_of, write_lanes
from guestdbg.cpu.instructions.simd.int_rows cimport fill_vector, row
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.operands cimport rd, rm, rn

cdef enum:
    AND
    BIC
    ORR
    ORN
    EOR
    BSL
    BIT
    BIF

cdef inline uint64_t operation(int op, uint64_t d, uint64_t n, uint64_t m) noexcept nogil:
    if op == AND:
        return n & m
    elif op == BIC:
        return n & ~m
    elif op == ORR:
        return n | m
    elif op == ORN:
        return n | ~m
    elif op == EOR:
        return n ^ m
    elif op == BSL:
        return m ^ ((m ^ n) & d)
    elif op == BIT:
        return d ^ ((d ^ n) & m)
    else:
        return d ^ ((d ^ n) & ~m)

cdef inline void logic(Cpu* c, const Insn* i, int op) noexcept nogil:
    cdef uint64_t result[2]
    cdef const uint64_t* d = lanes_of(c, rd(i), <uint64_t>0)
    cdef const uint64_t* n = lanes_of(c, rn(i), <uint64_t>0)
    cdef const uint64_t* m = lanes_of(c, rm(i), <uint64_t>0)
    cdef int k
    if fp_is_trapped(c, i):
        return
    for k in range(2):
        result[k] = operation(op, d[k], n[k], m[k])
    write_lanes(c, i, result)
    NEXT(c, i)

cdef void and_(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: logic(c, i, AND)
cdef void bic(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: logic(c, i, BIC)
cdef void orr(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: logic(c, i, ORR)
cdef void orn(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: logic(c, i, ORN)
cdef void eor(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: logic(c, i, EOR)
cdef void bsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: logic(c, i, BSL)
cdef void bit(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: logic(c, i, BIT)
cdef void bif(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: logic(c, i, BIF)

# ---- decode -----------------------------------------------------------------------------------

cdef int logic_row(str name, str u, str size, Op op) except -1:
    return row(f"{name}_vector", f"0 q {u} 01110 {size} 1 mmmmm 00011 1 nnnnn ddddd", fill_vector, op)

cdef int register() except -1:
    logic_row("AND", "0", "00", and_)
    logic_row("BIC", "0", "01", bic)
    logic_row("ORR", "0", "10", orr)
    logic_row("ORN", "0", "11", orn)
    logic_row("EOR", "1", "00", eor)
    logic_row("BSL", "1", "01", bsl)
    logic_row("BIT", "1", "10", bit)
    logic_row("BIF", "1", "11", bif)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
