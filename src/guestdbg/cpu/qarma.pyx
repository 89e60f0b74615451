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
# A permutation says for each cell which one it takes. Cell 0 is the lowest.

_SHUFFLE = (13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15)
_TWEAK = (4, 5, 6, 7, 11, 2, 3, 8, 12, 13, 14, 15, 0, 1, 10, 9)
_TWEAK_ROTATED = (2, 4, 7, 11, 12, 14, 15)          # the cells of the result that TweakCellRot() changes
_SUBSTITUTE = (0xB, 0x6, 0x8, 0xF, 0xC, 0x0, 0x9, 0xE, 0x3, 0x7, 0x4, 0x5, 0xD, 0x2, 0x1, 0xA)
_CONSTANTS = (0x0000000000000000, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89, 0x452821E638D01377)


def _cells(value):
    return [value >> 4 * n & 15 for n in range(16)]


def _number(cells):
    return sum(cell << 4 * n for n, cell in enumerate(cells))


def _shuffle(value):
    cells = _cells(value)
    return _number([cells[n] for n in _SHUFFLE])


def _unshuffle(value):
    cells = _cells(value)
    return _number([cells[_SHUFFLE.index(n)] for n in range(16)])


def _rotate(cell, amount):
    return (cell << amount | cell >> (4 - amount)) & 15


def _multiply(value):
    """PACMult(): the circulant matrix (0, r, r^2, r) on each column; r rotates a cell."""
    cells = _cells(value)
    rotations = (0, 1, 2, 1)
    result = [0] * 16
    for row in range(4):
        for column in range(4):
            for other in range(4):
                amount = rotations[(other - row) % 4]
                if amount:
                    result[4 * row + column] ^= _rotate(cells[4 * other + column], amount)
    return _number(result)


def _tweak_cell(cell):
    return cell >> 1 | ((cell ^ cell >> 1) & 1) << 3


def _tweak_shuffle(value):
    cells = _cells(value)
    return _number([_tweak_cell(cells[taken]) if n in _TWEAK_ROTATED else cells[taken]
                    for n, taken in enumerate(_TWEAK)])


cdef int fill_table(uint64_t* table, object step) except -1:
    """The table of a linear step: its results for each bit, combined."""
    cdef int byte, bit, value
    for byte in range(8):
        table[256 * byte] = 0
        for bit in range(8):
            table[256 * byte + (1 << bit)] = step(<uint64_t>1 << (8 * byte + bit))
        for value in range(3, 256):
            table[256 * byte + value] = table[256 * byte + (value & (value - 1))] ^ table[256 * byte + (value & -value)]
    return 0


cdef int fill_cells(uint64_t* table, object substitution) except -1:
    cdef int byte, value
    for byte in range(8):
        for value in range(256):
            table[256 * byte + value] = <uint64_t>(substitution[value & 15] | substitution[value >> 4] << 4) << 8 * byte
    return 0


cdef int fill_tables() except -1:
    cdef int n
    fill_table(forward, lambda value: _multiply(_shuffle(value)))
    fill_table(backward, lambda value: _unshuffle(_multiply(value)))
    fill_table(unshuffle, _unshuffle)
    fill_table(tweak, _tweak_shuffle)
    fill_cells(substitute, _SUBSTITUTE)
    fill_cells(unsubstitute, [_SUBSTITUTE.index(n) for n in range(16)])
    for n in range(ROUNDS):
        constants[n] = _CONSTANTS[n]
    return 0


fill_tables()


def compute(uint64_t data, uint64_t modifier, uint64_t key_high, uint64_t key_low):
    """qarma5(), to test it."""
    return qarma5(data, modifier, key_high, key_low)
