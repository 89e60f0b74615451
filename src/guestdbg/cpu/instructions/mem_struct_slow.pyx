# cython: language_level=3
"""Structures of two to four registers (LD2 to LD4, ST2 to ST4, LD2R to LD4R), and the slow paths of LD1, ST1,
LD1R: each function is a complete instruction.

Each element is a separate access. All of them are checked before the first is made.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport ACC_NOISV, ACC_READ, ACC_WRITE, Cpu, Insn, NEXT
from guestdbg.cpu.instructions.mem_common cimport check_sp, host_read, host_write
from guestdbg.cpu.instructions.mem_struct_common cimport (
    elem_log2, element, elements, finish, has_128_bits, index, plain_read, plain_write, repeat, selem,
)
from guestdbg.cpu.instructions.simd.lanes cimport (
    BYTE, DOUBLEWORD, even_elements, HALFWORD, interleaved, odd_elements, WORD,
)
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped, store_halves
from guestdbg.cpu.mmu cimport mem_load, mem_probe, mem_store
from guestdbg.cpu.operands cimport rd, vd, xn

cdef bint permitted(Cpu* c, const Insn* i, uint64_t va, uint32_t count, uint32_t flags) noexcept nogil:
    """Check count elements at va. False: an exception was raised."""
    cdef uint64_t size = <uint64_t>1 << elem_log2(i)
    cdef uint32_t n
    for n in range(count):
        if not mem_probe(c, i, va + n * size, size, flags):
            return False
    return True

# ---- multiple structures ------------------------------------------------------------------------
# Memory holds, for each repetition and each element in turn, that element of each of the structure's
# registers.

cdef void clear_high(Cpu* c, const Insn* i, uint32_t registers) noexcept nogil:
    """A 64-bit vector's load zeroes the other half."""
    cdef uint32_t r
    if not has_128_bits(i):
        for r in range(registers):
            c.v[2 * ((rd(i) + r) & 31) + 1] = 0

# LD2 to LD4, ST2 to ST4 of host memory: the numbers of registers and of an element's bytes are constants.

cdef inline void load_plain(Cpu* c, const Insn* i, uint64_t p, uint32_t log2,
                            uint32_t registers) noexcept nogil:
    cdef uint32_t e, r
    for e in range(elements(i)):
        for r in range(registers):
            host_write(<uint64_t>element(c, rd(i) + r, e, log2), host_read(p + (r << log2), log2), log2)
        p += registers << log2

cdef inline void load_registers(Cpu* c, const Insn* i, uint64_t p, uint32_t registers) noexcept nogil:
    if elem_log2(i) == 0:
        load_plain(c, i, p, 0, registers)
    elif elem_log2(i) == 1:
        load_plain(c, i, p, 1, registers)
    elif elem_log2(i) == 2:
        load_plain(c, i, p, 2, registers)
    else:
        load_plain(c, i, p, 3, registers)

cdef inline void store_plain(Cpu* c, const Insn* i, uint64_t p, uint32_t log2,
                             uint32_t registers) noexcept nogil:
    cdef uint32_t e, r
    for e in range(elements(i)):
        for r in range(registers):
            host_write(p + (r << log2), host_read(<uint64_t>element(c, rd(i) + r, e, log2), log2), log2)
        p += registers << log2

cdef inline void store_registers(Cpu* c, const Insn* i, uint64_t p, uint32_t registers) noexcept nogil:
    if elem_log2(i) == 0:
        store_plain(c, i, p, 0, registers)
    elif elem_log2(i) == 1:
        store_plain(c, i, p, 1, registers)
    elif elem_log2(i) == 2:
        store_plain(c, i, p, 2, registers)
    else:
        store_plain(c, i, p, 3, registers)

# LD2 and ST2 of smaller elements, by words.

cdef inline void load_two(Cpu* c, const Insn* i, uint64_t p, uint32_t log2) noexcept nogil:
    cdef uint64_t first[2]
    cdef uint64_t second[2]
    cdef uint64_t low, high
    cdef uint32_t k
    first[1], second[1] = 0, 0
    for k in range(2 if has_128_bits(i) else 1):
        low = host_read(p + 16 * k, 3)
        high = host_read(p + 16 * k + 8, 3)
        first[k] = even_elements(log2, low) | even_elements(log2, high) << 32
        second[k] = odd_elements(log2, low) | odd_elements(log2, high) << 32
    store_halves(vd(c, i), first[0], first[1])
    store_halves(&c.v[2 * ((rd(i) + 1) & 31)], second[0], second[1])

cdef inline void store_two(Cpu* c, const Insn* i, uint64_t p, uint32_t log2) noexcept nogil:
    cdef const uint64_t* first = vd(c, i)
    cdef const uint64_t* second = &c.v[2 * ((rd(i) + 1) & 31)]
    cdef uint32_t k
    for k in range(2 if has_128_bits(i) else 1):
        host_write(p + 16 * k, interleaved(log2, first[k], second[k]), 3)
        host_write(p + 16 * k + 8, interleaved(log2, first[k] >> 32, second[k] >> 32), 3)

cdef void load_pairs(Cpu* c, const Insn* i, uint64_t p) noexcept nogil:
    if elem_log2(i) == BYTE:
        load_two(c, i, p, BYTE)
    elif elem_log2(i) == HALFWORD:
        load_two(c, i, p, HALFWORD)
    elif elem_log2(i) == WORD:
        load_two(c, i, p, WORD)
    else:
        load_plain(c, i, p, DOUBLEWORD, 2)

cdef void store_pairs(Cpu* c, const Insn* i, uint64_t p) noexcept nogil:
    if elem_log2(i) == BYTE:
        store_two(c, i, p, BYTE)
    elif elem_log2(i) == HALFWORD:
        store_two(c, i, p, HALFWORD)
    elif elem_log2(i) == WORD:
        store_two(c, i, p, WORD)
    else:
        store_plain(c, i, p, DOUBLEWORD, 2)

cdef bint load_elements(Cpu* c, const Insn* i) noexcept nogil:
    """One by one. False: an exception was raised."""
    cdef uint64_t va = xn(c, i)
    cdef uint32_t log2 = elem_log2(i)
    cdef uint32_t r, e, s
    if not permitted(c, i, va, selem(i) * repeat(i) * elements(i), ACC_READ | ACC_NOISV):
        return False
    for r in range(repeat(i)):
        for e in range(elements(i)):
            for s in range(selem(i)):
                if not mem_load(c, i, va, 1 << log2, ACC_READ | ACC_NOISV):
                    return False
                host_write(<uint64_t>element(c, rd(i) + r + s, e, log2), c.lo, log2)
                va += 1 << log2
    return True

cdef bint store_elements(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t va = xn(c, i)
    cdef uint32_t log2 = elem_log2(i)
    cdef uint32_t r, e, s
    if not permitted(c, i, va, selem(i) * repeat(i) * elements(i), ACC_WRITE | ACC_NOISV):
        return False
    for r in range(repeat(i)):
        for e in range(elements(i)):
            for s in range(selem(i)):
                c.lo = host_read(<uint64_t>element(c, rd(i) + r + s, e, log2), log2)
                if not mem_store(c, i, va, 1 << log2, ACC_WRITE | ACC_NOISV):
                    return False
                va += 1 << log2
    return True

cdef bint load_all(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t p = 0
    if fp_is_trapped(c, i) or not check_sp(c, i):
        return False
    if selem(i) > 1:
        p = plain_read(c, xn(c, i), 1 << elem_log2(i), selem(i) * elements(i) << elem_log2(i))
    if p == 0:
        if not load_elements(c, i):
            return False
    elif selem(i) == 2:
        load_pairs(c, i, p)
    elif selem(i) == 3:
        load_registers(c, i, p, 3)
    else:
        load_registers(c, i, p, 4)
    clear_high(c, i, selem(i) * repeat(i))
    return True

cdef bint store_all(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t p = 0
    if fp_is_trapped(c, i) or not check_sp(c, i):
        return False
    if selem(i) > 1:
        p = plain_write(c, xn(c, i), 1 << elem_log2(i), selem(i) * elements(i) << elem_log2(i))
    if p == 0:
        return store_elements(c, i)
    if selem(i) == 2:
        store_pairs(c, i, p)
    elif selem(i) == 3:
        store_registers(c, i, p, 3)
    else:
        store_registers(c, i, p, 4)
    return True

# Separate functions, so that the jump needs no saved registers.

cdef void ld_multiple(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if not load_all(c, i):
        return
    finish(c, i)
    NEXT(c, i)

cdef void st_multiple(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if not store_all(c, i):
        return
    finish(c, i)
    NEXT(c, i)

# ---- single structure -----------------------------------------------------------------------------

cdef bint load_one(Cpu* c, const Insn* i, bint replicate) noexcept nogil:
    cdef uint64_t va = xn(c, i)
    cdef uint32_t log2 = elem_log2(i)
    cdef uint64_t p
    cdef uint32_t s, n
    if fp_is_trapped(c, i) or not check_sp(c, i):
        return False
    p = plain_read(c, va, 1 << log2, selem(i) << log2)
    if not p and not permitted(c, i, va, selem(i), ACC_READ | ACC_NOISV):
        return False
    for s in range(selem(i)):
        if p:
            c.lo = host_read(p + (s << log2), log2)
        elif not mem_load(c, i, va + (s << log2), 1 << log2, ACC_READ | ACC_NOISV):
            return False
        if replicate:
            for n in range(elements(i)):
                host_write(<uint64_t>element(c, rd(i) + s, n, log2), c.lo, log2)
        else:
            host_write(<uint64_t>element(c, rd(i) + s, index(i), log2), c.lo, log2)
    if replicate:
        clear_high(c, i, selem(i))
    return True

cdef bint store_one(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t va = xn(c, i)
    cdef uint32_t log2 = elem_log2(i)
    cdef uint64_t p
    cdef uint32_t s
    if fp_is_trapped(c, i) or not check_sp(c, i):
        return False
    p = plain_write(c, va, 1 << log2, selem(i) << log2)
    if not p and not permitted(c, i, va, selem(i), ACC_WRITE | ACC_NOISV):
        return False
    for s in range(selem(i)):
        c.lo = host_read(<uint64_t>element(c, rd(i) + s, index(i), log2), log2)
        if p:
            host_write(p + (s << log2), c.lo, log2)
        elif not mem_store(c, i, va + (s << log2), 1 << log2, ACC_WRITE | ACC_NOISV):
            return False
    return True

cdef void ld_single(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if not load_one(c, i, False):
        return
    finish(c, i)
    NEXT(c, i)

cdef void ld_replicate(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if not load_one(c, i, True):
        return
    finish(c, i)
    NEXT(c, i)

cdef void st_single(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if not store_one(c, i):
        return
    finish(c, i)
    NEXT(c, i)
