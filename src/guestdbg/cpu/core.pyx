# cython: language_level=3
"""Run loop, decode table and block cache."""
from libc.stdlib cimport calloc, malloc, realloc, free
from libc.string cimport memset, memcpy
from guestdbg.cpu.mmu cimport fetch_page
from guestdbg.cpu.exception cimport EC_BTI, EC_ILL, EC_SERROR, raise_undefined, take_el1
from guestdbg.cpu.debug cimport (
    dbg_block_has_breakpoint, dbg_breakpoint_matches, dbg_step_pending, dbg_stepping, dbg_take_breakpoint,
)
from guestdbg.cpu.coverage cimport (
    CacheHead, Coverage, coverage_free, coverage_hook, coverage_of, coverage_settle, Hook, VARIANT_COVERED,
)
from guestdbg.cpu.flow_trace cimport EXIT_TRACE, flow_hook, flow_of, TRACE_FULL
from guestdbg.cpu.instruction_trace cimport CpuLog, log_begin, log_end, log_is_full, log_of, log_window
from guestdbg.cpu.hit_programs cimport run_hit_programs
from guestdbg.cpu.instructions.fused_compare_branch cimport fused_op
from guestdbg.cpu.operand_forwarding cimport forward_operands
from guestdbg.cpu.timer cimport timer_deadline, timer_output
from guestdbg.cpu.operands cimport aux, encoding, link_target, set_link_target
from guestdbg.cpu.register_bits cimport *
from guestdbg.cpu.translation cimport (
    tier_code_size, tier_dropped, tier_dropping, tier_emptied, tier_free, tier_full, tier_lost, tier_new,
    tier_rewritten, tier_watch,
)
from guestdbg.cpu.tlb cimport flush_jumps, note_jump, write_lines_slowly, write_slowly

THREADED = bool(GUESTDBG_THREADED)  # how it was built: instructions jump to the next one

# ---- the decode table -------------------------------------------------------------------------

cdef struct Row:
    uint32_t mask
    uint32_t value
    Fill fill
    Op op
    int weight

cdef struct Bucket:
    uint16_t* rows
    int count

cdef Row* rows = NULL
cdef int nrows = 0
cdef Bucket buckets[2048]      # by bits 31..21
row_names = []
cdef bint sealed = False


cdef int add(const char* name, const char* pattern, Fill fill, Op op) except -1:
    global rows, nrows
    cdef uint32_t mask = 0, value = 0
    cdef int n = 0, bits = 0
    cdef const char* at = pattern
    if sealed:
        raise RuntimeError("the decode table is sealed")
    while at[0]:
        if at[0] != c" ":
            bits += 1
            mask <<= 1
            value <<= 1
            if at[0] == c"0" or at[0] == c"1":
                mask |= 1
                value |= at[0] == c"1"
                n += 1
        at += 1
    if bits != 32:
        raise ValueError(f"{name.decode()}: a pattern has 32 bits, {pattern.decode()!r} has {bits}")
    if nrows % 256 == 0:
        rows = <Row*>realloc(rows, (nrows + 256) * sizeof(Row))
        if rows == NULL:
            raise MemoryError
    rows[nrows].mask = mask
    rows[nrows].value = value
    rows[nrows].fill = fill
    rows[nrows].op = op
    rows[nrows].weight = n
    nrows += 1
    row_names.append(name.decode())
    return 0


cdef void into_buckets(int r, bint count_only) noexcept:
    """Append a row to its buckets: one for every value of the bits 31..21 that the row leaves open."""
    cdef uint32_t free = ~(rows[r].mask >> 21) & 2047
    cdef uint32_t some = free
    cdef Bucket* b
    while True:
        b = &buckets[rows[r].value >> 21 | some]
        if not count_only:
            b.rows[b.count] = <uint16_t>r
        b.count += 1
        if some == 0:
            return
        some = (some - 1) & free


def seal():
    """Sort the table into buckets; no row can be added afterwards. Rows with more fixed bits go first."""
    global sealed
    cdef int b, r
    # A store of 16 bytes that crosses a cache line makes the load after it wait several times as long.
    if OFFSET_OF_V % 16:
        raise RuntimeError("core.pxd: Cpu.v is not at a multiple of 16 bytes")
    for r in range(nrows):
        into_buckets(r, True)
    for b in range(2048):
        buckets[b].rows = <uint16_t*>malloc((buckets[b].count + 1) * sizeof(uint16_t))
        if buckets[b].rows == NULL:
            raise MemoryError
        buckets[b].count = 0
    for r in sorted(range(nrows), key=lambda r: -rows[r].weight):
        into_buckets(r, False)
    sealed = True


def table():
    """(name, mask, value) of every row of the decode table."""
    return [(row_names[k], rows[k].mask, rows[k].value) for k in range(nrows)]


cdef int decode(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil:
    cdef Bucket* b = &buckets[raw >> 21]
    cdef int k, r
    cdef const Row* row
    for k in range(b.count):
        row = &rows[b.rows[k]]
        if (raw & row.mask) == row.value:
            o.f = row.op
            r = row.fill(c, o, raw, pc)
            if r == UNDEF:
                break
            return r
    o.f = undefined
    return UNDEF


cdef void undefined(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """An encoding that the table does not have: recorded for the owner, UNDEFINED for the guest."""
    cdef uint32_t k
    cdef bint known = False
    for k in range(c.undef_count):
        if c.undef_raw[k] == encoding(i):
            known = True
    if not known and c.undef_count < 32:
        c.undef_raw[c.undef_count] = encoding(i)
        c.undef_pc[c.undef_count] = pc_of(i)
        c.undef_count += 1
    raise_undefined(c, i)


# ---- the block cache --------------------------------------------------------------------------

cdef enum:
    HASH_SIZE = 65536
    PAGES_SIZE = 4096

cdef enum:
    VARIANT_PLAIN = 0
    # bits:
    VARIANT_ONE = 1        # a single instruction: for steps, and for the last one before a limit
    VARIANT_CHECKED = 2    # a breakpoint check at every instruction
    VARIANT_GUARDED = 4    # of a guarded page (FEAT_BTI)
    VARIANT_EL1 = 16       # with VARIANT_COVERED: its hook counts for one EL
    VARIANT_TRACED = 32    # with hooks at its branches (flow_trace.pyx)
    VARIANT_HOOKED = VARIANT_COVERED | VARIANT_TRACED

cdef extern from "dispatch.h" nogil:
    const uint64_t GUESTDBG_ARENA

cdef extern from "<stddef.h>" nogil:
    const uint64_t OFFSET_OF_V "offsetof(struct __pyx_t_8guestdbg_3cpu_4core_Cpu, v)"

cdef extern from "block_memory.h" nogil:
    size_t guestdbg_code_offset(size_t blocks)
    uint8_t* guestdbg_block_memory(size_t blocks, size_t code)
    void guestdbg_free_block_memory(uint8_t* p, size_t blocks, size_t code)

cdef struct Cache:
    CacheHead head
    uint8_t* arena
    uint64_t code_size             # of the machine code's memory, which is after the arena
    uint64_t used
    uint64_t blocks                # put into the tables since they were empty
    Block* hash[65536]
    Block* pages[4096]
    uint64_t decoded
    uint64_t dropped
    uint64_t flushed
    void* lost_tier                # see leave_machine_code()


cdef void* cache_new() noexcept nogil:
    cdef Cache* k = <Cache*>calloc(1, sizeof(Cache))
    if k == NULL:
        return NULL
    k.code_size = tier_code_size()
    k.arena = guestdbg_block_memory(GUESTDBG_ARENA, k.code_size)
    if k.arena != NULL and k.code_size:
        k.head.tier = tier_new(k.arena + guestdbg_code_offset(GUESTDBG_ARENA))
    elif k.code_size:
        k.code_size = 0
        k.arena = guestdbg_block_memory(GUESTDBG_ARENA, 0)
        tier_new(NULL)         # reports it
    if k.arena == NULL:
        free(k)
        return NULL
    return k


cdef void cache_free(void* p) noexcept nogil:
    cdef Cache* k = <Cache*>p
    if k != NULL:
        coverage_free(k.head.coverage)
        tier_free(k.head.tier)
        tier_free(k.lost_tier)
        guestdbg_free_block_memory(k.arena, GUESTDBG_ARENA, k.code_size)
        free(k)


cdef void cache_statistics(Cpu* c, uint64_t* out) noexcept nogil:
    cdef Cache* k = <Cache*>c.cache
    out[0] = k.decoded
    out[1] = k.dropped
    out[2] = k.flushed
    out[3] = k.used


cdef inline uint32_t hash_of(uint64_t pc, uint64_t pa, uint32_t variant) noexcept nogil:
    return <uint32_t>(((pc >> 2) ^ (pa >> 12) ^ (variant << 11)) & (HASH_SIZE - 1))


cdef inline Insn* insns_of(Block* b) noexcept nogil:
    return <Insn*>(b + 1)


cdef Block* find(Cpu* c, uint64_t pc, uint64_t pa, uint32_t variant) noexcept nogil:
    cdef Block* b = (<Cache*>c.cache).hash[hash_of(pc, pa, variant)]
    while b != NULL:
        if b.pc == pc and b.pa == pa and b.variant == variant:
            return b
        b = b.hash_next
    return NULL


cdef void stale(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """An instruction of a dropped block, reached through a link or a jump table, or after a store of the block
    itself changed its code. Look the code up again."""
    abandon(c, i)


cdef void drop(Cache* k, Block* b) noexcept nogil:
    cdef Block** p = &k.hash[hash_of(b.pc, b.pa, b.variant)]
    cdef uint32_t n
    while p[0] != NULL:
        if p[0] == b:
            p[0] = b.hash_next
            break
        p = &p[0].hash_next
    # Its memory stays until the arena is flushed, because one of its instructions may be executing: the
    # instructions after that one must be what memory holds now.
    for n in range(b.length):
        insns_of(b)[n].f = stale
    if b.place:
        tier_dropped(k.head.tier, b)
    k.dropped += 1


cdef void drop_physical_page(Cpu* c, uint64_t pa) noexcept nogil:
    cdef Cache* k = <Cache*>c.cache
    cdef Block** p = &k.pages[(pa >> 12) & (PAGES_SIZE - 1)]
    cdef Block* b
    cdef bint machine_code = False
    # Jump tables and links may still lead to these blocks: see stale().
    while p[0] != NULL:
        b = p[0]
        if b.pa >> 12 == pa >> 12:
            p[0] = b.page_next
            machine_code |= b.place != 0
            drop(k, b)
        else:
            p = &b.page_next
    if machine_code:
        tier_rewritten(k.head.tier, pa)
        leave_machine_code(c)


cdef void drop_blocks_of_page(Cpu* c, uint64_t va) noexcept nogil:
    cdef Cache* k = <Cache*>c.cache
    cdef Block** p
    cdef Block* b
    cdef int n
    for n in range(PAGES_SIZE):
        p = &k.pages[n]
        while p[0] != NULL:
            b = p[0]
            if b.pc >> 12 == va >> 12:
                p[0] = b.page_next
                drop(k, b)
            else:
                p = &b.page_next
    leave_machine_code(c)
    flush_jumps(c)


cdef void leave_machine_code(Cpu* c) noexcept nogil:
    """If the host does not permit machine code any more: no instruction may lead into it. (Instructions of blocks
    that are not in the tables do not: drop() has changed them, and after drop_all_code() a block is left.)"""
    cdef Cache* k = <Cache*>c.cache
    cdef int n
    cdef uint32_t j
    cdef Block* b
    if k.head.tier == NULL or not tier_lost(k.head.tier):
        return
    for n in range(PAGES_SIZE):
        b = k.pages[n]
        while b != NULL:
            b.place = 0
            for j in range(b.length):
                insns_of(b)[j].f = stale
            b = b.page_next
    k.lost_tier = k.head.tier
    k.head.tier = NULL
    drop_all_code(c)


cdef void drop_all_code(Cpu* c) noexcept nogil:
    """Every block becomes stale. An instruction of a block may call this: the memory is kept."""
    cdef Cache* k = <Cache*>c.cache
    cdef int n
    cdef Block* b
    if k.blocks == 0:
        return
    if k.head.tier != NULL:
        tier_dropping(k.head.tier, True)
    for n in range(PAGES_SIZE):
        b = k.pages[n]
        while b != NULL:
            insns_of(b).f = stale
            if b.place:
                tier_dropped(k.head.tier, b)
            k.dropped += 1
            b = b.page_next
    if k.head.tier != NULL:
        tier_dropping(k.head.tier, False)
        leave_machine_code(c)
    memset(k.hash, 0, sizeof(k.hash))
    memset(k.pages, 0, sizeof(k.pages))
    k.blocks = 0
    flush_jumps(c)


cdef bint within(const Region* r, const uint8_t* host, uint64_t size, uint64_t* low, uint64_t* high) noexcept nogil:
    """Does a slot contain part of this host memory? low, high: the offsets into the slot, high excluded."""
    cdef uint64_t start = <uint64_t>host - <uint64_t>r.host
    cdef uint64_t end = start + size
    if start >= r.size and not 0 < end <= size:
        return False                   # begins neither in the slot nor before it (where start is negative)
    low[0] = start if start < r.size else 0
    high[0] = end if end < r.size else r.size
    return True


cdef void code_written(Cpu* c, Region* r, uint64_t offset, uint64_t size) noexcept nogil:
    cdef uint64_t page, low, high
    cdef int n, k
    cdef Region* o
    for n in range(c.phys.count):
        o = &c.phys.regions[n]
        if not within(o, r.host + offset, size, &low, &high):
            continue
        for page in range(low >> 12, ((high - 1) >> 12) + 1):
            if o.code[page]:
                if not c.phys.shared:
                    o.code[page] = 0       # else the bits may be for another slot's code, too
                for k in range(c.phys.ncpus):
                    drop_physical_page(c.phys.cpus[k], o.gpa + (page << 12))


cdef void code_decoded(Phys* p, uint8_t* host, uint64_t size) noexcept nogil:
    """From now on, writes to these bytes take the slow path, through whichever slot."""
    cdef uint64_t page, low, high, end, lines
    cdef uint8_t* host_page
    cdef int n
    cdef Region* r
    for n in range(p.count):
        r = &p.regions[n]
        if not within(r, host, size, &low, &high):
            continue
        while low < high:
            page = low >> 12
            end = (page + 1) << 12
            end = high if high < end else end
            host_page = r.host + (page << 12)
            lines = ~<uint64_t>0 << ((low & 0xFFF) >> 6) & ~<uint64_t>0 >> (63 - (((end - 1) & 0xFFF) >> 6))
            if r.fast[page] & FAST_PAGE:
                write_slowly(p, host_page)
                r.fast[page] &= <uint8_t>~FAST_PAGE
            if lines & ~r.code[page]:
                if r.fast[page] & FAST_LINE:
                    write_lines_slowly(p, host_page)
                    r.fast[page] &= <uint8_t>~FAST_LINE
                r.code[page] |= lines
            low = end


cdef void bp_check(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """Replaces the function of an instruction at which a breakpoint may match."""
    if unlikely(dbg_breakpoint_matches(c, pc_of(i))):
        breakpoint_hit(c, i)
        return
    block_of(i).originals[i.idx](c, i, last)


cdef void breakpoint_hit(Cpu* c, const Insn* i) noexcept nogil:
    abandon(c, i)
    dbg_take_breakpoint(c)


cdef void fall_through(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """After a block that ended without a branch."""
    follow(c, link_target(i + 1))


cdef void link_resolve(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    # idx of a link is its place in the block, so block_of() works for it, too.
    cdef Block* b = block_of(i)
    cdef uint64_t pc = b.pc + <int64_t><int32_t>aux(i)
    cdef Block* t = find(c, pc, (b.pa & ~<uint64_t>0xFFF) | (pc & 0xFFF), b.variant)
    if t != NULL:
        set_link_target(i, insns_of(t))
        follow(c, insns_of(t))
        return
    c.pc = pc
    c.ip = NULL


cdef void link_far(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """The function of a link into another page, which is looked up each time."""
    goto_pc(c, block_of(i).pc + <int64_t><int32_t>aux(i))


cdef inline Op link_function(const Block* b, int32_t distance) noexcept nogil:
    """Within the page, a link holds for as long as its block does."""
    return link_resolve if (b.pc + <int64_t>distance) >> 12 == b.pc >> 12 else link_far


# ---- branch targets in guarded pages (FEAT_BTI) ------------------------------------------------
# Block.refuses is about the first instruction: a block is entered only there. It is looked at where
# PSTATE.BTYPE may be other than 0: by the branches that set it (goto_pc_btype), and by the run loop.

cdef inline bint is_pacixsp(uint32_t raw) noexcept nogil:
    """PACIASP, PACIBSP"""
    return (raw & <uint32_t>0xFFFFFFBF) == <uint32_t>0xD503233F


cdef uint32_t refused_btypes(uint32_t raw) noexcept nogil:
    """The values of PSTATE.BTYPE with which this instruction in a guarded page is not a permitted branch
    target, as a set of bits (BTypeCompatible). SCTLR_EL1.BT0 and BT1 are not considered here."""
    cdef uint32_t without_imm16 = raw & <uint32_t>0xFFE0001F
    if is_pacixsp(raw) or raw == <uint32_t>0xD50324DF:
        return 0                           # PACIxSP, BTI jc
    if without_imm16 == <uint32_t>0xD4200000 or without_imm16 == <uint32_t>0xD4400000:
        return 0                           # BRK and HLT have priority over the exception
    if raw == <uint32_t>0xD503245F:
        return 1 << 3                      # BTI c
    if raw == <uint32_t>0xD503249F:
        return 1 << 2                      # BTI j
    return 1 << 1 | 1 << 2 | 1 << 3


cdef bint branch_target_exception(Cpu* c, const Insn* i) noexcept nogil:
    """i is the first instruction of its block, which is to be executed. Take the Branch Target exception if
    PSTATE.BTYPE requires one, or a breakpoint's, which has priority."""
    cdef uint32_t btype = get_btype(c)
    cdef uint32_t raw = encoding(i)
    if not btype or not (block_of(i).refuses >> btype) & 1:
        return False
    if is_pacixsp(raw) and not c.sctlr_el1 & (SCTLR_BT1 if c.el else SCTLR_BT0):
        return False
    if dbg_breakpoint_matches(c, c.pc):
        dbg_take_breakpoint(c)
    else:
        take_el1(c, c.pc, (<uint32_t>EC_BTI << 26) | (1 << 25) | btype, 0, False, 0)
    return True


cdef Block* translate_block(Cpu* c, uint64_t pc, uint64_t pa, uint8_t* host_page, uint32_t variant) noexcept nogil:
    """Decode a block; its memory comes from the arena."""
    cdef Cache* k = <Cache*>c.cache
    cdef uint64_t offset = pc & 0xFFF
    cdef uint32_t most = <uint32_t>((4096 - offset) >> 2)
    cdef uint32_t n = 0, j, size
    cdef uint32_t raw
    cdef int r = OK
    cdef Block* b
    cdef Insn* o
    cdef Op fused
    cdef bint once             # it has a hook that will be removed
    cdef uint64_t here = pc, need
    if most > MAX_BLOCK:
        most = MAX_BLOCK
    if variant & VARIANT_ONE:
        most = 1
    need = sizeof(Hook) + sizeof(Block) + (MAX_BLOCK + 2) * sizeof(Insn) + MAX_BLOCK * sizeof(Op)
    if k.used + need > GUESTDBG_ARENA or (k.head.tier != NULL and tier_full(k.head.tier)):
        drop_all_code(c)
        if GUESTDBG_ARENA < 1 << 20:
            # A build for fuzzing: executing a stale instruction must be noticed.
            memset(k.arena, 0, k.used)
        k.used = 0
        k.flushed += 1
        if k.head.tier != NULL:
            tier_emptied(k.head.tier)
    if variant & VARIANT_HOOKED:
        k.used += sizeof(Hook)
    b = <Block*>(k.arena + k.used)
    b.pc = pc
    b.pa = pa
    b.variant = <uint16_t>variant
    b.refuses = 0
    b.originals = NULL
    b.place = 0
    o = insns_of(b)
    while n < most:
        memcpy(&raw, host_page + offset, 4)
        if n == 0 and variant & VARIANT_GUARDED:
            b.refuses = <uint16_t>(refused_btypes(raw) | (1 << 3 if is_pacixsp(raw) else 0))
        memset(o, 0, sizeof(Insn))
        o.raw = raw
        o.idx = <uint8_t>n
        r = decode(c, o, raw, here)
        if c.bp_everywhere or dbg_block_has_breakpoint(c, here):
            if b.originals == NULL:
                # after the longest possible block; moved up when the length is known
                b.originals = <Op*>(insns_of(b) + MAX_BLOCK + 2)
                for j in range(n):
                    b.originals[j] = insns_of(b)[j].f
            b.originals[n] = o.f
            o.f = bp_check
        elif b.originals != NULL:
            b.originals[n] = o.f
        n += 1
        o += 1
        offset += 4
        here += 4
        if r != OK:
            break
    b.length = n
    if n >= 2 and b.originals == NULL:
        fused = fused_op(o[-2].raw, o[-1].raw)
        if fused != NULL:
            o[-2].f = fused
    if b.originals == NULL:
        forward_operands(insns_of(b), n)
    for j in range(n):
        insns_of(b)[j].len = <uint8_t>n
    memset(o, 0, 2 * sizeof(Insn))
    o[0].idx = <uint8_t>n
    o[1].idx = <uint8_t>(n + 1)
    o[1].aux = 4 * n
    if r == OK:
        o[0].f = fall_through
    else:
        o[0].imm = <uint64_t>&o[0]
        o[0].aux = insns_of(b)[n - 1].aux      # set by the branch's Fill
        if r != UNDEF:
            # A branch's Fill gives the target's distance from the branch, a link has it from the block.
            o[0].aux = <uint32_t>(<int32_t>o[0].aux + 4 * (<int32_t>n - 1))
        o[0].f = link_function(b, <int32_t>o[0].aux)
    o[1].imm = <uint64_t>&o[1]
    o[1].f = link_function(b, <int32_t>o[1].aux)
    if b.originals != NULL:
        k.used += sizeof(Block) + (MAX_BLOCK + 2) * sizeof(Insn) + n * sizeof(Op)
    else:
        k.used += sizeof(Block) + (n + 2) * sizeof(Insn)
    k.used = (k.used + 31) & ~<uint64_t>31
    if variant & VARIANT_TRACED:
        flow_hook(c, b, r == ENDS)
    once = variant & VARIANT_COVERED and coverage_hook(k.head.coverage, b, raw, (variant & VARIANT_EL1) != 0)
    if k.head.tier != NULL and not once and not variant & (VARIANT_ONE | VARIANT_CHECKED):
        tier_watch(k.head.tier, b)
    k.decoded += 1
    k.blocks += 1
    j = hash_of(pc, pa, variant)
    b.hash_next = k.hash[j]
    k.hash[j] = b
    j = <uint32_t>((pa >> 12) & (PAGES_SIZE - 1))
    b.page_next = k.pages[j]
    k.pages[j] = b
    code_decoded(c.phys, host_page + (pa & 0xFFF), 4 * n)
    return b


cdef Insn* insns_at(Cpu* c, uint64_t pa, uint8_t* host_page, uint32_t variant) noexcept nogil:
    """The block at c.pc, where fetch_page() found it; decoded if it is not yet."""
    cdef Block* b
    cdef const Coverage* v = coverage_of(c)
    if c.fetch_guarded:
        variant |= VARIANT_GUARDED
    if v != NULL and v.active:
        variant |= VARIANT_COVERED | (VARIANT_EL1 if c.el else 0)
    if flow_of(c) != NULL:
        variant |= VARIANT_TRACED
    b = find(c, c.pc, pa, variant)
    if b == NULL:
        b = translate_block(c, c.pc, pa, host_page, variant)
    return insns_of(b)


# ---- the run loop -----------------------------------------------------------------------------

cdef enum:
    SLICE = 65536          # instructions between checks of kick and the host's clock


cdef bint interrupts(Cpu* c) noexcept nogil:
    """Take an interrupt if one is pending and not masked."""
    cdef bint irq, fiq
    if c.hcr_el2 & HCR_VSE and c.hcr_el2 & HCR_AMO and not c.daif & 0x100:
        c.hcr_el2 &= ~<uint64_t>HCR_VSE
        # Without FEAT_RAS VSESR_EL2 is 0.
        take_el1(c, c.pc, <uint32_t>((EC_SERROR << 26) | (1 << 25) | c.vsesr_el2), 0x180, False, 0)
        return True
    if c.hcr_el2 & HCR_FMO:
        fiq = c.hcr_el2 & HCR_VF or c.signals & GIC_VFIQ
    else:
        fiq = c.signals & LINE_FIQ
    if fiq and not c.daif & 0x40:
        take_el1(c, c.pc, 0, 0x100, False, 0)
        return True
    if c.hcr_el2 & HCR_IMO:
        irq = c.hcr_el2 & HCR_VI or c.signals & GIC_VIRQ
    else:
        irq = c.signals & LINE_IRQ
    if irq and not c.daif & 0x80:
        take_el1(c, c.pc, 0, 0x80, False, 0)
        return True
    return False


cdef void execute(Cpu* c, const Insn* i) noexcept nogil:
    cdef const Insn* ip
    cdef Coverage* v = coverage_of(c)
    cdef CpuLog* w = log_of(c)
    if w != NULL:
        log_begin(c, w, i)
    if GUESTDBG_THREADED:
        i.f(c, i, 0)
    else:
        c.ip = i
        c.forwarded = 0
        while c.ip != NULL:
            ip = c.ip
            ip.f(c, ip, c.forwarded)
    if v != NULL:
        coverage_settle(c, v)
    if w != NULL:
        log_end(c, w, c.budget == 0)


cdef void run_loop(Cpu* c) noexcept nogil:
    cdef uint64_t now, most, deadline, pa
    cdef bint stepping, v, p
    cdef uint32_t variant
    cdef uint8_t* host_page
    cdef Insn* i
    cdef Jump* j
    cdef uint32_t raw
    cdef uint64_t was = ~<uint64_t>0
    cdef uint32_t futile = 0       # iterations since an instruction retired
    cdef const CpuLog* w
    while True:
        now = c.end_count - <uint64_t>c.budget
        if c.exit:
            if c.programs != NULL and c.exit == EXIT_EL2 and run_hit_programs(c):
                continue
            return
        if c.kick:
            c.kick = 0
            c.exit = EXIT_KICK
            return
        if now >= c.limit:
            c.exit = EXIT_LIMIT
            return
        # An exception vector that itself raises an exception would keep this loop running for ever, past
        # any limit: no instruction retires.
        if now != was:
            was = now
            futile = 0
        else:
            futile += 1
            if futile > 1000:
                c.exit = EXIT_STUCK
                return
        deadline = ~<uint64_t>0
        if (c.vtimer.ctl | c.ptimer.ctl) & 1 or c.vtimer_was or c.ptimer_was:
            v = timer_output(c, True, now)
            p = timer_output(c, False, now)
            if v != c.vtimer_was or p != c.ptimer_was:
                c.vtimer_was = v
                c.ptimer_was = p
                c.exit = EXIT_TIMER
                return
            deadline = timer_deadline(c, now)
        stepping = False
        if c.step_enabled:
            if dbg_step_pending(c):
                continue
            stepping = dbg_stepping(c)
        most = min(SLICE, log_window(c))
        w = log_of(c)
        if w != NULL:
            if log_is_full(w) and not futile:
                c.exit = EXIT_TRACE
                return
            most = 1
        if c.hcr_el2 & (HCR_VF | HCR_VI | HCR_VSE) or c.signals:
            # Without an instruction in between, the exceptions are counted above: this is no time to leave.
            if c.signals & TRACE_FULL and not futile:
                c.exit = EXIT_TRACE
                return
            if c.signals & GIC_MAINTENANCE:
                c.exit = EXIT_MAINTENANCE
                return
            if interrupts(c):
                continue
            if c.signals & RUN_ALONE:
                c.signals &= ~<uint32_t>RUN_ALONE
                most = 1
        variant = VARIANT_CHECKED if c.bp_everywhere else VARIANT_PLAIN
        if stepping:
            variant |= VARIANT_ONE
        if c.limit - now < most:
            most = c.limit - now
        if deadline > now and deadline - now < most:
            most = deadline - now
        i = NULL
        if not stepping and not c.il:
            j = &c.jumps[(c.pc >> 2) & (JUMP_SIZE - 1)]
            if j.pc == c.pc:
                i = <Insn*>j.target
                if i.f == stale or i.len > most:
                    i = NULL
        if i == NULL:
            if not fetch_page(c, c.pc, &pa, &host_page):
                continue
            if c.il:
                if dbg_breakpoint_matches(c, c.pc):
                    dbg_take_breakpoint(c)
                else:
                    take_el1(c, c.pc, (<uint32_t>EC_ILL << 26) | (1 << 25), 0, False, 0)
                continue
            i = insns_at(c, pa, host_page, variant)
            if i.len > most:
                variant |= VARIANT_ONE
                i = insns_at(c, pa, host_page, variant)
            elif not variant & VARIANT_ONE:
                note_jump(c, c.pc, i)
        if unlikely(c.btype_at == now) and branch_target_exception(c, i):
            continue
        if stepping:
            most = 1
            raw = encoding(i)
            c.end_count = now + 1
            c.budget = 1 - i.len
            c.did_step = True          # unless it takes an exception: then ISS.ISV is 0, as in QEMU
            execute(c, i)
            # LDXR, LDAXR, LDXP, LDAXP; but with bit 21 set and bit 31 clear it is CASP
            c.step_exclusive = (raw & 0x3FC00000) == 0x08400000 and ((raw >> 31) != 0 or (raw >> 21) & 1 == 0)
            if c.budget == 0:
                c.ss = 0               # it has retired: active-pending
            continue
        c.did_step = False
        c.end_count = now + most
        c.budget = <int64_t>most - i.len
        execute(c, i)


cdef bint execute_one(Cpu* c) noexcept nogil:
    cdef uint64_t now = c.end_count - <uint64_t>c.budget
    cdef uint64_t pa
    cdef uint8_t* host_page
    cdef Insn* i
    if not fetch_page(c, c.pc, &pa, &host_page):
        return False
    i = insns_at(c, pa, host_page, VARIANT_ONE)
    if branch_target_exception(c, i):
        return False
    c.end_count = now + 1
    c.budget = 0
    execute(c, i)
    return c.budget == 0
