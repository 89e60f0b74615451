# cython: language_level=3
"""The system registers of the virtual CPU interface: ICV_* at EL1, under the names ICC_*, and ICH_* at EL2
(IHI 0069, chapter 12).

All of them are views of the same state: ICH_VMCR_EL2, ICH_HCR_EL2, the active priorities and the list
registers.
"""
from libc.stdint cimport uint32_t, uint64_t
from guestdbg.cpu.gic.fields cimport *
from guestdbg.cpu.gic.interface cimport (
    gic_acknowledge, gic_deactivate, gic_eisr, gic_elrsr, gic_end, gic_get_bpr, gic_misr, gic_pending,
    gic_running_priority, gic_set_bpr, gic_set_list_register, gic_set_vmcr, gic_update,
)

cdef enum:
    INTID_MASK = 0xFFFF        # of EOIR and DIR


# ---- ICC_*_EL1 ----------------------------------------------------------------------------------

cdef inline void replace(Cpu* c, uint64_t mask, uint64_t value) noexcept nogil:
    """A field of ICH_VMCR_EL2."""
    gic_set_vmcr(c, (c.gic.vmcr & ~mask) | value)

cdef uint64_t read_icc_pmr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.gic.vmcr >> ICH_VMCR_VPMR_SHIFT

cdef void write_icc_pmr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    replace(c, <uint64_t>0xFF << ICH_VMCR_VPMR_SHIFT, (value & 0xFF) << ICH_VMCR_VPMR_SHIFT)

cdef uint64_t read_icc_iar(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return gic_acknowledge(c, r.number)

cdef void write_icc_eoir(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    gic_end(c, <uint32_t>value & INTID_MASK, r.number == 0, r.number == 1)

cdef uint64_t read_icc_hppir(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return gic_pending(c, r.number)

cdef uint64_t read_icc_bpr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return gic_get_bpr(c, r.number)

cdef void write_icc_bpr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    gic_set_bpr(c, r.number, <uint32_t>value)

cdef void write_icc_dir(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    gic_deactivate(c, <uint32_t>value & INTID_MASK)

cdef uint64_t read_icc_rpr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return gic_running_priority(c)

cdef uint64_t read_icc_ctlr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    cdef uint64_t value = ICC_CTLR_A3V | (PRIORITY_BITS - 1) << ICC_CTLR_PRIBITS_SHIFT
    if c.gic.vmcr & ICH_VMCR_VCBPR:
        value |= ICC_CTLR_CBPR
    if c.gic.vmcr & ICH_VMCR_VEOIM:
        value |= ICC_CTLR_EOIMODE
    return value

cdef void write_icc_ctlr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    replace(c, ICH_VMCR_VCBPR | ICH_VMCR_VEOIM,
            (ICH_VMCR_VCBPR if value & ICC_CTLR_CBPR else 0) | (ICH_VMCR_VEOIM if value & ICC_CTLR_EOIMODE else 0))

cdef uint64_t read_icc_sre(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return ICC_SRE_SRE | ICC_SRE_DFB | ICC_SRE_DIB             # fixed: writes are ignored

cdef uint64_t read_icc_igrpen(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return (c.gic.vmcr >> r.number) & 1

cdef void write_icc_igrpen(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    replace(c, <uint64_t>1 << r.number, (value & 1) << r.number)

cdef uint64_t read_apr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.gic.apr[r.number]

cdef void write_apr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.gic.apr[r.number] = <uint32_t>value
    gic_update(c)


# ---- ICH_*_EL2 ----------------------------------------------------------------------------------

cdef uint64_t read_ich_hcr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.gic.hcr

cdef void write_ich_hcr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    c.gic.hcr = value & ICH_HCR_MASK
    gic_update(c)

cdef uint64_t read_ich_vtr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return ICH_VTR | (c.gic.list_registers - 1)

cdef uint64_t read_ich_misr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return gic_misr(c)

cdef uint64_t read_ich_eisr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return gic_eisr(c)

cdef uint64_t read_ich_elrsr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return gic_elrsr(c)

cdef uint64_t read_ich_vmcr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.gic.vmcr

cdef void write_ich_vmcr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    gic_set_vmcr(c, value)

cdef uint64_t read_ich_lr(Cpu* c, const Reg* r, uint64_t count) noexcept nogil:
    return c.gic.lr[r.number]

cdef void write_ich_lr(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil:
    gic_set_list_register(c, r.number, value)
    gic_update(c)
