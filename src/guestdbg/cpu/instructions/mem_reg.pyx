# cython: language_level=3
"""Loads and stores of one general-purpose register at base + register: lsl, uxtw, sxtw.

Each kind (STRB, LDR X, LDRSW, ...) has one function for each extension, and specializations that
take the base (n), the offset (m) or the value stored (d) from the instruction before
(operand_forwarding.pyx).
"""
from libc.stdint cimport uint32_t, uint64_t

from guestdbg.cpu.core cimport add, bits, Cpu, Insn, OK, Op, src
from guestdbg.cpu.instructions.mem_common cimport sext32
from guestdbg.cpu.instructions.mem_single cimport (
    at, kind, LDRB, LDRH, LDRSB32, LDRSB64, LDRSH32, LDRSH64, LDRSW, LDRW, LDRX, offset, operands,
    set_offset, STRB, STRH, STRW, STRX,
)
from guestdbg.cpu.operand_forwarding cimport (
    FORWARDS_NOTHING, FORWARDS_RESULT, fwd_xm, fwd_xn, NONE, RD, RM, RN, specialize_all,
)

cdef inline void indexed(Cpu* c, const Insn* i, uint64_t base, uint64_t index, uint32_t k,
                         uint64_t last, int forwarded) noexcept nogil:
    at(c, i, base + (index << offset(i, k)), k, base, False, 0, last, forwarded)

cdef inline void lsl(Cpu* c, const Insn* i, uint32_t k, uint64_t last, int forwarded) noexcept nogil:
    indexed(c, i, fwd_xn(c, i, last, forwarded), fwd_xm(c, i, last, forwarded), k, last, forwarded)

cdef inline void uxtw(Cpu* c, const Insn* i, uint32_t k, uint64_t last, int forwarded) noexcept nogil:
    indexed(c, i, fwd_xn(c, i, last, forwarded), <uint32_t>fwd_xm(c, i, last, forwarded), k, last, forwarded)

cdef inline void sxtw(Cpu* c, const Insn* i, uint32_t k, uint64_t last, int forwarded) noexcept nogil:
    indexed(c, i, fwd_xn(c, i, last, forwarded), sext32(<uint32_t>fwd_xm(c, i, last, forwarded)), k, last, forwarded)

cdef void strb_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRB, last, NONE)
cdef void ldrb_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRB, last, NONE)
cdef void ldrsb64_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSB64, last, NONE)
cdef void ldrsb32_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSB32, last, NONE)
cdef void strh_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRH, last, NONE)
cdef void ldrh_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRH, last, NONE)
cdef void ldrsh64_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSH64, last, NONE)
cdef void ldrsh32_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSH32, last, NONE)
cdef void strw_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRW, last, NONE)
cdef void ldrw_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRW, last, NONE)
cdef void ldrsw_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSW, last, NONE)
cdef void strx_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRX, last, NONE)
cdef void ldrx_lsl(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRX, last, NONE)

cdef void strb_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRB, last, RN)
cdef void ldrb_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRB, last, RN)
cdef void ldrsb64_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSB64, last, RN)
cdef void ldrsb32_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSB32, last, RN)
cdef void strh_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRH, last, RN)
cdef void ldrh_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRH, last, RN)
cdef void ldrsh64_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSH64, last, RN)
cdef void ldrsh32_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSH32, last, RN)
cdef void strw_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRW, last, RN)
cdef void ldrw_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRW, last, RN)
cdef void ldrsw_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSW, last, RN)
cdef void strx_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRX, last, RN)
cdef void ldrx_lsl_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRX, last, RN)

cdef void strb_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRB, last, RM)
cdef void ldrb_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRB, last, RM)
cdef void ldrsb64_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSB64, last, RM)
cdef void ldrsb32_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSB32, last, RM)
cdef void strh_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRH, last, RM)
cdef void ldrh_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRH, last, RM)
cdef void ldrsh64_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSH64, last, RM)
cdef void ldrsh32_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSH32, last, RM)
cdef void strw_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRW, last, RM)
cdef void ldrw_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRW, last, RM)
cdef void ldrsw_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRSW, last, RM)
cdef void strx_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRX, last, RM)
cdef void ldrx_lsl_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, LDRX, last, RM)

cdef void strb_lsl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRB, last, RD)
cdef void strh_lsl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRH, last, RD)
cdef void strw_lsl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRW, last, RD)
cdef void strx_lsl_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: lsl(c, i, STRX, last, RD)

cdef void strb_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRB, last, NONE)
cdef void ldrb_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRB, last, NONE)
cdef void ldrsb64_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSB64, last, NONE)
cdef void ldrsb32_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSB32, last, NONE)
cdef void strh_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRH, last, NONE)
cdef void ldrh_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRH, last, NONE)
cdef void ldrsh64_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSH64, last, NONE)
cdef void ldrsh32_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSH32, last, NONE)
cdef void strw_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRW, last, NONE)
cdef void ldrw_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRW, last, NONE)
cdef void ldrsw_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSW, last, NONE)
cdef void strx_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRX, last, NONE)
cdef void ldrx_uxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRX, last, NONE)

cdef void strb_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRB, last, RN)
cdef void ldrb_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRB, last, RN)
cdef void ldrsb64_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSB64, last, RN)
cdef void ldrsb32_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSB32, last, RN)
cdef void strh_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRH, last, RN)
cdef void ldrh_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRH, last, RN)
cdef void ldrsh64_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSH64, last, RN)
cdef void ldrsh32_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSH32, last, RN)
cdef void strw_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRW, last, RN)
cdef void ldrw_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRW, last, RN)
cdef void ldrsw_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSW, last, RN)
cdef void strx_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRX, last, RN)
cdef void ldrx_uxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRX, last, RN)

cdef void strb_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRB, last, RM)
cdef void ldrb_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRB, last, RM)
cdef void ldrsb64_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSB64, last, RM)
cdef void ldrsb32_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSB32, last, RM)
cdef void strh_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRH, last, RM)
cdef void ldrh_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRH, last, RM)
cdef void ldrsh64_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSH64, last, RM)
cdef void ldrsh32_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSH32, last, RM)
cdef void strw_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRW, last, RM)
cdef void ldrw_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRW, last, RM)
cdef void ldrsw_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRSW, last, RM)
cdef void strx_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRX, last, RM)
cdef void ldrx_uxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, LDRX, last, RM)

cdef void strb_uxtw_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRB, last, RD)
cdef void strh_uxtw_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRH, last, RD)
cdef void strw_uxtw_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRW, last, RD)
cdef void strx_uxtw_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: uxtw(c, i, STRX, last, RD)

cdef void strb_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRB, last, NONE)
cdef void ldrb_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRB, last, NONE)
cdef void ldrsb64_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSB64, last, NONE)
cdef void ldrsb32_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSB32, last, NONE)
cdef void strh_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRH, last, NONE)
cdef void ldrh_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRH, last, NONE)
cdef void ldrsh64_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSH64, last, NONE)
cdef void ldrsh32_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSH32, last, NONE)
cdef void strw_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRW, last, NONE)
cdef void ldrw_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRW, last, NONE)
cdef void ldrsw_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSW, last, NONE)
cdef void strx_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRX, last, NONE)
cdef void ldrx_sxtw(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRX, last, NONE)

cdef void strb_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRB, last, RN)
cdef void ldrb_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRB, last, RN)
cdef void ldrsb64_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSB64, last, RN)
cdef void ldrsb32_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSB32, last, RN)
cdef void strh_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRH, last, RN)
cdef void ldrh_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRH, last, RN)
cdef void ldrsh64_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSH64, last, RN)
cdef void ldrsh32_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSH32, last, RN)
cdef void strw_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRW, last, RN)
cdef void ldrw_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRW, last, RN)
cdef void ldrsw_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSW, last, RN)
cdef void strx_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRX, last, RN)
cdef void ldrx_sxtw_n(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRX, last, RN)

cdef void strb_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRB, last, RM)
cdef void ldrb_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRB, last, RM)
cdef void ldrsb64_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSB64, last, RM)
cdef void ldrsb32_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSB32, last, RM)
cdef void strh_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRH, last, RM)
cdef void ldrh_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRH, last, RM)
cdef void ldrsh64_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSH64, last, RM)
cdef void ldrsh32_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSH32, last, RM)
cdef void strw_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRW, last, RM)
cdef void ldrw_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRW, last, RM)
cdef void ldrsw_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRSW, last, RM)
cdef void strx_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRX, last, RM)
cdef void ldrx_sxtw_m(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, LDRX, last, RM)

cdef void strb_sxtw_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRB, last, RD)
cdef void strh_sxtw_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRH, last, RD)
cdef void strw_sxtw_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRW, last, RD)
cdef void strx_sxtw_d(Cpu* c, const Insn* i, uint64_t last) noexcept nogil: sxtw(c, i, STRX, last, RD)

cdef int fill(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    operands(o, raw)
    o.rm = src(raw >> 16)
    # S: scaled by the access size
    set_offset(o, kind(raw), bits(raw, 31, 30) if raw & (1 << 12) else 0)
    return OK

cdef int row(str name, str pattern, Op op, int handing, Op op_n, Op op_m, Op op_d) except -1:
    cdef bytes n = name.encode()
    cdef bytes p = pattern.encode()
    specialize_all(handing, op, op_n, op_m, NULL, op_d)
    return add(n, p, fill, op)

cdef int register() except -1:
    row("STRB_lsl", "00111000001 mmmmm x11 S 10 nnnnnttttt",
        strb_lsl, FORWARDS_NOTHING, strb_lsl_n, strb_lsl_m, strb_lsl_d)
    row("STRB_uxtw", "00111000001 mmmmm 010 S 10 nnnnnttttt",
        strb_uxtw, FORWARDS_NOTHING, strb_uxtw_n, strb_uxtw_m, strb_uxtw_d)
    row("STRB_sxtw", "00111000001 mmmmm 110 S 10 nnnnnttttt",
        strb_sxtw, FORWARDS_NOTHING, strb_sxtw_n, strb_sxtw_m, strb_sxtw_d)
    row("LDRB_lsl", "00111000011 mmmmm x11 S 10 nnnnnttttt",
        ldrb_lsl, FORWARDS_RESULT, ldrb_lsl_n, ldrb_lsl_m, NULL)
    row("LDRB_uxtw", "00111000011 mmmmm 010 S 10 nnnnnttttt",
        ldrb_uxtw, FORWARDS_RESULT, ldrb_uxtw_n, ldrb_uxtw_m, NULL)
    row("LDRB_sxtw", "00111000011 mmmmm 110 S 10 nnnnnttttt",
        ldrb_sxtw, FORWARDS_RESULT, ldrb_sxtw_n, ldrb_sxtw_m, NULL)
    row("LDRSB_X_lsl", "00111000101 mmmmm x11 S 10 nnnnnttttt",
        ldrsb64_lsl, FORWARDS_RESULT, ldrsb64_lsl_n, ldrsb64_lsl_m, NULL)
    row("LDRSB_X_uxtw", "00111000101 mmmmm 010 S 10 nnnnnttttt",
        ldrsb64_uxtw, FORWARDS_RESULT, ldrsb64_uxtw_n, ldrsb64_uxtw_m, NULL)
    row("LDRSB_X_sxtw", "00111000101 mmmmm 110 S 10 nnnnnttttt",
        ldrsb64_sxtw, FORWARDS_RESULT, ldrsb64_sxtw_n, ldrsb64_sxtw_m, NULL)
    row("LDRSB_W_lsl", "00111000111 mmmmm x11 S 10 nnnnnttttt",
        ldrsb32_lsl, FORWARDS_RESULT, ldrsb32_lsl_n, ldrsb32_lsl_m, NULL)
    row("LDRSB_W_uxtw", "00111000111 mmmmm 010 S 10 nnnnnttttt",
        ldrsb32_uxtw, FORWARDS_RESULT, ldrsb32_uxtw_n, ldrsb32_uxtw_m, NULL)
    row("LDRSB_W_sxtw", "00111000111 mmmmm 110 S 10 nnnnnttttt",
        ldrsb32_sxtw, FORWARDS_RESULT, ldrsb32_sxtw_n, ldrsb32_sxtw_m, NULL)
    row("STRH_lsl", "01111000001 mmmmm x11 S 10 nnnnnttttt",
        strh_lsl, FORWARDS_NOTHING, strh_lsl_n, strh_lsl_m, strh_lsl_d)
    row("STRH_uxtw", "01111000001 mmmmm 010 S 10 nnnnnttttt",
        strh_uxtw, FORWARDS_NOTHING, strh_uxtw_n, strh_uxtw_m, strh_uxtw_d)
    row("STRH_sxtw", "01111000001 mmmmm 110 S 10 nnnnnttttt",
        strh_sxtw, FORWARDS_NOTHING, strh_sxtw_n, strh_sxtw_m, strh_sxtw_d)
    row("LDRH_lsl", "01111000011 mmmmm x11 S 10 nnnnnttttt",
        ldrh_lsl, FORWARDS_RESULT, ldrh_lsl_n, ldrh_lsl_m, NULL)
    row("LDRH_uxtw", "01111000011 mmmmm 010 S 10 nnnnnttttt",
        ldrh_uxtw, FORWARDS_RESULT, ldrh_uxtw_n, ldrh_uxtw_m, NULL)
    row("LDRH_sxtw", "01111000011 mmmmm 110 S 10 nnnnnttttt",
        ldrh_sxtw, FORWARDS_RESULT, ldrh_sxtw_n, ldrh_sxtw_m, NULL)
    row("LDRSH_X_lsl", "01111000101 mmmmm x11 S 10 nnnnnttttt",
        ldrsh64_lsl, FORWARDS_RESULT, ldrsh64_lsl_n, ldrsh64_lsl_m, NULL)
    row("LDRSH_X_uxtw", "01111000101 mmmmm 010 S 10 nnnnnttttt",
        ldrsh64_uxtw, FORWARDS_RESULT, ldrsh64_uxtw_n, ldrsh64_uxtw_m, NULL)
    row("LDRSH_X_sxtw", "01111000101 mmmmm 110 S 10 nnnnnttttt",
        ldrsh64_sxtw, FORWARDS_RESULT, ldrsh64_sxtw_n, ldrsh64_sxtw_m, NULL)
    row("LDRSH_W_lsl", "01111000111 mmmmm x11 S 10 nnnnnttttt",
        ldrsh32_lsl, FORWARDS_RESULT, ldrsh32_lsl_n, ldrsh32_lsl_m, NULL)
    row("LDRSH_W_uxtw", "01111000111 mmmmm 010 S 10 nnnnnttttt",
        ldrsh32_uxtw, FORWARDS_RESULT, ldrsh32_uxtw_n, ldrsh32_uxtw_m, NULL)
    row("LDRSH_W_sxtw", "01111000111 mmmmm 110 S 10 nnnnnttttt",
        ldrsh32_sxtw, FORWARDS_RESULT, ldrsh32_sxtw_n, ldrsh32_sxtw_m, NULL)
    row("STR_W_lsl", "10111000001 mmmmm x11 S 10 nnnnnttttt",
        strw_lsl, FORWARDS_NOTHING, strw_lsl_n, strw_lsl_m, strw_lsl_d)
    row("STR_W_uxtw", "10111000001 mmmmm 010 S 10 nnnnnttttt",
        strw_uxtw, FORWARDS_NOTHING, strw_uxtw_n, strw_uxtw_m, strw_uxtw_d)
    row("STR_W_sxtw", "10111000001 mmmmm 110 S 10 nnnnnttttt",
        strw_sxtw, FORWARDS_NOTHING, strw_sxtw_n, strw_sxtw_m, strw_sxtw_d)
    row("LDR_W_lsl", "10111000011 mmmmm x11 S 10 nnnnnttttt",
        ldrw_lsl, FORWARDS_RESULT, ldrw_lsl_n, ldrw_lsl_m, NULL)
    row("LDR_W_uxtw", "10111000011 mmmmm 010 S 10 nnnnnttttt",
        ldrw_uxtw, FORWARDS_RESULT, ldrw_uxtw_n, ldrw_uxtw_m, NULL)
    row("LDR_W_sxtw", "10111000011 mmmmm 110 S 10 nnnnnttttt",
        ldrw_sxtw, FORWARDS_RESULT, ldrw_sxtw_n, ldrw_sxtw_m, NULL)
    row("LDRSW_lsl", "10111000101 mmmmm x11 S 10 nnnnnttttt",
        ldrsw_lsl, FORWARDS_RESULT, ldrsw_lsl_n, ldrsw_lsl_m, NULL)
    row("LDRSW_uxtw", "10111000101 mmmmm 010 S 10 nnnnnttttt",
        ldrsw_uxtw, FORWARDS_RESULT, ldrsw_uxtw_n, ldrsw_uxtw_m, NULL)
    row("LDRSW_sxtw", "10111000101 mmmmm 110 S 10 nnnnnttttt",
        ldrsw_sxtw, FORWARDS_RESULT, ldrsw_sxtw_n, ldrsw_sxtw_m, NULL)
    row("STR_X_lsl", "11111000001 mmmmm x11 S 10 nnnnnttttt",
        strx_lsl, FORWARDS_NOTHING, strx_lsl_n, strx_lsl_m, strx_lsl_d)
    row("STR_X_uxtw", "11111000001 mmmmm 010 S 10 nnnnnttttt",
        strx_uxtw, FORWARDS_NOTHING, strx_uxtw_n, strx_uxtw_m, strx_uxtw_d)
    row("STR_X_sxtw", "11111000001 mmmmm 110 S 10 nnnnnttttt",
        strx_sxtw, FORWARDS_NOTHING, strx_sxtw_n, strx_sxtw_m, strx_sxtw_d)
    row("LDR_X_lsl", "11111000011 mmmmm x11 S 10 nnnnnttttt",
        ldrx_lsl, FORWARDS_RESULT, ldrx_lsl_n, ldrx_lsl_m, NULL)
    row("LDR_X_uxtw", "11111000011 mmmmm 010 S 10 nnnnnttttt",
        ldrx_uxtw, FORWARDS_RESULT, ldrx_uxtw_n, ldrx_uxtw_m, NULL)
    row("LDR_X_sxtw", "11111000011 mmmmm 110 S 10 nnnnnttttt",
        ldrx_sxtw, FORWARDS_RESULT, ldrx_sxtw_n, ldrx_sxtw_m, NULL)
    return 0

def install() -> None:
    """Put this module's instructions into the decode table."""
    register()
