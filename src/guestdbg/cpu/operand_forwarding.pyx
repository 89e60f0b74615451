# cython: language_level=3
"""Operand forwarding: a value passes from one instruction to the next in a host register.

Guest registers are in memory, so an instruction that needs the result of the one before it would wait
for the host's store-to-load forwarding. Therefore each function receives as its third argument, in a
host register, what the function before it wrote to its x[rd]; and functions have specializations that
take rn, rm, ra or rd from there. Which function an instruction gets is decided when its block is
decoded. The guest register is written in memory, too: the state is complete at every instruction.

A block is entered only at its first instruction, which is never such a specialization. A block in which
a breakpoint may match has none (core.pyx).
"""
from guestdbg.cpu.core cimport Cpu, Insn, Op, SINK

cdef enum:
    PLACES = 2048          # a power of two, more than twice as many as functions

cdef struct Forwarding:
    Op plain
    Op specialized[5]           # by RN, RM, RA, RD; NULL: there is none
    int forwards

cdef Forwarding table[2048]
cdef int used = 0

cdef inline Forwarding* place_of(Op op) noexcept nogil:
    """The function's entry, or the empty one where it belongs."""
    cdef uint64_t n = (<uint64_t>op >> 4) * <uint64_t>0x9E3779B97F4A7C15 >> 53
    while table[n].plain != NULL and table[n].plain != op:
        n = (n + 1) & (PLACES - 1)
    return &table[n]

cdef int forwards(int what, Op plain) except -1:
    return specialize_all(what, plain, NULL, NULL, NULL, NULL)

cdef int specialize(int what, Op plain, Op rn, Op rm) except -1:
    return specialize_all(what, plain, rn, rm, NULL, NULL)

cdef int specialize_all(int what, Op plain, Op rn, Op rm, Op ra, Op rd) except -1:
    global used
    cdef Forwarding* r = place_of(plain)
    if r.plain == NULL:
        used += 1
        if used > PLACES // 2:
            raise RuntimeError("operand_forwarding.pyx: PLACES is too small")
    r.plain = plain
    r.specialized[RN] = rn
    r.specialized[RM] = rm
    r.specialized[RA] = ra
    r.specialized[RD] = rd
    r.forwards = what
    return 0

cdef void forward_operands(Insn* insns, uint32_t count) noexcept nogil:
    cdef uint32_t n, register = SINK      # whose value is forwarded; SINK: none (no instruction reads it)
    cdef Insn* o
    cdef const Forwarding* r
    for n in range(count):
        o = insns + n
        r = place_of(o.f)
        if r.plain == NULL:
            register = SINK
            continue
        if register != SINK:
            if r.specialized[RN] != NULL and o.rn == register:
                o.f = r.specialized[RN]
            elif r.specialized[RM] != NULL and o.rm == register:
                o.f = r.specialized[RM]
            elif r.specialized[RA] != NULL and o.ra == register:
                o.f = r.specialized[RA]
            elif r.specialized[RD] != NULL and o.rd == register:
                o.f = r.specialized[RD]
        if r.forwards & FORWARDS_RESULT:
            register = o.rd
        elif not r.forwards & FORWARDS_SAME:
            register = SINK
        if r.forwards & WRITES_BACK and o.rn == register:
            register = SINK
