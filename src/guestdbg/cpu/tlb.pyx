# cython: language_level=3
"""The TLBs and jump tables of address spaces, and their maintenance: see tlb.pxd and address_space.pxd.

Entries are of 4 KiB, whatever the descriptor translates. A TLBI by address must drop all entries that
come from the descriptor, so each entry has its size (ORIGIN_SIZE). Filters by hash say which pages and
blocks cannot have entries; the tables are searched only for the others.

An empty table is zero, but for its first entry: the tag zero belongs to the first entry, so it
matches no lookup in any other.
"""
from libc.stdlib cimport free
from libc.string cimport memset
from guestdbg.cpu.core cimport *
from guestdbg.cpu.address_space cimport (
    AddressSpace, NO_ASID, ORIGIN_NG, ORIGIN_SIZE, space_of, SPACES, TableFilter, TableFilters,
)
from guestdbg.cpu.register_bits cimport TCR_A1, TCR_AS

cdef extern from *:
    """
    #include <stdlib.h>
    /* Table entries must not cross lines of the host's cache. */
    static void *guestdbg_cache_aligned(size_t size)
    {
        void *p;
        return posix_memalign(&p, 64, size) ? 0 : p;
    }
    """
    void* guestdbg_cache_aligned(size_t size) nogil

cdef uint32_t[8] SIZE_BITS
SIZE_BITS[:] = [12, 14, 16, 21, 25, 29, 30, 56]

cdef uint64_t TABLE_BITS = 0xFFFFFFFFFFFE    # of TTBR0_EL1: neither the ASID nor CnP
cdef uint64_t VA_BITS = (<uint64_t>1 << 56) - 1        # above them are tags


# ---- filters ----------------------------------------------------------------------------------

cdef inline uint64_t hashed(uint64_t va, uint32_t bits) noexcept nogil:
    return ((va & VA_BITS) >> bits) * <uint64_t>0x9E3779B97F4A7C15


cdef inline void set_block(AddressSpace* s, uint64_t va, uint32_t size) noexcept nogil:
    cdef uint64_t h = hashed(va, SIZE_BITS[size]) >> 56
    s.blocks[h >> 6] |= <uint64_t>1 << (h & 63)


cdef inline bint may_have_block(const AddressSpace* s, uint64_t va, uint32_t size) noexcept nogil:
    cdef uint64_t h = hashed(va, SIZE_BITS[size]) >> 56
    return (s.blocks[h >> 6] >> (h & 63)) & 1


cdef inline void set_code_page(AddressSpace* s, uint64_t va) noexcept nogil:
    cdef uint64_t h = hashed(va, 12) >> 54
    s.code_pages[h >> 6] |= <uint64_t>1 << (h & 63)


cdef inline bint may_have_code(const AddressSpace* s, uint64_t va) noexcept nogil:
    cdef uint64_t h = hashed(va, 12) >> 54
    return (s.code_pages[h >> 6] >> (h & 63)) & 1


cdef uint32_t origin_of(uint32_t low, bint not_global) noexcept nogil:
    cdef uint32_t size = 0
    while SIZE_BITS[size] < low:
        size += 1
    return size | (ORIGIN_NG if not_global else 0)


cdef void note_origin(Cpu* c, uint64_t va, uint32_t origin) noexcept nogil:
    cdef AddressSpace* s = space_of(c)
    cdef uint32_t size = origin & ORIGIN_SIZE
    if size:
        s.sizes |= 1 << size
        set_block(s, va, size)
    if not origin & ORIGIN_NG:
        s.globals |= 2 if (va >> 55) & 1 else 1


cdef void note_jump(Cpu* c, uint64_t pc, const Insn* target) noexcept nogil:
    cdef AddressSpace* s = space_of(c)
    cdef Jump* j = &c.jumps[(pc >> 2) & (JUMP_SIZE - 1)]
    j.pc = pc
    j.target = target
    s.code_filled |= 1 << c.el
    set_code_page(s, pc)


# ---- empty tables -----------------------------------------------------------------------------

cdef void empty_tlb(AddressSpace* s, uint32_t el) noexcept nogil:
    memset(s.tlbs[el], 0, sizeof(s.tlbs[el]))
    s.tlbs[el][0].rtag = TAG_SLOW
    s.tlbs[el][0].wtag = TAG_SLOW
    s.filled &= ~(<uint32_t>1 << el)


cdef void empty_lines(AddressSpace* s, uint32_t el) noexcept nogil:
    memset(s.lines[el], 0, sizeof(s.lines[el]))
    s.lines[el][0].rtag = LINE_NONE
    s.lines[el][0].wtag = LINE_NONE
    s.lines_filled &= ~(<uint32_t>1 << el)


cdef void empty_jumps(AddressSpace* s, uint32_t el) noexcept nogil:
    memset(s.jumps[el], 0, sizeof(s.jumps[el]))
    s.jumps[el][0].pc = 4


cdef void empty_space(AddressSpace* s) noexcept nogil:
    cdef uint32_t el
    for el in range(3):
        if (s.filled >> el) & 1:
            empty_tlb(s, el)
        if (s.lines_filled >> el) & 1:
            empty_lines(s, el)
    for el in range(2):
        if (s.code_filled >> el) & 1:
            empty_jumps(s, el)
            memset(s.itlbs[el], 0, sizeof(s.itlbs[el]))
    s.code_filled = 0
    s.code_not_global = 0
    s.globals = 0
    s.sizes = 0
    s.wp_unflagged = 0
    memset(s.blocks, 0, sizeof(s.blocks))
    memset(s.code_pages, 0, sizeof(s.code_pages))


# ---- address spaces ---------------------------------------------------------------------------

cdef AddressSpace* new_space(Cpu* c) noexcept nogil:
    cdef AddressSpace* s
    if c.nspaces == SPACES:
        return NULL
    s = <AddressSpace*>guestdbg_cache_aligned(sizeof(AddressSpace))
    if s == NULL:
        return NULL
    memset(s, 0, sizeof(AddressSpace))
    s.asid = NO_ASID
    if c.space != NULL:
        s.filters = space_of(c).filters
        s.walked = space_of(c).walked
    s.filled = 7               # nothing is; what an empty table has besides zeros is to be written
    s.lines_filled = 7
    s.code_filled = 3
    empty_space(s)
    c.spaces[c.nspaces] = s
    c.nspaces += 1
    return s


cdef AddressSpace* oldest(Cpu* c) noexcept nogil:
    """The one that is free, or was not used for the longest time."""
    cdef AddressSpace* s
    cdef AddressSpace* found = NULL
    cdef uint32_t k
    for k in range(c.nspaces):
        s = <AddressSpace*>c.spaces[k]
        if s == c.space:
            continue
        if s.asid == NO_ASID:
            return s
        if found == NULL or s.used < found.used:
            found = s
    return found


cdef void select_space(Cpu* c, AddressSpace* s) noexcept nogil:
    cdef uint32_t el
    c.space_uses += 1
    s.used = c.space_uses
    c.space = s
    if s.jumps_epoch != c.jumps_epoch:
        s.jumps_epoch = c.jumps_epoch
        for el in range(2):
            if (s.code_filled >> el) & 1:
                empty_jumps(s, el)
    for el in range(3):
        c.tlbs[el] = s.tlbs[el]
        c.lines[el] = s.lines[el]
    for el in range(2):
        c.jump_tables[el] = s.jumps[el]
    select_tlb(c)


cdef inline bint has_tables(const Cpu* c, const AddressSpace* s) noexcept nogil:
    """An ASID may have other tables than before, where that must not need a TLBI."""
    return s.walked == NULL or s.ttbr0 == c.ttbr0_el1 and s.ttbr1 == c.ttbr1_el1


cdef inline uint32_t asid_mask(const Cpu* c) noexcept nogil:
    return 0xFFFF if c.tcr_el1 & TCR_AS else 0xFF


cdef void regime_changed(Cpu* c) noexcept nogil:
    cdef uint64_t ttbr = c.ttbr1_el1 if c.tcr_el1 & TCR_A1 else c.ttbr0_el1
    cdef uint32_t asid = <uint32_t>(ttbr >> 48) & asid_mask(c)
    if space_of(c).asid != asid or not has_tables(c, space_of(c)):
        use_asid(c, asid)
    if space_of(c).filters != NULL:
        tables_changed(c)


cdef void use_asid(Cpu* c, uint32_t asid) noexcept nogil:
    """Select the tables of this ASID."""
    cdef AddressSpace* s
    cdef uint32_t k
    c.tlb_counts[COUNT_SWITCHES] += 1
    for k in range(c.nspaces):
        s = <AddressSpace*>c.spaces[k]
        if s.asid == asid and has_tables(c, s):
            select_space(c, s)
            return
    c.tlb_counts[COUNT_NEW_SPACES] += 1
    s = oldest(c)
    if s == NULL or s.asid != NO_ASID:
        if c.nspaces < SPACES:
            s = new_space(c)
        if s == NULL:
            s = oldest(c)
        if s == NULL:
            s = space_of(c)        # no memory for a second one
    empty_space(s)
    s.asid = asid
    s.ttbr0 = c.ttbr0_el1
    s.ttbr1 = c.ttbr1_el1
    select_space(c, s)


cdef bint tlb_new(Cpu* c) noexcept nogil:
    cdef AddressSpace* s = new_space(c)
    if s == NULL:
        return False
    s.asid = 0
    select_space(c, s)
    return True


cdef void tlb_free(Cpu* c) noexcept nogil:
    cdef uint32_t k
    if c.space != NULL:
        free(space_of(c).filters)
    for k in range(c.nspaces):
        free(c.spaces[k])


cdef void tlb_flush(Cpu* c) noexcept nogil:
    cdef AddressSpace* s
    cdef uint32_t k
    c.tlb_counts[COUNT_FLUSHES] += 1
    for k in range(c.nspaces):
        s = <AddressSpace*>c.spaces[k]
        if s == c.space:
            empty_space(s)
        else:
            s.asid = NO_ASID


cdef void flush_jumps(Cpu* c) noexcept nogil:
    cdef uint32_t el
    cdef AddressSpace* s = space_of(c)
    c.jumps_epoch += 1
    s.jumps_epoch = c.jumps_epoch
    for el in range(2):
        if (s.code_filled >> el) & 1:
            empty_jumps(s, el)
    memset(s.code_pages, 0, sizeof(s.code_pages))


# ---- data entries -----------------------------------------------------------------------------

cdef inline void drop_entry(Tlbe* e) noexcept nogil:
    e.rtag = TAG_SLOW
    e.wtag = TAG_SLOW
    e.xpn = 0


cdef inline void drop_lines(AddressSpace* s, uint32_t el, uint64_t va) noexcept nogil:
    """The lines of a page: consecutive entries, which may belong to other pages."""
    cdef Tlbe* e = &s.lines[el][((va & ~<uint64_t>PAGE_MASK) >> 6) & (LINES - 1)]
    cdef int n
    for n in range(64):
        e[n].rtag = LINE_NONE
        e[n].wtag = LINE_NONE


cdef void forget_page(AddressSpace* s, uint64_t va) noexcept nogil:
    cdef uint32_t el
    for el in range(3):
        if (s.lines_filled >> el) & 1:
            drop_lines(s, el, va)
        if (s.filled >> el) & 1:
            drop_entry(&s.tlbs[el][(va >> 12) & (TLB_SIZE - 1)])


cdef void forget_all_pages(AddressSpace* s) noexcept nogil:
    cdef uint32_t el
    for el in range(3):
        if (s.lines_filled >> el) & 1:
            empty_lines(s, el)
        if (s.filled >> el) & 1:
            empty_tlb(s, el)


cdef void tlb_forget_data(Cpu* c, uint64_t va) noexcept nogil:
    cdef AddressSpace* s
    cdef uint32_t k
    for k in range(c.nspaces):
        s = <AddressSpace*>c.spaces[k]
        if s.asid != NO_ASID:
            forget_page(s, va)


cdef void tlb_forget_all_data(Cpu* c) noexcept nogil:
    cdef AddressSpace* s
    cdef uint32_t k
    for k in range(c.nspaces):
        s = <AddressSpace*>c.spaces[k]
        if s.asid != NO_ASID:
            forget_all_pages(s)


# ---- debug registers that match with some tables only -----------------------------------------

cdef inline bint has_table(const TableFilter* f, uint64_t table) noexcept nogil:
    cdef uint32_t k
    for k in range(f.count):
        if f.table[k] == table:
            return True
    return False


cdef bint tables_filtered(Cpu* c) noexcept nogil:
    cdef TableFilters* f
    cdef uint32_t k
    if space_of(c).filters == NULL:
        f = <TableFilters*>guestdbg_cache_aligned(sizeof(TableFilters))
        if f == NULL:
            return False
        memset(f, 0, sizeof(TableFilters))
        for k in range(c.nspaces):
            (<AddressSpace*>c.spaces[k]).filters = f
    return True


cdef void tables_changed(Cpu* c) noexcept nogil:
    cdef AddressSpace* s = space_of(c)
    cdef const TableFilters* f = s.filters
    cdef uint64_t table = c.ttbr0_el1 & TABLE_BITS
    cdef uint64_t va, page
    cdef uint32_t n, k, stale
    s.wp_off = 0
    s.bp_off = 0
    if not f.wp | f.bp:
        return
    for n in range(16):
        if (f.wp >> n) & 1 and not has_table(&f.watch[n], table):
            s.wp_off |= 1 << n
        if (f.bp >> n) & 1 and not has_table(&f.breaks[n], table):
            s.bp_off |= 1 << n
    # A space whose TTBR0_EL1 changes without its ASID, or whose filter does.
    stale = s.wp_unflagged & ~s.wp_off
    s.wp_unflagged &= s.wp_off
    n = 0
    while stale >> n:
        if (stale >> n) & 1:
            k = (c.dbgwcr[n] >> 24) & 31
            if k >= 12 + 9:        # as many pages as a TLB has entries
                forget_all_pages(s)
            else:
                va = c.dbgwvr[n] & ~((<uint64_t>1 << k) - 1)
                for page in range(1 if k <= 12 else <uint64_t>1 << (k - 12)):
                    forget_page(s, va + (page << 12))
        n += 1


# ---- TLBI -------------------------------------------------------------------------------------

cdef inline bint differs(uint64_t a, uint64_t b, uint32_t bits) noexcept nogil:
    return ((a ^ b) & VA_BITS) >> bits != 0


cdef void drop_jumps(AddressSpace* s, uint64_t va, uint32_t bits) noexcept nogil:
    """Code at 2**bits bytes around va."""
    cdef uint32_t el
    cdef int n, count, first
    cdef Jump* j
    count = JUMP_SIZE if bits >= 14 else 1 << (bits - 2)       # as many as there are instructions
    first = <int>((va >> 2) & (JUMP_SIZE - 1)) & ~(count - 1)
    for el in range(2):
        if not (s.code_filled >> el) & 1:
            continue
        for n in range(first, first + count):
            j = &s.jumps[el][n]
            if j.target != NULL and not differs(j.pc, va, bits):
                j.pc = 4 * (n + 1)         # a PC that belongs into the next entry
                j.target = NULL


cdef void drop_range(Cpu* c, AddressSpace* s, uint64_t va, uint32_t bits, bint only_global) noexcept nogil:
    """All entries for the 2**bits bytes around va; only_global: not those of pages that are not global."""
    cdef uint32_t el
    cdef int n, count, first
    cdef Tlbe* e
    cdef Itlbe* i
    c.tlb_counts[COUNT_SCANS] += 1
    count = TLB_SIZE if bits >= 21 else 1 << (bits - 12)
    first = <int>((va >> 12) & (TLB_SIZE - 1)) & ~(count - 1)
    for el in range(3):
        if (s.lines_filled >> el) & 1:
            empty_lines(s, el)
        if not (s.filled >> el) & 1:
            continue
        for n in range(first, first + count):
            e = &s.tlbs[el][n]
            if e.xpn and not differs(e.xpn, va, bits) and not (only_global and s.origins[el][n] & ORIGIN_NG):
                drop_entry(e)
    for el in range(2):
        if not (s.code_filled >> el) & 1:
            continue
        for n in range(64):
            i = &s.itlbs[el][n]
            if i.tag and not differs(i.tag, va, bits) and not (only_global and i.origin & ORIGIN_NG):
                i.tag = 0
    drop_jumps(s, va, bits)


cdef void drop_page(Cpu* c, AddressSpace* s, uint64_t va, bint only_global) noexcept nogil:
    """All entries that come from descriptors for va."""
    cdef uint32_t el, size, n = <uint32_t>(va >> 12) & (TLB_SIZE - 1)
    cdef Tlbe* e
    cdef Itlbe* i
    for el in range(3):
        if (s.lines_filled >> el) & 1:
            drop_lines(s, el, va)
        if (s.filled >> el) & 1:
            e = &s.tlbs[el][n]
            if e.xpn and not differs(e.xpn, va, 12) and not (only_global and s.origins[el][n] & ORIGIN_NG):
                drop_entry(e)
    for el in range(2):
        if (s.code_filled >> el) & 1:
            i = &s.itlbs[el][(va >> 12) & 63]
            if not differs(i.tag, va, 12) and not (only_global and i.origin & ORIGIN_NG):
                i.tag = 0
    if may_have_code(s, va):
        drop_jumps(s, va, 12)
    for size in range(1, 8):
        if (s.sizes >> size) & 1 and may_have_block(s, va, size):
            drop_range(c, s, va, SIZE_BITS[size], only_global)


cdef void drop_not_global(AddressSpace* s) noexcept nogil:
    cdef uint32_t el
    cdef int n
    for el in range(3):
        if (s.lines_filled >> el) & 1:
            empty_lines(s, el)
        if (s.filled >> el) & 1:
            for n in range(TLB_SIZE):
                if s.origins[el][n] & ORIGIN_NG:
                    drop_entry(&s.tlbs[el][n])
    for el in range(2):
        if not (s.code_not_global >> el) & 1:
            continue
        empty_jumps(s, el)
        for n in range(64):
            if s.itlbs[el][n].origin & ORIGIN_NG:
                s.itlbs[el][n].tag = 0
    s.code_not_global = 0


cdef void tlb_invalidate(Cpu* c, uint32_t op2, uint64_t operand) noexcept nogil:
    cdef uint64_t va = (operand & (((<uint64_t>1) << 44) - 1)) << 12
    cdef uint32_t asid = <uint32_t>(operand >> 48) & asid_mask(c)
    cdef uint32_t half = 2 if (va >> 55) & 1 else 1
    cdef AddressSpace* s
    cdef uint32_t k
    c.tlb_counts[COUNT_INVALIDATIONS] += 1
    if op2 == 0:
        tlb_flush(c)
        return
    for k in range(c.nspaces):
        s = <AddressSpace*>c.spaces[k]
        if s.asid == NO_ASID:
            continue
        if op2 == 2:
            if s.asid != asid:
                continue
            if s == c.space:
                drop_not_global(s)
            else:
                s.asid = NO_ASID           # others have its global entries, too
        elif op2 & 2 or s.asid == asid:
            drop_page(c, s, va, False)
        elif s.globals & half:
            drop_page(c, s, va, True)


# ---- pages whose writes must take the slow path -----------------------------------------------

cdef void write_slowly(Phys* p, uint8_t* host_page) noexcept nogil:
    cdef uint32_t k, el
    cdef int m, n
    cdef Tlbe* e
    cdef AddressSpace* s
    for m in range(p.ncpus):
        p.cpus[m].tlb_counts[COUNT_SCANS] += 1
        for k in range(p.cpus[m].nspaces):
            s = <AddressSpace*>p.cpus[m].spaces[k]
            if s.asid == NO_ASID:
                continue
            for el in range(3):
                if not (s.filled >> el) & 1:
                    continue
                for n in range(TLB_SIZE):
                    e = &s.tlbs[el][n]
                    if e.xpn and (e.xpn & ~<uint64_t>PAGE_MASK) + e.add == <uint64_t>host_page:
                        e.wtag |= TAG_SLOW


cdef void write_lines_slowly(Phys* p, uint8_t* host_page) noexcept nogil:
    cdef uint32_t k, el
    cdef int m, n
    cdef Tlbe* e
    cdef AddressSpace* s
    for m in range(p.ncpus):
        p.cpus[m].tlb_counts[COUNT_SCANS] += 1
        for k in range(p.cpus[m].nspaces):
            s = <AddressSpace*>p.cpus[m].spaces[k]
            if s.asid == NO_ASID:
                continue
            for el in range(3):
                if not (s.lines_filled >> el) & 1:
                    continue
                for n in range(LINES):
                    e = &s.lines[el][n]
                    if e.wtag != LINE_NONE and e.wtag + e.add - <uint64_t>host_page < 4096:
                        e.wtag = LINE_NONE


cdef void write_everything_slowly(Phys* p) noexcept nogil:
    cdef uint32_t k, el
    cdef int m, n
    cdef Cpu* c
    cdef AddressSpace* s
    for m in range(p.ncpus):
        c = p.cpus[m]
        for k in range(c.nspaces):
            s = <AddressSpace*>c.spaces[k]
            if s.asid == NO_ASID:
                continue
            if s != c.space:
                s.asid = NO_ASID
                continue
            for el in range(3):
                if (s.filled >> el) & 1:
                    for n in range(TLB_SIZE):
                        s.tlbs[el][n].wtag |= TAG_SLOW
                if (s.lines_filled >> el) & 1:
                    for n in range(LINES):
                        s.lines[el][n].wtag = LINE_NONE
