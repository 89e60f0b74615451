# cython: language_level=3
"""The tables of an address space: what tlb.pyx maintains and mmu.pyx fills."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu, Itlbe, Jump, Tlbe
from guestdbg.cpu.page_tables cimport WalkedTables

cdef enum:
    SPACES = 16            # ASIDs that have tables at the same time
    NO_ASID = 1 << 16      # of an AddressSpace that is free; its tables may hold anything

# Where an entry comes from.
cdef enum:
    ORIGIN_SIZE = 7        # the size of the descriptor's page or block: SIZE_BITS of tlb.pyx
    ORIGIN_NG = 8          # it is not global

cdef enum:
    # Flags in the low bits of Tlbe.xpn
    X_VALID = 1
    X_READ = 2
    X_WRITE = 4
    X_DEVICE = 8
    X_READONLY = 16            # a read-only slot: a write is a stage 2 permission fault
    X_PRESENT = 32             # memory is there
    X_REGION = 6               # and from this bit on, the number of the slot that it is in (64 at most)

# Which tables (TTBR0_EL1.BADDR) debug registers match with. The architecture has no such filter: it is
# the owner's, who would make the same comparison at each hit.
cdef enum:
    MAX_TABLES = 64        # of one register

cdef struct TableFilter:
    uint32_t count
    uint64_t table[64]

cdef struct TableFilters:
    uint32_t wp            # bit n: watchpoint n has a filter
    uint32_t bp
    TableFilter watch[16]
    TableFilter breaks[16]

cdef struct AddressSpace:
    Tlbe tlbs[3][512]      # [regime_of()]
    Tlbe lines[3][256]
    Jump jumps[2][4096]    # [EL]
    Itlbe itlbs[2][64]
    uint8_t origins[3][512]   # ORIGIN_* of the entries of tlbs
    uint32_t asid
    uint32_t filled        # bit n: tlbs[n] has entries
    uint32_t lines_filled
    uint32_t code_filled   # bit EL: itlbs[EL] or jumps[EL] has entries
    uint32_t code_not_global  # bit EL: some of them are not global
    uint32_t globals       # bit 0: entries of global pages of the lower half; bit 1: of the upper half
    uint32_t sizes         # bit n: entries with the ORIGIN_SIZE n, but for 4 KiB
    uint64_t blocks[4]     # a bit, by hash, for each page or block that is larger than 4 KiB
    uint64_t code_pages[16]   # a bit, by hash, for each page that has entries in jumps
    uint64_t used          # Cpu.space_uses when it was last selected
    uint64_t jumps_epoch   # Cpu.jumps_epoch when its jump tables were valid
    TableFilters* filters  # the processor's, NULL if it never had any
    uint32_t wp_off        # of the space in use, bit n: watchpoint n does not match with this TTBR0_EL1
    uint32_t bp_off
    WalkedTables* walked   # the VM's, NULL if a TLBI is what drops entries (page_tables.pyx)
    uint64_t ttbr0         # if walked is not NULL: what the entries belong to
    uint64_t ttbr1
    uint32_t wp_unflagged  # bit n: entries may let accesses that watchpoint n covers take the fast path

cdef inline AddressSpace* space_of(const Cpu* c) noexcept nogil:
    return <AddressSpace*>c.space
