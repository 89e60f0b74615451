# cython: language_level=3
"""GICV, the virtual CPU interface in memory, for guests that use a GICv2 (IHI 0069, 8.15; IHI 0048, 4.4 and 5.4).

Its registers have 32 bits. What is not a register, and accesses of another size or that are not aligned, are
RAZ/WI. (mmu.pyx makes the accesses.)

Registers without "A" are for Group 0, and with GICV_CTLR.AckCtl for Group 1 too; those with "A", the aliased
ones, are for Group 1.
"""
from guestdbg.cpu.gic.fields cimport *
from guestdbg.cpu.gic.interface cimport (
    gic_acknowledge, gic_deactivate, gic_end, gic_get_bpr, gic_pending, gic_pending_group, gic_running_priority,
    gic_set_bpr, gic_set_vmcr, gic_signalled_group, gic_update,
)

cdef enum:
    GICV_CTLR = 0x00
    GICV_PMR = 0x04
    GICV_BPR = 0x08
    GICV_IAR = 0x0C
    GICV_EOIR = 0x10
    GICV_RPR = 0x14
    GICV_HPPIR = 0x18
    GICV_ABPR = 0x1C
    GICV_AIAR = 0x20
    GICV_AEOIR = 0x24
    GICV_AHPPIR = 0x28
    GICV_APR0 = 0xD0
    GICV_IIDR = 0xFC
    GICV_DIR = 0x1000

    CTLR_MASK = 0x21F          # EOImode, CBPR, FIQEn, AckCtl, EnableGrp1, EnableGrp0: as ICH_VMCR_EL2
    INTERRUPT_MASK = 0x1FFF    # CPUID, Interrupt ID
    # What KVM's GICv2 has: Implementer Arm, Architecture version 2, Product ID KVM.
    IIDR = 0x4B << 20 | 2 << 16 | 0x43B


cdef uint32_t acknowledge(Cpu* c) noexcept nogil:
    if gic_signalled_group(c) == 1:
        return gic_acknowledge(c, 1) if c.gic.vmcr & ICH_VMCR_VACKCTL else INTID_GROUP1
    return gic_acknowledge(c, 0)


cdef uint32_t highest_pending(Cpu* c) noexcept nogil:
    # By the group, not by the number: a list register can hold 1023, too.
    if gic_pending_group(c) != 1:
        return gic_pending(c, 0)
    return gic_pending(c, 1) if c.gic.vmcr & ICH_VMCR_VACKCTL else INTID_GROUP1


cdef uint32_t gicv_read(Cpu* c, uint64_t offset) noexcept nogil:
    if offset == GICV_IAR:
        return acknowledge(c)
    if offset == GICV_AIAR:
        return gic_acknowledge(c, 1)
    if offset == GICV_CTLR:
        return <uint32_t>c.gic.vmcr & CTLR_MASK
    if offset == GICV_PMR:
        return <uint32_t>(c.gic.vmcr >> ICH_VMCR_VPMR_SHIFT)
    if offset == GICV_BPR:
        return gic_get_bpr(c, 0)
    if offset == GICV_RPR:
        return gic_running_priority(c)
    if offset == GICV_HPPIR:
        return highest_pending(c)
    if offset == GICV_ABPR:
        return gic_get_bpr(c, 1)
    if offset == GICV_AHPPIR:
        return gic_pending(c, 1)
    if offset == GICV_APR0:
        return <uint32_t>c.gic.apr[1]
    if offset == GICV_IIDR:
        return IIDR
    return 0


cdef void gicv_write(Cpu* c, uint64_t offset, uint32_t value) noexcept nogil:
    if offset == GICV_EOIR:
        gic_end(c, value & INTERRUPT_MASK, True, c.gic.vmcr & ICH_VMCR_VACKCTL)
    elif offset == GICV_AEOIR:
        gic_end(c, value & INTERRUPT_MASK, False, True)
    elif offset == GICV_DIR:
        gic_deactivate(c, value & INTERRUPT_MASK)
    elif offset == GICV_CTLR:
        gic_set_vmcr(c, (c.gic.vmcr & ~<uint64_t>CTLR_MASK) | (value & CTLR_MASK))
    elif offset == GICV_PMR:
        gic_set_vmcr(c, (c.gic.vmcr & ~(<uint64_t>0xFF << ICH_VMCR_VPMR_SHIFT))
                     | <uint64_t>(value & 0xFF) << ICH_VMCR_VPMR_SHIFT)
    elif offset == GICV_BPR:
        gic_set_bpr(c, 0, value)
    elif offset == GICV_ABPR:
        gic_set_bpr(c, 1, value)
    elif offset == GICV_APR0:
        c.gic.apr[1] = value
        gic_update(c)
