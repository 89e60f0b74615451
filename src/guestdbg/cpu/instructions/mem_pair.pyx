# cython: language_level=3
"""LDP, STP, LDPSW, LDNP, STNP of general-purpose registers.

A pair is two accesses of one register each: it must be aligned only to the size of one register.
The fast path handles pairs within one page.

CONSTRAINED UNPREDICTABLE cases, as QEMU does (and Arm allows): LDP with Rt == Rt2 leaves the
first register's value; write-back with Rn among the registers: a load's value is lost to the
write-back, a store stores the old value.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport (
    add, bits, Cpu, dst, Fill, FORWARD, Insn, line, line_miss_r, line_miss_w, miss_r, miss_w, OK, Op, sbits,
    src, Tlbe, tlbe, unlikely, UNSPECIFIED,
)
from guestdbg.cpu.instructions.mem_common cimport (
    extend, host_read, host_write, LD, LDS64, set_base, sext32, ST,
)
from guestdbg.cpu.instructions.mem_slow cimport slow_pair, slow_pair_wb
from guestdbg.cpu.operand_forwarding cimport (
    FORWARDS_NOTHING, FORWARDS_RESULT, fwd_xn, NONE, RN, specialize, WRITES_BACK,
)
from guestdbg.cpu.operands cimport plus_aux, plus_imm, ra, set_xd, set_xm, set_xn, xd, xm

cdef enum:
    STW = 2 << 2 | ST
    LDW = 2 << 2 | LD
    LDSW = 2 << 2 | LDS64
    STX = 3 << 2 | ST
    LDX = 3 << 2 | LD

cdef inline bint miss(const Tlbe* e, uint64_t va, uint32_t k) noexcept nogil:
    """va is aligned to one register, and both lie in the page."""
    cdef uint64_t size = 1 << (k >> 2)
    cdef bint crosses = (va & (0x1000 - size)) == 0x1000 - size
    if (k & 3) == ST:
        return miss_w(e, va, size) or crosses
    return miss_r(e, va, size) or crosses

cdef inline bint line_miss(const Tlbe* e, uint64_t va, uint32_t k) noexcept nogil:
    cdef uint64_t size = 1 << (k >> 2)
    cdef bint crosses = (va & (0x40 - size)) == 0x40 - size
    if (k & 3) == ST:
        return line_miss_w(e, va, size) or crosses
    return line_miss_r(e, va, size) or crosses

cdef inline uint64_t access(Cpu* c, const Insn* i, uint64_t p, uint32_t k) noexcept nogil:
    """The access at host address p. Returns the new x[rd] of a load."""
    cdef uint32_t size = 1 << (k >> 2)
    cdef uint64_t first
    if (k & 3) == ST:
        host_write(p, xd(c, i), k >> 2)
        host_write(p + size, xm(c, i), k >> 2)
        return UNSPECIFIED()
    first = extend(host_read(p, k >> 2), k)
    set_xm(c, i, extend(host_read(p + size, k >> 2), k))
    set_xd(c, i, first)
    return first

cdef inline void offset(Cpu* c, const Insn* i, uint32_t k, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t base = fwd_xn(c, i, last, forwarded)
    cdef uint64_t va = plus_imm(base, i)
    cdef const Tlbe* e = tlbe(c, va)
    if unlikely(miss(e, va, k)):
        e = line(c, va)
        if line_miss(e, va, k):
            slow_pair(c, i, k, va)
            return
    if unlikely((base & ra(i)) != 0):
        slow_pair(c, i, k, va)
        return
    FORWARD(c, i, access(c, i, va + e.add, k))

cdef inline void wb(Cpu* c, const Insn* i, uint32_t k, uint64_t last, int forwarded) noexcept nogil:
    cdef uint64_t base = fwd_xn(c, i, last, forwarded)
    cdef uint64_t va = plus_imm(base, i)
    cdef uint64_t back = plus_aux(base, i)
    cdef uint64_t first
    cdef const Tlbe* e = tlbe(c, va)
    if unlikely(miss(e, va, k)):
        e = line(c, va)
        if line_miss(e, va, k):
            slow_pair_wb(c, i, k, va)
            return
    if unlikely((base & ra(i)) != 0):
        slow_pair_wb(c, i, k, va)
        return
    first = access(c, i, va + e.add, k)
    set_xn(c, i, back)
    FORWARD(c, i, first)

cdef void stp_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: offset(c, i, STW, last, NONE)
cdef void ldp_w(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: offset(c, i, LDW, last, NONE)
cdef void ldpsw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: offset(c, i, LDSW, last, NONE)
cdef void stp_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: offset(c, i, STX, last, NONE)
cdef void ldp_x(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: offset(c, i, LDX, last, NONE)

cdef void stp_w_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: offset(c, i, STW, last, RN)
cdef void ldp_w_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: offset(c, i, LDW, last, RN)
cdef void ldpsw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: offset(c, i, LDSW, last, RN)
cdef void stp_x_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: offset(c, i, STX, last, RN)
cdef void ldp_x_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: offset(c, i, LDX, last, RN)

cdef void stp_w_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STW, last, NONE)
cdef void ldp_w_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDW, last, NONE)
cdef void ldpsw_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDSW, last, NONE)
cdef void stp_x_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STX, last, NONE)
cdef void ldp_x_wb(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDX, last, NONE)

cdef void stp_w_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STW, last, RN)
cdef void ldp_w_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDW, last, RN)
cdef void ldpsw_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDSW, last, RN)
cdef void stp_x_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, STX, last, RN)
cdef void ldp_x_wb_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: wb(c, i, LDX, last, RN)

# ---- decode -----------------------------------------------------------------------------------

cdef int fill(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    # Bits 24..23: 0 no-allocate (an offset, too), 1 post-index, 2 offset, 3 pre-index.
    cdef uint32_t mode = bits(raw, 24, 23)
    cdef int64_t scaled = sbits(raw, 21, 15) * (8 if raw >> 31 else 4)
    set_base(o, raw)
    if raw & (1 << 22):
        o.rd = dst(raw)
        o.rm = dst(raw >> 10)
    else:
        o.rd = src(raw)
        o.rm = src(raw >> 10)
    o.imm = 0 if mode == 1 else <uint64_t>scaled
    o.aux = <uint32_t>scaled if mode & 1 else 0
    return OK

cdef int row(str name, str pattern, Op op) except -1:
    cdef bytes n = name.encode()
    cdef bytes p = pattern.encode()
    return add(n, p, fill, op)

cdef int rows(str name, str opc, int load, Op op, Op op_n, Op op_wb, Op op_wb_n) except -1:
    cdef str tail = f"{load} iiiiiii uuuuu nnnnn ttttt"
    specialize(FORWARDS_RESULT if load else FORWARDS_NOTHING, op, op_n, NULL)
    specialize(FORWARDS_RESULT | WRITES_BACK if load else FORWARDS_NOTHING, op_wb, op_wb_n, NULL)
    row(f"{name}_post", opc + "1010001" + tail, op_wb)
    row(f"{name}_off", opc + "1010010" + tail, op)
    row(f"{name}_pre", opc + "1010011" + tail, op_wb)
    if opc != "01":                                          # there is no LDNPSW
        row(name.replace("P", "NP", 1) if load else "STNP" + name[3:], opc + "1010000" + tail, op)
    return 0

cdef int register() except -1:
    rows("STP_W", "00", 0, stp_w, stp_w_n, stp_w_wb, stp_w_wb_n)
    rows("LDP_W", "00", 1, ldp_w, ldp_w_n, ldp_w_wb, ldp_w_wb_n)
    rows("LDPSW", "01", 1, ldpsw, ldpsw_n, ldpsw_wb, ldpsw_wb_n)
    rows("STP_X", "10", 0, stp_x, stp_x_n, stp_x_wb, stp_x_wb_n)
    rows("LDP_X", "10", 1, ldp_x, ldp_x_n, ldp_x_wb, ldp_x_wb_n)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
