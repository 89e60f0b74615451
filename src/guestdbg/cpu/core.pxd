# cython: language_level=3
"""What the processor's modules share: its state, the decoded instruction, the fast paths.

  register_bits        bits of control registers
  operands             the fields of a decoded instruction, as executing functions read them
  operand_forwarding   values passed in a host register from one instruction to the next
  exception            taking exceptions to EL1 and EL2, ERET
  features             which optional instructions there are
  fp                   floating-point arithmetic
  pointer_auth         pointer authentication codes; qarma: QARMA5, which computes them
  timer                the generic timer
  gic                  the virtual CPU interface of a GIC
  sysreg_traps         which system register accesses are trapped; sysreg: the registers themselves
  debug                breakpoints, watchpoints, software step
  mmu                  translation, the slow paths of memory accesses
  tlb                  the TLBs and jump tables of address spaces, and their maintenance
  conditions           conditions of hit programs; condition_floats: their floating point
  hit_programs         hits that are decided here
  core.pyx             run loop, decode table, block cache
  translation          blocks that are executed often: machine code from stencils; link_stencils: what joins them
  memory               physical memory of a VM; page_store: its contents in snapshots
  state                the whole state, for snapshots
  hit_program_objects  hit programs as Python objects
  processor_binding    the processor as a Python object
  processor.py         imports all of these and fills the decode table
  instructions/        the instructions; its __init__ lists the modules

Conventions:
  - A register operand is an index into Cpu.x: 0..30; 31 reads as zero (never written); 32 takes
    writes to XZR; 33 is the current SP. `src()`, `dst()`, `spreg()` map encodings to them.
  - 32-bit results are written zero-extended to 64 bits.
  - NZCV are kept apart: N and V are bit 63 of nf and vf; Z is zf == 0; C is cf (0 or 1).
  - An instruction function ends with NEXT(c, i), or FORWARD(c, i, value) to forward a value to the
    next instruction (operand_forwarding.pyx). After a helper that raised an exception or left the
    block, it just returns to the run loop.
  - An instruction function reads operands through operands.pxd only.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t

from guestdbg.cpu.register_bits cimport PSTATE_PAN, PSTATE_UAO

ctypedef void (*Op)(Cpu*, const Insn*, uint64_t) noexcept nogil

cdef extern from "dispatch.h" nogil:
    const bint GUESTDBG_THREADED
    void NEXT(Cpu* c, const Insn* i)
    void FORWARD(Cpu* c, const Insn* i, uint64_t value)
    void DISPATCH(Cpu* c, const Insn* i, uint64_t value)
    uint64_t UNSPECIFIED()
    bint likely(bint)
    bint unlikely(bint)

cdef extern from *:
    """
    #include <stdint.h>
    typedef unsigned __int128 guestdbg_u128;
    typedef __int128 guestdbg_s128;
    """
    ctypedef unsigned long long u128 "guestdbg_u128"   # 128 bits; Cython only needs a type
    ctypedef long long s128 "guestdbg_s128"

cdef enum:
    ZR = 31          # x[] index that reads as zero
    SINK = 32        # x[] index that takes writes to XZR
    SP = 33          # x[] index of the current stack pointer

    PAGE_MASK = 0xFFF
    MAX_BLOCK = 64   # instructions in a block
    TLB_SIZE = 512
    LINES = 256
    JUMP_SIZE = 4096 # not less than the instructions of a page: tlb.drop_jumps()

# What a Fill returns.
cdef enum:
    UNDEF = 0        # the encoding is unallocated (or its feature is absent): UNDEFINED exception
    OK = 1           # the following instruction is executed next
    ENDS = 2         # ends the block: the function does not use NEXT, it leaves or branches

# Kinds of memory access: flags of mem_load, mem_store, translate.
cdef enum:
    ACC_READ = 1
    ACC_WRITE = 2
    ACC_EXEC = 4
    ACC_UNPRIV = 8         # LDTR/STTR: as EL0
    ACC_ALIGNED = 16       # must be aligned whatever SCTLR_EL1.A (exclusive, ordered, atomic)
    ACC_EXCLUSIVE = 32
    ACC_ORDERED = 64       # ISS.AR
    ACC_PAIR = 128         # two registers of size/2 each: alignment is to size/2 unless ALIGNED
    ACC_NOISV = 256        # no ISS.ISV even at a stage 2 fault (pairs, write-back, SIMD, atomics)
    ACC_CACHE = 512        # cache maintenance: ISS.CM
    ACC_AT = 1024          # address translation instruction: never an abort, PAR_EL1 instead
    ACC_DCZVA = 2048
    ACC_ATOMIC = 4096      # read and write at once (LSE)
    ACC_PAN = 8192         # with ACC_AT: PSTATE.PAN applies (AT S1E1RP, S1E1WP)
    ACC_ONCE = 16384       # from mem_load, mem_store: one access, as a register of a device needs it

# Why run() returned.
cdef enum:
    EXIT_NONE = 0
    EXIT_EL2 = 1           # an exception to EL2: ESR_EL2, FAR_EL2, HPFAR_EL2 are set
    EXIT_LIMIT = 2         # max_instructions have retired
    EXIT_KICK = 3
    EXIT_TIMER = 4         # a timer's output rose or fell
    EXIT_HIT = 6           # a hit program stopped the run after the access (hit_programs.pyx)
    EXIT_STUCK = 5         # an endless loop of exceptions: no instruction retires between them
    EXIT_HLT = 7           # the HLT that the owner asked for, which has not retired
    EXIT_MAINTENANCE = 8   # a maintenance interrupt of the virtual CPU interface: ICH_MISR_EL2

# What the run loop has to look at between blocks: Cpu.signals.
cdef enum:
    LINE_IRQ = 1           # physical lines, for HCR_EL2.IMO/FMO clear
    LINE_FIQ = 2
    GIC_VIRQ = 4           # what the virtual CPU interface signals: gic_update()
    GIC_VFIQ = 8
    GIC_MAINTENANCE = 16
    RUN_ALONE = 32         # the next instruction is executed in a block of its own

cdef struct Cpu
cdef struct Block

cdef struct Insn:
    Op f
    uint64_t imm
    uint32_t raw           # the encoding
    uint32_t aux           # a further operand, as the instruction's Fill defines it
    uint8_t rd
    uint8_t rn
    uint8_t rm
    uint8_t ra
    uint8_t idx            # place in the block: PC = block.pc + 4*idx
    uint8_t len            # instructions in the block
    uint16_t mispredicts   # of a load: wrong predictions so far (mem_common.pxd)

cdef struct Block:
    uint64_t pc
    uint64_t pa
    Block* hash_next
    Block* page_next       # blocks decoded from the same physical page
    Op* originals          # where bp_check replaces an instruction: the instruction's own function
    uint16_t variant
    uint16_t refuses       # bit n: with PSTATE.BTYPE n it may not be entered (FEAT_BTI, core.pyx)
    uint32_t length
    Op first               # where entries are counted: the first instruction's own function (translation.pyx)
    uint32_t entries       # how many more, until the block is translated
    uint32_t place         # of its translation, in units of 16 bytes; 0: there is none
    # Insn insns[length + 2] follow: the instructions, then two links. A link's imm points to the
    # first instruction of the next block; until that is known, to the link itself, whose len is 0
    # and whose function looks for the block. Its aux is the target's distance from block.pc.
    # After a branch i, i[1] is the link if it is taken and i[2] the link if it is not. A block that
    # ends for another reason is followed by an instruction that goes through the link, and the link.

# One page of one regime. A tag is the page's virtual address, or has TAG_SLOW set: then every
# access takes the slow path (invalid, watched, MMIO, a write to decoded code, no permission).
cdef struct Tlbe:
    uint64_t rtag
    uint64_t wtag
    uint64_t add           # host address = va + add
    uint64_t xpn           # page VA | flags for the slow path

cdef enum:
    TAG_SLOW = 1 << 11     # of a page
    LINE_NONE = 1 << 5     # of a line: no address and size give this tag

cdef struct Region:        # a memory slot
    uint64_t gpa
    uint64_t size
    uint8_t* host
    uint64_t* code         # a bit for each 64 bytes of each 4 KiB page: decoded code is there
    bint readonly
    int slot
    uint8_t* fast          # FAST_*, for each page
    # Dirty pages (dirty_pages.pyx). NULL while nobody reads them.
    uint64_t* written      # [page] the last epoch in which the guest wrote to it
    uint64_t* touched      # [page] the last epoch in which userspace or a device did
    uint64_t* chunks       # [page >> CHUNK] the last epoch of either, in so many pages

cdef enum:
    # What the TLBs of any processor may have for a page; not set means that they have not.
    FAST_PAGE = 1          # an entry that writes to it without the slow path
    FAST_LINE = 2          # such an entry of a line
    CHUNK = 9              # log2 of the pages in a chunk

cdef struct Phys:          # the VM's physical memory, shared by its processors
    Region regions[64]
    int count
    int last
    bint shared            # two slots share host memory
    int readers            # of dirty pages
    uint64_t epoch         # it grows when a reader is opened, or reads
    uint64_t noted         # the last epoch in which the guest wrote to a page
    Cpu* cpus[64]
    int ncpus

cdef struct Jump:
    uint64_t pc
    const Insn* target

cdef struct Itlbe:         # where a page of code is
    uint64_t tag           # page VA | 1
    uint64_t pa
    uint8_t* host
    bint guarded           # GP of the page: its branch targets are checked (FEAT_BTI)
    uint32_t origin        # ORIGIN_* of tlb.pxd

cdef struct PacEntry:      # a pointer authentication code that was computed
    uint64_t data
    uint64_t modifier
    uint64_t key_high
    uint64_t key_low
    uint64_t code
    bint valid

cdef struct Timer:
    uint64_t cval
    uint64_t ctl           # ENABLE, IMASK as written (ISTATUS is computed)

cdef struct Gic:           # the virtual CPU interface (gic/)
    uint32_t version       # 0: none; 2: through the GICV frame; 3: through ICC_* registers
    uint32_t list_registers    # implemented
    uint64_t hcr           # ICH_HCR_EL2
    uint64_t vmcr          # ICH_VMCR_EL2
    uint64_t apr[2]        # ICH_AP0R0_EL2, ICH_AP1R0_EL2
    uint64_t lr[16]        # ICH_LRn_EL2
    uint64_t frame         # IPA of the GICV frame
    uint64_t frame_size    # 0: there is none
    uint64_t data[2]       # what an access to the frame reads or writes instead of memory

cdef struct Cpu:
    # -- hot --
    uint64_t x[34]
    uint64_t nf
    uint64_t zf
    uint64_t cf
    uint64_t vf
    int64_t budget         # counts down at the entry of each block by its length
    Tlbe* tlb              # data TLB of the current EL
    Tlbe* line_tlb         # and its lines
    Tlbe* unpriv_tlb       # the data TLB of LDTR and STTR
    Jump* jumps            # where code of the current EL is
    uint64_t pc            # valid whenever no block runs
    const Insn* ip         # GUESTDBG_LOOP: the next instruction, and the value forwarded to it
    uint64_t forwarded
    uint64_t lo            # what mem_load read (up to 16 bytes); what mem_store writes
    uint64_t hi
    uint64_t v[64]         # V0..V31, low half then high half
    # -- the processor between blocks --
    int exit               # EXIT_*; any but EXIT_NONE makes the loop return
    uint64_t end_count     # instruction count at which budget reaches 0
    uint64_t limit         # instruction count at which run() returns EXIT_LIMIT
    int kick               # set by another thread
    uint32_t signals       # LINE_*, GIC_*, RUN_ALONE
    uint32_t hlt_exit      # 1 + the immediate of the HLT that returns EXIT_HLT at EL1; 0: none
    # -- PSTATE --
    uint32_t el            # 0 or 1
    uint32_t spsel
    uint32_t daif          # bits 9..6 as in SPSR: D A I F
    uint32_t ss
    uint32_t il
    uint32_t pstate        # PAN, UAO, DIT, SSBS as in SPSR, where they are implemented (pstate_mask)
    uint32_t btype         # PSTATE.BTYPE, while no instruction has retired since it was set:
    uint64_t btype_at      # the instruction count at which it was set
    uint32_t pstate_mask   # bits of SPSR that the processor's extensions have (features_changed)
    uint64_t sp_el[2]      # banked SPs; the current one lives in x[SP]
    uint32_t fpcr
    uint32_t fpsr
    bint fp_trapped        # SIMD and FP are disabled or trapped at this EL (fp_access_changed)
    # -- exclusive monitor --
    int ex_open
    uint64_t ex_pa
    uint64_t ex_size
    uint64_t ex_lo
    uint64_t ex_hi
    uint32_t event         # the Event Register: SEV, SEVL and exception returns set it, WFE clears it
    # -- EL1 system registers --
    uint64_t sctlr_el1
    uint64_t actlr_el1
    uint64_t cpacr_el1
    uint64_t ttbr0_el1
    uint64_t ttbr1_el1
    uint64_t tcr_el1
    uint64_t esr_el1
    uint64_t afsr0_el1
    uint64_t afsr1_el1
    uint64_t far_el1
    uint64_t par_el1
    uint64_t mair_el1
    uint64_t amair_el1
    uint64_t vbar_el1
    uint64_t contextidr_el1
    uint64_t tpidr_el0
    uint64_t tpidrro_el0
    uint64_t tpidr_el1
    uint64_t elr_el1
    uint64_t spsr_el1
    uint64_t csselr_el1
    uint64_t cntkctl_el1
    uint64_t keys[10]      # APIA, APIB, APDA, APDB, APGA: the low half, then the high half of each
    uint64_t disr_el1
    uint64_t errselr_el1
    Timer vtimer
    Timer ptimer
    uint64_t pmcr_el0
    uint64_t pmuserenr_el0
    # -- debug registers (as the hardware holds them) --
    uint64_t mdscr_el1
    uint64_t dbgbvr[16]
    uint64_t dbgbcr[16]
    uint64_t dbgwvr[16]
    uint64_t dbgwcr[16]
    uint64_t oslk          # OS Lock: OSLSR_EL1.OSLK
    uint64_t osdlr_el1
    uint64_t dbgclaim
    uint64_t dbgprcr_el1
    uint64_t osdtrrx_el1
    uint64_t osdtrtx_el1
    uint64_t oseccr_el1
    uint64_t mdccint_el1
    # -- EL2's controls --
    uint64_t hcr_el2
    uint64_t mdcr_el2
    uint64_t cptr_el2
    uint64_t cnthctl_el2
    uint64_t cntvoff_el2
    uint64_t vttbr_el2
    uint64_t vpidr_el2
    uint64_t vmpidr_el2
    uint64_t hstr_el2
    uint64_t esr_el2
    uint64_t far_el2
    uint64_t hpfar_el2
    uint64_t vsesr_el2
    uint64_t vdisr_el2
    Gic gic
    # -- the exceptions taken to EL1 since the last exception return (exception.pyx) --
    uint64_t first_elr     # of the first one: ELR_EL1, SPSR_EL1, ESR_EL1, FAR_EL1, and its vector
    uint64_t first_spsr
    uint64_t first_esr
    uint64_t first_far
    uint64_t first_vector
    bint first_has_far
    uint64_t nested        # how many there were, the first one included
    uint64_t nested_at     # instructions retired when the last one was taken
    # -- identification --
    uint64_t midr_el1
    uint64_t mpidr_el1
    uint64_t revidr_el1
    uint64_t id_aa64pfr0
    uint64_t id_aa64pfr1
    uint64_t id_aa64dfr0
    uint64_t id_aa64dfr1
    uint64_t id_aa64isar0
    uint64_t id_aa64isar1
    uint64_t id_aa64mmfr0
    uint64_t id_aa64mmfr1
    uint64_t id_aa64mmfr2
    uint64_t ctr_el0
    uint64_t dczid_el0
    uint64_t clidr_el1
    uint64_t cntfrq_el0
    uint32_t nbrp          # breakpoint registers implemented
    uint32_t nwrp
    uint32_t nctx          # context-aware: the highest numbered
    # -- what dbg_changed() derives from the debug registers --
    uint32_t bp_live       # bit n: breakpoint n may match something (enabled, MDE/TDE, locks)
    uint32_t wp_live
    bint bp_everywhere     # some live breakpoint matches by context only: check every instruction
    bint step_enabled      # software step is enabled (MDSCR_EL1.SS and routing), whatever the EL
    bint step_exclusive    # ISS.EX of the step just made
    uint64_t wp_far        # FAR of the watchpoint that dbg_watch found
    bint wp_read           # a read would have matched it (WnR of atomics)
    bint did_step          # the last instruction was executed in step's active-not-pending state
    uint64_t bp_checks[64] # addresses at which decoded blocks have a check
    uint32_t n_bp_checks
    bint suspended         # for one instruction nothing matches (hit_programs.pyx: past a watchpoint)
    bint skip_bp_once      # for one instruction no breakpoint matches
    void* programs         # the hit programs of hit_programs.pyx; NULL: none
    uint64_t was_wvr[16]   # what dbg_changed() saw last
    uint64_t was_wcr[16]
    uint32_t was_wp_live
    # -- results of mmu.pyx --
    uint8_t* acc           # host address of the access that mem_probe allowed
    uint8_t* acc2          # of its part on the next page
    uint64_t acc_len       # bytes at acc; the rest is at acc2
    uint64_t pr_va         # the last access that mem_probe checked
    uint64_t pr_size
    uint32_t pr_flags
    uint64_t tr_pa         # (also after mem_probe with ACC_EXCLUSIVE)
    uint64_t tr_host       # host address, 0: no memory there (stage 2 fault)
    uint32_t tr_prot       # ACC_READ | ACC_WRITE that this EL has
    uint32_t tr_device     # the access is to Device memory (alignment is required)
    uint32_t tr_readonly
    uint32_t tr_attr       # MAIR attribute byte
    uint32_t tr_sh
    uint32_t tr_fsc        # fault status code, 0: no fault
    uint32_t tr_s1ptw      # the fault is a stage 2 fault on a stage 1 table walk
    uint64_t tr_ipa        # IPA of a stage 2 fault
    uint32_t tr_ns
    uint32_t tr_origin     # ORIGIN_* of tlb.pxd
    bint tr_guarded        # GP of the page
    bint fetch_guarded     # of the page that fetch_page() found last
    # -- caches --
    Tlbe* tlbs[3]          # [regime_of()] of the address space in use (tlb.pxd)
    Tlbe* lines[3]         # 64-byte lines, of pages in which other lines need the slow path
    Jump* jump_tables[2]   # [EL]
    void* space            # the AddressSpace in use, and all that there are
    void* spaces[16]
    uint32_t nspaces
    uint64_t space_uses    # how often an address space was selected
    uint64_t jumps_epoch   # grows when the jump tables of all address spaces become invalid
    uint64_t tlb_counts[8] # what happened to the TLBs, for Processor.statistics()
    PacEntry pacs[256]     # pointer_auth.pyx
    Phys* phys
    void* cache            # the block cache of core.pyx
    uint64_t context       # grows with every change that may move code: blocks are looked up again
    uint64_t time_offset   # virtual counter ticks added to what the instruction count gives
    bint clock_host        # time follows the host, not the instruction count
    bint vtimer_was        # outputs as the owner last saw them
    bint ptimer_was
    uint32_t undef_raw[32] # encodings that decoding found UNDEFINED, not yet fetched by the owner
    uint64_t undef_pc[32]
    uint32_t undef_count

ctypedef int (*Fill)(Cpu* c, Insn* out, uint32_t raw, uint64_t pc) noexcept nogil

# ---- decode helpers ---------------------------------------------------------------------------

cdef inline uint32_t bits(uint32_t raw, int high, int low) noexcept nogil:
    return (raw >> low) & (<uint32_t>0xFFFFFFFF >> (31 - (high - low)))

cdef inline int64_t sbits(uint32_t raw, int high, int low) noexcept nogil:
    return <int64_t>(<int32_t>(raw << (31 - high)) >> (31 - high + low))

cdef inline uint8_t src(uint32_t r) noexcept nogil:
    """Source register: 31 is XZR, which reads as zero."""
    return <uint8_t>(r & 31)

cdef inline uint8_t dst(uint32_t r) noexcept nogil:
    """Destination register: 31 is XZR, whose writes go to the sink."""
    return <uint8_t>(32 if (r & 31) == 31 else r & 31)

cdef inline uint8_t spreg(uint32_t r) noexcept nogil:
    """Source or destination where 31 is SP."""
    return <uint8_t>(33 if (r & 31) == 31 else r & 31)

# ---- flags ------------------------------------------------------------------------------------

cdef inline uint32_t get_nzcv(Cpu* c) noexcept nogil:
    """NZCV in bits 31..28."""
    return <uint32_t>(((c.nf >> 63) << 31) | ((<uint64_t>(c.zf == 0)) << 30) | (c.cf << 29)
                      | ((c.vf >> 63) << 28))

cdef inline void set_nzcv(Cpu* c, uint32_t nzcv) noexcept nogil:
    c.nf = (<uint64_t>nzcv >> 31) << 63
    c.zf = 0 if nzcv & (1 << 30) else 1
    c.cf = (nzcv >> 29) & 1
    c.vf = (<uint64_t>nzcv >> 28) << 63

# ---- stack pointers ---------------------------------------------------------------------------

cdef inline uint32_t sp_bank(uint32_t el, uint32_t spsel) noexcept nogil:
    """The stack pointer in use (D1.6.2): SP_EL1 at EL1 with PSTATE.SP set, otherwise SP_EL0."""
    return el & spsel

cdef inline uint64_t get_sp_el(const Cpu* c, uint32_t n) noexcept nogil:
    return c.x[SP] if sp_bank(c.el, c.spsel) == n else c.sp_el[n]

cdef inline void set_sp_el(Cpu* c, uint32_t n, uint64_t value) noexcept nogil:
    c.sp_el[n] = value
    if sp_bank(c.el, c.spsel) == n:
        c.x[SP] = value

cdef inline uint32_t regime_of(const Cpu* c) noexcept nogil:
    """Which of the data TLBs holds the permissions of a load or store at this EL: 0 EL0, 1 EL1, 2 EL1 with
    PSTATE.PAN."""
    return 0 if c.el == 0 else 2 if c.pstate & PSTATE_PAN else 1

cdef inline void select_tlb(Cpu* c) noexcept nogil:
    """PSTATE.EL, PAN or UAO has changed."""
    cdef uint32_t n = regime_of(c)
    c.tlb = c.tlbs[n]
    c.line_tlb = c.lines[n]
    c.unpriv_tlb = c.tlbs[n if c.pstate & PSTATE_UAO else 0]
    c.jumps = c.jump_tables[c.el]

cdef inline void fp_access_changed(Cpu* c) noexcept nogil:
    """PSTATE.EL, CPACR_EL1 or CPTR_EL2 has changed."""
    cdef uint64_t fpen = (c.cpacr_el1 >> 20) & 3
    c.fp_trapped = not (fpen == 3 or (fpen == 1 and c.el == 1)) or (c.cptr_el2 >> 10) & 1

cdef inline void select_sp(Cpu* c, uint32_t el, uint32_t spsel) noexcept nogil:
    """PSTATE.EL and PSTATE.SP change: x[SP] becomes the stack pointer that they select."""
    c.sp_el[sp_bank(c.el, c.spsel)] = c.x[SP]
    c.el = el
    c.spsel = spsel
    c.x[SP] = c.sp_el[sp_bank(el, spsel)]
    fp_access_changed(c)

# ---- blocks and time --------------------------------------------------------------------------

cdef inline Block* block_of(const Insn* i) noexcept nogil:
    return (<Block*>(i - i.idx)) - 1

cdef inline bint ends_block(const Insn* i) noexcept nogil:
    return i.idx + 1 == i.len

cdef inline uint64_t pc_of(const Insn* i) noexcept nogil:
    return block_of(i).pc + 4 * <uint64_t>i.idx

cdef inline uint64_t count_at(Cpu* c, const Insn* i) noexcept nogil:
    """Instructions retired before i, of the running block."""
    return c.end_count - <uint64_t>(c.budget + (i.len - i.idx))

cdef inline uint64_t retired(const Cpu* c) noexcept nogil:
    """Instructions retired; between blocks, or at the end of one."""
    return c.end_count - <uint64_t>c.budget

cdef inline void leave(Cpu* c, const Insn* i, uint64_t pc) noexcept nogil:
    """i has retired; continue at pc through the run loop, which checks interrupts, steps and context."""
    c.budget += i.len - i.idx - 1
    c.pc = pc
    c.ip = NULL

cdef inline void abandon(Cpu* c, const Insn* i) noexcept nogil:
    """i has not retired (it raises an exception): pc is the address of i."""
    c.budget += i.len - i.idx
    c.pc = pc_of(i)
    c.ip = NULL

# ---- fast path of memory ----------------------------------------------------------------------

cdef inline Tlbe* tlbe(Cpu* c, uint64_t va) noexcept nogil:
    return &c.tlb[(va >> 12) & (TLB_SIZE - 1)]

cdef inline bint miss_r(const Tlbe* e, uint64_t va, uint64_t size) noexcept nogil:
    """Not a plain aligned read of a page in the TLB: take the slow path."""
    return e.rtag != (va & (~<uint64_t>0xFFF | (size - 1)))

cdef inline bint miss_w(const Tlbe* e, uint64_t va, uint64_t size) noexcept nogil:
    return e.wtag != (va & (~<uint64_t>0xFFF | (size - 1)))

# A second lookup: of a page that is watched, or that code was decoded from, only the 64-byte lines
# concerned need the slow path. mem_probe finds out which do, line by line.

cdef inline Tlbe* line(Cpu* c, uint64_t va) noexcept nogil:
    return &c.line_tlb[(va >> 6) & (LINES - 1)]

cdef inline bint line_miss_r(const Tlbe* e, uint64_t va, uint64_t size) noexcept nogil:
    return e.rtag != (va & (~<uint64_t>0x3F | (size - 1)))

cdef inline bint line_miss_w(const Tlbe* e, uint64_t va, uint64_t size) noexcept nogil:
    return e.wtag != (va & (~<uint64_t>0x3F | (size - 1)))

# ---- core.pyx ---------------------------------------------------------------------------------

cdef int add(const char* name, const char* pattern, Fill fill, Op op) except -1
"""Put an instruction into the decode table. pattern: 32 of 0, 1 and letters (any bit), blanks
ignored. Rows must not overlap, unless one's fixed bits include the other's: then the row with more
fixed bits wins. Each module's `install()` calls this when the package is imported."""

cdef inline void follow(Cpu* c, const Insn* t) noexcept nogil:
    """Continue at a block's first instruction, if the budget suffices for the whole block."""
    c.budget -= t.len
    if unlikely(c.budget < 0):
        c.budget += t.len
        c.pc = (<Block*>t - 1).pc
        c.ip = NULL
        return
    DISPATCH(c, t, UNSPECIFIED())

cdef inline uint64_t branch_address(Cpu* c, uint64_t pc) noexcept nogil:
    """BranchAddr(): the PC has no tag that translation ignores."""
    if unlikely(c.tcr_el1 & (<uint64_t>3 << 37)):
        if (pc >> 55) & 1:
            if (c.tcr_el1 >> 38) & 1:
                return pc | (<uint64_t>0xFF << 56)
        elif (c.tcr_el1 >> 37) & 1:
            return pc & ~(<uint64_t>0xFF << 56)
    return pc

cdef inline void goto_pc(Cpu* c, uint64_t pc) noexcept nogil:
    """An indirect branch: through the jump cache, or through the run loop."""
    cdef const Jump* j = &c.jumps[(pc >> 2) & (JUMP_SIZE - 1)]
    if unlikely(j.pc != pc):
        c.pc = pc
        c.ip = NULL
        return
    follow(c, j.target)

cdef inline void set_btype(Cpu* c, uint32_t btype) noexcept nogil:
    """PSTATE.BTYPE, between blocks or at the end of one. The next instruction that retires sets it to 0:
    therefore it has a value only at this instruction count."""
    c.btype = btype
    c.btype_at = retired(c)

cdef inline uint32_t get_btype(const Cpu* c) noexcept nogil:
    return c.btype if c.btype_at == retired(c) else 0

cdef inline void goto_pc_btype(Cpu* c, uint64_t pc, uint32_t btype) noexcept nogil:
    """As goto_pc(), for branches that set PSTATE.BTYPE. Only these, and the run loop, look whether the
    target accepts it (Block.refuses)."""
    cdef const Jump* j = &c.jumps[(pc >> 2) & (JUMP_SIZE - 1)]
    set_btype(c, btype)
    if unlikely(j.pc != pc or ((<Block*>j.target - 1).refuses >> btype) & 1):
        c.pc = pc
        c.ip = NULL
        return
    follow(c, j.target)

cdef void code_written(Cpu* c, Region* r, uint64_t offset, uint64_t size) noexcept nogil
"""Memory from which code was decoded has been written: drop that code, on every processor."""

cdef void link_resolve(Cpu* c, const Insn* i, uint64_t last) noexcept nogil
"""The function of a link whose target is not decoded yet: see Block."""

cdef void drop_all_code(Cpu* c) noexcept nogil
cdef void drop_blocks_of_page(Cpu* c, uint64_t va) noexcept nogil
"""Drop every block decoded at this virtual page (a breakpoint was set there)."""

# ---- for processor_binding.pyx-----------------------------------------------------------------

cdef void run_loop(Cpu* c) noexcept nogil
cdef int decode(Cpu* c, Insn* o, uint32_t raw, uint64_t pc) noexcept nogil
cdef void* cache_new() noexcept nogil
cdef void cache_free(void* p) noexcept nogil
cdef void cache_statistics(Cpu* c, uint64_t* out) noexcept nogil

cdef bint execute_one(Cpu* c) noexcept nogil
"""Execute the instruction at c.pc alone, between blocks. False: it did not retire, and an exception was
taken instead (c.pc, c.exit)."""
