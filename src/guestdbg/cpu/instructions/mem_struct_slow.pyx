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
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.mmu cimport mem_load, mem_probe, mem_store
from guestdbg.cpu.operands cimport rd, xn

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
        load_registers(c, i, p, 2)
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
        store_registers(c, i, p, 2)
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
