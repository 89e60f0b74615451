# cython: language_level=3
"""Hit programs: breakpoint and watchpoint hits that are decided, or recorded, in the processor.

A hypervisor would need many round trips for the same: the processor has taken the exception to EL2; the
value is read, the instruction is executed with nothing armed, the value is read again, and conditions
are evaluated. Only a hit that a program reports ends the run.

A hit that cannot be decided exactly as a debugger would goes to EL2 as usual.
"""
from libc.string cimport memcpy
from guestdbg.cpu.address_space cimport space_of
from guestdbg.cpu.core cimport *
from guestdbg.cpu.exception cimport EC_BREAKPT_LOW, EC_WATCHPT_LOW


# ---- one program ------------------------------------------------------------------------------

cdef bint count_hit(Cpu* c, Programs* k, uint32_t n, uint64_t address, uint64_t size) noexcept nogil:
    """A hit of program n, described in k: count it, evaluate its condition, record it. True: it stops the
    run. address and size: the watched bytes that were accessed."""
    cdef Program* p = &k.program[n]
    cdef bint ok = True
    p.seen += 1
    p.decided = True
    if p.code != NULL:
        if p.uses_new and not p.written:
            # Nothing was written: the debugger decides what that means.
            ok = False
        elif not condition_holds(c, p, k.pc, address, size, &ok) and ok:
            return False
        if not ok:
            p.decided = False
            return True
    if p.action == ACTION_RECORD and not record(c, p, k.pc, address, size, k.access):
        p.decided = False                  # the debugger may find out what a field would have
        return True
    p.passed += 1
    if p.action == ACTION_RECORD:
        if p.used == p.capacity:
            k.full |= <uint32_t>1 << n
        return False
    return True


cdef bint record(Cpu* c, Program* p, uint64_t pc, uint64_t address, uint64_t size, uint32_t access) noexcept nogil:
    """pc, address, old, new, instructions retired, size | access << 8 | written << 16 | vcpu << 32, count,
    registers, fields. False: a field cannot be evaluated, and there is no record."""
    cdef uint64_t* to
    cdef uint32_t n
    cdef bint ok = True
    if p.used >= p.capacity:
        return True
    to = <uint64_t*>(p.buffer + p.used * (RECORD_WORDS + p.nregisters + p.nfields) * 8)
    to[0] = pc
    to[1] = address
    to[2] = 0
    to[3] = 0
    if p.scalar:
        memcpy(&to[2], p.old, p.size)
        memcpy(&to[3], p.new, p.size)
    to[4] = c.end_count - <uint64_t>c.budget
    to[5] = size | (<uint64_t>access << 8) | (<uint64_t>p.written << 16) | (p.vcpu << 32)
    to[6] = p.seen
    for n in range(p.nregisters):
        to[RECORD_WORDS + n] = c.x[p.registers[n]]
    for n in range(p.nfields):
        to[RECORD_WORDS + p.nregisters + n] = field_value(c, p, n, pc, address, size, &ok)
        if not ok:
            return False
    p.used += 1
    return True


# ---- hits -------------------------------------------------------------------------------------

cdef bint step_past(Cpu* c) noexcept nogil:
    cdef bint retired
    c.exit = EXIT_NONE
    c.suspended = True
    retired = execute_one(c)
    c.suspended = False
    return retired


cdef uint32_t instruction_at(Cpu* c) noexcept nogil:
    """The instruction at c.pc, 0 where there is none to be read."""
    cdef uint32_t raw = 0
    cdef const Itlbe* e = &space_of(c).itlbs[c.el][(c.pc >> 12) & 63]
    cdef uint8_t* host
    if e.tag == ((c.pc & ~<uint64_t>PAGE_MASK) | 1):
        host = e.host + (c.pc & PAGE_MASK)
    else:
        host = host_at(c, c.pc, 4)
    if host != NULL:
        memcpy(&raw, host, 4)
    return raw


cdef inline bint exclusive(uint32_t raw) noexcept nogil:
    """LDXR, STXR, LDXP, STXP and their like; CASP lies among them."""
    return (raw & 0x3F800000) == 0x08000000 and (raw >> 31 or not (raw >> 21) & 1)


cdef inline bint overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size) noexcept nogil:
    """Do two ranges overlap? Either may end at the end of the address space."""
    return b - a < a_size or a_size != 0 and a - b < b_size


cdef bint watch_hit(Cpu* c, Programs* k) noexcept nogil:
    cdef uint64_t pc = c.pc
    cdef uint64_t va = branch_address(c, c.pr_va)      # without a tag that translation ignores
    cdef uint64_t size = c.pr_size
    cdef uint64_t last = va + size - 1
    cdef uint32_t access = c.pr_flags & (ACC_READ | ACC_WRITE)
    cdef uint32_t n, mask = 0
    cdef uint32_t raw
    cdef uint8_t* host[32]
    cdef uint64_t low, high
    cdef Program* p
    cdef bint written
    # Only one access of one instruction, on one page: others may fault or come in parts.
    if (va & PAGE_MASK) + size > 4096 or size > 64 or c.pr_flags & (ACC_CACHE | ACC_DCZVA | ACC_AT):
        return False
    raw = instruction_at(c)
    if not ((raw >> 27) & 7 == 7 or (raw >> 27) & 7 == 5 or (raw & 0x3F000000) == 0x08000000):
        return False                       # LD1 to ST4: several accesses
    if exclusive(raw):
        return False                       # an exit would break the exclusive sequence: for the debugger
    for n in range(k.plain_count):
        if overlap(k.plain_address[n], k.plain_end[n] - k.plain_address[n], va, size):
            return False
    for n in range(k.count):
        p = &k.program[n]
        if p.kind != KIND_WATCH or not p.access & access or not overlap(p.address, p.length, va, size):
            continue
        low = p.address
        high = p.address + p.length - 1
        if not p.scalar:
            low = va if va > low else low
            high = last if last < high else high
        host[n] = host_at(c, low, high - low + 1)
        if host[n] == NULL or has_hidden_word(&k.hidden, c.tr_pa, high - low + 1):
            return False
        p.size = <uint32_t>(high - low + 1)
        memcpy(p.old, host[n], p.size)
        mask |= <uint32_t>1 << n
    # From here on pr_va, pr_size and pr_flags are not those of the hit: an instruction that is executed in
    # parts, such as an unaligned pair, leaves those of its last part.
    if not step_past(c):
        return True                        # the exception that it took instead is handled next
    written = (access & ACC_WRITE) != 0
    k.stopped = 0
    k.full = 0
    k.pc = pc
    k.address = va
    k.size = size
    k.access = access
    for n in range(k.count):
        if not (mask >> n) & 1:
            continue
        p = &k.program[n]
        p.written = written
        memcpy(p.new, host[n], p.size)
        low = va if va > p.address else p.address
        high = p.address + p.length - 1
        high = last if last < high else high
        if count_hit(c, k, n, low, high - low + 1):
            k.stopped |= <uint32_t>1 << n
    if k.stopped or k.full:
        c.exit = EXIT_HIT
    return True


cdef bint break_hit(Cpu* c, Programs* k) noexcept nogil:
    cdef uint64_t pc = c.pc
    cdef uint32_t n
    cdef bint found = False
    cdef Program* p
    for n in range(k.plain_count):
        if k.plain_address[n] == pc and k.plain_end[n] == pc:
            return False
    for n in range(k.count):
        p = &k.program[n]
        if p.kind == KIND_BREAK and p.address == pc:
            found = True
    if not found:
        return False
    k.stopped = 0
    k.full = 0
    k.pc = pc
    k.address = pc
    k.size = 4
    k.access = 0
    for n in range(k.count):
        p = &k.program[n]
        if p.kind != KIND_BREAK or p.address != pc:
            continue
        p.size = 0
        p.written = False
        if count_hit(c, k, n, pc, 4):
            k.stopped |= <uint32_t>1 << n
    if k.stopped or k.full:
        c.exit = EXIT_HIT                  # before the instruction: the caller steps past it
        return True
    # Past the breakpoint, with watchpoints armed: a watchpoint hit is handled next.
    c.exit = EXIT_NONE
    c.skip_bp_once = True
    execute_one(c)
    c.skip_bp_once = False
    return True


cdef bint run_hit_programs(Cpu* c) noexcept nogil:
    cdef Programs* k = <Programs*>c.programs
    cdef uint32_t ec = (c.esr_el2 >> 26) & 63
    if c.step_enabled:
        return False                       # the hypervisor steps: it handles every exception
    if ec == EC_WATCHPT_LOW:
        return watch_hit(c, k)
    if ec == EC_BREAKPT_LOW:
        return break_hit(c, k)
    return False
