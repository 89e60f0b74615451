# cython: language_level=3
"""Blocks that are executed often become machine code: the stencils of their instructions, end to end.

A stencil is the machine code of an instruction's own function, with holes for the operands (stencils/,
operands.h). A block that has been entered often enough is translated: its stencils are copied one after the
other, and the operands are put into the holes. Nothing else changes. Registers and flags are where the functions
have them, so that the state is complete at each instruction. Then each instruction's `f` is the place of
its stencil, and whoever goes on to the instruction as the functions do executes the machine code: a slow path
returns to it, links and jump tables lead to it, and a block that is dropped, whose `f` are then stale(), is
left at the next instruction after a slow path. A stencil never returns into machine code, because nothing
in it is called.

An instruction that has no stencil is executed by its function, to which a bridge jumps. So is one that has a
breakpoint or is traced; and a hook of coverage.pyx, which then goes on to the first instruction's stencil. From a
block to another one, machine code jumps directly. If the other one is dropped, it begins with a jump to a bridge,
just before it, which goes on to its first instruction's `f`.

Machine code lies in memory that is either writable or executable, for each processor near its decoded blocks,
because stencils address them relative to themselves. It is private: a process that forks has its own.
"""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

from guestdbg.cpu.core cimport Block, block_of, Cpu, DISPATCH, drop_all_code, Insn, Op
from guestdbg.cpu.coverage cimport CacheHead, Hook, VARIANT_COVERED
from guestdbg.cpu.link_stencils cimport bridge, link_by_memory, link_direct, link_far, link_known
from guestdbg.cpu.operands cimport aux, link_target

cdef extern from *:
    """
    #define GO_ON(c, i, function, value) do { GUESTDBG_TAIL (function)((c), (i), (value)); } while (0)

    #include "stencil_host.h"
    """
    void GO_ON(Cpu* c, const Insn* i, Op function, uint64_t value) nogil
    enum:
        GUESTDBG_JUMP
        GUESTDBG_VENEER
        GUESTDBG_ENTRY
        GUESTDBG_DIVERSION
    struct guestdbg_patch:
        uint16_t offset
        uint8_t kind
        uint8_t target
        int32_t addend
    struct guestdbg_stencil:
        void* op
        uint32_t code
        uint32_t patches
        uint16_t hot
        uint16_t cold
        uint16_t count
        uint16_t last
    struct guestdbg_stencils:
        uint32_t count
        uint32_t externals
        uint32_t data_size
        const guestdbg_stencil* stencils
        const guestdbg_patch* patches
        const uint8_t* code
        const uint8_t* data
        const char* const* names
    size_t guestdbg_page_size() nogil
    bint guestdbg_forbidden(uint8_t* p, const char** why) nogil
    int guestdbg_protect(uint8_t* p, size_t size, bint executable) nogil
    const char* guestdbg_refusal() nogil
    const guestdbg_stencils* guestdbg_stencils_of(const char* path)
    bint guestdbg_takes(int kind, uint64_t value) nogil
    bint guestdbg_apply(uint8_t* at, int kind, uint64_t value) nogil
    void guestdbg_write_jump(uint8_t* at, const uint8_t* to) nogil
    void guestdbg_write_veneer(uint8_t* at, uint64_t to) nogil
    void guestdbg_fill(uint8_t* at, size_t size) nogil
    void guestdbg_divert(uint8_t* block, const uint8_t* entry) nogil
    void guestdbg_written(uint8_t* at, size_t size) nogil

cdef extern from "<stddef.h>" nogil:
    const uint64_t OFFSET_OF_X "offsetof(struct __pyx_t_8guestdbg_3cpu_4core_Cpu, x)"
    const uint64_t OFFSET_OF_V "offsetof(struct __pyx_t_8guestdbg_3cpu_4core_Cpu, v)"

cdef enum Hole:                # stencils/holes.py
    HOLE_NONE
    HOLE_NEXT
    HOLE_TAKEN
    HOLE_NOT_TAKEN
    HOLE_HOT
    HOLE_COLD
    HOLE_DATA
    HOLE_I
    HOLE_RD
    HOLE_RN
    HOLE_RM
    HOLE_RA
    HOLE_IMM
    HOLE_AUX
    HOLE_RAW
    HOLE_XD
    HOLE_XN
    HOLE_XM
    HOLE_XA
    HOLE_VD
    HOLE_VN
    HOLE_VM
    HOLE_VA
    HOLE_AUX_LOW
    HOLE_AUX_HIGH
    HOLES = 32                 # from here on: functions of other modules

cdef extern from "dispatch.h" nogil:
    const uint64_t GUESTDBG_CODE_SIZE

cdef extern from "block_memory.h" nogil:
    size_t guestdbg_code_offset(size_t blocks)
    uint8_t* guestdbg_block_memory(size_t blocks, size_t code)
    void guestdbg_free_block_memory(uint8_t* p, size_t blocks, size_t code)

cdef enum:
    LARGEST = 1 << 18          # of a block's machine code: 64 instructions and links of 2 KiB at most
    PLACES = 8192              # of stencils, by hash: a power of two, more than twice as many as there are
    PAGES = 4096               # counters of guest pages: a power of two
    FREE = 4096                # blocks whose translations may be lost at any time,
    WORTH = 8192               # and one more for so many instructions: about what a translation and its end cost
    MOST_MODULES = 128


# ---- the stencils -----------------------------------------------------------------------------

cdef struct Module:
    const guestdbg_stencils* table
    uint32_t* veneers          # of its externals: offsets from the start of a tier's memory
    uint32_t data              # offset of its constants

cdef struct Known:
    void* op
    const guestdbg_stencil* stencil
    const Module* module

cdef Module modules[128]
cdef int nmodules = 0
cdef Known known[8192]
cdef uint32_t nknown = 0
cdef uint8_t* head = NULL      # what each tier's memory begins with: veneers and constants
cdef uint32_t head_size = 0
cdef const char* refused = NULL    # why the host gave no memory
cdef bint unreported = False

# What is to be done (configure).
cdef bint enabled = False
cdef uint32_t threshold = 0
cdef bint at_random = False    # thresholds between 1 and `threshold`, for tests
cdef uint64_t randomness = 1
cdef bint in_turn = False
cdef uint64_t turn = 0


cdef const Known* known_of(const void* op) noexcept nogil:
    """The stencil of a function; NULL: it has none."""
    cdef uint64_t n = (<uint64_t>op >> 4) * <uint64_t>0x9E3779B97F4A7C15 >> 51
    while known[n].op != NULL:
        if known[n].op == op:
            return &known[n]
        n = (n + 1) & (PLACES - 1)
    return NULL


cdef int remember(const Module* m, const guestdbg_stencil* s, void* op) except -1:
    global nknown
    cdef uint64_t n = (<uint64_t>op >> 4) * <uint64_t>0x9E3779B97F4A7C15 >> 51
    nknown += 1
    if nknown > PLACES // 2:
        raise RuntimeError("translation.pyx: PLACES is too small")
    while known[n].op != NULL:
        n = (n + 1) & (PLACES - 1)
    known[n].op = op
    known[n].stencil = s
    known[n].module = m
    return 0


def load(imported):
    """Collect the stencils of these imported modules; the number that there are now. imported: module objects;
    the functions that stencils jump to are found in the modules that export them."""
    global nmodules, nknown, head, head_size
    cdef void* needed[5]
    needed[:] = [<void*>bridge, <void*>link_by_memory, <void*>link_direct, <void*>link_far, <void*>link_known]
    import importlib
    cdef const guestdbg_stencils* t
    cdef Module* m
    cdef uint32_t k, place
    veneers = {}
    blobs = []
    size = 0
    if nmodules:
        return nknown
    for module in imported:
        path = getattr(module, "__file__", None)
        if path is None or nmodules == MOST_MODULES:
            continue
        encoded = path.encode("utf-8", "surrogateescape")
        t = guestdbg_stencils_of(encoded)
        if t == NULL or t.count == 0:
            continue
        m = &modules[nmodules]
        nmodules += 1
        m.table = t
        m.veneers = <uint32_t*>calloc(t.externals + 1, sizeof(uint32_t))
        if m.veneers == NULL:
            raise MemoryError
        for k in range(t.externals):
            where, name = (<bytes>t.names[k]).decode().split(" ")
            capsule = importlib.import_module(where).__pyx_capi__[name]
            address = <uint64_t>PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))
            place = veneers.setdefault(address, len(veneers) * GUESTDBG_VENEER)
            m.veneers[k] = place
        blobs.append((nmodules - 1, (<const char*>t.data)[:t.data_size]))
        for k in range(t.count):
            remember(m, &t.stencils[k], t.stencils[k].op)
    for k in range(5):
        if known_of(needed[k]) == NULL:
            nknown = 0         # their module was compiled without: nothing can be joined
    data = bytes(len(veneers) * GUESTDBG_VENEER)
    for n, blob in blobs:
        data += bytes(-len(data) % 64)
        modules[n].data = <uint32_t>len(data)
        data += blob
    data += bytes(-len(data) % guestdbg_page_size())
    head_size = <uint32_t>len(data)
    head = <uint8_t*>malloc(head_size + 1)
    if head == NULL:
        raise MemoryError
    memcpy(head, <const char*>data, head_size)
    for address, place in veneers.items():
        guestdbg_write_veneer(head + place, address)
    return nknown


def configure(bint on, uint32_t entries, seed=None, bint mixed=False):
    """Of processors made from now on: whether blocks are translated, after how many entries (at least 1); with a
    seed, at random after at most so many. mixed, for tests: the processors are in turn interpreted, translated
    after one entry, and so."""
    global enabled, threshold, at_random, randomness, in_turn, turn
    enabled = on and nknown > 0
    threshold = entries if entries else 1
    at_random = seed is not None
    randomness = seed if at_random else 1
    in_turn = mixed
    turn = randomness >> 8


def stencils():
    """For tests, (module, function's address, hot part, cold part, last, patches) of each stencil. A patch is
    (offset, kind, target, addend); a target from 32 on is a function of another module, by its name."""
    cdef uint32_t n, k
    cdef const guestdbg_stencil* s
    cdef const guestdbg_patch* patch
    cdef const Module* m
    found = []
    for n in range(PLACES):
        s = known[n].stencil
        if s == NULL:
            continue
        m = known[n].module
        patches = []
        for k in range(s.count):
            patch = &m.table.patches[s.patches + k]
            target = <int>patch.target
            patches.append((patch.offset, patch.kind,
                            (<bytes>m.table.names[target - HOLES]).decode() if target >= HOLES else target, patch.addend))
        code = (<const char*>m.table.code)[s.code:s.code + s.hot + s.cold]
        found.append((<int>(m - modules), <uint64_t>s.op, code[:s.hot], code[s.hot:], s.last, patches))
    return found


def why_not():
    """Why the host does not execute machine code, or None."""
    return refused.decode() if refused != NULL else None


def probe():
    """Whether the host has executable memory; if not, see why_not()."""
    global unreported
    cdef uint8_t* memory = guestdbg_block_memory(0, GUESTDBG_CODE_SIZE)
    cdef void* tier
    if memory == NULL:
        raise MemoryError
    tier = tier_new(memory + guestdbg_code_offset(0)) if enabled else NULL
    found = tier != NULL
    tier_free(tier)
    guestdbg_free_block_memory(memory, 0, GUESTDBG_CODE_SIZE)
    unreported = False        # the caller reports it
    return found


cdef bint tier_was_refused() noexcept nogil:
    global unreported
    cdef bint was = unreported
    unreported = False
    return was


# ---- the memory -------------------------------------------------------------------------------

cdef struct Tier:
    uint8_t* code
    uint64_t used
    uint32_t threshold
    bint limited               # see wasted(): not in tests, in which all blocks become machine code
    uint8_t rewritten[4096]    # by guest page: how often machine code was dropped there
    bint at_random
    uint64_t randomness
    uint64_t blocks            # translated since the start
    uint64_t instructions      # in them
    uint64_t bridges           # of these, those without a stencil
    uint64_t dropped
    uint64_t emptied
    bint full
    bint writable              # while tier_dropped() is called for all blocks
    bint lost                  # the host did not change the protection: no machine code is executed any more


cdef inline uint64_t another_random(uint64_t* x) noexcept nogil:
    x[0] = x[0] * <uint64_t>6364136223846793005 + <uint64_t>1442695040888963407
    return x[0] >> 33


cdef uint64_t tier_code_size() noexcept nogil:
    """Of the memory for machine code that a new processor needs; 0: it has none."""
    return GUESTDBG_CODE_SIZE if enabled else 0


cdef void* tier_new(uint8_t* code) noexcept nogil:
    """code: zeros; NULL: the host had no memory."""
    global refused, unreported, turn
    cdef Tier* t
    if not enabled:
        return NULL
    if in_turn:
        turn += 1
        if turn % 3 == 0:
            return NULL
    t = <Tier*>calloc(1, sizeof(Tier))
    if t == NULL:
        return NULL
    t.threshold = threshold
    t.limited = threshold > 1 and not at_random
    t.at_random = at_random
    t.randomness = another_random(&randomness)
    if in_turn and turn % 3 == 1:
        t.threshold = 1
    t.code = code
    if code == NULL:
        refused = "the host has no memory for machine code"
    if code == NULL or guestdbg_forbidden(code, &refused):
        free(t)
        unreported = True
        return NULL
    memcpy(t.code, head, head_size)
    t.used = head_size
    guestdbg_written(t.code, head_size)
    if guestdbg_protect(t.code, head_size, True):
        refused = guestdbg_refusal()
        tier_free(t)
        unreported = True
        return NULL
    return t


cdef void tier_free(void* tier) noexcept nogil:
    free(tier)


cdef void tier_emptied(void* tier) noexcept nogil:
    cdef Tier* t = <Tier*>tier
    if GUESTDBG_CODE_SIZE < 1 << 20 and not guestdbg_protect(t.code + head_size, t.used - head_size, False):
        # A build for fuzzing: executing what was emptied must be noticed (INT3).
        memset(t.code + head_size, 0xCC, t.used - head_size)
    memset(t.rewritten, 0, sizeof(t.rewritten))
    t.used = head_size
    t.full = False
    t.emptied += 1


cdef bint tier_full(void* tier) noexcept nogil:
    return (<Tier*>tier).full


cdef bint tier_lost(const void* tier) noexcept nogil:
    return (<const Tier*>tier).lost


cdef void lose(Tier* t) noexcept nogil:
    """Memory cannot be made writable, or executable again. What else is in its pages may not be executed either,
    and other machine code leads there. The caller sees to it that all blocks are dropped."""
    global refused, unreported
    if not t.lost:
        t.lost = True
        refused = guestdbg_refusal()
        unreported = True


cdef void tier_statistics(void* tier, uint64_t* out) noexcept nogil:
    cdef Tier* t = <Tier*>tier
    memset(out, 0, 6 * sizeof(uint64_t))
    if t != NULL:
        out[0] = t.blocks
        out[1] = t.instructions
        out[2] = t.bridges
        out[3] = t.dropped
        out[4] = t.emptied
        out[5] = t.used


cdef bytes tier_machine_code(void* tier, uint64_t* address):
    cdef Tier* t = <Tier*>tier
    if t == NULL:
        return b""
    address[0] = <uint64_t>(t.code + head_size)
    return (<const char*>t.code)[head_size:t.used]


cdef inline uint8_t* machine_code(const Tier* t, const Block* b) noexcept nogil:
    return t.code + <uint64_t>b.place * 16


cdef void tier_dropped(void* tier, Block* b) noexcept nogil:
    cdef Tier* t = <Tier*>tier
    cdef uint8_t* p
    if not b.place:
        return
    p = machine_code(t, b)
    b.place = 0
    t.dropped += 1
    if t.lost:
        return
    if not t.writable and guestdbg_protect(p, GUESTDBG_DIVERSION, False):
        lose(t)
        return
    guestdbg_divert(p, p - GUESTDBG_ENTRY)
    guestdbg_written(p, GUESTDBG_DIVERSION)
    if not t.writable and guestdbg_protect(p, GUESTDBG_DIVERSION, True):
        lose(t)


cdef void tier_rewritten(void* tier, uint64_t pa) noexcept nogil:
    cdef Tier* t = <Tier*>tier
    if t.rewritten[(pa >> 12) & (PAGES - 1)] < 24:
        t.rewritten[(pa >> 12) & (PAGES - 1)] += 1


cdef void tier_dropping(void* tier, bint all_of_them) noexcept nogil:
    cdef Tier* t = <Tier*>tier
    if not t.lost and guestdbg_protect(t.code + head_size, t.used - head_size, not all_of_them):
        lose(t)
    t.writable = all_of_them and not t.lost


# ---- counting ---------------------------------------------------------------------------------

cdef bint wasted(const Cpu* c, const Tier* t) noexcept nogil:
    """Whether more translations were lost than the guest's instructions are worth. A guest that always writes over
    its code, or has more code than there is room for, is not executed much slower than by the interpreter."""
    return t != NULL and t.limited and t.dropped > FREE + (c.end_count - <uint64_t>c.budget) // WORTH


cdef void count_entry(Cpu* c, const Insn* i, uint64_t last) noexcept nogil:
    """Instead of the function of a block's first instruction."""
    cdef Block* b = block_of(i)
    b.entries -= 1
    if b.entries:
        GO_ON(c, i, b.first, last)
        return
    if wasted(c, <Tier*>(<CacheHead*>c.cache).tier):
        b.entries = 1024
        GO_ON(c, i, b.first, last)
        return
    translate(c, b)
    DISPATCH(c, i, last)


cdef void tier_watch(void* tier, Block* b) noexcept nogil:
    cdef Tier* t = <Tier*>tier
    if t.lost:
        return
    b.first = (<Insn*>(b + 1)).f
    b.entries = t.threshold
    if t.limited:
        # Code that is often written again has to be executed more often.
        b.entries <<= t.rewritten[(b.pa >> 12) & (PAGES - 1)] >> 1
    if t.at_random:
        b.entries = 1 + <uint32_t>another_random(&t.randomness) % t.threshold
    (<Insn*>(b + 1)).f = count_entry


# ---- translation ------------------------------------------------------------------------------

cdef struct Piece:
    const Known* what
    const Insn* i
    uint64_t immediate         # Insn.imm and aux, where they are operands
    uint32_t auxiliary
    uint32_t hot               # where its parts are, relative to the block's machine code
    uint32_t cold
    uint32_t taken             # where its exits lead
    uint32_t not_taken
    const uint8_t* next        # absolute
    bint jumps                 # its dropped jump is needed


cdef bint uses(const Known* what, uint32_t target) noexcept nogil:
    cdef const guestdbg_stencil* s = what.stencil
    cdef uint32_t n
    if s.last == target:
        return True
    for n in range(s.count):
        if what.module.table.patches[s.patches + n].target == target:
            return True
    return False


cdef bint fits(const Known* what, uint64_t immediate) noexcept nogil:
    """A literal's address, which is imm, does not fit where the same function usually has an offset."""
    cdef const guestdbg_stencil* s = what.stencil
    cdef const guestdbg_patch* patch
    cdef uint32_t n
    for n in range(s.count):
        patch = &what.module.table.patches[s.patches + n]
        if patch.target == HOLE_IMM and not guestdbg_takes(patch.kind, immediate):
            return False
    return True


cdef void link_piece(const Tier* t, Block* b, uint8_t* code, const Insn* link, Piece* p) noexcept nogil:
    """How to go on through a link, as it is known now. code: where the block's machine code will be."""
    cdef uint64_t pc = b.pc + <uint64_t><int64_t><int32_t>aux(link)
    cdef const Insn* target = link_target(link)
    cdef Block* other
    p.i = link
    if target != link:
        other = <Block*>target - 1
        p.i = target
        p.auxiliary = other.length
        if other.place or other == b:
            p.what = known_of(<void*>link_direct)
            p.next = code if other == b else machine_code(t, other)
            p.jumps = True
        else:
            p.what = known_of(<void*>link_known)
    elif pc >> 12 != b.pc >> 12:
        p.what = known_of(<void*>link_far)
        p.immediate = pc
    else:
        p.what = known_of(<void*>link_by_memory)


cdef bint put(Tier* t, uint8_t* code, const Piece* p) noexcept nogil:
    """Copy the parts of a piece, and patch them; false: something is too far away."""
    cdef const guestdbg_stencil* s = p.what.stencil
    cdef const Module* m = p.what.module
    cdef const uint8_t* source = m.table.code + s.code
    cdef const guestdbg_patch* patch
    cdef const Insn* i = p.i
    cdef uint8_t* at
    cdef uint64_t value
    cdef uint32_t n
    memcpy(code + p.hot, source, s.hot)
    memcpy(code + p.cold, source + s.hot, s.cold)
    if p.jumps:
        guestdbg_write_jump(code + p.hot + s.hot, p.next)
    for n in range(s.count):
        patch = &m.table.patches[s.patches + n]
        at = code + (p.hot + patch.offset if patch.offset < s.hot else p.cold + patch.offset - s.hot)
        if patch.target >= HOLES:
            value = <uint64_t>(t.code + m.veneers[patch.target - HOLES])
        elif patch.target == HOLE_XD:
            value = OFFSET_OF_X + 8 * <uint64_t>i.rd
        elif patch.target == HOLE_XN:
            value = OFFSET_OF_X + 8 * <uint64_t>i.rn
        elif patch.target == HOLE_XM:
            value = OFFSET_OF_X + 8 * <uint64_t>i.rm
        elif patch.target == HOLE_XA:
            value = OFFSET_OF_X + 8 * <uint64_t>i.ra
        elif patch.target == HOLE_I:
            value = <uint64_t>i
        elif patch.target == HOLE_NEXT:
            value = <uint64_t>p.next
        elif patch.target == HOLE_TAKEN:
            value = <uint64_t>(code + p.taken)
        elif patch.target == HOLE_NOT_TAKEN:
            value = <uint64_t>(code + p.not_taken)
        elif patch.target == HOLE_HOT:
            value = <uint64_t>(code + p.hot)
        elif patch.target == HOLE_COLD:
            value = <uint64_t>(code + p.cold)
        elif patch.target == HOLE_DATA:
            value = <uint64_t>(t.code + m.data)
        elif patch.target == HOLE_RD:
            value = i.rd
        elif patch.target == HOLE_RN:
            value = i.rn
        elif patch.target == HOLE_RM:
            value = i.rm
        elif patch.target == HOLE_RA:
            value = i.ra
        elif patch.target == HOLE_IMM:
            value = p.immediate
        elif patch.target == HOLE_AUX:
            value = p.auxiliary
        elif patch.target == HOLE_RAW:
            value = i.raw
        elif patch.target == HOLE_VD:
            value = OFFSET_OF_V + 16 * <uint64_t>i.rd
        elif patch.target == HOLE_VN:
            value = OFFSET_OF_V + 16 * <uint64_t>i.rn
        elif patch.target == HOLE_VM:
            value = OFFSET_OF_V + 16 * <uint64_t>i.rm
        elif patch.target == HOLE_AUX_LOW:
            value = <uint64_t><int64_t><int16_t>p.auxiliary
        elif patch.target == HOLE_AUX_HIGH:
            value = <uint64_t><int64_t>(<int32_t>p.auxiliary >> 16)
        else:
            value = OFFSET_OF_V + 16 * <uint64_t>i.ra
        if not guestdbg_apply(at, patch.kind, value + <uint64_t><int64_t>patch.addend):
            return False
    return True


cdef bint has_hook(Block* b) noexcept nogil:
    """Whether the first instruction has a hook of coverage.pyx that goes on to a function with a stencil."""
    cdef Hook* hook = <Hook*>b - 1
    cdef const Known* what = known_of(hook.f)
    return hook.f != <void*>b.first and what != NULL and fits(what, (<Insn*>(b + 1)).imm)


cdef void translate(Cpu* c, Block* b) noexcept nogil:
    """The block's instructions get their places in machine code; or, if there is no room or no use, the first
    one its own function back."""
    cdef Tier* t = <Tier*>(<CacheHead*>c.cache).tier
    cdef Insn* insns = <Insn*>(b + 1)
    cdef Piece pieces[72]
    cdef Piece* p = NULL
    cdef Hook* hook = NULL     # of coverage.pyx, if the first instruction has it and a stencil
    cdef uint32_t n, count = 0, body, bridges = 0, size
    cdef const Known* bridging = known_of(<void*>bridge)
    cdef uint8_t* code
    cdef bint taken, not_taken, done
    insns.f = b.first
    if t == NULL or t.lost:
        return
    if t.used + LARGEST > GUESTDBG_CODE_SIZE:
        t.full = True
        return
    code = t.code + ((t.used + 15) & ~<uint64_t>15) + GUESTDBG_ENTRY
    memset(pieces, 0, sizeof(pieces))
    # The bridge comes first, before the code.
    pieces[0].what = bridging
    pieces[0].i = insns
    count = 1
    if b.variant & VARIANT_COVERED and has_hook(b):
        pieces[count].what = bridging
        pieces[count].i = insns
        count += 1
        hook = <Hook*>b - 1
    for n in range(b.length):
        p = &pieces[count]
        p.i = &insns[n]
        p.immediate = p.i.imm
        p.auxiliary = p.i.aux
        p.what = known_of(<void*>p.i.f if n or hook == NULL else hook.f)
        count += 1
        if p.what == NULL or not fits(p.what, p.immediate):
            p.what = bridging
            bridges += 1
        elif n + 2 == b.length and uses(p.what, HOLE_TAKEN):
            break              # with the branch after it, in one function
    body = count - 1
    if bridges == body:
        return
    # Where the last one leads.
    taken = uses(p.what, HOLE_TAKEN)
    not_taken = uses(p.what, HOLE_NOT_TAKEN)
    if p.what != bridging and uses(p.what, HOLE_NEXT):
        # b.length instructions, then fall_through() and its link
        link_piece(t, b, code, &insns[b.length + 1], &pieces[count])
        count += 1
    if taken and p.what.stencil.last != HOLE_NOT_TAKEN:
        link_piece(t, b, code, &insns[b.length], &pieces[count])
        count += 1
    if not_taken:
        link_piece(t, b, code, &insns[b.length + 1], &pieces[count])
        count += 1
    if taken and p.what.stencil.last == HOLE_NOT_TAKEN:
        link_piece(t, b, code, &insns[b.length], &pieces[count])
        count += 1
    # Places, relative to the code: hot parts, then cold parts.
    size = 0
    pieces[0].hot = 0          # is moved below
    for n in range(1, count):
        pieces[n].hot = size
        size += pieces[n].what.stencil.hot + (GUESTDBG_JUMP if pieces[n].jumps else 0)
        if not pieces[n].jumps:
            pieces[n].next = code + size
    for n in range(1, count):
        pieces[n].cold = size
        size += pieces[n].what.stencil.cold
    if taken:
        n = body + 1
        if not_taken and p.what.stencil.last == HOLE_NOT_TAKEN:
            p.not_taken = pieces[n].hot
            p.taken = pieces[n + 1].hot
        else:
            p.taken = pieces[n].hot
            p.not_taken = pieces[n + 1].hot
    if bridging.stencil.hot > GUESTDBG_ENTRY or bridging.stencil.cold:
        return                 # cannot happen: test_stencils.py looks at it
    if guestdbg_protect(t.code + t.used, <uint64_t>(code + size - t.code) - t.used, False):
        lose(t)
        drop_all_code(c)
        return
    guestdbg_fill(t.code + t.used, <uint64_t>(code - t.code) - t.used)     # for who disassembles it
    done = put(t, code - GUESTDBG_ENTRY, &pieces[0])
    for n in range(1, count):
        done = done and put(t, code, &pieces[n])
    guestdbg_written(t.code + t.used, <uint64_t>(code + size - t.code) - t.used)
    if guestdbg_protect(t.code + t.used, <uint64_t>(code + size - t.code) - t.used, True):
        lose(t)
        drop_all_code(c)
        return
    if not done:
        return
    b.place = <uint32_t>((code - t.code) // 16)
    t.used = <uint64_t>(code + size - t.code)
    t.blocks += 1
    t.instructions += body - (hook != NULL)
    t.bridges += bridges
    for n in range(1, body + 1):
        if pieces[n].what == bridging:
            continue
        if hook != NULL and pieces[n].i == insns:
            hook.f = <void*>(code + pieces[n].hot)
        else:
            (<Insn*>pieces[n].i).f = <Op><void*>(code + pieces[n].hot)
