# cython: language_level=3
"""PMULL, PMULL2 (C7.2): the product of polynomials over {0, 1}, of 8 and of 64 bits.

aux is the half of Vn and Vm that is read, 0 or 1. The product of 64 bits has a second function, for hosts that
have such an instruction.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Insn, NEXT, OK, u128, UNDEF
from guestdbg.cpu.features cimport has_pmull
from guestdbg.cpu.instructions.simd.host_simd cimport host_has_product, host_pmull
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers, vm, vn, write_vd
from guestdbg.cpu.operands cimport aux, vd, vm, vn

cdef inline uint16_t bit_of_product(uint16_t n, uint16_t m, int bit) noexcept nogil:
    """n shifted to the bit, if m has it."""
    return <uint16_t>(<uint16_t>(n << bit) & <uint16_t>(0 - (m >> bit & 1)))

cdef inline void product8(uint64_t* result, const uint8_t* n, const uint8_t* m) noexcept nogil:
    cdef uint16_t a, b
    cdef int e
    for e in range(8):
        a, b = n[e], m[e]
        (<uint16_t*>result)[e] = (
            bit_of_product(a, b, 0) ^ bit_of_product(a, b, 1) ^ bit_of_product(a, b, 2)
            ^ bit_of_product(a, b, 3) ^ bit_of_product(a, b, 4) ^ bit_of_product(a, b, 5)
            ^ bit_of_product(a, b, 6) ^ bit_of_product(a, b, 7)
        )

cdef inline u128 product64(uint64_t n, uint64_t m) noexcept nogil:
    """Four bits of m at a time: the product of each value that they can have with n is in a table."""
    cdef u128 products[16]
    cdef u128 result = 0
    cdef int k
    products[0] = 0
    products[1] = n
    for k in range(1, 8):
        products[2 * k] = products[k] << 1
        products[2 * k + 1] = products[2 * k] ^ n
    for k in range(60, -4, -4):
        result = (result << 4) ^ products[m >> k & 15]
    return result

cdef void pmull8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t result[2]
    if fp_is_trapped(c, i):
        return
    product8(result, <const uint8_t*>(vn(c, i) + aux(i)), <const uint8_t*>(vm(c, i) + aux(i)))
    write_vd(c, i, result[0], result[1])
    NEXT(c, i)

cdef void pmull64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef u128 result
    if fp_is_trapped(c, i):
        return
    result = product64(vn(c, i)[aux(i)], vm(c, i)[aux(i)])
    write_vd(c, i, <uint64_t>result, <uint64_t>(result >> 64))
    NEXT(c, i)

cdef void pmull64_at_once(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    host_pmull(vd(c, i), vn(c, i)[aux(i)], vm(c, i)[aux(i)])
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef bint at_once = False

def use_host(bint yes) -> None:
    """Instructions that are decoded from now on use what the host has, or do not."""
    global at_once
    at_once = yes and host_has_product()

cdef int fill_pmull8(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    set_registers(o, raw)
    o.aux = bits(raw, 30, 30)
    return OK

cdef int fill_pmull64(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_pmull(c):
        return UNDEF
    if at_once:
        o.f = pmull64_at_once
    return fill_pmull8(c, o, raw, pc)

cdef int register() except -1:
    add(b"PMULL_8H", b"0q 001110001 mmmmm 111000 nnnnn ddddd", fill_pmull8, pmull8)
    add(b"PMULL_1Q", b"0q 001110111 mmmmm 111000 nnnnn ddddd", fill_pmull64, pmull64)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
    use_host(True)
