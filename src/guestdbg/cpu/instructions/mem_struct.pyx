# cython: language_level=3
"""LD1-LD4, ST1-ST4 (multiple structures, single structure) and LD1R-LD4R, all with post-index.

Memory is accessed and checked element by element, in order: each element is a separate access, aligned
to the element's size. All are checked before the first is made. If everything is in one plain page of
the TLB, or in one plain line, one test is enough for all of them. The functions here are for that: whole
registers, one element, and one element for all of a register. Everything else is in mem_struct_slow.pyx.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Fill, Insn, NEXT, OK, Op, src, UNDEF, unlikely, ZR
from guestdbg.cpu.instructions.mem_common cimport host_read, host_write, set_base
from guestdbg.cpu.instructions.mem_struct_common cimport (
    elem_log2, element, finish, has_128_bits, index, plain_read, plain_write,
)
from guestdbg.cpu.instructions.mem_struct_slow cimport (
    ld_multiple, ld_replicate, ld_single, st_multiple, st_single,
)
from guestdbg.cpu.instructions.simd.lanes cimport every
from guestdbg.cpu.instructions.simd.simd_common cimport copy_vector, store_halves, write_vd
from guestdbg.cpu.operands cimport ra, rd, xn

cdef inline bint special(Cpu* c, const Insn* i) noexcept nogil:
    """A trap or a misaligned SP is possible."""
    return (xn(c, i) & ra(i)) != 0 or c.fp_trapped

# ---- one to four whole registers --------------------------------------------------------------

cdef inline void load_whole(Cpu* c, const Insn* i, uint64_t last, uint32_t registers,
                            uint32_t halves) noexcept nogil:
    cdef uint64_t p = plain_read(c, xn(c, i), <uint64_t>1 << elem_log2(i), 8 * halves * registers)
    cdef uint32_t r
    if unlikely(p == 0 or special(c, i)):
        ld_multiple(c, i, last)
        return
    for r in range(registers):
        if halves == 2:
            copy_vector(&c.v[2 * ((rd(i) + r) & 31)], <const uint64_t*>(p + 16 * r))
        else:
            store_halves(&c.v[2 * ((rd(i) + r) & 31)], host_read(p + 8 * r, 3), 0)
    finish(c, i)
    NEXT(c, i)

cdef inline void store_whole(Cpu* c, const Insn* i, uint64_t last, uint32_t registers,
                             uint32_t halves) noexcept nogil:
    cdef uint64_t p = plain_write(c, xn(c, i), <uint64_t>1 << elem_log2(i), 8 * halves * registers)
    cdef uint32_t r
    if unlikely(p == 0 or special(c, i)):
        st_multiple(c, i, last)
        return
    for r in range(registers):
        if halves == 2:
            copy_vector(<uint64_t*>(p + 16 * r), &c.v[2 * ((rd(i) + r) & 31)])
        else:
            host_write(p + 8 * r, c.v[2 * ((rd(i) + r) & 31)], 3)
    finish(c, i)
    NEXT(c, i)

cdef void ld1_1d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_whole(c, i, last, 1, 1)
cdef void ld1_2d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_whole(c, i, last, 2, 1)
cdef void ld1_3d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_whole(c, i, last, 3, 1)
cdef void ld1_4d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_whole(c, i, last, 4, 1)
cdef void ld1_1q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_whole(c, i, last, 1, 2)
cdef void ld1_2q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_whole(c, i, last, 2, 2)
cdef void ld1_3q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_whole(c, i, last, 3, 2)
cdef void ld1_4q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_whole(c, i, last, 4, 2)
cdef void st1_1d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_whole(c, i, last, 1, 1)
cdef void st1_2d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_whole(c, i, last, 2, 1)
cdef void st1_3d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_whole(c, i, last, 3, 1)
cdef void st1_4d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_whole(c, i, last, 4, 1)
cdef void st1_1q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_whole(c, i, last, 1, 2)
cdef void st1_2q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_whole(c, i, last, 2, 2)
cdef void st1_3q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_whole(c, i, last, 3, 2)
cdef void st1_4q(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_whole(c, i, last, 4, 2)

# ---- one element ------------------------------------------------------------------------------

cdef inline void load_element(Cpu* c, const Insn* i, uint64_t last, uint32_t log2) noexcept nogil:
    cdef uint64_t p = plain_read(c, xn(c, i), <uint64_t>1 << log2, <uint64_t>1 << log2)
    if unlikely(p == 0 or special(c, i)):
        ld_single(c, i, last)
        return
    host_write(<uint64_t>element(c, rd(i), index(i), log2), host_read(p, log2), log2)
    finish(c, i)
    NEXT(c, i)

cdef inline void store_element(Cpu* c, const Insn* i, uint64_t last, uint32_t log2) noexcept nogil:
    cdef uint64_t p = plain_write(c, xn(c, i), <uint64_t>1 << log2, <uint64_t>1 << log2)
    if unlikely(p == 0 or special(c, i)):
        st_single(c, i, last)
        return
    host_write(p, host_read(<uint64_t>element(c, rd(i), index(i), log2), log2), log2)
    finish(c, i)
    NEXT(c, i)

cdef inline void load_replicated(Cpu* c, const Insn* i, uint64_t last, uint32_t log2) noexcept nogil:
    cdef uint64_t p = plain_read(c, xn(c, i), <uint64_t>1 << log2, <uint64_t>1 << log2)
    cdef uint64_t word
    if unlikely(p == 0 or special(c, i)):
        ld_replicate(c, i, last)
        return
    word = every(log2, host_read(p, log2))
    write_vd(c, i, word, word if has_128_bits(i) else 0)
    finish(c, i)
    NEXT(c, i)

cdef void ld1_element8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_element(c, i, last, 0)
cdef void ld1_element16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_element(c, i, last, 1)
cdef void ld1_element32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_element(c, i, last, 2)
cdef void ld1_element64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_element(c, i, last, 3)
cdef void st1_element8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_element(c, i, last, 0)
cdef void st1_element16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_element(c, i, last, 1)
cdef void st1_element32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_element(c, i, last, 2)
cdef void st1_element64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: store_element(c, i, last, 3)
cdef void ld1r8(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_replicated(c, i, last, 0)
cdef void ld1r16(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_replicated(c, i, last, 1)
cdef void ld1r32(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_replicated(c, i, last, 2)
cdef void ld1r64(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load_replicated(c, i, last, 3)

# Stores, loads; by what else the encoding says: registers less one, times 2, plus Q; log2 of an element's
# bytes.
cdef Op WHOLE[2][8]
cdef Op ELEMENT[2][4]
cdef Op REPLICATED[4]

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
    if s == 1:
        o.f = WHOLE[bits(raw, 22, 22)][2 * (r - 1) + q]
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
    if s == 1:
        o.f = ELEMENT[bits(raw, 22, 22)][log2]
    o.aux = log2 | (s << 2) | (1 << 5) | (place << 13) | (q << 17)
    return OK

cdef int fill_replicate(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef uint32_t log2 = bits(raw, 11, 10)
    cdef uint32_t q = bits(raw, 30, 30)
    cdef uint32_t s = (bits(raw, 13, 13) << 1 | bits(raw, 21, 21)) + 1
    operands(o, raw, s << log2)
    if s == 1:
        o.f = REPLICATED[log2]
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

cdef int choose() except -1:
    WHOLE[0][:] = [st1_1d, st1_1q, st1_2d, st1_2q, st1_3d, st1_3q, st1_4d, st1_4q]
    WHOLE[1][:] = [ld1_1d, ld1_1q, ld1_2d, ld1_2q, ld1_3d, ld1_3q, ld1_4d, ld1_4q]
    ELEMENT[0][:] = [st1_element8, st1_element16, st1_element32, st1_element64]
    ELEMENT[1][:] = [ld1_element8, ld1_element16, ld1_element32, ld1_element64]
    REPLICATED[:] = [ld1r8, ld1r16, ld1r32, ld1r64]
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
    choose()
    register()
