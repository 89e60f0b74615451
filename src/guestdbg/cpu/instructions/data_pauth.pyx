# cython: language_level=3
"""Pointer authentication in registers (FEAT_PAuth): PACIA, AUTIA, XPACI, PACGA and their variants.

The modifier is Xn or SP, or zero (ZR) for the variants whose names have a Z. Variants in the space of
hints have fixed operands, and are NOPs where FEAT_PAuth is absent.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, Cpu, dst, Fill, Insn, NEXT, OK, Op, SP, spreg, src, UNDEF, unlikely, ZR
from guestdbg.cpu.exception cimport EC_PAC, raise_el2
from guestdbg.cpu.features cimport has_pacga, has_pauth
from guestdbg.cpu.operands cimport set_xd, xd, xm, xn
from guestdbg.cpu.pointer_auth cimport (
    add_pac, auth, generic_code, KEY_DA, KEY_DB, KEY_IA, KEY_IB, key_enabled, strip,
)
from guestdbg.cpu.register_bits cimport HCR_API

cdef inline void sign(Cpu* c, const Insn* i, uint32_t key) noexcept nogil:
    if key_enabled(c, key):
        if unlikely(not c.hcr_el2 & HCR_API):
            raise_el2(c, i, EC_PAC, 0)
            return
        set_xd(c, i, add_pac(c, xd(c, i), xn(c, i), key))
    NEXT(c, i)

cdef inline void authenticate(Cpu* c, const Insn* i, uint32_t key) noexcept nogil:
    if key_enabled(c, key):
        if unlikely(not c.hcr_el2 & HCR_API):
            raise_el2(c, i, EC_PAC, 0)
            return
        set_xd(c, i, auth(c, xd(c, i), xn(c, i), key))
    NEXT(c, i)

cdef void pacia(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sign(c, i, KEY_IA)
cdef void pacib(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sign(c, i, KEY_IB)
cdef void pacda(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sign(c, i, KEY_DA)
cdef void pacdb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sign(c, i, KEY_DB)
cdef void autia(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: authenticate(c, i, KEY_IA)
cdef void autib(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: authenticate(c, i, KEY_IB)
cdef void autda(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: authenticate(c, i, KEY_DA)
cdef void autdb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: authenticate(c, i, KEY_DB)

cdef void xpaci(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    set_xd(c, i, strip(c, xd(c, i), False))
    NEXT(c, i)

cdef void xpacd(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    set_xd(c, i, strip(c, xd(c, i), True))
    NEXT(c, i)

cdef void pacga(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    if unlikely(not c.hcr_el2 & HCR_API):
        raise_el2(c, i, EC_PAC, 0)
        return
    set_xd(c, i, generic_code(c, xn(c, i), xm(c, i)))
    NEXT(c, i)

cdef void nop(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    NEXT(c, i)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_modifier(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rd = dst(raw)
    o.rn = spreg(raw >> 5)
    return OK if has_pauth(c) else UNDEF

cdef int fill_zero(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rd = dst(raw)
    o.rn = ZR
    return OK if has_pauth(c) else UNDEF

cdef int fill_pacga(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rd = dst(raw)
    o.rn = src(raw >> 5)
    o.rm = spreg(raw >> 16)
    return OK if has_pacga(c) else UNDEF

cdef inline int hint(Cpu* c, Insn* o, uint8_t target, uint8_t modifier) noexcept nogil:
    o.rd = target
    o.rn = modifier
    if not has_pauth(c):
        o.f = nop
    return OK

cdef int fill_lr_zero(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return hint(c, o, 30, ZR)

cdef int fill_lr_sp(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return hint(c, o, 30, SP)

cdef int fill_1716(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    return hint(c, o, 17, 16)

cdef int rows(str name, int opcode, Op op) except -1:
    """With a modifier, and with zero: PACIA, PACIZA."""
    cdef bytes zero = f"{name[:-1]}Z{name[-1]}".encode()
    add(name.encode(), f"1101 1010 1100 0001 00{opcode:04b} nnnnn ddddd".encode(), fill_modifier, op)
    return add(zero, f"1101 1010 1100 0001 00{opcode | 8:04b} 11111 ddddd".encode(), fill_zero, op)

cdef int hint_row(str name, int number, Fill fill, Op op) except -1:
    return add(name.encode(), f"1101 0101 0000 0011 0010 {number:07b} 11111".encode(), fill, op)

cdef int register() except -1:
    rows("PACIA", 0, pacia)
    rows("PACIB", 1, pacib)
    rows("PACDA", 2, pacda)
    rows("PACDB", 3, pacdb)
    rows("AUTIA", 4, autia)
    rows("AUTIB", 5, autib)
    rows("AUTDA", 6, autda)
    rows("AUTDB", 7, autdb)
    add("XPACI", "1101 1010 1100 0001 010000 11111 ddddd", fill_zero, xpaci)
    add("XPACD", "1101 1010 1100 0001 010001 11111 ddddd", fill_zero, xpacd)
    add("PACGA", "1001 1010 110 mmmmm 001100 nnnnn ddddd", fill_pacga, pacga)
    hint_row("XPACLRI", 7, fill_lr_zero, xpaci)
    hint_row("PACIA1716", 8, fill_1716, pacia)
    hint_row("PACIB1716", 10, fill_1716, pacib)
    hint_row("AUTIA1716", 12, fill_1716, autia)
    hint_row("AUTIB1716", 14, fill_1716, autib)
    hint_row("PACIAZ", 24, fill_lr_zero, pacia)
    hint_row("PACIASP", 25, fill_lr_sp, pacia)
    hint_row("PACIBZ", 26, fill_lr_zero, pacib)
    hint_row("PACIBSP", 27, fill_lr_sp, pacib)
    hint_row("AUTIAZ", 28, fill_lr_zero, autia)
    hint_row("AUTIASP", 29, fill_lr_sp, autia)
    hint_row("AUTIBZ", 30, fill_lr_zero, autib)
    hint_row("AUTIBSP", 31, fill_lr_sp, autib)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
