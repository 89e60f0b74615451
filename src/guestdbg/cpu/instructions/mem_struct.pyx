# cython: language_level=3
"""LD1-LD4, ST1-ST4 (multiple structures, single structure) and LD1R-LD4R, all with post-index.

Memory is accessed and checked element by element, in order: each element is a separate access, aligned
to the element's size. All are checked before the first is made. If everything is in one plain page of
the TLB, one test is enough for all of them.

Register elements are addressed as bytes of Cpu.v: 16 a register, least significant first, which is
their place on a little-endian host.

Operands: rd first register, rn, ra as everywhere (mem_common.pxd), rm the register added for
post-index, or the zero register, imm the constant added for post-index (0 without), aux packs the
shape (see the enum).
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport (
    ACC_NOISV, ACC_READ, ACC_WRITE, add, bits, Cpu, Fill, Insn, miss_r, miss_w, NEXT, OK, Op, src, Tlbe,
    tlbe, UNDEF, unlikely, ZR,
)
from guestdbg.cpu.instructions.mem_common cimport check_sp, host_read, host_write, set_base
from guestdbg.cpu.instructions.simd.simd_common cimport fp_is_trapped
from guestdbg.cpu.mmu cimport mem_load, mem_probe, mem_store
from guestdbg.cpu.operands cimport aux, imm, rd, rn, xm, xn

# Insn.aux: bits 1..0 log2 of the element's bytes; 4..2 registers of a structure; 7..5 repetitions;
# 12..8 elements of a register (16 at most); 16..13 element index (single structure); 17: Q.
cdef inline uint32_t elem_log2(const Insn* i) noexcept nogil:
    return aux(i) & 3

cdef inline uint32_t selem(const Insn* i) noexcept nogil:
    return (aux(i) >> 2) & 7

cdef inline uint32_t repeat(const Insn* i) noexcept nogil:
    return (aux(i) >> 5) & 7

cdef inline uint32_t elements(const Insn* i) noexcept nogil:
    return (aux(i) >> 8) & 31

cdef inline uint32_t index(const Insn* i) noexcept nogil:
    return (aux(i) >> 13) & 15

cdef inline uint8_t* element(Cpu* c, uint32_t register, uint32_t n, uint32_t log2) noexcept nogil:
    return <uint8_t*>&c.v[2 * (register & 31)] + (n << log2)

cdef inline void finish(Cpu* c, const Insn* i) noexcept nogil:
    """Post-index; adds 0 without it."""
    c.x[rn(i)] += imm(i) + xm(c, i)

# ---- checks -----------------------------------------------------------------------------------

cdef uint64_t plain(Cpu* c, const Insn* i, uint64_t va, uint64_t total, bint load) noexcept nogil:
    """The host address if all of it is in one page of the TLB, otherwise 0."""
    cdef const Tlbe* e = tlbe(c, va)
    cdef uint64_t size = <uint64_t>1 << elem_log2(i)
    if (miss_r(e, va, size) if load else miss_w(e, va, size)):
        return 0
    if (va & 0xFFF) + total > 0x1000:
        return 0
    return va + e.add

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
    if not aux(i) >> 17:
        for r in range(registers):
            c.v[2 * ((rd(i) + r) & 31) + 1] = 0

cdef inline void load_plain(Cpu* c, const Insn* i, uint64_t p, uint32_t log2) noexcept nogil:
    """LD2 to LD4 from host memory."""
    cdef uint32_t e, r
    for e in range(elements(i)):
        for r in range(selem(i)):
            host_write(<uint64_t>element(c, rd(i) + r, e, log2), host_read(p, log2), log2)
            p += 1 << log2

cdef inline void store_plain(Cpu* c, const Insn* i, uint64_t p, uint32_t log2) noexcept nogil:
    cdef uint32_t e, r
    for e in range(elements(i)):
        for r in range(selem(i)):
            host_write(p, host_read(<uint64_t>element(c, rd(i) + r, e, log2), log2), log2)
            p += 1 << log2

cdef bint load_all(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t va = xn(c, i), p
    cdef uint32_t log2 = elem_log2(i)
    cdef uint32_t registers = selem(i) * repeat(i)
    cdef uint32_t total = registers * elements(i)
    cdef uint32_t r, e, s
    if fp_is_trapped(c, i) or not check_sp(c, i):
        return False
    p = plain(c, i, va, total << log2, True)
    if p and selem(i) == 1:
        for r in range(registers):
            c.v[2 * ((rd(i) + r) & 31)] = host_read(p, 3)
            p += 8
            if aux(i) >> 17:
                c.v[2 * ((rd(i) + r) & 31) + 1] = host_read(p, 3)
                p += 8
    elif p:
        if log2 == 0:
            load_plain(c, i, p, 0)
        elif log2 == 1:
            load_plain(c, i, p, 1)
        elif log2 == 2:
            load_plain(c, i, p, 2)
        else:
            load_plain(c, i, p, 3)
    else:
        if not permitted(c, i, va, total, ACC_READ | ACC_NOISV):
            return False
        for r in range(repeat(i)):
            for e in range(elements(i)):
                for s in range(selem(i)):
                    if not mem_load(c, i, va, 1 << log2, ACC_READ | ACC_NOISV):
                        return False
                    host_write(<uint64_t>element(c, rd(i) + r + s, e, log2), c.lo, log2)
                    va += 1 << log2
    clear_high(c, i, registers)
    return True

cdef bint store_all(Cpu* c, const Insn* i) noexcept nogil:
    cdef uint64_t va = xn(c, i), p
    cdef uint32_t log2 = elem_log2(i)
    cdef uint32_t registers = selem(i) * repeat(i)
    cdef uint32_t total = registers * elements(i)
    cdef uint32_t r, e, s
    if fp_is_trapped(c, i) or not check_sp(c, i):
        return False
    p = plain(c, i, va, total << log2, False)
    if p and selem(i) == 1:
        for r in range(registers):
            host_write(p, c.v[2 * ((rd(i) + r) & 31)], 3)
            p += 8
            if aux(i) >> 17:
                host_write(p, c.v[2 * ((rd(i) + r) & 31) + 1], 3)
                p += 8
    elif p:
        if log2 == 0:
            store_plain(c, i, p, 0)
        elif log2 == 1:
            store_plain(c, i, p, 1)
        elif log2 == 2:
            store_plain(c, i, p, 2)
        else:
            store_plain(c, i, p, 3)
    else:
        if not permitted(c, i, va, total, ACC_WRITE | ACC_NOISV):
            return False
        for r in range(repeat(i)):
            for e in range(elements(i)):
                for s in range(selem(i)):
                    c.lo = host_read(<uint64_t>element(c, rd(i) + r + s, e, log2), log2)
                    if not mem_store(c, i, va, 1 << log2, ACC_WRITE | ACC_NOISV):
                        return False
                    va += 1 << log2
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
    p = plain(c, i, va, selem(i) << log2, True)
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
    p = plain(c, i, va, selem(i) << log2, False)
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

# ---- decode -----------------------------------------------------------------------------------

cdef inline void operands(Insn* o, uint32_t raw, uint32_t bytes_accessed) noexcept nogil:
    """Registers, and the post-index (bit 23): by Rm, or by the bytes accessed where Rm is 31."""
    set_base(o, raw)
    o.rd = src(raw)
    o.rm = ZR
    o.imm = 0
    if raw & (1 << 23):
        if bits(raw, 20, 16) == 31:
            o.imm = bytes_accessed
        else:
            o.rm = src(raw >> 16)

cdef int fill_multiple(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t opcode = bits(raw, 15, 12)
    cdef uint32_t log2 = bits(raw, 11, 10)
    cdef uint32_t q = bits(raw, 30, 30)
    cdef uint32_t s = 1, r = 1
    if opcode == 0b0000:
        s = 4
    elif opcode == 0b0100:
        s = 3
    elif opcode == 0b1000:
        s = 2
    elif opcode == 0b0010:
        r = 4
    elif opcode == 0b0110:
        r = 3
    elif opcode == 0b1010:
        r = 2
    if log2 == 3 and not q and s != 1:
        return UNDEF
    operands(o, raw, s * r * (8 << q))
    o.aux = log2 | (s << 2) | (r << 5) | (((8 << q) >> log2) << 8) | (q << 17)
    return OK

cdef int fill_single(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t log2 = bits(raw, 15, 14)
    cdef uint32_t size = bits(raw, 11, 10)
    cdef uint32_t q = bits(raw, 30, 30)
    cdef uint32_t s = (bits(raw, 13, 13) << 1 | bits(raw, 21, 21)) + 1
    cdef uint32_t place = q << 3 | bits(raw, 12, 12) << 2 | size      # Q:S:size
    if log2 == 1:
        if size & 1:
            return UNDEF
        place >>= 1
    elif log2 == 2:
        if size & 2:
            return UNDEF
        if size & 1:
            if bits(raw, 12, 12):
                return UNDEF
            log2 = 3
            place >>= 3
        else:
            place >>= 2
    operands(o, raw, s << log2)
    o.aux = log2 | (s << 2) | (1 << 5) | (place << 13) | (q << 17)
    return OK

cdef int fill_replicate(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t log2 = bits(raw, 11, 10)
    cdef uint32_t q = bits(raw, 30, 30)
    cdef uint32_t s = (bits(raw, 13, 13) << 1 | bits(raw, 21, 21)) + 1
    operands(o, raw, s << log2)
    o.aux = log2 | (s << 2) | (1 << 5) | (((8 << q) >> log2) << 8) | (q << 17)
    return OK

cdef int row(str name, str pattern, Fill fill, Op op) except -1:
    cdef bytes n = name.encode()
    cdef bytes p = pattern.encode()
    return add(n, p, fill, op)

cdef int rows(str name, str pattern, Fill fill, Op op) except -1:
    """A row without post-index and one with it; the pattern has {m} for them."""
    row(name, pattern.format(p=0, m="00000"), fill, op)
    row(name + "_post", pattern.format(p=1, m="mmmmm"), fill, op)
    return 0

cdef int register() except -1:
    cdef int n
    for name, opcode in (("4", "0000"), ("1x4", "0010"), ("3", "0100"), ("1x3", "0110"),
                         ("1x1", "0111"), ("2", "1000"), ("1x2", "1010")):
        rows("ST" + name + "_multiple", "0q001100{p}00{m}" + opcode + "ss nnnnn ttttt", fill_multiple, st_multiple)
        rows("LD" + name + "_multiple", "0q001100{p}10{m}" + opcode + "ss nnnnn ttttt", fill_multiple, ld_multiple)
    for n in range(1, 5):
        r = (n - 1) & 1
        high = (n - 1) >> 1
        for letter, scale in (("B", "00"), ("H", "01"), ("SD", "10")):
            tail = f"{{m}}{scale}{high} S ss nnnnn ttttt"
            rows(f"ST{n}_single_{letter}", f"0q001101{{p}}0{r}" + tail, fill_single, st_single)
            rows(f"LD{n}_single_{letter}", f"0q001101{{p}}1{r}" + tail, fill_single, ld_single)
        rows(f"LD{n}R", f"0q001101{{p}}1{r}{{m}}11{high}0 ss nnnnn ttttt", fill_replicate, ld_replicate)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
