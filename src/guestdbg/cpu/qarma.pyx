# cython: language_level=3
"""QARMA5, the architected algorithm of FEAT_PAuth (ComputePAC; R. Avanzi, The QARMA Block Cipher Family).

All its steps but the substitution are linear, and all work on cells of 4 bits. So each step, or chain of
steps, is a table for each byte of the 64 bits, and the results of the eight lookups are combined by
exclusive or.
"""
from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    ROUNDS = 5

cdef uint64_t constants[5]
cdef uint64_t ALPHA = 0xC0AC29B7C97C50DD

# At 256 * (which byte) + its value.
cdef uint64_t forward[8 * 256]          # PACMult(PACCellShuffle())
cdef uint64_t backward[8 * 256]         # PACCellInvShuffle(PACMult())
cdef uint64_t unshuffle[8 * 256]        # PACCellInvShuffle()
cdef uint64_t tweak[8 * 256]            # TweakShuffle()
cdef uint64_t substitute[8 * 256]       # PACSub()
cdef uint64_t unsubstitute[8 * 256]     # PACInvSub()


cdef inline uint64_t through(const uint64_t* table, uint64_t value) noexcept nogil:
    return (table[value & 0xFF] ^ table[0x100 | (value >> 8 & 0xFF)]
            ^ table[0x200 | (value >> 16 & 0xFF)] ^ table[0x300 | (value >> 24 & 0xFF)]
            ^ table[0x400 | (value >> 32 & 0xFF)] ^ table[0x500 | (value >> 40 & 0xFF)]
            ^ table[0x600 | (value >> 48 & 0xFF)] ^ table[0x700 | value >> 56])


cdef uint64_t qarma5(uint64_t data, uint64_t modifier, uint64_t key_high, uint64_t key_low) noexcept nogil:
    cdef uint64_t modified = key_high << 63 | key_high >> 2 << 1 | (key_high >> 63 ^ (key_high >> 1 & 1))
    cdef uint64_t value = data ^ key_high
    cdef uint64_t tweaks[6]
    cdef int n
    tweaks[0] = modifier
    for n in range(ROUNDS):
        tweaks[n + 1] = through(tweak, tweaks[n])
        value ^= key_low ^ tweaks[n] ^ constants[n]
        if n:
            value = through(forward, value)
        value = through(substitute, value)
    value = through(substitute, through(forward, value ^ modified ^ tweaks[ROUNDS]))
    # The reflector, then the same backwards.
    value = through(forward, value) ^ key_low
    value = through(unsubstitute, through(unshuffle, value))
    value = through(backward, value) ^ key_high ^ tweaks[ROUNDS]
    for n in range(ROUNDS):
        value = through(unsubstitute, value)
        if n < ROUNDS - 1:
            value = through(backward, value)
        value ^= key_low ^ tweaks[ROUNDS - 1 - n] ^ constants[ROUNDS - 1 - n] ^ ALPHA
    return value ^ modified


# ---- the tables -------------------------------------------------------------------------------
# Filled when the module is imported, so with numbers of C alone: with Python's it takes 10 times as long as
# to import the module. A permutation says for each cell which one it takes. Cell 0 is the lowest.

ctypedef uint64_t (*Step)(uint64_t) noexcept nogil

cdef uint8_t SHUFFLE[16]
cdef uint8_t UNSHUFFLE[16]
cdef uint8_t TWEAK[16]
cdef uint8_t SUBSTITUTE[16]
cdef uint8_t UNSUBSTITUTE[16]

SHUFFLE[:] = [13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15]
TWEAK[:] = [4, 5, 6, 7, 11, 2, 3, 8, 12, 13, 14, 15, 0, 1, 10, 9]
SUBSTITUTE[:] = [0xB, 0x6, 0x8, 0xF, 0xC, 0x0, 0x9, 0xE, 0x3, 0x7, 0x4, 0x5, 0xD, 0x2, 0x1, 0xA]
constants[:] = [0x0000000000000000, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89, 0x452821E638D01377]

cdef enum:
    TWEAK_ROTATED = 1 << 2 | 1 << 4 | 1 << 7 | 1 << 11 | 1 << 12 | 1 << 14 | 1 << 15  # cells that TweakCellRot() changes


cdef inline uint64_t cell(uint64_t value, int number) noexcept nogil:
    return value >> 4 * number & 15


cdef uint64_t permute(uint64_t value, const uint8_t* taken) noexcept nogil:
    cdef uint64_t result = 0
    cdef int n
    for n in range(16):
        result |= cell(value, taken[n]) << 4 * n
    return result


cdef uint64_t multiply(uint64_t value) noexcept nogil:
    """PACMult(): the circulant matrix (0, r, r^2, r) on each column; r rotates a cell."""
    cdef uint64_t result = 0, rotated
    cdef int row, column, other, amount
    for row in range(4):
        for column in range(4):
            for other in range(4):
                amount = other - row & 3
                if amount:
                    amount = 2 if amount == 2 else 1
                    rotated = cell(value, 4 * other + column)
                    rotated = (rotated << amount | rotated >> (4 - amount)) & 15
                    result ^= rotated << 4 * (4 * row + column)
    return result


cdef uint64_t shuffle_and_multiply(uint64_t value) noexcept nogil:
    return multiply(permute(value, SHUFFLE))


cdef uint64_t multiply_and_unshuffle(uint64_t value) noexcept nogil:
    return permute(multiply(value), UNSHUFFLE)


cdef uint64_t unshuffle_cells(uint64_t value) noexcept nogil:
    return permute(value, UNSHUFFLE)


cdef uint64_t shuffle_tweak(uint64_t value) noexcept nogil:
    cdef uint64_t permuted = permute(value, TWEAK), result = 0, c
    cdef int n
    for n in range(16):
        c = cell(permuted, n)
        if TWEAK_ROTATED >> n & 1:
            c = c >> 1 | ((c ^ c >> 1) & 1) << 3
        result |= c << 4 * n
    return result


cdef void fill_table(uint64_t* table, Step step) noexcept nogil:
    """The table of a linear step: its results for each bit, combined."""
    cdef int byte, bit, value
    for byte in range(8):
        table[256 * byte] = 0
        for bit in range(8):
            table[256 * byte + (1 << bit)] = step(<uint64_t>1 << (8 * byte + bit))
        for value in range(3, 256):
            table[256 * byte + value] = table[256 * byte + (value & (value - 1))] ^ table[256 * byte + (value & -value)]


cdef void fill_cells(uint64_t* table, const uint8_t* substitution) noexcept nogil:
    cdef int byte, value
    for byte in range(8):
        for value in range(256):
            table[256 * byte + value] = <uint64_t>(substitution[value & 15] | substitution[value >> 4] << 4) << 8 * byte


cdef void fill_tables() noexcept nogil:
    cdef int n
    for n in range(16):
        UNSHUFFLE[SHUFFLE[n]] = n
        UNSUBSTITUTE[SUBSTITUTE[n]] = n
    fill_table(forward, shuffle_and_multiply)
    fill_table(backward, multiply_and_unshuffle)
    fill_table(unshuffle, unshuffle_cells)
    fill_table(tweak, shuffle_tweak)
    fill_cells(substitute, SUBSTITUTE)
    fill_cells(unsubstitute, UNSUBSTITUTE)


fill_tables()


def compute(uint64_t data, uint64_t modifier, uint64_t key_high, uint64_t key_low):
    """qarma5(), to test it."""
    return qarma5(data, modifier, key_high, key_low)
