# cython: language_level=3
"""The state of the virtual CPU interface: list registers and active priorities (IHI 0069, chapters 4 to 6).

Where the architecture leaves a choice: of several pending interrupts of the same priority the one in the
lowest list register comes first; an end of interrupt drops the priority before anything is checked; without
an active priority it does nothing, and EOIcount stays as it is.

A guest with a GICv2 has all its active priorities in ICH_AP1R0_EL2, whatever the group.
"""
from guestdbg.cpu.core cimport GIC_MAINTENANCE, GIC_VFIQ, GIC_VIRQ
from guestdbg.cpu.gic.fields cimport *
from libc.string cimport memset


cdef extern from *:
    """
    static inline int guestdbg_lowest_bit(unsigned v) { return __builtin_ctz(v); }
    """
    int lowest_bit "guestdbg_lowest_bit"(uint32_t) nogil       # of a value that is not 0


cdef inline uint32_t priority_of(uint64_t lr) noexcept nogil:
    return <uint32_t>(lr >> ICH_LR_PRIORITY_SHIFT) & 0xFF


cdef inline uint32_t group_of(uint64_t lr) noexcept nogil:
    return 1 if lr & ICH_LR_GROUP else 0


cdef inline uint32_t intid_of(const Cpu* c, uint64_t lr) noexcept nogil:
    """A GICv2's SGI has its source processor in bits 12 to 10."""
    return <uint32_t>lr & (0x1FFF if c.gic.version == 2 else 0xFFFF)


cdef inline bint is_special(const Cpu* c, uint32_t intid) noexcept nogil:
    """1020 to 1023 are no interrupts."""
    if c.gic.version == 2:
        intid &= 0x3FF
    return INTID_FIRST_SPECIAL <= intid <= INTID_SPURIOUS


cdef inline uint32_t binary_point(const Cpu* c, uint32_t group) noexcept nogil:
    return <uint32_t>(c.gic.vmcr >> (ICH_VMCR_VBPR1_SHIFT if group else ICH_VMCR_VBPR0_SHIFT)) & 7


cdef inline uint32_t group_priority_mask(const Cpu* c, uint32_t group) noexcept nogil:
    """The bits of a priority that decide about preemption. A binary point of n leaves [7:n+1] in Group 0,
    [7:n] in Group 1 (IHI 0069, 4.8.3)."""
    cdef uint32_t point
    if group and not c.gic.vmcr & ICH_VMCR_VCBPR:
        point = binary_point(c, 1) - 1
    else:
        point = binary_point(c, 0)
    return (<uint32_t>0xFF << (point + 1)) & 0xFF


cdef inline uint32_t active_group(const Cpu* c, uint32_t group) noexcept nogil:
    """In which of the two active priorities registers this group's are."""
    return 1 if c.gic.version == 2 else group


# ---- what is pending ----------------------------------------------------------------------------

cdef int highest_pending(const Cpu* c) noexcept nogil:
    """The list register with the highest priority pending interrupt of the enabled groups; -1: none."""
    cdef uint32_t n, best = IDLE_PRIORITY
    cdef uint64_t lr
    cdef int found = -1
    for n in range(c.gic.list_registers):
        lr = c.gic.lr[n]
        if (lr & ICH_LR_STATE) != ICH_LR_PENDING:
            continue
        if not c.gic.vmcr & (ICH_VMCR_VENG1 if lr & ICH_LR_GROUP else ICH_VMCR_VENG0):
            continue
        if priority_of(lr) < best:
            best = priority_of(lr)
            found = <int>n
    return found


cdef uint32_t gic_running_priority(Cpu* c) noexcept nogil:
    cdef uint32_t active = <uint32_t>(c.gic.apr[0] | c.gic.apr[1])
    return lowest_bit(active) << (8 - PRIORITY_BITS) if active else IDLE_PRIORITY


cdef int signalled(Cpu* c) noexcept nogil:
    """The list register whose interrupt is signalled to the processor; -1: none. It is enabled, above the
    priority mask, and preempts what is active."""
    cdef int n
    cdef uint32_t running, mask
    if not c.gic.hcr & ICH_HCR_EN:
        return -1
    n = highest_pending(c)
    if n < 0 or priority_of(c.gic.lr[n]) >= c.gic.vmcr >> ICH_VMCR_VPMR_SHIFT:
        return -1
    running = gic_running_priority(c)
    if running == IDLE_PRIORITY:
        return n
    mask = group_priority_mask(c, group_of(c.gic.lr[n]))
    return n if priority_of(c.gic.lr[n]) & mask < running & mask else -1


cdef int gic_signalled_group(Cpu* c) noexcept nogil:
    cdef int n = signalled(c)
    return -1 if n < 0 else <int>group_of(c.gic.lr[n])


cdef int gic_pending_group(Cpu* c) noexcept nogil:
    cdef int n = highest_pending(c)
    return -1 if n < 0 else <int>group_of(c.gic.lr[n])


cdef uint32_t gic_pending(Cpu* c, uint32_t group) noexcept nogil:
    cdef int n = highest_pending(c)
    if n < 0 or group_of(c.gic.lr[n]) != group:
        return INTID_SPURIOUS
    return intid_of(c, c.gic.lr[n])


cdef uint64_t gic_eisr(const Cpu* c) noexcept nogil:
    cdef uint32_t n
    cdef uint64_t found = 0
    for n in range(c.gic.list_registers):
        if (c.gic.lr[n] & (ICH_LR_STATE | ICH_LR_HW | ICH_LR_EOI)) == ICH_LR_EOI:
            found |= <uint64_t>1 << n
    return found


cdef uint64_t gic_elrsr(const Cpu* c) noexcept nogil:
    cdef uint32_t n
    cdef uint64_t found = 0
    for n in range(c.gic.list_registers):
        if not c.gic.lr[n] & ICH_LR_STATE and (c.gic.lr[n] & ICH_LR_HW or not c.gic.lr[n] & ICH_LR_EOI):
            found |= <uint64_t>1 << n
    return found


cdef uint64_t gic_misr(const Cpu* c) noexcept nogil:
    cdef uint64_t value = 0, hcr = c.gic.hcr
    cdef uint32_t n, valid = 0
    cdef bint pending = False
    for n in range(c.gic.list_registers):
        if c.gic.lr[n] & ICH_LR_STATE:
            valid += 1
        if (c.gic.lr[n] & ICH_LR_STATE) == ICH_LR_PENDING:
            pending = True
    if gic_eisr(c):
        value |= ICH_MISR_EOI
    if hcr & ICH_HCR_UIE and valid <= 1:
        value |= ICH_MISR_U
    if hcr & ICH_HCR_LRENPIE and hcr >> ICH_HCR_EOICOUNT_SHIFT:
        value |= ICH_MISR_LRENP
    if hcr & ICH_HCR_NPIE and not pending:
        value |= ICH_MISR_NP
    if c.gic.vmcr & ICH_VMCR_VENG0:
        if hcr & ICH_HCR_VGRP0EIE:
            value |= ICH_MISR_VGRP0E
    elif hcr & ICH_HCR_VGRP0DIE:
        value |= ICH_MISR_VGRP0D
    if c.gic.vmcr & ICH_VMCR_VENG1:
        if hcr & ICH_HCR_VGRP1EIE:
            value |= ICH_MISR_VGRP1E
    elif hcr & ICH_HCR_VGRP1DIE:
        value |= ICH_MISR_VGRP1D
    return value


cdef void gic_update(Cpu* c) noexcept nogil:
    cdef uint32_t signals = 0
    cdef int group
    if c.gic.hcr & ICH_HCR_EN:
        group = gic_signalled_group(c)
        if group == 1:
            signals = GIC_VIRQ
        elif group == 0:
            # ICH_VMCR_EL2.VFIQEn is RES1 for a GICv3.
            signals = GIC_VFIQ if c.gic.vmcr & ICH_VMCR_VFIQEN else GIC_VIRQ
        if gic_misr(c):
            signals |= GIC_MAINTENANCE
    c.signals = (c.signals & ~<uint32_t>(GIC_VIRQ | GIC_VFIQ | GIC_MAINTENANCE)) | signals


# ---- acknowledge, end of interrupt, deactivation ------------------------------------------------

cdef uint32_t gic_peek(Cpu* c, uint32_t group) noexcept nogil:
    cdef int n = signalled(c)
    if n < 0 or group_of(c.gic.lr[n]) != group:
        return INTID_SPURIOUS
    return intid_of(c, c.gic.lr[n])


cdef uint32_t gic_acknowledge(Cpu* c, uint32_t group) noexcept nogil:
    cdef int n = signalled(c)
    cdef uint32_t intid, priority
    if n < 0 or group_of(c.gic.lr[n]) != group:
        return INTID_SPURIOUS
    intid = intid_of(c, c.gic.lr[n])
    c.gic.lr[n] &= ~ICH_LR_STATE
    if not is_special(c, intid):           # otherwise it is just no longer pending
        c.gic.lr[n] |= ICH_LR_ACTIVE
        priority = priority_of(c.gic.lr[n]) & group_priority_mask(c, group)
        c.gic.apr[active_group(c, group)] |= <uint64_t>1 << (priority >> (8 - PRIORITY_BITS))
    gic_update(c)
    return intid


cdef uint32_t drop_priority(Cpu* c) noexcept nogil:
    """The highest active priority is no longer active. Returns it."""
    cdef uint32_t priority = gic_running_priority(c)
    cdef uint64_t bit
    if priority != IDLE_PRIORITY:
        bit = <uint64_t>1 << (priority >> (8 - PRIORITY_BITS))
        c.gic.apr[0 if c.gic.apr[0] & bit else 1] &= ~bit
    return priority


cdef int find_active(const Cpu* c, uint32_t intid) noexcept nogil:
    cdef uint32_t n
    for n in range(c.gic.list_registers):
        if c.gic.lr[n] & ICH_LR_ACTIVE and intid_of(c, c.gic.lr[n]) == intid:
            return <int>n
    return -1


cdef inline void count_eoi(Cpu* c) noexcept nogil:
    """An interrupt that is in no list register was deactivated: 5 bits, which wrap."""
    c.gic.hcr = (c.gic.hcr + (<uint64_t>1 << ICH_HCR_EOICOUNT_SHIFT)) & ICH_HCR_MASK


cdef void gic_end(Cpu* c, uint32_t intid, bint group0, bint group1) noexcept nogil:
    cdef uint32_t dropped, group
    cdef int n
    if is_special(c, intid):
        return
    dropped = drop_priority(c)
    if dropped == IDLE_PRIORITY:
        return
    # EOImode 1 leaves the deactivation to ICC_DIR_EL1; LPIs have none, and are deactivated here.
    if not c.gic.vmcr & ICH_VMCR_VEOIM or intid >= INTID_FIRST_LPI:
        n = find_active(c, intid)
        if n < 0:
            if intid < INTID_FIRST_LPI:
                count_eoi(c)
        else:
            group = group_of(c.gic.lr[n])
            if (group1 if group else group0) and priority_of(c.gic.lr[n]) & group_priority_mask(c, group) == dropped:
                c.gic.lr[n] &= ~ICH_LR_ACTIVE
    gic_update(c)


cdef void gic_deactivate(Cpu* c, uint32_t intid) noexcept nogil:
    cdef int n
    if not c.gic.vmcr & ICH_VMCR_VEOIM or is_special(c, intid) or intid >= INTID_FIRST_LPI:
        return
    n = find_active(c, intid)
    if n < 0:
        count_eoi(c)
    else:
        c.gic.lr[n] &= ~ICH_LR_ACTIVE
    gic_update(c)


# ---- registers with several views ---------------------------------------------------------------

cdef uint32_t gic_get_bpr(Cpu* c, uint32_t group) noexcept nogil:
    cdef uint32_t value
    if group and c.gic.vmcr & ICH_VMCR_VCBPR:
        value = binary_point(c, 0) + 1
        return 7 if value > 7 else value
    return binary_point(c, group)


cdef void gic_set_bpr(Cpu* c, uint32_t group, uint32_t value) noexcept nogil:
    cdef uint32_t shift = ICH_VMCR_VBPR1_SHIFT if group else ICH_VMCR_VBPR0_SHIFT
    if group and c.gic.vmcr & ICH_VMCR_VCBPR:
        return
    gic_set_vmcr(c, (c.gic.vmcr & ~(<uint64_t>7 << shift)) | <uint64_t>(value & 7) << shift)


cdef uint64_t at_least(uint64_t vmcr, uint32_t shift, uint64_t least) noexcept nogil:
    if (vmcr >> shift) & 7 < least:
        return (vmcr & ~(<uint64_t>7 << shift)) | least << shift
    return vmcr


cdef void gic_set_vmcr(Cpu* c, uint64_t value) noexcept nogil:
    value &= ICH_VMCR_MASK & ~(<uint64_t>(0xFF & ~PRIORITY_MASK) << ICH_VMCR_VPMR_SHIFT)
    value = at_least(value, ICH_VMCR_VBPR0_SHIFT, MIN_BPR0)
    value = at_least(value, ICH_VMCR_VBPR1_SHIFT, MIN_BPR1)
    if c.gic.version != 2:                 # ICC_SRE_EL1.SRE is 1
        value = (value & ~<uint64_t>ICH_VMCR_VACKCTL) | ICH_VMCR_VFIQEN
    c.gic.vmcr = value
    gic_update(c)


cdef void gic_set_list_register(Cpu* c, uint32_t n, uint64_t value) noexcept nogil:
    c.gic.lr[n] = value & ICH_LR_MASK


cdef void gic_reset(Cpu* c, uint32_t version, uint32_t list_registers) noexcept nogil:
    memset(&c.gic, 0, sizeof(c.gic))
    c.gic.version = version
    c.gic.list_registers = list_registers
    gic_set_vmcr(c, 0)
