# cython: language_level=3
"""The generic timer: the system counter, the EL1 physical and virtual timers (Arm manual, D11).

The counter runs at 62.5 MHz, so a tick is 16 ns. Virtual time, the default, is counted from
retired instructions, one a nanosecond: 16 instructions a tick, and the same run gives the same
times. With clock_host the ticks are CLOCK_MONOTONIC's.
"""
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef enum:
    ENABLE = 1
    IMASK = 2
    NS_SHIFT = 4             # 16 ns, or 16 instructions, a tick
    HOST_CHECK = 16384       # with the host's clock: instructions between two checks of it

cdef uint64_t NEVER = ~<uint64_t>0


cdef uint64_t host_ticks() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return (<uint64_t>now.tv_sec * 1000000000 + <uint64_t>now.tv_nsec) >> NS_SHIFT


cdef uint64_t counter(Cpu* c, uint64_t count) noexcept nogil:
    if c.clock_host:
        return host_ticks() + c.time_offset
    return (count >> NS_SHIFT) + c.time_offset


cdef uint64_t until(Cpu* c, bint virtual, uint64_t now) noexcept nogil:
    """Ticks until the timer's condition is met, when CNTPCT is `now`; 0: it is.

    The comparison is of unsigned 64-bit values, as in the manual: a CVAL close to 2**64 may
    never be reached.
    """
    cdef uint64_t view = now - c.cntvoff_el2 if virtual else now
    cdef uint64_t cval = c.vtimer.cval if virtual else c.ptimer.cval
    return 0 if view >= cval else cval - view


cdef bint timer_met(Cpu* c, bint virtual, uint64_t count) noexcept nogil:
    cdef uint64_t ctl = c.vtimer.ctl if virtual else c.ptimer.ctl
    if not ctl & ENABLE:
        return False
    return until(c, virtual, counter(c, count)) == 0


cdef bint timer_output(Cpu* c, bint virtual, uint64_t count) noexcept nogil:
    cdef uint64_t ctl = c.vtimer.ctl if virtual else c.ptimer.ctl
    if (ctl & (ENABLE | IMASK)) != ENABLE:
        return False
    return until(c, virtual, counter(c, count)) == 0


cdef uint64_t timer_ticks(Cpu* c, uint64_t count) noexcept nogil:
    cdef uint64_t now = 0
    cdef uint64_t best = NEVER
    cdef uint64_t left
    cdef bint v = (c.vtimer.ctl & (ENABLE | IMASK)) == ENABLE
    cdef bint p = (c.ptimer.ctl & (ENABLE | IMASK)) == ENABLE
    if not v and not p:
        return NEVER
    now = counter(c, count)
    if v:
        left = until(c, True, now)
        if left != 0:
            best = left
    if p:
        left = until(c, False, now)
        if left != 0 and left < best:
            best = left
    return best


cdef uint64_t timer_deadline(Cpu* c, uint64_t count) noexcept nogil:
    cdef uint64_t ticks = timer_ticks(c, count)
    if ticks == NEVER:
        return NEVER
    if c.clock_host:
        # The speed of execution is not known: check often, and not later than at the highest speed.
        if ticks < (HOST_CHECK >> NS_SHIFT):
            return count + (ticks << NS_SHIFT)
        return count + HOST_CHECK
    if ticks >= (NEVER >> NS_SHIFT) - (count >> NS_SHIFT):
        return NEVER
    return ((count >> NS_SHIFT) + ticks) << NS_SHIFT


cdef bint timer_warp(Cpu* c, uint64_t count) noexcept nogil:
    cdef uint64_t ticks
    if c.clock_host or timer_output(c, True, count) or timer_output(c, False, count):
        return False
    ticks = timer_ticks(c, count)
    if ticks == NEVER:
        return False
    c.time_offset += ticks
    return True
