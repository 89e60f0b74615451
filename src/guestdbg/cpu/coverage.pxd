# cython: language_level=3
"""Which instructions were executed, and how often: hooks at the entries of blocks (coverage.pyx)."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from guestdbg.cpu.core cimport Block, Cpu, Insn

cdef enum:
    FORM_FIRST = 1         # whether an instruction was executed
    FORM_COUNTS = 2        # how often
    FORM_EDGES = 3         # and how often each branch went where
    FORM_MAP = 4           # only the latter, in a map of counters of one byte

    MAX_RECORDS = 1 << 20
    MAX_EDGES = 1 << 20

cdef struct Record:        # instructions that were executed one after the other
    uint64_t pc
    uint64_t count         # how often
    Record* source[2]      # records from which it was entered most: the first ones, not the most frequent
    uint64_t times[2]      # how often from each
    uint32_t length        # instructions
    uint8_t el
    uint8_t branch         # whether the last one is a branch
    uint32_t source_hash   # of the edges from that branch (FORM_MAP),
    uint32_t target_hash   # and of those to the first instruction

cdef struct Edge:
    uint64_t source        # address of the branch | EL
    uint64_t target
    uint64_t count         # 0: an entry of the table that is not in use

cdef struct Coverage:
    int form
    bint active            # blocks have hooks
    bint lost              # there was no room for something
    # Since execute() was called:
    const Insn* running    # the block that was entered last (FORM_FIRST); NULL: none that has a hook
    Record* last           # the same for the other forms; &none: none
    Record* previous       # the block before it, for enter_from_elsewhere()
    void* elsewhere        # enter_from_elsewhere()
    uint64_t end           # instructions retired when all of that block will have been executed
    Record none
    Record overflow        # of blocks for which there is no room
    Record** table         # by hash
    uint64_t table_size
    Record** chunks        # the records, so many in each
    uint64_t count
    Edge* edges            # by hash: what Record.source has no room for
    uint64_t edges_size
    uint64_t edge_count
    uint8_t* map           # FORM_MAP: the owner's
    uint64_t map_size

cdef enum:
    VARIANT_COVERED = 8    # of a block: it has a hook of this module

cdef struct Hook:          # lies before its Block, if that is a variant with hooks
    void* f                # an Op: the function of the block's first instruction, which the hook replaces
    Record* record
    Coverage* coverage
    void* branch           # an Op: that of its last instruction, if flow_trace.pyx has replaced it

cdef struct CacheHead:     # what the block cache of core.pyx begins with
    Coverage* coverage     # NULL: it was never started
    void* tier             # a Tier (translation.pxd); NULL: blocks are interpreted
    void* flow             # Flow of flow_trace.pxd; NULL: nothing is recorded
    uint64_t others        # instructions that the other processors had retired when this one began to run
    uint32_t number        # of this processor, in records
    void* log              # CpuLog of instruction_trace.pxd; NULL: nothing is recorded
    void* waiting          # the same, before the time that is to be recorded, and after it


cdef inline Coverage* coverage_of(const Cpu* c) noexcept nogil:
    return (<CacheHead*>c.cache).coverage

cdef bint coverage_hook(Coverage* v, Block* b, uint32_t raw, uint32_t el) noexcept nogil
"""Put the hook into a block that has been decoded; raw: its last instruction. Whether it will be removed
after the block's first execution (then this module calls tier_watch())."""

cdef void coverage_settle(Cpu* c, Coverage* v) noexcept nogil
"""Between blocks: the one that was entered last may not have been executed to its end."""

cdef void coverage_emulated(Cpu* c) noexcept nogil
"""The owner has executed the instruction at c.pc."""

cdef bint coverage_start(Cpu* c, int form, uint8_t* map, uint64_t map_size) noexcept nogil
"""Begin with nothing counted. map: for FORM_MAP, of 1 to 2**32 bytes. False: there is no memory for it."""

cdef void coverage_stop(Cpu* c) noexcept nogil

cdef void coverage_activate(Cpu* c, bint active) noexcept nogil
"""Go on counting, or count nothing for now."""

cdef void coverage_free(Coverage* v) noexcept nogil

cdef object coverage_blocks(Coverage* v)
cdef object coverage_edges(Coverage* v)
"""Results, as processor_binding.pyi describes them."""
