# cython: language_level=3
"""Values handed from one instruction to the next.

Guest registers are in memory: an instruction that needs the result of the one before it would wait
for the host to forward a store to a load. So each function gets, as its third argument and thus in a
register of the host, what the function before it wrote to its rd; and functions have variants that
take rn, rm, ra or rd from there. Which one stands in a block is chosen when the block is decoded.
The register is written in memory all the same: at every instruction the state is complete.

Nothing enters a block but at its first instruction, which is never such a variant. Where a
breakpoint may match within a block, it has none (core.pyx).
"""
from guestdbg.cpu.core cimport Cpu, Insn, Op, SINK

cdef enum:
    PLACES = 2048          # a power of two, more than twice as many as functions

cdef struct Relay:
    Op plain
    Op handed[5]           # by RN, RM, RA, RD: the variant, NULL: there is none
    int hands

cdef Relay table[2048]
cdef int used = 0

cdef inline Relay* place_of(Op op) noexcept nogil:
    """The function's place, or the empty one where it would be."""
    cdef uint64_t n = (<uint64_t>op >> 4) * <uint64_t>0x9E3779B97F4A7C15 >> 53
    while table[n].plain != NULL and table[n].plain != op:
        n = (n + 1) & (PLACES - 1)
    return &table[n]

cdef int hands(int what, Op plain) except -1:
    return relays_any(what, plain, NULL, NULL, NULL, NULL)

cdef int relays(int what, Op plain, Op rn, Op rm) except -1:
    return relays_any(what, plain, rn, rm, NULL, NULL)

cdef int relays_any(int what, Op plain, Op rn, Op rm, Op ra, Op rd) except -1:
    global used
    cdef Relay* r = place_of(plain)
    if r.plain == NULL:
        used += 1
        if used > PLACES // 2:
            raise RuntimeError("relay.pyx: PLACES is too small")
    r.plain = plain
    r.handed[RN] = rn
    r.handed[RM] = rm
    r.handed[RA] = ra
    r.handed[RD] = rd
    r.hands = what
    return 0

cdef void relay_block(Insn* insns, uint32_t count) noexcept nogil:
    cdef uint32_t n, register = SINK      # the register handed over; SINK: none, nobody reads it
    cdef Insn* o
    cdef const Relay* r
    for n in range(count):
        o = insns + n
        r = place_of(o.f)
        if r.plain == NULL:
            register = SINK
            continue
        if register != SINK:
            if r.handed[RN] != NULL and o.rn == register:
                o.f = r.handed[RN]
            elif r.handed[RM] != NULL and o.rm == register:
                o.f = r.handed[RM]
            elif r.handed[RA] != NULL and o.ra == register:
                o.f = r.handed[RA]
            elif r.handed[RD] != NULL and o.rd == register:
                o.f = r.handed[RD]
        if r.hands & RESULT:
            register = o.rd
        elif not r.hands & SAME:
            register = SINK
        if r.hands & WRITES_BACK and o.rn == register:
            register = SINK
