# cython: language_level=3
"""What the load and store modules (mem_*.pyx) share; all of it is inlined.

Conventions of these modules, on top of core.pxd's:
  - k names a kind of single-register access as the encoding does: size << 2 | opc. size is the
    log2 of the bytes; opc is ST (store), LD (zero-extending), LDS64, LDS32 (sign-extending to 64,
    to 32 bits). It is a constant wherever speed matters, and the compiler folds it.
  - Insn.ra is 15 where the base is SP, else 0: (x[rn] & ra) != 0 is "perhaps an SP alignment
    fault", one test for all bases; check_sp() on the slow path knows whether it is one.
  - Insn.imm is what is added to the base before the access, <int32_t>Insn.aux what is added to it
    for write-back (post-index: imm is 0). Loads of one general-purpose register keep a
    prediction in imm instead, and both numbers in aux (pre_offset(), post_offset()).
  - Nothing of the processor's state changes before the last check has passed: an access that
    faults or hits a watchpoint can be executed again.
  - The host is little-endian, as the guest is.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t

from guestdbg.cpu.core cimport (
    Cpu, Insn, likely, line, line_miss_r, line_miss_w, miss_r, miss_w, SP, spreg, Tlbe, tlbe,
)
from guestdbg.cpu.exception cimport EC_SP_ALIGN, raise_el1
from guestdbg.cpu.operands cimport aux, mispredicts, predicted_add, ra, set_prediction, xn

cdef enum:
    ST = 0
    LD = 1
    LDS64 = 2
    LDS32 = 3

# ---- host memory ------------------------------------------------------------------------------

# Guest memory may lie anywhere in the host (a slice of a buffer), so an aligned guest address says
# nothing about the host address. In C that requires memcpy; compilers turn it into one move.
cdef extern from *:
    """
    #include <string.h>
    #define GUESTDBG_HOST(bits) \
        static inline uint64_t guestdbg_get##bits(uint64_t p) \
        { uint##bits##_t v; memcpy(&v, (const void *)p, sizeof v); return v; } \
        static inline void guestdbg_put##bits(uint64_t p, uint64_t value) \
        { uint##bits##_t v = (uint##bits##_t)value; memcpy((void *)p, &v, sizeof v); }
    #ifndef GUESTDBG_HOST_DONE
    #define GUESTDBG_HOST_DONE
    GUESTDBG_HOST(8)
    GUESTDBG_HOST(16)
    GUESTDBG_HOST(32)
    GUESTDBG_HOST(64)
    /* The same number, without the compiler knowing that it is. */
    static inline uint64_t guestdbg_opaque(uint64_t v)
    {
    #if defined(__GNUC__)
        __asm__("" : "+r"(v));
    #endif
        return v;
    }
    #endif
    """
    uint64_t opaque "guestdbg_opaque"(uint64_t v) nogil
    uint64_t guestdbg_get8(uint64_t p) nogil
    uint64_t guestdbg_get16(uint64_t p) nogil
    uint64_t guestdbg_get32(uint64_t p) nogil
    uint64_t guestdbg_get64(uint64_t p) nogil
    void guestdbg_put8(uint64_t p, uint64_t value) nogil
    void guestdbg_put16(uint64_t p, uint64_t value) nogil
    void guestdbg_put32(uint64_t p, uint64_t value) nogil
    void guestdbg_put64(uint64_t p, uint64_t value) nogil

cdef inline uint64_t host_read(uint64_t p, uint32_t log2) noexcept nogil:
    """1 << log2 (up to 8) bytes at host address p, zero-extended."""
    if log2 == 0:
        return guestdbg_get8(p)
    if log2 == 1:
        return guestdbg_get16(p)
    if log2 == 2:
        return guestdbg_get32(p)
    return guestdbg_get64(p)

cdef inline void host_write(uint64_t p, uint64_t value, uint32_t log2) noexcept nogil:
    if log2 == 0:
        guestdbg_put8(p, value)
    elif log2 == 1:
        guestdbg_put16(p, value)
    elif log2 == 2:
        guestdbg_put32(p, value)
    else:
        guestdbg_put64(p, value)

cdef inline uint64_t extend(uint64_t value, uint32_t k) noexcept nogil:
    """The register value for a load of kind k, from the bytes read (zero-extended)."""
    cdef int64_t s
    if (k & 3) == LD:
        return value
    if (k >> 2) == 0:
        s = <int8_t>value
    elif (k >> 2) == 1:
        s = <int16_t>value
    else:
        s = <int32_t>value
    if (k & 3) == LDS32:
        return <uint32_t>s
    return <uint64_t>s

cdef inline uint64_t sext32(uint32_t value) noexcept nogil:
    return <uint64_t><int64_t><int32_t>value

# ---- the fast path --------------------------------------------------------------------------------

cdef inline const Tlbe* readable(Cpu* c, uint64_t va, uint64_t size) noexcept nogil:
    """The entry, of a page or of a line, with which this is a plain aligned read; otherwise NULL."""
    cdef const Tlbe* e = tlbe(c, va)
    if likely(not miss_r(e, va, size)):
        return e
    e = line(c, va)
    if not line_miss_r(e, va, size):
        return e
    return NULL

cdef inline const Tlbe* writable(Cpu* c, uint64_t va, uint64_t size) noexcept nogil:
    cdef const Tlbe* e = tlbe(c, va)
    if likely(not miss_w(e, va, size)):
        return e
    e = line(c, va)
    if not line_miss_w(e, va, size):
        return e
    return NULL

# A load predicts what the TLB entry will add to the address: what the entry added the last time. So the
# host need not wait for the entry before it loads; it compares the entry with the prediction afterwards,
# and a processor that speculates goes on meanwhile. A load that was mispredicted too often stops predicting.

cdef enum:
    MAX_MISPREDICTS = 64   # of one instruction; its first execution counts as one

cdef extern from *:
    """
    #define GUESTDBG_NEVER ((uint64_t)1 << 52)
    """
    # No entry ever adds this: guest addresses and host addresses are nearer to each other.
    const uint64_t NEVER "GUESTDBG_NEVER"

cdef inline uint64_t predicted(const Insn* i, uint64_t va) noexcept nogil:
    """The host address of va by the prediction. It is opaque because the compiler would otherwise
    replace the prediction by the entry's value after the comparison, and so wait for the entry."""
    return opaque(va + predicted_add(i))

cdef inline void mispredicted(const Insn* i, uint64_t add) noexcept nogil:
    """add: what the entry adds."""
    cdef uint16_t n = mispredicts(i)
    if n < MAX_MISPREDICTS:
        n += 1
        set_prediction(i, add if n < MAX_MISPREDICTS else NEVER, n)

cdef inline uint64_t pre_offset(const Insn* i) noexcept nogil:
    """What a load of one register adds to its base before the access."""
    return <uint64_t><int64_t><int16_t>aux(i)

cdef inline uint64_t post_offset(const Insn* i) noexcept nogil:
    """What it adds to the base for write-back."""
    return <uint64_t><int64_t>(<int32_t>aux(i) >> 16)

# Two registers of size bytes each, aligned to one of them.

cdef inline bint last_of(uint64_t va, uint64_t size, uint64_t unit) noexcept nogil:
    """The second of a pair is not in the same unit (a page, a line) as the first."""
    return (va & (unit - size)) == unit - size

cdef inline const Tlbe* pair_readable(Cpu* c, uint64_t va, uint64_t size) noexcept nogil:
    cdef const Tlbe* e = tlbe(c, va)
    if likely(not miss_r(e, va, size) and not last_of(va, size, 4096)):
        return e
    e = line(c, va)
    if not line_miss_r(e, va, size) and not last_of(va, size, 64):
        return e
    return NULL

cdef inline const Tlbe* pair_writable(Cpu* c, uint64_t va, uint64_t size) noexcept nogil:
    cdef const Tlbe* e = tlbe(c, va)
    if likely(not miss_w(e, va, size) and not last_of(va, size, 4096)):
        return e
    e = line(c, va)
    if not line_miss_w(e, va, size) and not last_of(va, size, 64):
        return e
    return NULL

# ---- operands ---------------------------------------------------------------------------------

cdef inline void set_base(Insn* o, uint32_t raw) noexcept nogil:
    """Rn (bits 9..5), where 31 is SP."""
    o.rn = spreg(raw >> 5)
    o.ra = 15 if o.rn == SP else 0

# ---- checks before the access -----------------------------------------------------------------

cdef inline bint check_sp(Cpu* c, const Insn* i) noexcept nogil:
    """SP alignment: with SCTLR_EL1.SA (EL1) or SA0 (EL0), a base SP must be 16-byte aligned.
    False: the exception was raised."""
    if xn(c, i) & ra(i) and (c.sctlr_el1 >> (3 if c.el else 4)) & 1:
        raise_el1(c, i, EC_SP_ALIGN, 0)
        return False
    return True
