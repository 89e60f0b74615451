# cython: language_level=3
"""Advanced SIMD table lookup (C4.1.96): TBL, TBX, with tables of one to four registers.

The table is looked up in Cpu.v itself, where V0 follows V31. aux is the table's offset there, in bytes, and
ra its size. Other operands are as everywhere (simd_common.pxd). There are two functions for each
instruction: one for hosts that can look up sixteen bytes at once.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Insn, NEXT, OK
from guestdbg.cpu.instructions.simd.host_simd cimport host_has_lookup, host_tbl, host_tbx
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_vector, vd, vm, write_vd
from guestdbg.cpu.operands cimport aux, imm, ra, rd, rm, rn

cdef enum:
    ALL_REGISTERS = 512    # bytes

cdef inline uint64_t looked_up(const Cpu* c, uint32_t table, uint64_t indices) noexcept nogil:
    """Eight bytes, each as if its index were within the table."""
    cdef const uint8_t* v = <const uint8_t*>c.v
    cdef uint64_t result = 0
    cdef uint32_t n
    for n in range(8):
        result |= <uint64_t>v[(table + <uint8_t>(indices >> 8 * n)) & (ALL_REGISTERS - 1)] << 8 * n
    return result

cdef inline void within(const Insn* i, const uint64_t* indices, uint64_t* mask) noexcept nogil:
    """The bytes whose index is within the table: all ones."""
    cdef uint8_t size = ra(i)
    cdef int n
    for n in range(16):
        (<uint8_t*>mask)[n] = <uint8_t>(0 - <int>((<const uint8_t*>indices)[n] < size))

cdef void tbl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t mask[2]
    cdef uint64_t low, high
    if fp_is_trapped(c, i):
        return
    within(i, vm(c, i), mask)
    low = looked_up(c, aux(i), vm(c, i)[0])
    high = looked_up(c, aux(i), vm(c, i)[1])
    write_vd(c, i, low & mask[0], high & mask[1] & imm(i))
    NEXT(c, i)

cdef void tbx(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t mask[2]
    cdef uint64_t low, high
    if fp_is_trapped(c, i):
        return
    within(i, vm(c, i), mask)
    low = (looked_up(c, aux(i), vm(c, i)[0]) & mask[0]) | (vd(c, i)[0] & ~mask[0])
    high = (looked_up(c, aux(i), vm(c, i)[1]) & mask[1]) | (vd(c, i)[1] & ~mask[1])
    write_vd(c, i, low, high & imm(i))
    NEXT(c, i)

cdef void tbl_at_once(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    host_tbl(c.v, rd(i), rn(i), rm(i), ra(i) >> 4, imm(i))
    NEXT(c, i)

cdef void tbx_at_once(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    host_tbx(c.v, rd(i), rn(i), rm(i), ra(i) >> 4, imm(i))
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef bint at_once = False

def use_host(bint yes) -> None:
    """Instructions that are decoded from now on use what the host has, or do not."""
    global at_once
    at_once = yes and host_has_lookup()

cdef int fill_table(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_vector(o, raw)
    o.aux = 16 * o.rn
    o.ra = <uint8_t>(16 * (bits(raw, 14, 13) + 1))
    if at_once:
        o.f = tbx_at_once if raw & (1 << 12) else tbl_at_once
    return OK

cdef int register() except -1:
    add(b"TBL", b"0q 001110000 mmmmm 0ll000 nnnnn ddddd", fill_table, tbl)
    add(b"TBX", b"0q 001110000 mmmmm 0ll100 nnnnn ddddd", fill_table, tbx)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
    use_host(True)
