# cython: language_level=3
"""Which instructions were executed, and how often.

While coverage is on, each block that is decoded gets a hook: the function of its first instruction is
replaced by one of the four below, which notes the entry and goes on to it. Blocks with hooks are a variant
of their own, one for each EL, so a processor without coverage executes nothing of this.

A block that is entered is noted as a whole. If it is left before its end, by an exception or for its owner,
execute() in core.pyx returns, and the number of retired instructions says how many of the last block were
executed (coverage_settle): the block is taken back, and its first instructions are noted instead. What is
executed of the rest later is a block of its own. So each instruction that retires is noted exactly once.

  enter_first       A block counts as executed once all of it was. It runs alone: the budget is used up
                    after it, so that it is the last one when execute() returns. Then the hook is removed.
  enter_counted     counts, and remembers the block for coverage_settle()
  enter_from        as well, and counts the edge from the block before it
  enter_mapped      counts only that edge, in the byte of a map that a hash of its two addresses gives. The
                    map is the owner's, who may share it with other processes: fuzzers read it

Records and edges stay when blocks are dropped: a block that is decoded again finds its record.
"""
from libc.stdlib cimport calloc, free
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from guestdbg.cpu.core cimport Block, Cpu, drop_all_code, Insn, likely, Op, retired
from guestdbg.cpu.tlb cimport flush_jumps
from guestdbg.cpu.translation cimport tier_watch

cdef extern from *:
    """
    /* The last statement of a function: the instruction's own function, with the same arguments. */
    #define GO_ON(c, i, function, value) do { GUESTDBG_TAIL (function)((c), (i), (value)); } while (0)
    """
    void GO_ON(Cpu* c, const Insn* i, Op function, uint64_t value) nogil

cdef enum:
    CHUNK_RECORDS = 4096
    CHUNKS = 256           # so that they have room for MAX_RECORDS
    SMALLEST_TABLE = 8192


cdef inline Hook* hook_of(const Insn* i) noexcept nogil:
    """i is the first instruction of its block."""
    return (<Hook*>(<Block*>i - 1)) - 1


# ---- records ----------------------------------------------------------------------------------

cdef inline uint64_t mixed(uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t h = (a ^ b * <uint64_t>0x9E3779B97F4A7C15) * <uint64_t>0xBF58476D1CE4E5B9
    return h ^ h >> 29


cdef bint grow_records(Coverage* v) noexcept nogil:
    cdef uint64_t size = 2 * v.table_size if v.table_size else SMALLEST_TABLE
    cdef Record** table = <Record**>calloc(size, sizeof(Record*))
    cdef Record* r
    cdef uint64_t n, k
    if table == NULL:
        return False
    for n in range(v.table_size):
        r = v.table[n]
        if r != NULL:
            k = place_of(r.pc, r.length, r.el, r.branch) & (size - 1)
            while table[k] != NULL:
                k = (k + 1) & (size - 1)
            table[k] = r
    free(v.table)
    v.table = table
    v.table_size = size
    return True


cdef inline uint64_t place_of(uint64_t pc, uint32_t length, uint32_t el, uint32_t branch) noexcept nogil:
    return mixed(pc | el | branch << 1, length)


cdef Record* record_of(Coverage* v, uint64_t pc, uint32_t length, uint32_t el, bint branch) noexcept nogil:
    """The record of these instructions; &v.overflow: there is no room for it."""
    cdef uint64_t k
    cdef Record* r
    cdef Record** chunk
    if 2 * v.count >= v.table_size and v.count < MAX_RECORDS and not grow_records(v):
        v.lost = True
        return &v.overflow
    k = place_of(pc, length, el, branch) & (v.table_size - 1)
    while v.table[k] != NULL:
        r = v.table[k]
        if r.pc == pc and r.length == length and r.el == el and r.branch == branch:
            return r
        k = (k + 1) & (v.table_size - 1)
    chunk = &v.chunks[v.count // CHUNK_RECORDS]
    if v.count < MAX_RECORDS and chunk[0] == NULL:
        chunk[0] = <Record*>calloc(CHUNK_RECORDS, sizeof(Record))
    if v.count >= MAX_RECORDS or chunk[0] == NULL:
        v.lost = True
        return &v.overflow
    r = &chunk[0][v.count % CHUNK_RECORDS]
    r.pc = pc
    r.length = length
    r.el = <uint8_t>el
    r.branch = branch
    v.table[k] = r
    v.count += 1
    return r


cdef void note(Coverage* v, uint64_t pc, uint32_t length, uint32_t el) noexcept nogil:
    """These instructions, of which none is a branch, were executed."""
    cdef Record* r = record_of(v, pc, length, el, False)
    if v.form == FORM_FIRST:
        r.count = 1
    else:
        r.count += 1


# ---- edges ------------------------------------------------------------------------------------

cdef inline uint64_t source_of(const Record* r) noexcept nogil:
    return (r.pc + 4 * <uint64_t>(r.length - 1)) | r.el


cdef bint grow_edges(Coverage* v) noexcept nogil:
    cdef uint64_t size = 2 * v.edges_size if v.edges_size else SMALLEST_TABLE
    cdef Edge* edges = <Edge*>calloc(size, sizeof(Edge))
    cdef uint64_t n, k
    if edges == NULL:
        return False
    for n in range(v.edges_size):
        if v.edges[n].count:
            k = mixed(v.edges[n].source, v.edges[n].target) & (size - 1)
            while edges[k].count:
                k = (k + 1) & (size - 1)
            edges[k] = v.edges[n]
    free(v.edges)
    v.edges = edges
    v.edges_size = size
    return True


cdef void count_edge(Coverage* v, uint64_t source, uint64_t target) noexcept nogil:
    cdef uint64_t k
    cdef Edge* e
    if 2 * v.edge_count >= v.edges_size and v.edge_count < MAX_EDGES and not grow_edges(v):
        v.lost = True
        return
    k = mixed(source, target) & (v.edges_size - 1)
    while True:
        e = &v.edges[k]
        if not e.count:
            break
        if e.source == source and e.target == target:
            e.count += 1
            return
        k = (k + 1) & (v.edges_size - 1)
    if v.edge_count >= MAX_EDGES:
        v.lost = True
        return
    e.source = source
    e.target = target
    e.count = 1
    v.edge_count += 1


# ---- a map of edges ---------------------------------------------------------------------------

cdef inline uint32_t source_hash_of(uint64_t source) noexcept nogil:
    return <uint32_t>(mixed(source, 1) >> 32)


cdef inline uint32_t target_hash_of(uint64_t target) noexcept nogil:
    return <uint32_t>(mixed(target, 0) >> 32)


cdef inline void count_in_map(Coverage* v, const Record* p, uint32_t target_hash) noexcept nogil:
    """The edge from a record's branch, if it ends with one. 1 follows 255: what was counted is never 0."""
    cdef uint8_t* counter = &v.map[(<uint64_t>(p.source_hash ^ target_hash) * v.map_size) >> 32]
    cdef uint32_t n = <uint32_t>counter[0] + p.branch
    counter[0] = <uint8_t>(n + (n >> 8))


# ---- the hooks --------------------------------------------------------------------------------

cdef void enter_first(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef Hook* h = hook_of(i)
    cdef Coverage* v = h.coverage
    v.running = i
    # No other block is entered after this one.
    c.end_count -= <uint64_t>c.budget
    c.budget = 0
    v.end = c.end_count
    GO_ON(c, i, <Op>h.f, last)


cdef void enter_counted(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef Hook* h = hook_of(i)
    cdef Coverage* v = h.coverage
    cdef Record* r = h.record
    r.count += 1
    v.last = r
    v.end = retired(c)
    GO_ON(c, i, <Op>h.f, last)


cdef void enter_from(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef Hook* h = hook_of(i)
    cdef Coverage* v = h.coverage
    cdef Record* r = h.record
    cdef Record* p = v.last
    r.count += 1
    v.last = r
    v.end = retired(c)
    if likely(r.source[0] == p):
        r.times[0] += 1
    elif r.source[1] == p:
        r.times[1] += 1
    else:
        v.previous = p
        # By its address: inlined, it would make this function save registers.
        GO_ON(c, i, <Op>v.elsewhere, last)
        return
    GO_ON(c, i, <Op>h.f, last)


cdef void enter_from_elsewhere(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """From a block for which the record has no counter, or from the run loop."""
    cdef Hook* h = hook_of(i)
    count_entry(h.coverage, h.record)
    GO_ON(c, i, <Op>h.f, last)


cdef void enter_mapped(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    cdef Hook* h = hook_of(i)
    cdef Coverage* v = h.coverage
    cdef Record* r = h.record
    cdef Record* p = v.last
    v.last = r
    v.end = retired(c)
    count_in_map(v, p, r.target_hash)
    GO_ON(c, i, <Op>h.f, last)


cdef void count_entry(Coverage* v, Record* r) noexcept nogil:
    cdef Record* p = v.previous
    cdef int n
    if not p.branch or r == &v.overflow:
        return             # &none and &overflow are no branches either
    for n in range(2):
        if r.source[n] == NULL:
            r.source[n] = p
            r.times[n] = 1
            return
    count_edge(v, source_of(p), r.pc)


cdef bint is_branch(uint32_t raw) noexcept nogil:
    """B, BL, B.cond, BC.cond, CBZ, CBNZ, TBZ, TBNZ, BR, BLR, RET and their authenticated forms (C4.1.65);
    exception returns are not branches."""
    return ((raw & <uint32_t>0x7C000000) == 0x14000000 or (raw & <uint32_t>0xFF000000) == 0x54000000
            or (raw & <uint32_t>0x7C000000) == 0x34000000 or (raw & <uint32_t>0xFE800000) == <uint32_t>0xD6000000)


cdef bint coverage_hook(Coverage* v, Block* b, uint32_t raw, uint32_t el) noexcept nogil:
    cdef Hook* h = <Hook*>b - 1
    cdef Insn* i = <Insn*>(b + 1)
    cdef Record* r = record_of(v, b.pc, b.length, el, is_branch(raw))
    h.f = <void*>i.f
    h.record = r
    h.coverage = v
    if v.form == FORM_COUNTS:
        i.f = enter_counted
    elif v.form == FORM_EDGES:
        i.f = enter_from
    elif v.form == FORM_MAP:
        r.source_hash = source_hash_of(source_of(r))
        r.target_hash = target_hash_of(r.pc)
        i.f = enter_mapped
    elif not r.count and r != &v.overflow:
        i.f = enter_first
        return True
    return False


cdef void coverage_settle(Cpu* c, Coverage* v) noexcept nogil:
    cdef const Insn* i = v.running
    cdef Record* r
    cdef uint64_t missing
    if v.form == FORM_FIRST:
        if i == NULL:
            return
        v.running = NULL
        r = hook_of(i).record
    else:
        r = v.last
        if r == &v.none:
            return
        v.last = &v.none
    if r == &v.overflow:
        return
    missing = v.end - retired(c)       # instructions at the end of the block that were not executed
    if v.form == FORM_MAP:
        if not missing:
            count_in_map(v, r, target_hash_of(c.pc))
    elif missing:
        if v.form != FORM_FIRST:
            r.count -= 1
        if missing < r.length:
            note(v, r.pc, r.length - <uint32_t>missing, r.el)
    elif v.form == FORM_FIRST:
        r.count = 1
        if i.f == enter_first:     # not if the block was dropped
            (<Insn*>i).f = <Op>hook_of(i).f
            if (<CacheHead*>c.cache).tier != NULL:
                tier_watch((<CacheHead*>c.cache).tier, <Block*>i - 1)
    elif v.form == FORM_EDGES and r.branch:
        count_edge(v, source_of(r), c.pc)


cdef void coverage_emulated(Cpu* c) noexcept nogil:
    cdef Coverage* v = coverage_of(c)
    if v != NULL and v.active and v.form != FORM_MAP:
        note(v, c.pc, 1, c.el)


# ---- on and off -------------------------------------------------------------------------------

cdef bint coverage_start(Cpu* c, int form, uint8_t* map, uint64_t map_size) noexcept nogil:
    cdef Coverage* v = <Coverage*>calloc(1, sizeof(Coverage))
    if v == NULL:
        return False
    v.chunks = <Record**>calloc(CHUNKS + 1, sizeof(Record*))
    if v.chunks == NULL:
        free(v)
        return False
    v.form = form
    v.map = map
    v.map_size = map_size
    v.elsewhere = <void*>enter_from_elsewhere
    v.last = &v.none
    coverage_stop(c)
    (<CacheHead*>c.cache).coverage = v
    v.active = True
    flush_jumps(c)
    return True


cdef void coverage_stop(Cpu* c) noexcept nogil:
    # Blocks have hooks that lead to it.
    drop_all_code(c)
    flush_jumps(c)
    coverage_free(coverage_of(c))
    (<CacheHead*>c.cache).coverage = NULL


cdef void coverage_activate(Cpu* c, bint active) noexcept nogil:
    cdef Coverage* v = coverage_of(c)
    if v != NULL and v.active != active:
        v.active = active
        flush_jumps(c)


cdef void coverage_free(Coverage* v) noexcept nogil:
    cdef int n
    if v == NULL:
        return
    for n in range(CHUNKS):
        free(v.chunks[n])
    free(v.chunks)
    free(v.table)
    free(v.edges)
    free(v)


# ---- results ----------------------------------------------------------------------------------

cdef object coverage_blocks(Coverage* v):
    """Three native 64-bit words for each record: pc | EL | branch << 1, instructions, count."""
    cdef uint64_t n, used = 0
    cdef Record* r
    cdef uint64_t* out
    for n in range(v.count):
        used += v.chunks[n // CHUNK_RECORDS][n % CHUNK_RECORDS].count != 0
    found = PyBytes_FromStringAndSize(NULL, 24 * used)
    out = <uint64_t*>PyBytes_AS_STRING(found)
    for n in range(v.count):
        r = &v.chunks[n // CHUNK_RECORDS][n % CHUNK_RECORDS]
        if r.count:
            out[0] = r.pc | r.el | <uint64_t>r.branch << 1
            out[1] = r.length
            out[2] = r.count
            out += 3
    return found


cdef object coverage_edges(Coverage* v):
    """Three words for each: address of the branch | EL, target, count. An edge may be there more than once."""
    cdef uint64_t n, used = v.edge_count
    cdef int k
    cdef Record* r
    cdef uint64_t* out
    for n in range(v.count):
        r = &v.chunks[n // CHUNK_RECORDS][n % CHUNK_RECORDS]
        used += (r.source[0] != NULL) + (r.source[1] != NULL)
    found = PyBytes_FromStringAndSize(NULL, 24 * used)
    out = <uint64_t*>PyBytes_AS_STRING(found)
    for n in range(v.count):
        r = &v.chunks[n // CHUNK_RECORDS][n % CHUNK_RECORDS]
        for k in range(2):
            if r.source[k] != NULL:
                out[0] = source_of(r.source[k])
                out[1] = r.pc
                out[2] = r.times[k]
                out += 3
    for n in range(v.edges_size):
        if v.edges[n].count:
            out[0] = v.edges[n].source
            out[1] = v.edges[n].target
            out[2] = v.edges[n].count
            out += 3
    return found
