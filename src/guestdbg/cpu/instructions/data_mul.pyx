# cython: language_level=3, cdivision=True
"""Data processing with one, two and three sources: bit reversal and counting, division, variable
shifts, CRC32, multiplication.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from guestdbg.cpu.core cimport add, bits, Cpu, dst, Insn, NEXT, OK, s128, src, u128, UNDEF, ZR
from guestdbg.cpu.features cimport has_crc32
from guestdbg.cpu.operand_forwarding cimport (
    forwards, FORWARDS_RESULT, fwd_xa, fwd_xm, fwd_xn, NONE, RA, RM, RN, specialize, specialize_all,
    write_xd,
)
from guestdbg.cpu.operands cimport xm, xn

cdef extern from *:
    uint32_t bswap32 "__builtin_bswap32"(uint32_t) nogil
    uint64_t bswap64 "__builtin_bswap64"(uint64_t) nogil
    int clz64 "__builtin_clzll"(unsigned long long) nogil  # not for 0

# ---- one source -------------------------------------------------------------------------------

cdef inline uint64_t rev16(uint64_t v) noexcept nogil:
    return ((v & <uint64_t>0x00FF00FF00FF00FF) << 8) | ((v >> 8) & <uint64_t>0x00FF00FF00FF00FF)

cdef inline uint64_t rbit(uint64_t v) noexcept nogil:
    v = ((v >> 1) & <uint64_t>0x5555555555555555) | ((v & <uint64_t>0x5555555555555555) << 1)
    v = ((v >> 2) & <uint64_t>0x3333333333333333) | ((v & <uint64_t>0x3333333333333333) << 2)
    v = ((v >> 4) & <uint64_t>0x0F0F0F0F0F0F0F0F) | ((v & <uint64_t>0x0F0F0F0F0F0F0F0F) << 4)
    return bswap64(v)

cdef void rbit64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, rbit(xn(c, i)))

cdef void rbit32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, rbit(xn(c, i)) >> 32)

cdef inline void rev16_64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, rev16(fwd_xn(c, i, last, forwarded)))
cdef void rev16_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rev16_64_(c, i, last, NONE)
cdef void rev16_64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rev16_64_(c, i, last, RN)

cdef inline void rev16_32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, rev16(<uint32_t>fwd_xn(c, i, last, forwarded)))
cdef void rev16_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rev16_32_(c, i, last, NONE)
cdef void rev16_32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rev16_32_(c, i, last, RN)

cdef inline void rev64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, bswap64(fwd_xn(c, i, last, forwarded)))
cdef void rev64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rev64_(c, i, last, NONE)
cdef void rev64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rev64_(c, i, last, RN)

cdef inline void rev32_64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t v = bswap64(fwd_xn(c, i, last, forwarded))
    write_xd(c, i, (v >> 32) | (v << 32))
cdef void rev32_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rev32_64_(c, i, last, NONE)
cdef void rev32_64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rev32_64_(c, i, last, RN)

cdef inline void rev32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, bswap32(<uint32_t>fwd_xn(c, i, last, forwarded)))
cdef void rev32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rev32_(c, i, last, NONE)
cdef void rev32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rev32_(c, i, last, RN)

# The builtin is undefined for 0: a set bit below the value ends the count.

cdef inline void clz_64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t v = fwd_xn(c, i, last, forwarded)
    write_xd(c, i, clz64(v | 1) + (v == 0))
cdef void clz_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: clz_64_(c, i, last, NONE)
cdef void clz_64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: clz_64_(c, i, last, RN)

cdef inline void clz_32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, clz64((fwd_xn(c, i, last, forwarded) << 32) | <uint64_t>0x80000000))
cdef void clz_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: clz_32_(c, i, last, NONE)
cdef void clz_32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: clz_32_(c, i, last, RN)

cdef void cls_64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """How many bits after the highest equal it: leading zeros of the value XOR itself shifted."""
    cdef uint64_t v = xn(c, i)
    write_xd(c, i, clz64(((v ^ (v << 1)) & ~<uint64_t>1) | 1))

cdef void cls_32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t v = xn(c, i) << 32
    write_xd(c, i, clz64(((v ^ (v << 1)) & <uint64_t>0xFFFFFFFE00000000) | <uint64_t>0x100000000))

cdef int fill_1src(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    return OK

# ---- two sources ------------------------------------------------------------------------------

cdef inline void udiv64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t d = fwd_xm(c, i, last, forwarded)
    write_xd(c, i, fwd_xn(c, i, last, forwarded) // d if d != 0 else 0)
cdef void udiv64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: udiv64_(c, i, last, NONE)
cdef void udiv64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: udiv64_(c, i, last, RN)
cdef void udiv64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: udiv64_(c, i, last, RM)

cdef inline void udiv32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t d = <uint32_t>fwd_xm(c, i, last, forwarded)
    write_xd(c, i, <uint32_t>fwd_xn(c, i, last, forwarded) // d if d != 0 else 0)
cdef void udiv32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: udiv32_(c, i, last, NONE)
cdef void udiv32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: udiv32_(c, i, last, RN)
cdef void udiv32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: udiv32_(c, i, last, RM)

# Dividing by -1 is negation: the host may trap where the quotient does not fit.

cdef inline void sdiv64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t n = fwd_xn(c, i, last, forwarded)
    cdef uint64_t d = fwd_xm(c, i, last, forwarded)
    if d + 1 > 1:
        n = <uint64_t>(<int64_t>n // <int64_t>d)
    else:
        n = <uint64_t>0 - n & d
    write_xd(c, i, n)
cdef void sdiv64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sdiv64_(c, i, last, NONE)
cdef void sdiv64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sdiv64_(c, i, last, RN)
cdef void sdiv64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sdiv64_(c, i, last, RM)

cdef inline void sdiv32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t n = <uint32_t>fwd_xn(c, i, last, forwarded)
    cdef uint32_t d = <uint32_t>fwd_xm(c, i, last, forwarded)
    if d + 1 > 1:
        n = <uint32_t>(<int32_t>n // <int32_t>d)
    else:
        n = <uint32_t>0 - n & d
    write_xd(c, i, n)
cdef void sdiv32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sdiv32_(c, i, last, NONE)
cdef void sdiv32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sdiv32_(c, i, last, RN)
cdef void sdiv32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sdiv32_(c, i, last, RM)

cdef inline void lslv64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) << (fwd_xm(c, i, last, forwarded) & 63))
cdef void lslv64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lslv64_(c, i, last, NONE)
cdef void lslv64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lslv64_(c, i, last, RN)
cdef void lslv64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lslv64_(c, i, last, RM)

cdef inline void lslv32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>fwd_xn(c, i, last, forwarded) << (fwd_xm(c, i, last, forwarded) & 31))
cdef void lslv32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lslv32_(c, i, last, NONE)
cdef void lslv32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lslv32_(c, i, last, RN)
cdef void lslv32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lslv32_(c, i, last, RM)

cdef inline void lsrv64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) >> (fwd_xm(c, i, last, forwarded) & 63))
cdef void lsrv64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsrv64_(c, i, last, NONE)
cdef void lsrv64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsrv64_(c, i, last, RN)
cdef void lsrv64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsrv64_(c, i, last, RM)

cdef inline void lsrv32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>fwd_xn(c, i, last, forwarded) >> (fwd_xm(c, i, last, forwarded) & 31))
cdef void lsrv32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsrv32_(c, i, last, NONE)
cdef void lsrv32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsrv32_(c, i, last, RN)
cdef void lsrv32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsrv32_(c, i, last, RM)

cdef inline void asrv64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint64_t>(<int64_t>fwd_xn(c, i, last, forwarded) >> (fwd_xm(c, i, last, forwarded) & 63)))
cdef void asrv64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: asrv64_(c, i, last, NONE)
cdef void asrv64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: asrv64_(c, i, last, RN)
cdef void asrv64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: asrv64_(c, i, last, RM)

cdef inline void asrv32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(<int32_t>fwd_xn(c, i, last, forwarded) >> (fwd_xm(c, i, last, forwarded) & 31)))
cdef void asrv32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: asrv32_(c, i, last, NONE)
cdef void asrv32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: asrv32_(c, i, last, RN)
cdef void asrv32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: asrv32_(c, i, last, RM)

cdef inline void rorv64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t v = fwd_xn(c, i, last, forwarded)
    cdef uint32_t n = <uint32_t>fwd_xm(c, i, last, forwarded)
    write_xd(c, i, (v >> (n & 63)) | (v << (-n & 63)))
cdef void rorv64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rorv64_(c, i, last, NONE)
cdef void rorv64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rorv64_(c, i, last, RN)
cdef void rorv64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rorv64_(c, i, last, RM)

cdef inline void rorv32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    cdef uint32_t v = <uint32_t>fwd_xn(c, i, last, forwarded)
    cdef uint32_t n = <uint32_t>fwd_xm(c, i, last, forwarded)
    write_xd(c, i, (v >> (n & 31)) | (v << (-n & 31)))
cdef void rorv32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rorv32_(c, i, last, NONE)
cdef void rorv32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rorv32_(c, i, last, RN)
cdef void rorv32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: rorv32_(c, i, last, RM)

cdef int fill_2src(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    o.rm = src(raw >> 16)
    return OK

# ---- CRC32: neither inverted before nor after, least significant bit first ---------------------

cdef uint32_t CRC[2][4][256]  # [polynomial][k]: the effect of a byte that k bytes follow

cdef void build_crc(int which, uint32_t polynomial) noexcept nogil:
    """polynomial: bit-reversed."""
    cdef uint32_t n
    cdef uint32_t v
    cdef int k
    for n in range(256):
        v = n
        for k in range(8):
            v = (v >> 1) ^ (polynomial & (<uint32_t>0 - (v & 1)))
        CRC[which][0][n] = v
    for n in range(256):
        for k in range(1, 4):
            v = CRC[which][k - 1][n]
            CRC[which][k][n] = (v >> 8) ^ CRC[which][0][v & 0xFF]

cdef inline uint32_t crc_b(int which, uint32_t acc, uint32_t v) noexcept nogil:
    return (acc >> 8) ^ CRC[which][0][(acc ^ v) & 0xFF]

cdef inline uint32_t crc_h(int which, uint32_t acc, uint32_t v) noexcept nogil:
    v ^= acc
    return (acc >> 16) ^ CRC[which][1][v & 0xFF] ^ CRC[which][0][(v >> 8) & 0xFF]

cdef inline uint32_t crc_w(int which, uint32_t acc, uint32_t v) noexcept nogil:
    v ^= acc
    return (CRC[which][3][v & 0xFF] ^ CRC[which][2][(v >> 8) & 0xFF]
            ^ CRC[which][1][(v >> 16) & 0xFF] ^ CRC[which][0][v >> 24])

cdef void crc32b(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, crc_b(0, <uint32_t>xn(c, i), <uint32_t>xm(c, i)))

cdef void crc32h(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, crc_h(0, <uint32_t>xn(c, i), <uint32_t>xm(c, i)))

cdef void crc32w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, crc_w(0, <uint32_t>xn(c, i), <uint32_t>xm(c, i)))

cdef void crc32x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t v = xm(c, i)
    write_xd(c, i, crc_w(0, crc_w(0, <uint32_t>xn(c, i), <uint32_t>v), <uint32_t>(v >> 32)))

cdef void crc32cb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, crc_b(1, <uint32_t>xn(c, i), <uint32_t>xm(c, i)))

cdef void crc32ch(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, crc_h(1, <uint32_t>xn(c, i), <uint32_t>xm(c, i)))

cdef void crc32cw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    write_xd(c, i, crc_w(1, <uint32_t>xn(c, i), <uint32_t>xm(c, i)))

cdef void crc32cx(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t v = xm(c, i)
    write_xd(c, i, crc_w(1, crc_w(1, <uint32_t>xn(c, i), <uint32_t>v), <uint32_t>(v >> 32)))

cdef int fill_crc(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_crc32(c):
        return UNDEF
    return fill_2src(c, o, raw, pc)

# ---- three sources ----------------------------------------------------------------------------

cdef inline void madd64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xa(c, i, last, forwarded) + fwd_xn(c, i, last, forwarded) * fwd_xm(c, i, last, forwarded))
cdef void madd64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: madd64_(c, i, last, NONE)
cdef void madd64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: madd64_(c, i, last, RN)
cdef void madd64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: madd64_(c, i, last, RM)
cdef void madd64_a(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: madd64_(c, i, last, RA)

cdef inline void madd32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xa(c, i, last, forwarded) + fwd_xn(c, i, last, forwarded) * fwd_xm(c, i, last, forwarded)))
cdef void madd32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: madd32_(c, i, last, NONE)
cdef void madd32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: madd32_(c, i, last, RN)
cdef void madd32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: madd32_(c, i, last, RM)
cdef void madd32_a(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: madd32_(c, i, last, RA)

cdef inline void mul64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xn(c, i, last, forwarded) * fwd_xm(c, i, last, forwarded))
cdef void mul64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: mul64_(c, i, last, NONE)
cdef void mul64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: mul64_(c, i, last, RN)
cdef void mul64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: mul64_(c, i, last, RM)

cdef inline void mul32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xn(c, i, last, forwarded) * fwd_xm(c, i, last, forwarded)))
cdef void mul32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: mul32_(c, i, last, NONE)
cdef void mul32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: mul32_(c, i, last, RN)
cdef void mul32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: mul32_(c, i, last, RM)

cdef inline void msub64_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xa(c, i, last, forwarded) - fwd_xn(c, i, last, forwarded) * fwd_xm(c, i, last, forwarded))
cdef void msub64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: msub64_(c, i, last, NONE)
cdef void msub64_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: msub64_(c, i, last, RN)
cdef void msub64_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: msub64_(c, i, last, RM)
cdef void msub64_a(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: msub64_(c, i, last, RA)

cdef inline void msub32_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint32_t>(fwd_xa(c, i, last, forwarded) - fwd_xn(c, i, last, forwarded) * fwd_xm(c, i, last, forwarded)))
cdef void msub32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: msub32_(c, i, last, NONE)
cdef void msub32_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: msub32_(c, i, last, RN)
cdef void msub32_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: msub32_(c, i, last, RM)
cdef void msub32_a(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: msub32_(c, i, last, RA)

cdef inline uint64_t smull(uint64_t a, uint64_t b) noexcept nogil:
    """The product of two 32-bit numbers always fits."""
    return <uint64_t>(<int64_t><int32_t>a * <int64_t><int32_t>b)

cdef inline uint64_t umull(uint64_t a, uint64_t b) noexcept nogil:
    return <uint64_t><uint32_t>a * <uint64_t><uint32_t>b

cdef inline void smaddl_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xa(c, i, last, forwarded) + smull(fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded)))
cdef void smaddl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smaddl_(c, i, last, NONE)
cdef void smaddl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smaddl_(c, i, last, RN)
cdef void smaddl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smaddl_(c, i, last, RM)
cdef void smaddl_a(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smaddl_(c, i, last, RA)

cdef inline void smsubl_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xa(c, i, last, forwarded) - smull(fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded)))
cdef void smsubl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smsubl_(c, i, last, NONE)
cdef void smsubl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smsubl_(c, i, last, RN)
cdef void smsubl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smsubl_(c, i, last, RM)
cdef void smsubl_a(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smsubl_(c, i, last, RA)

cdef inline void umaddl_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xa(c, i, last, forwarded) + umull(fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded)))
cdef void umaddl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umaddl_(c, i, last, NONE)
cdef void umaddl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umaddl_(c, i, last, RN)
cdef void umaddl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umaddl_(c, i, last, RM)
cdef void umaddl_a(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umaddl_(c, i, last, RA)

cdef inline void umsubl_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, fwd_xa(c, i, last, forwarded) - umull(fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded)))
cdef void umsubl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umsubl_(c, i, last, NONE)
cdef void umsubl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umsubl_(c, i, last, RN)
cdef void umsubl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umsubl_(c, i, last, RM)
cdef void umsubl_a(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umsubl_(c, i, last, RA)

cdef inline void smulh_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint64_t>((<s128><int64_t>fwd_xn(c, i, last, forwarded) * <s128><int64_t>fwd_xm(c, i, last, forwarded)) >> 64))
cdef void smulh(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smulh_(c, i, last, NONE)
cdef void smulh_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smulh_(c, i, last, RN)
cdef void smulh_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: smulh_(c, i, last, RM)

cdef inline void umulh_(Cpu* c, const Insn* i, uint64_t last, int forwarded) noexcept nogil:
    write_xd(c, i, <uint64_t>((<u128>fwd_xn(c, i, last, forwarded) * <u128>fwd_xm(c, i, last, forwarded)) >> 64))
cdef void umulh(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umulh_(c, i, last, NONE)
cdef void umulh_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umulh_(c, i, last, RN)
cdef void umulh_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: umulh_(c, i, last, RM)

cdef int fill_3src(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """SMULH and UMULH have ones where Ra is; other values there are CONSTRAINED UNPREDICTABLE,
    and ignored here."""
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    o.rm = src(raw >> 16)
    o.ra = src(raw >> 10)
    return OK

cdef int fill_madd(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    fill_3src(c, o, raw, pc)
    if o.ra == ZR:
        o.f = mul64 if raw >> 31 else mul32
    return OK

# ---- the table --------------------------------------------------------------------------------

# ---- what is forwarded on ------------------------------------------------------------------------

cdef int register_forwarding() except -1:
    forwards(FORWARDS_RESULT, rbit64)
    forwards(FORWARDS_RESULT, rbit32)
    specialize(FORWARDS_RESULT, rev16_64, rev16_64_n, NULL)
    specialize(FORWARDS_RESULT, rev16_32, rev16_32_n, NULL)
    specialize(FORWARDS_RESULT, rev64, rev64_n, NULL)
    specialize(FORWARDS_RESULT, rev32_64, rev32_64_n, NULL)
    specialize(FORWARDS_RESULT, rev32, rev32_n, NULL)
    specialize(FORWARDS_RESULT, clz_64, clz_64_n, NULL)
    specialize(FORWARDS_RESULT, clz_32, clz_32_n, NULL)
    forwards(FORWARDS_RESULT, cls_64)
    forwards(FORWARDS_RESULT, cls_32)
    specialize(FORWARDS_RESULT, udiv64, udiv64_n, udiv64_m)
    specialize(FORWARDS_RESULT, udiv32, udiv32_n, udiv32_m)
    specialize(FORWARDS_RESULT, sdiv64, sdiv64_n, sdiv64_m)
    specialize(FORWARDS_RESULT, sdiv32, sdiv32_n, sdiv32_m)
    specialize(FORWARDS_RESULT, lslv64, lslv64_n, lslv64_m)
    specialize(FORWARDS_RESULT, lslv32, lslv32_n, lslv32_m)
    specialize(FORWARDS_RESULT, lsrv64, lsrv64_n, lsrv64_m)
    specialize(FORWARDS_RESULT, lsrv32, lsrv32_n, lsrv32_m)
    specialize(FORWARDS_RESULT, asrv64, asrv64_n, asrv64_m)
    specialize(FORWARDS_RESULT, asrv32, asrv32_n, asrv32_m)
    specialize(FORWARDS_RESULT, rorv64, rorv64_n, rorv64_m)
    specialize(FORWARDS_RESULT, rorv32, rorv32_n, rorv32_m)
    forwards(FORWARDS_RESULT, crc32b)
    forwards(FORWARDS_RESULT, crc32h)
    forwards(FORWARDS_RESULT, crc32w)
    forwards(FORWARDS_RESULT, crc32x)
    forwards(FORWARDS_RESULT, crc32cb)
    forwards(FORWARDS_RESULT, crc32ch)
    forwards(FORWARDS_RESULT, crc32cw)
    forwards(FORWARDS_RESULT, crc32cx)
    specialize_all(FORWARDS_RESULT, madd64, madd64_n, madd64_m, madd64_a, NULL)
    specialize_all(FORWARDS_RESULT, madd32, madd32_n, madd32_m, madd32_a, NULL)
    specialize(FORWARDS_RESULT, mul64, mul64_n, mul64_m)
    specialize(FORWARDS_RESULT, mul32, mul32_n, mul32_m)
    specialize_all(FORWARDS_RESULT, msub64, msub64_n, msub64_m, msub64_a, NULL)
    specialize_all(FORWARDS_RESULT, msub32, msub32_n, msub32_m, msub32_a, NULL)
    specialize_all(FORWARDS_RESULT, smaddl, smaddl_n, smaddl_m, smaddl_a, NULL)
    specialize_all(FORWARDS_RESULT, smsubl, smsubl_n, smsubl_m, smsubl_a, NULL)
    specialize_all(FORWARDS_RESULT, umaddl, umaddl_n, umaddl_m, umaddl_a, NULL)
    specialize_all(FORWARDS_RESULT, umsubl, umsubl_n, umsubl_m, umsubl_a, NULL)
    specialize(FORWARDS_RESULT, smulh, smulh_n, smulh_m)
    specialize(FORWARDS_RESULT, umulh, umulh_n, umulh_m)
    return 0

cdef int register() except -1:
    register_forwarding()
    build_crc(0, 0xEDB88320)
    build_crc(1, 0x82F63B78)

    add(b"RBIT_32_dp_1src", b"0 1 0 11010110 00000 000000 nnnnn ddddd", fill_1src, rbit32)
    add(b"REV16_32_dp_1src", b"0 1 0 11010110 00000 000001 nnnnn ddddd", fill_1src, rev16_32)
    add(b"REV_32_dp_1src", b"0 1 0 11010110 00000 000010 nnnnn ddddd", fill_1src, rev32)
    add(b"CLZ_32_dp_1src", b"0 1 0 11010110 00000 000100 nnnnn ddddd", fill_1src, clz_32)
    add(b"CLS_32_dp_1src", b"0 1 0 11010110 00000 000101 nnnnn ddddd", fill_1src, cls_32)
    add(b"RBIT_64_dp_1src", b"1 1 0 11010110 00000 000000 nnnnn ddddd", fill_1src, rbit64)
    add(b"REV16_64_dp_1src", b"1 1 0 11010110 00000 000001 nnnnn ddddd", fill_1src, rev16_64)
    add(b"REV32_64_dp_1src", b"1 1 0 11010110 00000 000010 nnnnn ddddd", fill_1src, rev32_64)
    add(b"REV_64_dp_1src", b"1 1 0 11010110 00000 000011 nnnnn ddddd", fill_1src, rev64)
    add(b"CLZ_64_dp_1src", b"1 1 0 11010110 00000 000100 nnnnn ddddd", fill_1src, clz_64)
    add(b"CLS_64_dp_1src", b"1 1 0 11010110 00000 000101 nnnnn ddddd", fill_1src, cls_64)

    add(b"UDIV_32_dp_2src", b"0 0 0 11010110 mmmmm 000010 nnnnn ddddd", fill_2src, udiv32)
    add(b"SDIV_32_dp_2src", b"0 0 0 11010110 mmmmm 000011 nnnnn ddddd", fill_2src, sdiv32)
    add(b"LSLV_32_dp_2src", b"0 0 0 11010110 mmmmm 001000 nnnnn ddddd", fill_2src, lslv32)
    add(b"LSRV_32_dp_2src", b"0 0 0 11010110 mmmmm 001001 nnnnn ddddd", fill_2src, lsrv32)
    add(b"ASRV_32_dp_2src", b"0 0 0 11010110 mmmmm 001010 nnnnn ddddd", fill_2src, asrv32)
    add(b"RORV_32_dp_2src", b"0 0 0 11010110 mmmmm 001011 nnnnn ddddd", fill_2src, rorv32)
    add(b"UDIV_64_dp_2src", b"1 0 0 11010110 mmmmm 000010 nnnnn ddddd", fill_2src, udiv64)
    add(b"SDIV_64_dp_2src", b"1 0 0 11010110 mmmmm 000011 nnnnn ddddd", fill_2src, sdiv64)
    add(b"LSLV_64_dp_2src", b"1 0 0 11010110 mmmmm 001000 nnnnn ddddd", fill_2src, lslv64)
    add(b"LSRV_64_dp_2src", b"1 0 0 11010110 mmmmm 001001 nnnnn ddddd", fill_2src, lsrv64)
    add(b"ASRV_64_dp_2src", b"1 0 0 11010110 mmmmm 001010 nnnnn ddddd", fill_2src, asrv64)
    add(b"RORV_64_dp_2src", b"1 0 0 11010110 mmmmm 001011 nnnnn ddddd", fill_2src, rorv64)

    add(b"CRC32B_32C_dp_2src", b"0 0 0 11010110 mmmmm 010 0 00 nnnnn ddddd", fill_crc, crc32b)
    add(b"CRC32H_32C_dp_2src", b"0 0 0 11010110 mmmmm 010 0 01 nnnnn ddddd", fill_crc, crc32h)
    add(b"CRC32W_32C_dp_2src", b"0 0 0 11010110 mmmmm 010 0 10 nnnnn ddddd", fill_crc, crc32w)
    add(b"CRC32X_64C_dp_2src", b"1 0 0 11010110 mmmmm 010 0 11 nnnnn ddddd", fill_crc, crc32x)
    add(b"CRC32CB_32C_dp_2src", b"0 0 0 11010110 mmmmm 010 1 00 nnnnn ddddd", fill_crc, crc32cb)
    add(b"CRC32CH_32C_dp_2src", b"0 0 0 11010110 mmmmm 010 1 01 nnnnn ddddd", fill_crc, crc32ch)
    add(b"CRC32CW_32C_dp_2src", b"0 0 0 11010110 mmmmm 010 1 10 nnnnn ddddd", fill_crc, crc32cw)
    add(b"CRC32CX_64C_dp_2src", b"1 0 0 11010110 mmmmm 010 1 11 nnnnn ddddd", fill_crc, crc32cx)

    add(b"MADD_32A_dp_3src", b"0 00 11011 000 mmmmm 0 aaaaa nnnnn ddddd", fill_madd, madd32)
    add(b"MSUB_32A_dp_3src", b"0 00 11011 000 mmmmm 1 aaaaa nnnnn ddddd", fill_3src, msub32)
    add(b"MADD_64A_dp_3src", b"1 00 11011 000 mmmmm 0 aaaaa nnnnn ddddd", fill_madd, madd64)
    add(b"MSUB_64A_dp_3src", b"1 00 11011 000 mmmmm 1 aaaaa nnnnn ddddd", fill_3src, msub64)
    add(b"SMADDL_64WA_dp_3src", b"1 00 11011 001 mmmmm 0 aaaaa nnnnn ddddd", fill_3src, smaddl)
    add(b"SMSUBL_64WA_dp_3src", b"1 00 11011 001 mmmmm 1 aaaaa nnnnn ddddd", fill_3src, smsubl)
    add(b"SMULH_64_dp_3src", b"1 00 11011 010 mmmmm 0 aaaaa nnnnn ddddd", fill_3src, smulh)
    add(b"UMADDL_64WA_dp_3src", b"1 00 11011 101 mmmmm 0 aaaaa nnnnn ddddd", fill_3src, umaddl)
    add(b"UMSUBL_64WA_dp_3src", b"1 00 11011 101 mmmmm 1 aaaaa nnnnn ddddd", fill_3src, umsubl)
    add(b"UMULH_64_dp_3src", b"1 00 11011 110 mmmmm 0 aaaaa nnnnn ddddd", fill_3src, umulh)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
