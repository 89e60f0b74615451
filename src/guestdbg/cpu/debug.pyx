# cython: language_level=3
"""The debug unit: breakpoints, watchpoints, software step (D2: AArch64 self-hosted debug).

Where the architecture leaves a choice (CONSTRAINED UNPREDICTABLE), the choice taken is named.

Which control values are reserved depends on what the processing element has. Here they are those of
a Cortex-A57, always Non-secure: the debug unit of the hardware that KVM runs on, which has EL3 and
AArch32. ID_AA64PFR0_EL1 says otherwise, and correctly: neither EL3 nor AArch32 can be
executed here, and a guest that read otherwise would try. The difference shows in two places. SSC:
without EL3 the values 1 and 2 are reserved, and what happens here (1: as 0, 2: disabled) is permitted
then, too. DBGBCR.BAS: without AArch32 it would be RES1 and ignored; here it counts, so that a register
value stops here if and only if it stops on real hardware.
"""
from libc.stdint cimport int64_t
from guestdbg.cpu.instruction_trace cimport log_of
from guestdbg.cpu.address_space cimport AddressSpace, space_of
from guestdbg.cpu.core cimport *
from guestdbg.cpu.exception cimport (
    EC_BREAKPT_LOW, EC_BRK64, EC_SOFTSTP_LOW, EC_WATCHPT_LOW, raise_el1, raise_el1_far, raise_el2,
    raise_el2_far, take_el1, take_el2,
)
from guestdbg.cpu.register_bits cimport *
from guestdbg.cpu.tlb cimport flush_jumps, tables_changed, tlb_forget_all_data, tlb_forget_data

cdef enum:
    DEBUG_FSC = 0x22           # a debug exception, in IFSC or DFSC


cdef inline bint to_el2(Cpu* c) noexcept nogil:
    """DebugTarget is EL2."""
    return (c.mdcr_el2 & MDCR_TDE) != 0


cdef inline bint locked(Cpu* c) noexcept nogil:
    """OS Lock or OS Double Lock."""
    return c.oslk or (c.osdlr_el1 & 1 and not c.dbgprcr_el1 & 1)


cdef inline bint enabled_from(Cpu* c, uint32_t el, bint d) noexcept nogil:
    """Are debug exceptions (other than BRK's) generated from this EL with this PSTATE.D?"""
    if locked(c):
        return False
    if to_el2(c) or el == 0:
        return True                # from an EL below the target: never masked
    return c.mdscr_el1 & MDSCR_KDE and not d


cdef inline bint enabled(Cpu* c) noexcept nogil:
    return enabled_from(c, c.el, (c.daif & PSTATE_D) != 0)


cdef inline uint32_t address_top(Cpu* c, uint64_t va) noexcept nogil:
    """The highest bit of an address that is compared: not the tag, where translation ignores it."""
    return 55 if (c.tcr_el1 >> (38 if (va >> 55) & 1 else 37)) & 1 else 63


cdef inline bint same(uint64_t a, uint64_t b, uint32_t top, uint32_t low) noexcept nogil:
    """a<top:low> == b<top:low>"""
    return ((a ^ b) << (63 - top)) >> (63 - top + low) == 0


# ---- common to breakpoints and watchpoints ----------------------------------------------------

cdef bint state_matches(Cpu* c, uint64_t control, bint linked, bint watch, bint unprivileged) noexcept nogil:
    """The security state, mode and linking conditions of a DBGBCR or DBGWCR (the fields are at the same bits)."""
    cdef uint32_t hmc = (control >> 13) & 1
    cdef uint32_t ssc = (control >> 14) & 3
    cdef uint32_t pxc = (control >> 1) & 3
    cdef uint32_t lbn
    # SSC 2 is Secure state only; SSC 3 is EL2 only or reserved. Reserved combinations (no EL1 with
    # HMC set, no EL at all) are taken as disabled.
    if ssc >= 2 or not pxc or (hmc and not pxc & 1):
        return False
    if watch and unprivileged or c.el == 0:
        if not pxc & 2:
            return False
    elif not pxc & 1:
        return False
    if linked:
        lbn = (control >> 16) & 15
        if lbn < c.nbrp - c.nctx or lbn >= c.nbrp:
            return False           # not a context-aware breakpoint: taken as disabled
        return value_matches(c, lbn, 0, True)
    return True


cdef bint value_matches(Cpu* c, uint32_t n, uint64_t va, bint linked_to) noexcept nogil:
    """What breakpoint n compares: an address, a context, or (linked_to) a context for another."""
    cdef uint64_t control = c.dbgbcr[n]
    cdef uint64_t value = c.dbgbvr[n]
    cdef uint32_t bt = (control >> 20) & 15
    cdef bint address = (bt & 10) == 0
    if not control & 1:
        return False
    # Reserved types (mismatch is AArch32's; the rest needs VHE), and context types where the
    # breakpoint is not context-aware: taken as disabled.
    if (bt & 14) == 4 or (bt & 14) == 6 or (bt & 12) == 12:
        return False
    if not address and n < c.nbrp - c.nctx:
        return False
    if linked_to:
        if not bt & 1 or address:
            return False
    elif bt & 1 and not address:
        return False               # a linked context breakpoint is only half of a condition
    if address:
        # BAS selects halfwords, for AArch32; an A64 instruction is at byte 0.
        return (control >> 5) & 1 and same(va, value, address_top(c, va), 2)
    if (bt & 14) == 2 or (bt & 14) == 10:
        if <uint32_t>c.contextidr_el1 != <uint32_t>value:
            return False
    if (bt & 12) == 8:
        if (c.vttbr_el2 >> 48) & 0xFF != (value >> 32) & 0xFF:
            return False
    return True


# ---- breakpoints ------------------------------------------------------------------------------

cdef bint dbg_breakpoint_matches(Cpu* c, uint64_t pc) noexcept nogil:
    cdef uint32_t n
    cdef uint64_t control
    if not c.bp_live or c.suspended or c.skip_bp_once or not enabled(c):
        return False
    for n in range(c.nbrp):
        if ((c.bp_live & ~space_of(c).bp_off) >> n) & 1:
            control = c.dbgbcr[n]
            if value_matches(c, n, pc, False) and state_matches(c, control, ((control >> 20) & 11) == 1, False, False):
                return True
    return False


cdef void dbg_take_breakpoint(Cpu* c) noexcept nogil:
    if to_el2(c):
        take_el2(c, EC_BREAKPT_LOW, DEBUG_FSC)
    else:
        take_el1(c, c.pc, (<uint32_t>(EC_BREAKPT_LOW + c.el) << 26) | IL | DEBUG_FSC, 0, False, 0)


cdef inline uint64_t untagged(uint64_t va) noexcept nogil:
    """The PC at that address, where translation ignores the tag. (Elsewhere a breakpoint with a tag
    never matches.)"""
    return <uint64_t>(<int64_t>(va << 8) >> 8)


cdef bint dbg_block_has_breakpoint(Cpu* c, uint64_t pc) noexcept nogil:
    cdef uint32_t n
    for n in range(c.n_bp_checks):
        if c.bp_checks[n] == untagged(pc & ~<uint64_t>3):
            return True
    return False


cdef void set_bp_checks(Cpu* c) noexcept nogil:
    """Put a check at the addresses of all live breakpoints, when code there is decoded.

    Checks stay when their breakpoints are disarmed, so that arming the same breakpoint again, as every
    step past a breakpoint does, drops no code.
    """
    cdef uint32_t n, k
    cdef uint64_t va
    cdef bint known
    for n in range(c.nbrp):
        if not (c.bp_live >> n) & 1 or (c.dbgbcr[n] >> 20) & 10:
            continue
        va = untagged(c.dbgbvr[n] & ~<uint64_t>3)
        known = False
        for k in range(c.n_bp_checks):
            if c.bp_checks[k] == va:
                known = True
        if known:
            continue
        if c.n_bp_checks == 64:
            c.n_bp_checks = 0
            drop_all_code(c)
            set_bp_checks(c)
            return
        c.bp_checks[c.n_bp_checks] = va
        c.n_bp_checks += 1
        drop_blocks_of_page(c, va)


# ---- watchpoints ------------------------------------------------------------------------------

cdef bint watched_bytes(Cpu* c, uint32_t n, uint64_t* base, uint64_t* mask, uint32_t* bas) noexcept nogil:
    """The block of addresses that n watches (base, and the mask of the bits compared), and the bytes of it.

    CONSTRAINED UNPREDICTABLE: MASK with BAS not all ones watches all bytes of the range; MASK 1 and 2
    disable; address bits under MASK are ignored; BAS that is not contiguous selects each byte it names.
    """
    cdef uint64_t control = c.dbgwcr[n]
    cdef uint64_t value = c.dbgwvr[n]
    cdef uint32_t k = (control >> 24) & 31
    bas[0] = (control >> 5) & 0xFF
    if k == 1 or k == 2:
        return False
    if k:
        mask[0] = ~((<uint64_t>1 << k) - 1)
        base[0] = value & mask[0]
        bas[0] = 0xFF
        return True
    mask[0] = ~<uint64_t>7
    base[0] = value & ~<uint64_t>7
    if value & 4:
        # Word-aligned: BAS<3:0> are the word's bytes, and BAS<7:4> select nothing.
        bas[0] = (bas[0] & 15) << 4
    return bas[0] != 0


cdef uint32_t dbg_watched(Cpu* c, uint64_t va, uint64_t size) noexcept nogil:
    cdef uint32_t n, r = 0, bas, top
    cdef uint64_t base, mask, both
    cdef AddressSpace* s = space_of(c)
    if log_of(c) != NULL:
        return ACC_READ | ACC_WRITE        # a trace of instructions is to see all accesses
    if not c.wp_live:
        return 0
    top = address_top(c, va)
    for n in range(c.nwrp):
        if (c.wp_live >> n) & 1 and watched_bytes(c, n, &base, &mask, &bas):
            # Of two naturally aligned blocks that overlap one contains the other.
            both = mask & ~(size - 1)
            if not same(va & both, base & both, top, 0):
                continue
            if (s.wp_off >> n) & 1:
                s.wp_unflagged |= 1 << n
            else:
                r |= (c.dbgwcr[n] >> 3) & 3
    return r


cdef bint watch_matches(Cpu* c, uint32_t n, uint64_t va, uint64_t size, uint64_t* far) noexcept nogil:
    """Is any byte of the access watched by n? far: the lowest one."""
    cdef uint64_t base, mask, block, k, low, high, address
    cdef uint32_t bas, top = address_top(c, va)
    if not watched_bytes(c, n, &base, &mask, &bas):
        return False
    if mask != ~<uint64_t>7:
        # A power of two, all of it: the access overlaps it at its first byte or at the range's.
        if same(va & mask, base, top, 0):
            far[0] = va
            return True
        low = (base - va) << (63 - top) >> (63 - top)      # distance from va up to the range
        if low < size:
            far[0] = va + low
            return True
        return False
    k = 0
    while k < size:
        address = va + k
        if same(address & mask, base, top, 0):
            high = 8 - (address & 7)
            while high and k < size:
                if (bas >> ((va + k) & 7)) & 1:
                    far[0] = va + k
                    return True
                k += 1
                high -= 1
        else:
            k += 8 - (address & 7)
    return False


cdef bint dbg_watch(Cpu* c, uint64_t va, uint64_t size, uint32_t flags) noexcept nogil:
    cdef uint32_t n, kind
    cdef uint64_t control, far = 0
    cdef bint found = False
    if not c.wp_live or not enabled(c):
        return False
    # LSC: bit 0 loads, bit 1 stores; as ACC_READ, ACC_WRITE. Cache maintenance counts as a store.
    kind = flags & (ACC_READ | ACC_WRITE)
    if flags & (ACC_CACHE | ACC_DCZVA):
        kind = ACC_WRITE
    c.wp_read = False
    for n in range(c.nwrp):
        if not ((c.wp_live & ~space_of(c).wp_off) >> n) & 1:
            continue
        control = c.dbgwcr[n]
        if not (control >> 3) & kind:
            continue
        if not watch_matches(c, n, va, size, &far):
            continue
        if not state_matches(c, control, (control >> 20) & 1, True, (flags & ACC_UNPRIV) != 0):
            continue
        if not found or far < c.wp_far:
            c.wp_far = far
        if (control >> 3) & kind & ACC_READ:
            c.wp_read = True
        found = True
    if found and flags & (ACC_CACHE | ACC_DCZVA):
        c.wp_far = va
    return found


cdef void dbg_raise_watchpoint(Cpu* c, const Insn* i, uint32_t flags) noexcept nogil:
    cdef uint32_t iss = DEBUG_FSC
    if flags & ACC_CACHE:
        iss |= (1 << 8) | (1 << 6)
    elif flags & (ACC_WRITE | ACC_DCZVA):
        # An atomic reads first: if the watchpoint matches reads, a read is reported.
        if not (flags & ACC_ATOMIC and c.wp_read):
            iss |= 1 << 6
    if to_el2(c):
        raise_el2_far(c, i, EC_WATCHPT_LOW, iss, c.wp_far)
    else:
        raise_el1_far(c, i, EC_WATCHPT_LOW, iss, c.wp_far)


# ---- software step ----------------------------------------------------------------------------

cdef bint dbg_step_pending(Cpu* c) noexcept nogil:
    cdef uint32_t iss
    if c.ss or not enabled(c):
        return False
    iss = DEBUG_FSC
    if c.did_step:
        iss |= (1 << 24) | ((1 << 6) if c.step_exclusive else 0)
    c.did_step = False
    if to_el2(c):
        take_el2(c, EC_SOFTSTP_LOW, iss)
    else:
        take_el1(c, c.pc, (<uint32_t>(EC_SOFTSTP_LOW + c.el) << 26) | IL | iss, 0, False, 0)
    return True


cdef bint dbg_stepping(Cpu* c) noexcept nogil:
    return c.ss and enabled(c)


cdef uint32_t dbg_eret_ss(Cpu* c, uint64_t spsr) noexcept nogil:
    cdef uint32_t mode = <uint32_t>(spsr & 0x1F)
    if not c.step_enabled or enabled(c):
        return 0
    # An illegal return (any mode but EL0t, EL1t, EL1h) stays at this EL.
    if not enabled_from(c, 0 if mode == 0 else 1 if mode == 4 or mode == 5 else c.el, (spsr & PSTATE_D) != 0):
        return 0
    return (spsr >> 21) & 1


# ---- BRK --------------------------------------------------------------------------------------

cdef void dbg_brk(Cpu* c, const Insn* i, uint32_t imm16) noexcept nogil:
    """Never masked: neither by the OS Lock nor by PSTATE.D."""
    if to_el2(c):
        raise_el2(c, i, EC_BRK64, imm16)
    else:
        raise_el1(c, i, EC_BRK64, imm16)


# ---- derived state ----------------------------------------------------------------------------

cdef void unwatch(Cpu* c, uint64_t value, uint64_t control) noexcept nogil:
    """Drop the TLB entries of pages that a watchpoint of this value and control covers."""
    cdef uint32_t k = (control >> 24) & 31
    cdef uint64_t n
    if k >= 12 + 9:                # as many pages as a TLB has entries
        tlb_forget_all_data(c)
        return
    value &= ~(((<uint64_t>1 << k) - 1) | 7)
    for n in range(1 if k <= 12 else <uint64_t>1 << (k - 12)):
        tlb_forget_data(c, value + (n << 12))


cdef void dbg_tables_changed(Cpu* c, uint32_t watches) noexcept nogil:
    cdef uint32_t n
    for n in range(c.nwrp):
        if ((watches & c.was_wp_live) >> n) & 1:
            unwatch(c, c.was_wvr[n], c.was_wcr[n])
    c.was_wp_live &= ~watches
    tables_changed(c)


cdef void dbg_changed(Cpu* c) noexcept nogil:
    cdef uint32_t n, bps = 0, wps = 0
    cdef bint everywhere = False, was, now
    cdef bint live = (c.mdscr_el1 & MDSCR_MDE) != 0 and not locked(c)
    if live:
        for n in range(c.nbrp):
            if c.dbgbcr[n] & 1:
                bps |= 1 << n
                if (c.dbgbcr[n] >> 20) & 10:
                    everywhere = everywhere or not (c.dbgbcr[n] >> 20) & 1
        for n in range(c.nwrp):
            if c.dbgwcr[n] & 1:
                wps |= 1 << n
    c.bp_live = bps
    c.wp_live = wps
    c.step_enabled = (c.mdscr_el1 & MDSCR_SS) != 0 and not locked(c)
    if everywhere != c.bp_everywhere:
        c.bp_everywhere = everywhere
        flush_jumps(c)
    set_bp_checks(c)
    for n in range(c.nwrp):
        was = (c.was_wp_live >> n) & 1
        now = (wps >> n) & 1
        if was == now and (not now or (c.was_wvr[n] == c.dbgwvr[n] and c.was_wcr[n] == c.dbgwcr[n])):
            continue
        if was:
            unwatch(c, c.was_wvr[n], c.was_wcr[n])
        if now:
            unwatch(c, c.dbgwvr[n], c.dbgwcr[n])
        c.was_wvr[n] = c.dbgwvr[n]
        c.was_wcr[n] = c.dbgwcr[n]
    c.was_wp_live = wps
