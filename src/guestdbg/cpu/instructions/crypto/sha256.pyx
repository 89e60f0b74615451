# cython: language_level=3
"""SHA-256 (C7.2): SHA256H, SHA256H2, SHA256SU0, SHA256SU1.

The hash is two vectors: a to d of FIPS 180-4, and e to h, each with the lowest word first. SHA256H has the
first in Vd and the second in Vn, SHA256H2 the other way round; each gives the new value of its Vd.
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Insn, NEXT, OK, UNDEF
from guestdbg.cpu.features cimport has_sha256
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers, vd, vm, vn, write_vd

cdef inline uint32_t ror(uint32_t x, uint32_t n) noexcept nogil:
    return x >> n | x << (32 - n)

cdef inline uint64_t words(uint32_t low, uint32_t high) noexcept nogil:
    return low | <uint64_t>high << 32

cdef inline void one_round(uint32_t* s, uint32_t w) noexcept nogil:
    """s: a to h."""
    cdef uint32_t t = (s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25))
                       + (((s[5] ^ s[6]) & s[4]) ^ s[6]) + w)
    cdef uint32_t u = ((ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22))
                       + ((s[0] & s[1]) | ((s[0] | s[1]) & s[2])))
    s[7] = s[6]
    s[6] = s[5]
    s[5] = s[4]
    s[4] = s[3] + t
    s[3] = s[2]
    s[2] = s[1]
    s[1] = s[0]
    s[0] = t + u

cdef inline void four_rounds(uint32_t* s, const uint64_t* x, const uint64_t* y, const uint64_t* w) noexcept nogil:
    """SHA256hash()."""
    s[0] = <uint32_t>x[0]
    s[1] = <uint32_t>(x[0] >> 32)
    s[2] = <uint32_t>x[1]
    s[3] = <uint32_t>(x[1] >> 32)
    s[4] = <uint32_t>y[0]
    s[5] = <uint32_t>(y[0] >> 32)
    s[6] = <uint32_t>y[1]
    s[7] = <uint32_t>(y[1] >> 32)
    one_round(s, <uint32_t>w[0])
    one_round(s, <uint32_t>(w[0] >> 32))
    one_round(s, <uint32_t>w[1])
    one_round(s, <uint32_t>(w[1] >> 32))

cdef void sha256h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint32_t s[8]
    if fp_is_trapped(c, i):
        return
    four_rounds(s, vd(c, i), vn(c, i), vm(c, i))
    write_vd(c, i, words(s[0], s[1]), words(s[2], s[3]))
    NEXT(c, i)

cdef void sha256h2(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint32_t s[8]
    if fp_is_trapped(c, i):
        return
    four_rounds(s, vn(c, i), vd(c, i), vm(c, i))
    write_vd(c, i, words(s[4], s[5]), words(s[6], s[7]))
    NEXT(c, i)

cdef inline uint32_t sigma0(uint64_t word) noexcept nogil:
    cdef uint32_t x = <uint32_t>word
    return ror(x, 7) ^ ror(x, 18) ^ x >> 3

cdef inline uint32_t sigma1(uint64_t word) noexcept nogil:
    cdef uint32_t x = <uint32_t>word
    return ror(x, 17) ^ ror(x, 19) ^ x >> 10

cdef inline uint64_t sum_of(uint64_t a, uint64_t b) noexcept nogil:
    """Two words each."""
    return words(<uint32_t>a + <uint32_t>b, <uint32_t>(a >> 32) + <uint32_t>(b >> 32))

cdef void sha256su0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low, high
    if fp_is_trapped(c, i):
        return
    low = words(sigma0(vd(c, i)[0] >> 32), sigma0(vd(c, i)[1]))
    high = words(sigma0(vd(c, i)[1] >> 32), sigma0(vn(c, i)[0]))
    write_vd(c, i, sum_of(vd(c, i)[0], low), sum_of(vd(c, i)[1], high))
    NEXT(c, i)

cdef void sha256su1(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low, high
    if fp_is_trapped(c, i):
        return
    low = sum_of(vd(c, i)[0], vn(c, i)[0] >> 32 | vn(c, i)[1] << 32)
    high = sum_of(vd(c, i)[1], vn(c, i)[1] >> 32 | vm(c, i)[0] << 32)
    low = sum_of(low, words(sigma1(vm(c, i)[1]), sigma1(vm(c, i)[1] >> 32)))
    high = sum_of(high, words(sigma1(low), sigma1(low >> 32)))
    write_vd(c, i, low, high)
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_sha256(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_sha256(c):
        return UNDEF
    set_registers(o, raw)
    return OK

cdef int register() except -1:
    add(b"SHA256H", b"01011110000 mmmmm 010000 nnnnn ddddd", fill_sha256, sha256h)
    add(b"SHA256H2", b"01011110000 mmmmm 010100 nnnnn ddddd", fill_sha256, sha256h2)
    add(b"SHA256SU1", b"01011110000 mmmmm 011000 nnnnn ddddd", fill_sha256, sha256su1)
    add(b"SHA256SU0", b"0101111000101000001010 nnnnn ddddd", fill_sha256, sha256su0)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
