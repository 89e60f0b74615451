# cython: language_level=3
"""SHA-3 (C7.2): EOR3, BCAX, RAX1, XAR."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Insn, NEXT, OK, UNDEF
from guestdbg.cpu.features cimport has_sha3
from guestdbg.cpu.instructions.simd.simd_common cimport (
    fp_is_trapped, set_registers, va, vm, vn, write_vd,
)
from guestdbg.cpu.operands cimport ra

cdef void eor3(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low
    if fp_is_trapped(c, i):
        return
    low = vn(c, i)[0] ^ vm(c, i)[0] ^ va(c, i)[0]
    write_vd(c, i, low, vn(c, i)[1] ^ vm(c, i)[1] ^ va(c, i)[1])
    NEXT(c, i)

cdef void bcax(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low
    if fp_is_trapped(c, i):
        return
    low = vn(c, i)[0] ^ (vm(c, i)[0] & ~va(c, i)[0])
    write_vd(c, i, low, vn(c, i)[1] ^ (vm(c, i)[1] & ~va(c, i)[1]))
    NEXT(c, i)

cdef inline uint64_t rol1(uint64_t x) noexcept nogil:
    return x << 1 | x >> 63

cdef void rax1(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low
    if fp_is_trapped(c, i):
        return
    low = vn(c, i)[0] ^ rol1(vm(c, i)[0])
    write_vd(c, i, low, vn(c, i)[1] ^ rol1(vm(c, i)[1]))
    NEXT(c, i)

cdef inline uint64_t ror(uint64_t x, uint32_t n) noexcept nogil:
    """n: 0 to 63."""
    return x >> n | x << (-n & 63)

cdef void xar(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef uint64_t low
    if fp_is_trapped(c, i):
        return
    low = ror(vn(c, i)[0] ^ vm(c, i)[0], ra(i))
    write_vd(c, i, low, ror(vn(c, i)[1] ^ vm(c, i)[1], ra(i)))
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_sha3(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_sha3(c):
        return UNDEF
    set_registers(o, raw)
    return OK

cdef int fill_xar(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    """ra: imm6, the bits to rotate by."""
    if not has_sha3(c):
        return UNDEF
    set_registers(o, raw)
    o.ra = <uint8_t>bits(raw, 15, 10)
    return OK

cdef int register() except -1:
    add(b"EOR3", b"11001110000 mmmmm 0 aaaaa nnnnn ddddd", fill_sha3, eor3)
    add(b"BCAX", b"11001110001 mmmmm 0 aaaaa nnnnn ddddd", fill_sha3, bcax)
    add(b"RAX1", b"11001110011 mmmmm 100011 nnnnn ddddd", fill_sha3, rax1)
    add(b"XAR", b"11001110100 mmmmm iiiiii nnnnn ddddd", fill_xar, xar)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
