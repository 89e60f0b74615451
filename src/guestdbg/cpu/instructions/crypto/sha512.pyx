# cython: language_level=3
"""SHA-512 (C7.2): SHA512H, SHA512H2, SHA512SU0, SHA512SU1.

One instruction is half of two rounds. SHA512H has f:g in Vn (the manual's X), d:e in Vm (Y), and in Vd the
sums of what else is added; SHA512H2 has c in Vn's lower half, and b:a in Vm.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Insn, NEXT, OK, UNDEF
from guestdbg.cpu.features cimport has_sha512
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers, vd, vm, vn, write_vd

cdef inline uint64_t ror(uint64_t x, uint32_t n) noexcept nogil:
    return x >> n | x << (64 - n)

cdef inline uint64_t big_sigma1(uint64_t x) noexcept nogil:
    return ror(x, 14) ^ ror(x, 18) ^ ror(x, 41)

cdef inline uint64_t big_sigma0(uint64_t x) noexcept nogil:
    return ror(x, 28) ^ ror(x, 34) ^ ror(x, 39)

cdef inline uint64_t sigma0(uint64_t x) noexcept nogil:
    return ror(x, 1) ^ ror(x, 8) ^ x >> 7

cdef inline uint64_t sigma1(uint64_t x) noexcept nogil:
    return ror(x, 19) ^ ror(x, 61) ^ x >> 6

cdef inline uint64_t choose(uint64_t x, uint64_t y, uint64_t z) noexcept nogil:
    return ((y ^ z) & x) ^ z

cdef inline uint64_t majority(uint64_t x, uint64_t y, uint64_t z) noexcept nogil:
    return (x & y) | ((x | y) & z)

cdef void sha512h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t x, y, high, t
    if fp_is_trapped(c, i):
        return
    x = vn(c, i)[0]
    y = vm(c, i)[1]
    high = choose(y, x, vn(c, i)[1]) + big_sigma1(y) + vd(c, i)[1]
    t = high + vm(c, i)[0]
    write_vd(c, i, choose(t, y, x) + big_sigma1(t) + vd(c, i)[0], high)
    NEXT(c, i)

cdef void sha512h2(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t y0, y1, high
    if fp_is_trapped(c, i):
        return
    y0 = vm(c, i)[0]
    y1 = vm(c, i)[1]
    high = majority(vn(c, i)[0], y1, y0) + big_sigma0(y0) + vd(c, i)[1]
    write_vd(c, i, majority(high, y0, y1) + big_sigma0(high) + vd(c, i)[0], high)
    NEXT(c, i)

cdef void sha512su0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t high
    if fp_is_trapped(c, i):
        return
    high = vd(c, i)[1] + sigma0(vn(c, i)[0])
    write_vd(c, i, vd(c, i)[0] + sigma0(vd(c, i)[1]), high)
    NEXT(c, i)

cdef void sha512su1(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t high
    if fp_is_trapped(c, i):
        return
    high = vd(c, i)[1] + sigma1(vn(c, i)[1]) + vm(c, i)[1]
    write_vd(c, i, vd(c, i)[0] + sigma1(vn(c, i)[0]) + vm(c, i)[0], high)
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_sha512(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_sha512(c):
        return UNDEF
    set_registers(o, raw)
    return OK

cdef int register() except -1:
    add(b"SHA512H", b"11001110011 mmmmm 100000 nnnnn ddddd", fill_sha512, sha512h)
    add(b"SHA512H2", b"11001110011 mmmmm 100001 nnnnn ddddd", fill_sha512, sha512h2)
    add(b"SHA512SU1", b"11001110011 mmmmm 100010 nnnnn ddddd", fill_sha512, sha512su1)
    add(b"SHA512SU0", b"1100111011000000100000 nnnnn ddddd", fill_sha512, sha512su0)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
