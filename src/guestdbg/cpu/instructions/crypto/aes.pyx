# cython: language_level=3
"""AES (C7.2): AESE, AESD, AESMC, AESIMC.

SubBytes() and ShiftRows() are one lookup for each byte, in a table of words that have the byte where it
belongs. The tables are made when the module is imported. MixColumns() multiplies all bytes at once.

The state's byte n is in column n / 4, row n % 4.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, Insn, NEXT, OK, Op, UNDEF
from guestdbg.cpu.features cimport has_aes
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, set_registers, vd, vn, write_vd

# [row][byte]: the byte that replaces it, in its row of a column.
cdef uint32_t sub_bytes[4][256]
cdef uint32_t inv_sub_bytes[4][256]

cdef inline uint64_t column(const uint32_t (*table)[256], uint32_t from0, uint32_t from1, uint32_t from2,
                            uint32_t from3) noexcept nogil:
    """The column whose rows come from these columns."""
    return (table[0][<uint8_t>from0] | table[1][<uint8_t>(from1 >> 8)]
            | table[2][<uint8_t>(from2 >> 16)] | table[3][from3 >> 24])

cdef void aese(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low, high
    cdef uint32_t s0, s1, s2, s3
    if fp_is_trapped(c, i):
        return
    low = vd(c, i)[0] ^ vn(c, i)[0]
    high = vd(c, i)[1] ^ vn(c, i)[1]
    s0, s1, s2, s3 = <uint32_t>low, <uint32_t>(low >> 32), <uint32_t>high, <uint32_t>(high >> 32)
    low = column(sub_bytes, s0, s1, s2, s3) | column(sub_bytes, s1, s2, s3, s0) << 32
    high = column(sub_bytes, s2, s3, s0, s1) | column(sub_bytes, s3, s0, s1, s2) << 32
    write_vd(c, i, low, high)
    NEXT(c, i)

cdef void aesd(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low, high
    cdef uint32_t s0, s1, s2, s3
    if fp_is_trapped(c, i):
        return
    low = vd(c, i)[0] ^ vn(c, i)[0]
    high = vd(c, i)[1] ^ vn(c, i)[1]
    s0, s1, s2, s3 = <uint32_t>low, <uint32_t>(low >> 32), <uint32_t>high, <uint32_t>(high >> 32)
    low = column(inv_sub_bytes, s0, s3, s2, s1) | column(inv_sub_bytes, s1, s0, s3, s2) << 32
    high = column(inv_sub_bytes, s2, s1, s0, s3) | column(inv_sub_bytes, s3, s2, s1, s0) << 32
    write_vd(c, i, low, high)
    NEXT(c, i)

# ---- two columns in a word --------------------------------------------------------------------

cdef inline uint64_t times2(uint64_t x) noexcept nogil:
    """Each byte multiplied by {02}, modulo x^8 + x^4 + x^3 + x + 1."""
    return ((x & <uint64_t>0x7F7F7F7F7F7F7F7F) << 1) ^ ((x >> 7 & <uint64_t>0x0101010101010101) * 0x1B)

cdef inline uint64_t next_row(uint64_t x) noexcept nogil:
    """In each row the byte of the row after it."""
    return (x >> 8 & <uint64_t>0x00FFFFFF00FFFFFF) | (x << 24 & <uint64_t>0xFF000000FF000000)

cdef inline uint64_t row_after_next(uint64_t x) noexcept nogil:
    return (x >> 16 & <uint64_t>0x0000FFFF0000FFFF) | (x << 16 & <uint64_t>0xFFFF0000FFFF0000)

cdef inline uint64_t mix_columns(uint64_t x) noexcept nogil:
    """{02} x + {03} (1 row on) + (2 rows on) + (3 rows on)"""
    cdef uint64_t following = next_row(x)
    cdef uint64_t pairs = x ^ following
    return times2(pairs) ^ following ^ row_after_next(pairs)

cdef inline uint64_t inv_mix_columns(uint64_t x) noexcept nogil:
    """The inverse is MixColumns() after a multiplication by {04} (x + (2 rows on)) + x."""
    return mix_columns(x ^ times2(times2(x ^ row_after_next(x))))

cdef void aesmc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low
    if fp_is_trapped(c, i):
        return
    low = mix_columns(vn(c, i)[0])
    write_vd(c, i, low, mix_columns(vn(c, i)[1]))
    NEXT(c, i)

cdef void aesimc(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low
    if fp_is_trapped(c, i):
        return
    low = inv_mix_columns(vn(c, i)[0])
    write_vd(c, i, low, inv_mix_columns(vn(c, i)[1]))
    NEXT(c, i)

# ---- tables -----------------------------------------------------------------------------------

cdef int make_tables() except -1:
    """FIPS 197, 5.1.1. The inverse of x in GF(2^8) is found by going through all powers of {03}, which
    generates the field, and of its inverse {F6} at the same time."""
    cdef uint32_t power = 1, inverse = 1
    cdef uint32_t bit
    set_substitution(0, 0x63)
    while True:
        power = (power << 1 ^ power ^ (0x11B if power & 0x80 else 0)) & 0xFF
        # Divided by {03}: multiplied by the sum of all powers of {02} up to 7, with what they reduce to.
        inverse ^= inverse << 1
        inverse ^= inverse << 2
        inverse = (inverse ^ inverse << 4) & 0xFF
        if inverse & 0x80:
            inverse ^= 0x09
        bit = inverse | inverse << 8
        set_substitution(power, (bit ^ bit >> 4 ^ bit >> 5 ^ bit >> 6 ^ bit >> 7 ^ 0x63) & 0xFF)
        if power == 1:
            return 0

cdef int set_substitution(uint32_t value, uint32_t substitute) except -1:
    cdef int row
    for row in range(4):
        sub_bytes[row][value] = substitute << 8 * row
        inv_sub_bytes[row][substitute] = value << 8 * row
    return 0

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_aes(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_aes(c):
        return UNDEF
    set_registers(o, raw)
    return OK

cdef int register() except -1:
    add(b"AESE", b"0100111000101000010010 nnnnn ddddd", fill_aes, aese)
    add(b"AESD", b"0100111000101000010110 nnnnn ddddd", fill_aes, aesd)
    add(b"AESMC", b"0100111000101000011010 nnnnn ddddd", fill_aes, aesmc)
    add(b"AESIMC", b"0100111000101000011110 nnnnn ddddd", fill_aes, aesimc)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    make_tables()
    register()
