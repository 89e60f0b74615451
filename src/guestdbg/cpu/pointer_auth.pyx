# cython: language_level=3
"""Pointer authentication codes (FEAT_PAuth: AddPAC, Auth, Strip, ComputePAC), for the EL1&0 regime.

The base extension: no FEAT_EPAC, FEAT_PAuth2 or FEAT_FPAC.
"""
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, PacEntry
from guestdbg.cpu.features cimport has_qarma5, id_field
from guestdbg.cpu.mmu cimport largest_tnsz
from guestdbg.cpu.qarma cimport qarma5
from guestdbg.cpu.register_bits cimport TCR_TBID0, TCR_TBID1

cdef uint64_t TCR_TBI0 = <uint64_t>1 << 37
cdef uint64_t TCR_TBI1 = <uint64_t>1 << 38


# ---- codes ------------------------------------------------------------------------------------

cdef inline uint64_t implementation_defined(uint64_t data, uint64_t modifier, uint64_t key_high,
                                            uint64_t key_low) noexcept nogil:
    """A hash of a few host instructions. It keeps nothing secret, and never changes: snapshots and recordings
    contain pointers with its codes."""
    cdef uint64_t value = (data ^ key_low) * <uint64_t>0x9E3779B97F4A7C15
    value ^= value >> 32
    value = (value + (modifier ^ key_high)) * <uint64_t>0xD6E8FEB86659FD93
    value ^= value >> 29
    value *= <uint64_t>0xBF58476D1CE4E5B9
    return value ^ value >> 32


cdef uint64_t by_qarma5(Cpu* c, uint64_t data, uint64_t modifier, uint64_t key_high, uint64_t key_low) noexcept nogil:
    # A function signs its return address when it begins, and authenticates the same one when it ends.
    cdef uint64_t place = (data ^ modifier >> 4 ^ key_low) * <uint64_t>0x9E3779B97F4A7C15 >> 56
    cdef PacEntry* e = &c.pacs[place]
    if not (e.valid and e.data == data and e.modifier == modifier and e.key_high == key_high
            and e.key_low == key_low):
        e.data = data
        e.modifier = modifier
        e.key_high = key_high
        e.key_low = key_low
        e.code = qarma5(data, modifier, key_high, key_low)
        e.valid = True
    return e.code


cdef inline uint64_t compute(Cpu* c, uint64_t data, uint64_t modifier, uint32_t key, bint qarma) noexcept nogil:
    if qarma:
        return by_qarma5(c, data, modifier, c.keys[2 * key + 1], c.keys[2 * key])
    return implementation_defined(data, modifier, c.keys[2 * key + 1], c.keys[2 * key])


cdef uint64_t generic_code(Cpu* c, uint64_t value, uint64_t modifier) noexcept nogil:
    return compute(c, value, modifier, 4, id_field(c.id_aa64isar1, 24) >= 1) & <uint64_t>0xFFFFFFFF << 32


# ---- where the code is in a pointer -----------------------------------------------------------

cdef inline bint tag_ignored(const Cpu* c, bint upper, bint data) noexcept nogil:
    """CalculateTBI(): TBID makes the top byte count in instruction addresses."""
    if upper:
        return c.tcr_el1 & TCR_TBI1 and (data or not c.tcr_el1 & TCR_TBID1)
    return c.tcr_el1 & TCR_TBI0 and (data or not c.tcr_el1 & TCR_TBID0)


cdef inline uint64_t below_code(const Cpu* c, bint upper) noexcept nogil:
    """The bits of an address that translation uses: all under CalculateBottomPACBit()."""
    cdef uint64_t tnsz = (c.tcr_el1 >> (16 if upper else 0)) & 63
    cdef bint using64k = (c.tcr_el1 >> 30 & 3) == 3 if upper else (c.tcr_el1 >> 14 & 3) == 1
    cdef uint64_t most = largest_tnsz(c, using64k)
    tnsz = 16 if tnsz < 16 else most if tnsz > most else tnsz
    return ((<uint64_t>1) << (64 - tnsz)) - 1


cdef inline uint64_t code_bits(uint64_t below, bint tbi) noexcept nogil:
    """The bits of a pointer that hold its code: not bit 55, which selects the range of addresses."""
    return ~below & (<uint64_t>0x007FFFFFFFFFFFFF if tbi else <uint64_t>0xFF7FFFFFFFFFFFFF)


cdef inline uint64_t extended(uint64_t ptr, uint64_t below, bint tbi, bint upper) noexcept nogil:
    """The pointer with good extension bits, those of the range `upper`; a tag that is ignored is kept."""
    cdef uint64_t extension = ~below & (<uint64_t>0x00FFFFFFFFFFFFFF if tbi else ~<uint64_t>0)
    return ptr | extension if upper else ptr & ~extension


# ---- pointers ---------------------------------------------------------------------------------

cdef uint64_t add_pac(Cpu* c, uint64_t ptr, uint64_t modifier, uint32_t key) noexcept nogil:
    cdef bint data = key >= 2
    cdef bint tbi = tag_ignored(c, ptr >> 55 & 1, data)
    # With tags in one of the two ranges bit 55 selects the range, else bit 63.
    cdef bint tagged = tag_ignored(c, True, data) or tag_ignored(c, False, data)
    cdef bint upper = ptr >> (55 if tagged else 63) & 1
    cdef uint64_t below = below_code(c, upper)
    cdef uint64_t field = code_bits(below, tbi)
    cdef uint64_t extension = ~below & (<uint64_t>0x00FFFFFFFFFFFFFF if tbi else ~<uint64_t>0)
    cdef uint64_t code = compute(c, extended(ptr, below, tbi, upper), modifier, key, has_qarma5(c))
    if ptr & extension != 0 and ptr & extension != extension:
        # Not an address: the code is made wrong.
        code ^= <uint64_t>1 << (54 if tbi else 62)
    return (ptr & ~(field | <uint64_t>1 << 55)) | (code & field) | <uint64_t>upper << 55


cdef uint64_t auth(Cpu* c, uint64_t ptr, uint64_t modifier, uint32_t key) noexcept nogil:
    cdef bint data = key >= 2
    cdef bint upper = ptr >> 55 & 1
    cdef bint tbi = tag_ignored(c, upper, data)
    cdef uint64_t below = below_code(c, upper)
    cdef uint64_t original = extended(ptr, below, tbi, upper)
    cdef uint64_t code = compute(c, original, modifier, key, has_qarma5(c))
    cdef uint32_t low
    if not (code ^ ptr) & code_bits(below, tbi):
        return original
    low = 53 if tbi else 61
    return (original & ~(<uint64_t>3 << low)) | <uint64_t>(2 if key & 1 else 1) << low


cdef uint64_t strip(Cpu* c, uint64_t ptr, bint data) noexcept nogil:
    cdef bint upper = ptr >> 55 & 1
    return extended(ptr, below_code(c, upper), tag_ignored(c, upper, data), upper)
