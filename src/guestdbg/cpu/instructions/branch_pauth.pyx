# cython: language_level=3
"""Branches to an authenticated address (FEAT_PAuth): BRAA, BLRAA, RETAA, ERETAA and their variants."""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport (
    add, branch_address, Cpu, ENDS, Fill, goto_pc, goto_pc_btype, Insn, Op, SP, spreg, src, UNDEF, unlikely, ZR,
)
from guestdbg.cpu.exception cimport do_eret, EC_PAC, raise_el2, raise_undefined
from guestdbg.cpu.features cimport has_bti, has_pauth
from guestdbg.cpu.instructions.branch_common cimport br_btype_of, BTYPE_CALL
from guestdbg.cpu.operands cimport aux, imm, xm, xn
from guestdbg.cpu.pointer_auth cimport auth, KEY_IA, KEY_IB, key_enabled
from guestdbg.cpu.register_bits cimport HCR_API

# aux: PSTATE.BTYPE afterwards, 0 without FEAT_BTI.

cdef inline bint is_trapped(Cpu* c, const Insn* i, uint32_t key) noexcept nogil:
    if unlikely(key_enabled(c, key) and not c.hcr_el2 & HCR_API):
        raise_el2(c, i, EC_PAC, 0)
        return True
    return False

cdef inline uint64_t authenticated(Cpu* c, uint64_t ptr, uint64_t modifier, uint32_t key) noexcept nogil:
    return auth(c, ptr, modifier, key) if key_enabled(c, key) else ptr

cdef inline void jump(Cpu* c, const Insn* i, uint32_t key) noexcept nogil:
    cdef uint64_t to
    if is_trapped(c, i, key):
        return
    to = branch_address(c, authenticated(c, xn(c, i), xm(c, i), key))
    if aux(i):
        goto_pc_btype(c, to, aux(i))
        return
    goto_pc(c, to)

cdef inline void call(Cpu* c, const Insn* i, uint32_t key) noexcept nogil:
    cdef uint64_t to
    if is_trapped(c, i, key):
        return
    to = branch_address(c, authenticated(c, xn(c, i), xm(c, i), key))
    c.x[30] = imm(i)
    if aux(i):
        goto_pc_btype(c, to, aux(i))
        return
    goto_pc(c, to)

cdef inline void exception_return(Cpu* c, const Insn* i, uint32_t key) noexcept nogil:
    if c.el == 0:
        raise_undefined(c, i)
        return
    if is_trapped(c, i, key):
        return
    do_eret(c, i, authenticated(c, c.elr_el1, xm(c, i), key))

cdef void braa(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: jump(c, i, KEY_IA)
cdef void brab(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: jump(c, i, KEY_IB)
cdef void blraa(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: call(c, i, KEY_IA)
cdef void blrab(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: call(c, i, KEY_IB)
cdef void eretaa(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: exception_return(c, i, KEY_IA)
cdef void eretab(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: exception_return(c, i, KEY_IB)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill_jump(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rn = src(raw >> 5)
    o.rm = spreg(raw) if raw >> 24 & 1 else ZR          # otherwise BRAAZ
    o.aux = br_btype_of(c, raw) if has_bti(c) else 0
    return ENDS if has_pauth(c) else UNDEF

cdef int fill_call(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rn = src(raw >> 5)
    o.rm = spreg(raw) if raw >> 24 & 1 else ZR
    o.imm = pc + 4
    o.aux = BTYPE_CALL if has_bti(c) else 0
    return ENDS if has_pauth(c) else UNDEF

cdef int fill_ret(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    o.rn = 30
    o.rm = SP
    return ENDS if has_pauth(c) else UNDEF

cdef int rows(str name, str op, Fill fill, Op with_a, Op with_b) except -1:
    add(f"{name}AAZ".encode(), f"1101 0110 {op} 11111 000010 nnnnn 11111".encode(), fill, with_a)
    add(f"{name}ABZ".encode(), f"1101 0110 {op} 11111 000011 nnnnn 11111".encode(), fill, with_b)
    add(f"{name}AA".encode(), f"1101 0111 {op} 11111 000010 nnnnn mmmmm".encode(), fill, with_a)
    return add(f"{name}AB".encode(), f"1101 0111 {op} 11111 000011 nnnnn mmmmm".encode(), fill, with_b)

def install() -> None:
    """Put this module's instructions into the decode table."""
    rows("BR", "000", fill_jump, braa, brab)
    rows("BLR", "001", fill_call, blraa, blrab)
    add("RETAA", "1101 0110 010 11111 000010 11111 11111", fill_ret, braa)
    add("RETAB", "1101 0110 010 11111 000011 11111 11111", fill_ret, brab)
    add("ERETAA", "1101 0110 100 11111 000010 11111 11111", fill_ret, eretaa)
    add("ERETAB", "1101 0110 100 11111 000011 11111 11111", fill_ret, eretab)
