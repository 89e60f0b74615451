# cython: language_level=3
"""Translation (D5: the VMSAv8-64 stage 1 EL1&0 regime), and the slow path of memory accesses.

Stage 2 is the VM's memory slots: a flat map, whose holes a hypervisor sees as MMIO.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy
from guestdbg.cpu.instruction_trace cimport log_access, log_of
from guestdbg.cpu.address_space cimport (
    AddressSpace, ORIGIN_NG, space_of, X_DEVICE, X_PRESENT, X_READ, X_READONLY, X_REGION, X_VALID, X_WRITE,
)
from guestdbg.cpu.core cimport *
from guestdbg.cpu.dirty_pages cimport note_written
from guestdbg.cpu.exception cimport (
    EC_DABT_LOW, EC_IABT_CUR, EC_IABT_LOW, EC_PC_ALIGN, raise_el1_far, raise_el2_far, take_el1, take_el2,
)
from guestdbg.cpu.debug cimport dbg_raise_watchpoint, dbg_watch, dbg_watched
from guestdbg.cpu.features cimport has_bti
from guestdbg.cpu.gic.frame cimport gicv_read, gicv_write, in_frame
from guestdbg.cpu.operands cimport encoding
from guestdbg.cpu.page_tables cimport is_table, note_walk, table_written, tables_unknown, WalkedTables
from guestdbg.cpu.register_bits cimport *
from guestdbg.cpu.tlb cimport COUNT_WALKS, note_origin, origin_of, tlb_forget_data


cdef enum:
    FSC_ADDRESS = 0x00         # + level
    FSC_TRANSLATION = 0x04
    FSC_ACCESS = 0x08
    FSC_PERMISSION = 0x0C
    FSC_EXTERNAL = 0x10
    FSC_ALIGNMENT = 0x21
    FSC_EXCLUSIVE = 0x35       # unsupported exclusive or atomic access


# ---- translation ------------------------------------------------------------------------------

cdef Region* find_region(Phys* p, uint64_t pa) noexcept nogil:
    cdef int k
    cdef Region* r = &p.regions[p.last]
    if p.last < p.count and pa - r.gpa < r.size:
        return r
    for k in range(p.count):
        r = &p.regions[k]
        if pa - r.gpa < r.size:
            p.last = k
            return r
    return NULL


cdef inline uint64_t ones(uint32_t n) noexcept nogil:
    return ~<uint64_t>0 if n >= 64 else (<uint64_t>1 << n) - 1


cdef inline uint32_t pa_bits(uint64_t parange) noexcept nogil:
    if parange == 0:
        return 32
    if parange == 1:
        return 36
    if parange == 2:
        return 40
    if parange == 3:
        return 42
    if parange == 4:
        return 44
    return 48


cdef inline bint tbi(Cpu* c, uint64_t va) noexcept nogil:
    return ((c.tcr_el1 >> 38) & 1) if (va >> 55) & 1 else ((c.tcr_el1 >> 37) & 1)


cdef bint fault(Cpu* c, uint32_t fsc) noexcept nogil:
    c.tr_fsc = fsc
    return False


cdef inline bint pan_applies(uint32_t flags) noexcept nogil:
    """Of the accesses of EL1: loads, stores, DC ZVA, AT S1E1RP and S1E1WP (D5.4.7)."""
    return not flags & (ACC_EXEC | ACC_CACHE | ACC_AT) or flags & ACC_PAN


cdef bint translate(Cpu* c, uint64_t va, uint32_t flags) noexcept nogil:
    cdef uint32_t grain, stride, insize, outsize, level, low, ap, aptable = 0
    cdef uint32_t parange
    cdef bint upper, pxn, uxn, pxntable = False, uxntable = False, priv, r, w, xn, user_w, device
    cdef uint64_t tcr = c.tcr_el1, ttbr, table, desc, top, tnsz, pa, most
    cdef Region* region
    c.tlb_counts[COUNT_WALKS] += 1
    c.tr_fsc = 0
    c.tr_s1ptw = 0
    c.tr_host = 0
    c.tr_origin = 0
    c.tr_guarded = False
    parange = pa_bits(c.id_aa64mmfr0 & 15)
    top = 55 if tbi(c, va) else 63
    if not c.sctlr_el1 & SCTLR_M or c.hcr_el2 & HCR_DC:
        if (va & ones(<uint32_t>top + 1)) >> parange:
            return fault(c, FSC_ADDRESS)
        c.tr_pa = va & ones(48)
        c.tr_prot = ACC_READ | ACC_WRITE
        c.tr_device = not (flags & ACC_EXEC) and not (c.hcr_el2 & HCR_DC)
        c.tr_attr = 0x00 if c.tr_device else 0xFF if c.hcr_el2 & HCR_DC else 0x44
        c.tr_sh = 2 if c.tr_device or not c.hcr_el2 & HCR_DC else 0
        c.tr_ns = 1
    else:
        upper = (va >> 55) & 1
        if upper:
            tnsz = (tcr >> 16) & 63
            grain = <uint32_t>((tcr >> 30) & 3)
            grain = 14 if grain == 1 else 16 if grain == 3 else 12
            ttbr = c.ttbr1_el1
        else:
            tnsz = tcr & 63
            grain = <uint32_t>((tcr >> 14) & 3)
            grain = 16 if grain == 1 else 14 if grain == 2 else 12
            ttbr = c.ttbr0_el1
        # Out of range is CONSTRAINED UNPREDICTABLE: taken as the nearest supported size.
        most = largest_tnsz(c, grain == 16)
        tnsz = 16 if tnsz < 16 else most if tnsz > most else tnsz
        insize = 64 - <uint32_t>tnsz
        # Above the input size, all bits must equal bit 55; otherwise it is a Translation fault.
        if ((va ^ (~<uint64_t>0 if upper else 0)) & ones(<uint32_t>top + 1)) >> insize:
            return fault(c, FSC_TRANSLATION)
        if (tcr >> (23 if upper else 7)) & 1:             # EPDn
            return fault(c, FSC_TRANSLATION)
        outsize = pa_bits((tcr >> 32) & 7)
        if outsize > parange:
            outsize = parange
        stride = grain - 3
        level = 4 - (insize - grain + stride - 1) // stride
        low = 3 + insize - ((3 - level) * stride + grain)
        table = ttbr & ones(48) & ~ones(low)
        if (ttbr & ones(48)) >> outsize:
            return fault(c, FSC_ADDRESS)
        while True:
            low = (3 - level) * stride + grain            # lowest bit that this level translates
            pa = table | (((va & ones(insize)) >> low) & ones(insize - low if insize - low < stride else stride)) << 3
            region = find_region(c.phys, pa)
            if region == NULL:
                c.tr_s1ptw = 1
                c.tr_ipa = pa
                return fault(c, FSC_TRANSLATION + 1)      # stage 2's level, as where no memory is
            memcpy(&desc, region.host + (pa - region.gpa), 8)
            if not desc & 1:
                return fault(c, FSC_TRANSLATION + level)
            if space_of(c).walked != NULL:
                note_walk(c, region, pa, va, low)
            if level == 3:
                if not desc & 2:
                    return fault(c, FSC_TRANSLATION + level)
                break
            if not desc & 2:
                # A block: at level 1 and 2 for 4K, at level 2 for 16K and 64K.
                if level == 0 or (level == 1 and grain != 12):
                    return fault(c, FSC_TRANSLATION + level)
                break
            table = desc & ones(48) & ~ones(grain)
            if table >> outsize:
                return fault(c, FSC_ADDRESS + level)
            if not tcr & (TCR_HPD1 if upper else TCR_HPD0):     # settable with FEAT_HPDS only
                aptable |= <uint32_t>((desc >> 61) & 3)
                uxntable |= (desc >> 60) & 1
                pxntable |= (desc >> 59) & 1
            level += 1
        pa = desc & ones(48) & ~ones(low)
        if pa >> outsize:
            return fault(c, FSC_ADDRESS + level)
        c.tr_pa = pa | (va & ones(low))
        if not (desc >> 10) & 1:
            return fault(c, FSC_ACCESS + level)
        ap = <uint32_t>((desc >> 6) & 3)                  # AP[2:1]
        if aptable & 2:
            ap |= 2
        if aptable & 1:
            ap &= 2
        uxn = (desc >> 54) & 1 or uxntable
        pxn = (desc >> 53) & 1 or pxntable
        user_w = ap == 1
        priv = c.el == 1 and not flags & ACC_UNPRIV
        if priv:
            r = True
            w = not ap & 2
            xn = pxn or (w and c.sctlr_el1 & SCTLR_WXN) or user_w
            if c.pstate & PSTATE_PAN and ap & 1 and pan_applies(flags):
                r = False
                w = False
        else:
            r = ap & 1
            w = user_w
            xn = uxn or (w and c.sctlr_el1 & SCTLR_WXN)
        c.tr_prot = (ACC_READ if r else 0) | (ACC_WRITE if w else 0)
        c.tr_attr = <uint32_t>((c.mair_el1 >> (8 * ((desc >> 2) & 7))) & 0xFF)
        c.tr_sh = <uint32_t>((desc >> 8) & 3)
        c.tr_ns = 1
        device = c.tr_attr >> 4 == 0
        if device:
            c.tr_sh = 2
        c.tr_device = device
        c.tr_guarded = (desc >> 50) & 1 and has_bti(c)
        c.tr_origin = origin_of(low, (desc >> 11) & 1)
        if flags & ACC_EXEC and xn:
            return fault(c, FSC_PERMISSION + level)
        # An atomic without permission to read reports that first (WnR is 0).
        if (flags & ACC_READ and not r) or (flags & ACC_WRITE and not w):
            return fault(c, FSC_PERMISSION + level)
    if in_frame(c, c.tr_pa):
        return True                    # before any slot there
    region = find_region(c.phys, c.tr_pa)
    if region != NULL:
        c.tr_host = <uint64_t>region.host + (c.tr_pa - region.gpa)
        c.tr_readonly = region.readonly
    return True


# ---- TLB entries ------------------------------------------------------------------------------

cdef inline bint noted(const Phys* p, const Region* r, uint64_t page) noexcept nogil:
    """Need no store to this page be noted any more, as long as the epoch lasts?"""
    return r.written == NULL or r.written[page] == p.epoch


cdef void fill(Cpu* c, uint32_t el, uint64_t va) noexcept nogil:
    """Put what translate() found into the TLB."""
    cdef AddressSpace* s = space_of(c)
    cdef uint32_t n = <uint32_t>(va >> 12) & (TLB_SIZE - 1)
    cdef Tlbe* e = &s.tlbs[el][n]
    cdef uint64_t page = va & ~<uint64_t>PAGE_MASK
    cdef uint64_t x = X_VALID
    cdef uint32_t watched = dbg_watched(c, va, 4096)
    cdef uint64_t k
    cdef Region* r
    s.filled |= 1 << el
    e.rtag = TAG_SLOW
    e.wtag = TAG_SLOW
    e.add = c.tr_host - va
    if c.tr_host == 0:
        e.xpn = 0              # no slot: looked up each time
        return
    if c.tr_prot & ACC_READ:
        x |= X_READ
        e.rtag = page
    if c.tr_prot & ACC_WRITE:
        x |= X_WRITE
        e.wtag = page
    if c.tr_device:
        x |= X_DEVICE
    x |= X_PRESENT
    if c.tr_readonly:
        x |= X_READONLY
        e.wtag |= TAG_SLOW
    if watched & ACC_READ:
        e.rtag |= TAG_SLOW
    if watched & ACC_WRITE:
        e.wtag |= TAG_SLOW
    r = find_region(c.phys, c.tr_pa)
    k = (c.tr_pa - r.gpa) >> 12
    if r.code[k] or not noted(c.phys, r, k) or is_table(s.walked, c.phys, r, k):
        e.wtag |= TAG_SLOW
    if not e.wtag & TAG_SLOW:
        r.fast[k] |= FAST_PAGE
    e.xpn = page | x | <uint64_t>(r - c.phys.regions) << X_REGION
    s.origins[el][n] = <uint8_t>c.tr_origin
    note_origin(c, va, c.tr_origin)


cdef inline Region* region_of(Cpu* c, const Tlbe* e) noexcept nogil:
    """The slot that contains a valid page. The host address does not say which: slots may share memory."""
    return &c.phys.regions[(e.xpn >> X_REGION) & 63]


cdef uint8_t* tlb_host(Cpu* c, uint64_t va) noexcept nogil:
    cdef const Tlbe* e = &c.tlb[(va >> 12) & (TLB_SIZE - 1)]
    cdef uint8_t* host = <uint8_t*>(va + e.add)
    cdef const Region* r
    if (e.xpn ^ va) & ~<uint64_t>PAGE_MASK or not e.xpn & X_PRESENT:
        return NULL
    r = region_of(c, e)
    c.tr_pa = r.gpa + <uint64_t>(host - r.host)
    return host


cdef bint fetch_page(Cpu* c, uint64_t pc, uint64_t* pa, uint8_t** host_page) noexcept nogil:
    cdef AddressSpace* s = space_of(c)
    cdef Itlbe* e = &s.itlbs[c.el][(pc >> 12) & 63]
    cdef uint32_t ec
    if pc & 3:
        take_el1(c, pc, (<uint32_t>EC_PC_ALIGN << 26) | (1 << 25), 0, True, pc)
        return False
    if e.tag != ((pc & ~<uint64_t>PAGE_MASK) | 1):
        if not translate(c, pc, ACC_EXEC):
            if c.tr_s1ptw:
                c.far_el2 = pc
                c.hpfar_el2 = (c.tr_ipa >> 12) << 4
                take_el2(c, EC_IABT_LOW, (1 << 7) | c.tr_fsc)
            else:
                ec = EC_IABT_CUR if c.el else EC_IABT_LOW
                take_el1(c, pc, (ec << 26) | (1 << 25) | c.tr_fsc, 0, True, pc)
            return False
        if c.tr_host == 0:
            c.far_el2 = pc
            c.hpfar_el2 = (c.tr_pa >> 12) << 4
            take_el2(c, EC_IABT_LOW, FSC_TRANSLATION + 1)
            return False
        e.tag = (pc & ~<uint64_t>PAGE_MASK) | 1
        e.pa = c.tr_pa & ~<uint64_t>PAGE_MASK
        e.host = <uint8_t*>(c.tr_host - (pc & PAGE_MASK))      # a buffer need not be aligned in the host
        e.guarded = c.tr_guarded
        e.origin = c.tr_origin
        note_origin(c, pc, c.tr_origin)
        s.code_filled |= 1 << c.el
        if c.tr_origin & ORIGIN_NG:
            s.code_not_global |= 1 << c.el
    pa[0] = e.pa | (pc & PAGE_MASK)
    host_page[0] = e.host
    c.fetch_guarded = e.guarded
    return True


# ---- memory, the slow way ---------------------------------------------------------------------

cdef bint wnr(uint32_t flags, uint32_t missing) noexcept nogil:
    """ISS.WnR: a write, or cache maintenance; of an atomic, only if a read would not have faulted.

    missing: the permissions that a Permission fault is about, 0 for other faults."""
    if flags & ACC_ATOMIC:
        return missing == ACC_WRITE
    return (flags & (ACC_WRITE | ACC_CACHE)) != 0


cdef void abort(Cpu* c, const Insn* i, uint64_t va, uint32_t flags, uint32_t fsc, uint32_t missing) noexcept nogil:
    """A Data Abort of stage 1."""
    raise_el1_far(c, i, EC_DABT_LOW, fsc | (wnr(flags, missing) << 6) | ((1 << 8) if flags & ACC_CACHE else 0), va)


cdef uint32_t instruction_syndrome(uint32_t raw, uint32_t flags) noexcept nogil:
    """ISS[24:14] of a stage 2 Data Abort: what a hypervisor needs to emulate the access."""
    cdef uint32_t size, opc, sse, sf
    if flags & (ACC_NOISV | ACC_PAIR | ACC_EXCLUSIVE | ACC_ATOMIC | ACC_CACHE | ACC_AT):
        return 0
    if (raw & 0x3F000000) == 0x08000000 or (raw & 0x3F20FC00) == 0x3820C000:      # LDAR, STLR; LDAPR
        size = raw >> 30
        sse = 0
        sf = size == 3
    elif (raw & <uint32_t>0xFF200400) == <uint32_t>0xF8200400:               # LDRAA, LDRAB
        size = 3
        sse = 0
        sf = 1
    elif (raw & 0x3B000000) == 0x18000000:               # literal
        opc = raw >> 30
        size = 3 if opc == 1 else 2
        sse = opc == 2
        sf = opc != 0
    else:
        size = raw >> 30
        opc = (raw >> 22) & 3
        sse = opc >> 1
        sf = size == 3 if opc < 2 else opc == 2
    return ((1 << 24) | (size << 22) | (sse << 21) | ((raw & 31) << 16) | (sf << 15)
            | ((1 << 14) if flags & ACC_ORDERED else 0))


cdef void stage2_abort(Cpu* c, const Insn* i, uint64_t va, uint64_t ipa, uint32_t flags, uint32_t fsc,
                       uint32_t missing) noexcept nogil:
    cdef uint32_t iss = fsc | (wnr(flags, missing) << 6) | ((1 << 8) if flags & ACC_CACHE else 0)
    if c.tr_s1ptw:
        iss |= 1 << 7
    else:
        iss |= instruction_syndrome(encoding(i), flags)
    c.hpfar_el2 = (ipa >> 12) << 4
    raise_el2_far(c, i, EC_DABT_LOW, iss, va)


cdef bint frame_part(Cpu* c, const Insn* i, uint64_t va, uint64_t size, uint32_t flags,
                     uint8_t** host) noexcept nogil:
    """An access to the GICV frame, made here: the caller copies from and to Gic.data instead of memory.

    Its pages are never in a TLB. The access may change which interrupts are pending, so the run loop must
    follow it: unless it is the last of its block, the instruction is executed again, alone.
    """
    cdef uint64_t offset = c.tr_pa - c.gic.frame
    if c.wp_live and not c.suspended and not flags & ACC_AT and dbg_watch(c, va, size, flags):
        dbg_raise_watchpoint(c, i, flags)
        return False
    c.gic.data[0] = 0
    c.gic.data[1] = 0
    host[0] = <uint8_t*>c.gic.data
    if flags & ACC_CACHE:
        return True
    if flags & (ACC_EXCLUSIVE | ACC_ATOMIC):
        abort(c, i, va, flags, FSC_EXCLUSIVE, 0)
        return False
    if not flags & ACC_ONCE:
        abort(c, i, va, flags, FSC_EXTERNAL, 0)
        return False
    if not ends_block(i):
        c.signals |= RUN_ALONE
        abandon(c, i)
        return False
    c.end_count -= <uint64_t>c.budget
    c.budget = 0
    if c.pr_size != 4 or va & 3:
        return True
    if flags & ACC_WRITE:
        gicv_write(c, offset, <uint32_t>c.lo)
    else:
        (<uint32_t*>c.gic.data)[0] = gicv_read(c, offset)
    return True


cdef bint part(Cpu* c, const Insn* i, uint64_t va, uint64_t size, uint32_t flags, bint unaligned,
               uint8_t** host) noexcept nogil:
    """The part of an access that lies in one page: every check that precedes the access."""
    cdef Tlbe* e
    cdef uint64_t x
    cdef uint32_t missing
    cdef Region* r
    cdef uint64_t offset
    # PSTATE.PAN has no effect on cache maintenance.
    cdef uint32_t el = 0 if flags & ACC_UNPRIV else c.el if flags & ACC_CACHE else regime_of(c)
    e = &c.tlbs[el][(va >> 12) & (TLB_SIZE - 1)]
    x = e.xpn
    if (x & ~<uint64_t>PAGE_MASK) != (va & ~<uint64_t>PAGE_MASK) or not x & X_VALID:
        # Translated without checking permissions, so that the entry serves all accesses.
        if not translate(c, va, flags & (ACC_UNPRIV | ACC_CACHE)):
            if c.tr_s1ptw:
                stage2_abort(c, i, va, c.tr_ipa, flags, c.tr_fsc, 0)
            else:
                abort(c, i, va, flags, c.tr_fsc, 0)
            return False
        fill(c, el, va)
        if c.tr_host == 0:
            # No slot: a stage 2 fault. Stage 1 faults have priority.
            missing = (flags & (ACC_READ | ACC_WRITE)) & ~c.tr_prot
            if c.tr_device and (unaligned or flags & ACC_DCZVA):
                abort(c, i, va, flags, FSC_ALIGNMENT, 0)
            elif missing:
                translate(c, va, flags & (ACC_UNPRIV | ACC_CACHE | ACC_READ | ACC_WRITE))
                abort(c, i, va, flags, c.tr_fsc, missing)
            elif in_frame(c, c.tr_pa):
                return frame_part(c, i, va, size, flags, host)
            else:
                stage2_abort(c, i, va, c.tr_pa, flags, FSC_TRANSLATION + 1, 0)
            return False
        x = e.xpn
    # An Alignment fault that the memory type causes comes before permissions (D5.2.11).
    if x & X_DEVICE and (unaligned or flags & ACC_DCZVA):
        abort(c, i, va, flags, FSC_ALIGNMENT, 0)
        return False
    missing = 0
    if flags & ACC_READ and not x & X_READ:
        missing |= ACC_READ
    if flags & ACC_WRITE and not x & X_WRITE:
        missing |= ACC_WRITE
    if missing:
        if translate(c, va, flags & (ACC_UNPRIV | ACC_CACHE | ACC_READ | ACC_WRITE)):
            # The tables permit the access now; a guest needs no TLBI for that. Drop the old entry.
            tlb_forget_data(c, va)
            return part(c, i, va, size, flags, unaligned, host)
        if c.tr_s1ptw:
            stage2_abort(c, i, va, c.tr_ipa, flags, c.tr_fsc, 0)
        else:
            abort(c, i, va, flags, c.tr_fsc, missing)
        return False
    if x & X_READONLY and flags & ACC_WRITE:
        r = region_of(c, e)
        c.tr_s1ptw = 0             # left from the last translation, perhaps of another page
        stage2_abort(c, i, va, r.gpa + (va + e.add - <uint64_t>r.host), flags, FSC_PERMISSION + 3, ACC_WRITE)
        return False
    if c.wp_live and not c.suspended and not flags & ACC_AT and dbg_watch(c, va, size, flags):
        dbg_raise_watchpoint(c, i, flags)
        return False
    host[0] = <uint8_t*>(va + e.add)
    if flags & ACC_WRITE and e.wtag & TAG_SLOW or flags & ACC_EXCLUSIVE:
        r = region_of(c, e)
        offset = va + e.add - <uint64_t>r.host
        c.tr_pa = r.gpa + offset
        if flags & ACC_WRITE and e.wtag & TAG_SLOW and not page_written(c, i, r, e, va, offset, size):
            return True
    if (e.rtag | e.wtag) & TAG_SLOW:
        fill_line(c, e, va, el)
    return True


cdef bint page_written(Cpu* c, const Insn* i, Region* r, Tlbe* e, uint64_t va, uint64_t offset,
                       uint64_t size) noexcept nogil:
    """A store was allowed on a page that takes the slow path: what is to be done, and is it over? False: the
    entry may have been dropped."""
    cdef uint64_t page = offset >> 12, first, last, lines
    if r.code[page]:
        first = (offset & PAGE_MASK) >> 6
        last = ((offset & PAGE_MASK) + size - 1) >> 6
        lines = ones(<uint32_t>(last + 1)) & ~ones(<uint32_t>first)
        if r.code[page] & lines:
            code_written(c, r, offset, size)
    if not noted(c.phys, r, page):
        note_written(c.phys, r, page)
    if is_table(space_of(c).walked, c.phys, r, page):
        return not table_written(c, i, r, offset, size)
    if not r.code[page] and not dbg_watched(c, va, 4096) & ACC_WRITE:
        e.wtag = va & ~<uint64_t>PAGE_MASK
        r.fast[page] |= FAST_PAGE
    return True


cdef void fill_line(Cpu* c, const Tlbe* e, uint64_t va, uint32_t el) noexcept nogil:
    """An access was allowed on a page that takes the slow path: its line may not need to."""
    cdef uint64_t x = e.xpn, offset
    cdef uint64_t base = va & ~<uint64_t>0x3F
    cdef uint32_t watched = dbg_watched(c, va, 64)
    cdef AddressSpace* s = space_of(c)
    cdef Tlbe* f = &s.lines[el][(va >> 6) & (LINES - 1)]
    cdef Region* r
    s.lines_filled |= 1 << el
    f.add = e.add
    f.rtag = base if x & X_READ and not watched & ACC_READ else LINE_NONE
    f.wtag = LINE_NONE
    if x & X_WRITE and not x & X_READONLY and not watched & ACC_WRITE:
        r = region_of(c, e)
        offset = va + e.add - <uint64_t>r.host
        if (not (r.code[offset >> 12] >> ((offset & PAGE_MASK) >> 6)) & 1 and noted(c.phys, r, offset >> 12)
                and not is_table(s.walked, c.phys, r, offset >> 12)):
            f.wtag = base
            r.fast[offset >> 12] |= FAST_LINE


cdef bint mem_probe(Cpu* c, const Insn* i, uint64_t va, uint64_t size, uint32_t flags) noexcept nogil:
    cdef uint64_t each = size >> 1 if flags & ACC_PAIR and not flags & ACC_ALIGNED else size
    cdef bint unaligned = (va & (each - 1)) != 0
    cdef uint64_t here
    cdef WalkedTables* t
    c.pr_va = va
    c.pr_size = size
    c.pr_flags = flags
    if unaligned and (c.sctlr_el1 & SCTLR_A or flags & ACC_ALIGNED):
        abort(c, i, va, flags, FSC_ALIGNMENT, 0)
        return False
    here = 4096 - (va & PAGE_MASK)
    if here >= size:
        c.acc_len = size
        return part(c, i, va, size, flags, unaligned, &c.acc)
    c.acc_len = here
    t = space_of(c).walked
    if t != NULL:
        t.dropped = False
    if not part(c, i, va, here, flags, unaligned, &c.acc):
        return False
    if not part(c, i, va + here, size - here, flags, unaligned, &c.acc2):
        return False
    if t != NULL and t.dropped:
        tables_unknown(c)      # the second page was looked up before the store to the first one
    return True


cdef bint mem_load(Cpu* c, const Insn* i, uint64_t va, uint64_t size, uint32_t flags) noexcept nogil:
    if not mem_probe(c, i, va, size, flags | ACC_READ | ACC_ONCE):
        return False
    c.lo = 0
    c.hi = 0
    if c.acc_len == size:
        if size == 8:
            memcpy(&c.lo, c.acc, 8)            # one move; the host's address may be unaligned
        else:
            memcpy(&c.lo, c.acc, size)         # lo and hi are neighbours
    else:
        memcpy(&c.lo, c.acc, c.acc_len)
        memcpy(<uint8_t*>&c.lo + c.acc_len, c.acc2, size - c.acc_len)
    if unlikely(log_of(c) != NULL):
        log_access(log_of(c), va, size, False, c.lo, c.hi)
    return True


cdef bint mem_store(Cpu* c, const Insn* i, uint64_t va, uint64_t size, uint32_t flags) noexcept nogil:
    if not mem_probe(c, i, va, size, flags | ACC_WRITE | ACC_ONCE):
        return False
    if c.acc_len == size:
        if size == 8:
            memcpy(c.acc, &c.lo, 8)
        else:
            memcpy(c.acc, &c.lo, size)
    else:
        memcpy(c.acc, &c.lo, c.acc_len)
        memcpy(c.acc2, <uint8_t*>&c.lo + c.acc_len, size - c.acc_len)
    if unlikely(log_of(c) != NULL):
        log_access(log_of(c), va, size, True, c.lo, c.hi)
    return True
