# cython: language_level=3
"""SHA-1 (C7.2): SHA1C, SHA1P, SHA1M, SHA1H, SHA1SU0, SHA1SU1.

The hash is in Vd (a to d of FIPS 180-4, the lowest word first) and Vn's lowest word (e).
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Insn, NEXT, OK, UNDEF
from guestdbg.cpu.features cimport has_sha1
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers, vd, vm, vn, write_vd

cdef inline uint32_t rol(uint32_t x, uint32_t n) noexcept nogil:
    return x << n | x >> (32 - n)

cdef enum:
    CHOOSE = 0
    PARITY = 1
    MAJORITY = 2

cdef inline uint32_t mixed(int function, uint32_t x, uint32_t y, uint32_t z) noexcept nogil:
    """SHAchoose(), SHAparity(), SHAmajority()."""
    if function == CHOOSE:
        return ((y ^ z) & x) ^ z
    if function == PARITY:
        return x ^ y ^ z
    return (x & y) | ((x | y) & z)

cdef inline void one_round(int function, uint32_t* s, uint32_t w) noexcept nogil:
    cdef uint32_t t = s[4] + rol(s[0], 5) + mixed(function, s[1], s[2], s[3]) + w
    s[4] = s[3]
    s[3] = s[2]
    s[2] = rol(s[1], 30)
    s[1] = s[0]
    s[0] = t

cdef inline void four_rounds(Cpu* c, const Insn* i, int function) noexcept nogil:
    cdef uint32_t s[5]
    s[0] = <uint32_t>vd(c, i)[0]
    s[1] = <uint32_t>(vd(c, i)[0] >> 32)
    s[2] = <uint32_t>vd(c, i)[1]
    s[3] = <uint32_t>(vd(c, i)[1] >> 32)
    s[4] = <uint32_t>vn(c, i)[0]
    one_round(function, s, <uint32_t>vm(c, i)[0])
    one_round(function, s, <uint32_t>(vm(c, i)[0] >> 32))
    one_round(function, s, <uint32_t>vm(c, i)[1])
    one_round(function, s, <uint32_t>(vm(c, i)[1] >> 32))
    write_vd(c, i, s[0] | <uint64_t>s[1] << 32, s[2] | <uint64_t>s[3] << 32)
    NEXT(c, i)

cdef void sha1c(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    four_rounds(c, i, CHOOSE)

cdef void sha1p(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    four_rounds(c, i, PARITY)

cdef void sha1m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    four_rounds(c, i, MAJORITY)

cdef void sha1h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if fp_is_trapped(c, i):
        return
    write_vd(c, i, rol(<uint32_t>vn(c, i)[0], 30), 0)
    NEXT(c, i)

cdef void sha1su0(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low
    if fp_is_trapped(c, i):
        return
    low = vd(c, i)[0] ^ vd(c, i)[1] ^ vm(c, i)[0]
    write_vd(c, i, low, vd(c, i)[1] ^ vn(c, i)[0] ^ vm(c, i)[1])
    NEXT(c, i)

cdef void sha1su1(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low, high
    cdef uint32_t first
    if fp_is_trapped(c, i):
        return
    low = vd(c, i)[0] ^ (vn(c, i)[0] >> 32 | vn(c, i)[1] << 32)
    high = vd(c, i)[1] ^ vn(c, i)[1] >> 32
    first = rol(<uint32_t>low, 1)
    write_vd(c, i, first | <uint64_t>rol(<uint32_t>(low >> 32), 1) << 32,
             rol(<uint32_t>high, 1) | <uint64_t>(rol(<uint32_t>(high >> 32), 1) ^ rol(first, 1)) << 32)
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_sha1(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_sha1(c):
        return UNDEF
    set_registers(o, raw)
    return OK

cdef int register() except -1:
    add(b"SHA1C", b"01011110000 mmmmm 000000 nnnnn ddddd", fill_sha1, sha1c)
    add(b"SHA1P", b"01011110000 mmmmm 000100 nnnnn ddddd", fill_sha1, sha1p)
    add(b"SHA1M", b"01011110000 mmmmm 001000 nnnnn ddddd", fill_sha1, sha1m)
    add(b"SHA1SU0", b"01011110000 mmmmm 001100 nnnnn ddddd", fill_sha1, sha1su0)
    add(b"SHA1H", b"0101111000101000000010 nnnnn ddddd", fill_sha1, sha1h)
    add(b"SHA1SU1", b"0101111000101000000110 nnnnn ddddd", fill_sha1, sha1su1)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
