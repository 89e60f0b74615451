# cython: language_level=3
from libc.stdint cimport uint64_t, uint32_t, uint16_t, uint8_t
from guestdbg.cpu.core cimport Cpu, Insn

# Which EL can read and write a register, traps apart: Reg.access.
cdef enum:
    R0 = 1
    W0 = 2
    R1 = 4
    W1 = 8

# What a write changes, and so what must be done after it: Reg.effect.
cdef enum:
    GOES_ON = 0        # nothing: execution continues in the same block
    LEAVES = 1         # interrupts, timers, or others that are checked between blocks
    REGIME = 2         # the ASID: tlb.regime_changed(); execution continues in the same block
    RETAGS = 3         # translation: tlb.tlb_flush() too
    DEBUGS = 4         # debug.dbg_changed()
    FP_ACCESS = 5      # whether SIMD and FP are trapped: core.fp_access_changed()
    FEATURES = 6       # what instructions and registers there are: features_changed()
    ACKNOWLEDGES = 7   # interrupts, as LEAVES; a read does, too

# The extension that a register belongs to: Reg.feature.
cdef enum:
    F_BASE = 0
    F_PAN = 1
    F_UAO = 2
    F_DIT = 3
    F_SSBS2 = 4
    F_PAUTH = 5
    F_RAS = 6
    F_LOR = 7
    F_GICV3 = 8        # ICC_*_EL1
    F_ICH = 9          # ICH_*_EL2: any GIC
    F_LR = 10          # ICH_LRn_EL2, by number

cdef struct Reg

ctypedef uint64_t (*Read)(Cpu*, const Reg*, uint64_t) noexcept nogil
ctypedef void (*Write)(Cpu*, const Reg*, uint64_t, uint64_t) noexcept nogil

cdef struct Reg:
    const char* name
    Read read          # NULL: at offset. Takes the count of retired instructions
    Write write        # NULL: value & mask to offset. Takes value, count
    Write set          # how EL2 sets it, if that differs from how the guest writes it
    uint64_t mask      # the bits that can be written; the others are RES0
    uint32_t offset    # in Cpu; 0: no storage of its own
    uint16_t enc
    uint8_t access
    uint8_t trap       # which controls trap it: T_* of sysreg_traps
    uint8_t effect
    uint8_t number     # DBGBVRn, ...
    uint8_t feature

cdef bint sysreg_read(Cpu* c, uint32_t enc, uint64_t* value) noexcept
"""The register's value without any trap, for processor_binding.pyx. enc = op0<<14|op1<<11|CRn<<7|CRm<<3|op2.
False: no such register."""
cdef bint sysreg_write(Cpu* c, uint32_t enc, uint64_t value) noexcept
"""Set the register as EL2 would (ID registers too: that is how a VM is configured), with the side
effects on translation, timers and debug. Read-only state (CurrentEL, ...) does not change. False: no
such register."""

cdef list sysreg_list(Cpu* c)
"""The encodings that sysreg_read() knows, in order."""

cdef void sysreg_reset(Cpu* c) noexcept nogil
"""EL1's system registers, the debug registers and the timers to their reset values (zero where the
architecture leaves them UNKNOWN). Neither identification nor EL2's registers. No effects: the caller
does regime_changed() and dbg_changed()."""
cdef void sysreg_identify(Cpu* c) noexcept nogil
"""The identification registers: a Cortex-A57 as KVM shows it, less what is not implemented, with the
nbrp, nwrp and nctx of c. Not MPIDR_EL1."""

cdef void features_changed(Cpu* c) noexcept nogil
"""After any change of the identification registers: forget all that was decoded and translated."""

cdef bint is_implemented(const Cpu* c, const Reg* r) noexcept nogil
"""Does the processor have the extension that the register belongs to? Otherwise it is UNDEFINED."""

cdef const Reg* sysreg_find(uint32_t enc) noexcept nogil
"""The register with this encoding; NULL: there is none."""
cdef uint64_t reg_get(Cpu* c, const Reg* r, uint64_t count) noexcept nogil
cdef void reg_put(Cpu* c, const Reg* r, uint64_t value, uint64_t count) noexcept nogil
"""Write it as the guest does, with its effects: this may drop the running block."""
cdef bint interrupt_waits(Cpu* c) noexcept nogil
"""Is an interrupt pending, masked or not? (This ends a WFI.)"""
