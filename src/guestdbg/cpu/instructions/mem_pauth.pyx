# cython: language_level=3
"""Loads from an authenticated address (FEAT_PAuth): LDRAA, LDRAB."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, dst, Insn, NEXT, OK, Tlbe, UNDEF, unlikely
from guestdbg.cpu.exception cimport EC_PAC, raise_el2
from guestdbg.cpu.features cimport has_pauth
from guestdbg.cpu.instructions.mem_common cimport check_sp, host_read, readable, set_base
from guestdbg.cpu.instructions.mem_slow cimport slow_authenticated
from guestdbg.cpu.operands cimport imm, ra, set_xd, set_xn, xn
from guestdbg.cpu.pointer_auth cimport auth, KEY_DA, KEY_DB, key_enabled
from guestdbg.cpu.register_bits cimport HCR_API

cdef inline void load(Cpu* c, const Insn* i, uint32_t key, bint write_back) noexcept nogil:
    cdef uint64_t va = xn(c, i)
    cdef const Tlbe* e
    if unlikely((va & ra(i)) != 0) and not check_sp(c, i):
        return
    if key_enabled(c, key):
        if unlikely(not c.hcr_el2 & HCR_API):
            raise_el2(c, i, EC_PAC, 0)
            return
        va = auth(c, va, 0, key)
    va += imm(i)
    e = readable(c, va, 8)
    if unlikely(e == NULL):
        slow_authenticated(c, i, va, write_back)
        return
    set_xd(c, i, host_read(va + e.add, 3))
    if write_back:
        set_xn(c, i, va)
    NEXT(c, i)

cdef void ldraa(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load(c, i, KEY_DA, False)
cdef void ldrab(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load(c, i, KEY_DB, False)
cdef void ldraa_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load(c, i, KEY_DA, True)
cdef void ldrab_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: load(c, i, KEY_DB, True)

cdef int fill(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    if not has_pauth(c):
        return UNDEF
    set_base(o, raw)
    o.rd = dst(raw)
    # S:imm9
    o.imm = <uint64_t>((<int64_t>bits(raw, 20, 12) - (512 if raw >> 22 & 1 else 0)) * 8)
    return OK

def install() -> None:
    """Put this module's instructions into the decode table."""
    add("LDRAA", "1111 1000 0 S 1 iiiiiiiii 01 nnnnn ttttt", fill, ldraa)
    add("LDRAB", "1111 1000 1 S 1 iiiiiiiii 01 nnnnn ttttt", fill, ldrab)
    add("LDRAA_wb", "1111 1000 0 S 1 iiiiiiiii 11 nnnnn ttttt", fill, ldraa_wb)
    add("LDRAB_wb", "1111 1000 1 S 1 iiiiiiiii 11 nnnnn ttttt", fill, ldrab_wb)
