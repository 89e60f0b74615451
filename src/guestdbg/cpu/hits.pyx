# cython: language_level=3
"""Hit programs: breakpoint and watchpoint hits that are decided, or recorded, where they happen.

They stand in the place of a hypervisor that would do the same in many round trips: the processor has
taken the exception to EL2; the value is read, the instruction is executed with nothing armed, the
value is read again, and conditions are judged. Only a hit that somebody wants to see ends the run.

What they cannot do exactly as a debugger would, they leave alone: then the exception goes to EL2.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint16_t
from libc.string cimport memcpy
from guestdbg.cpu.core cimport *
from guestdbg.cpu.mmu cimport translate

cdef enum:
    EC_BREAKPOINT = 0x30
    EC_WATCHPOINT = 0x34
    PAGE = 0xFFF


cdef uint8_t* host_at(Cpu* c, uint64_t va, uint64_t size) noexcept nogil:
    """Guest virtual memory within a page, whatever its permissions; NULL: there is none."""
    if (va & PAGE) + size > 4096 or not translate(c, va, 0):
        return NULL
    return <uint8_t*>c.tr_host


# ---- conditions -------------------------------------------------------------------------------

cdef s128 load_memory(Cpu* c, const Step* s, bint* ok) noexcept nogil:
    cdef uint32_t size = s.index & 15
    cdef uint8_t* host = host_at(c, s.low, size)
    cdef uint64_t value = 0
    if host == NULL:
        ok[0] = False
        return 0
    memcpy(&value, host, size)
    if s.index & 16:
        if size == 1:
            return <int8_t>value
        if size == 2:
            return <int16_t>value
        if size == 4:
            return <int32_t>value
        return <int64_t>value
    return <s128><u128>value


cdef s128 unsigned_value(const uint8_t* bytes, uint32_t size) noexcept nogil:
    cdef uint64_t value = 0
    memcpy(&value, bytes, size)
    return <s128><u128>value


cdef bint holds(Cpu* c, const Program* p, uint64_t pc, uint64_t address, uint64_t size, bint* ok) noexcept nogil:
    """Judge a condition. Its making has proved that nothing in it exceeds 128 bits or the stack.

    A comparison with `new` where nothing was written does not hold (as in Python): the caller sees
    to that. ok is False where it cannot be judged: memory that is not there, a division by zero.
    """
    cdef s128 stack[32]
    cdef s128 a, b, r
    cdef uint32_t n = 0, k
    cdef const Step* s
    for k in range(p.steps):
        s = &p.code[k]
        if s.op < NEG:
            if s.op == LOAD_CONST:
                r = (<s128><u128>s.low) | ((<s128><u128>s.high) << 64)
            elif s.op == LOAD_NEW:
                r = unsigned_value(p.new, p.size)
            elif s.op == LOAD_OLD:
                r = unsigned_value(p.old, p.size)
            elif s.op == LOAD_PC:
                r = <s128><u128>pc
            elif s.op == LOAD_ADDRESS:
                r = <s128><u128>address
            elif s.op == LOAD_SIZE:
                r = <s128><u128>size
            elif s.op == LOAD_COUNT:
                r = <s128><u128>p.seen
            elif s.op == LOAD_SP:
                r = <s128><u128>c.x[SP]
            elif s.op == LOAD_X:
                r = <s128><u128>c.x[s.index]
            elif s.op == LOAD_W:
                r = <s128><u128>(c.x[s.index] & <uint64_t>0xFFFFFFFF)
            else:
                r = load_memory(c, s, ok)
            stack[n] = r
            n += 1
            continue
        a = stack[n - 1]
        if s.op < ADD:
            if s.op == NEG:
                stack[n - 1] = -a
            elif s.op == INVERT:
                stack[n - 1] = ~a
            else:
                stack[n - 1] = 1 if a == 0 else 0
            continue
        b = a
        n -= 1
        a = stack[n - 1]
        r = 0
        if s.op == ADD:
            r = a + b
        elif s.op == SUB:
            r = a - b
        elif s.op == MUL:
            r = a * b
        elif s.op == FLOORDIV or s.op == MOD:
            if b == 0:
                ok[0] = False
                return False
            r = divide(a, b, s.op == MOD)
        elif s.op == AND:
            r = a & b
        elif s.op == OR:
            r = a | b
        elif s.op == XOR:
            r = a ^ b
        elif s.op == LSHIFT or s.op == RSHIFT:
            if b < 0 or b > 64:
                ok[0] = False
                return False
            r = a << <int>b if s.op == LSHIFT else a >> <int>b
        elif s.op == EQ:
            r = a == b
        elif s.op == NE:
            r = a != b
        elif s.op == LT:
            r = a < b
        elif s.op == LE:
            r = a <= b
        elif s.op == GT:
            r = a > b
        elif s.op == GE:
            r = a >= b
        elif s.op == BOTH:
            r = 1 if a != 0 and b != 0 else 0
        else:
            r = 1 if a != 0 or b != 0 else 0
        stack[n - 1] = r
    return stack[0] != 0


cdef extern from *:
    """
    /* Python's floor division and modulo; b is not 0. */
    static guestdbg_s128 guestdbg_divide(guestdbg_s128 a, guestdbg_s128 b, int modulo)
    {
        guestdbg_s128 q = a / b, r = a % b;
        if (r != 0 && (r < 0) != (b < 0)) {
            q -= 1;
            r += b;
        }
        return modulo ? r : q;
    }
    """
    s128 divide "guestdbg_divide"(s128 a, s128 b, int modulo) nogil


cdef bint judge(Cpu* c, Programs* k, uint32_t n, uint64_t pc, uint64_t address, uint64_t size) noexcept nogil:
    """A hit of program n: count it, judge it, record it. True: it stops the run."""
    cdef Program* p = &k.program[n]
    cdef bint ok = True
    p.seen += 1
    p.decided = True
    if p.code != NULL:
        if p.uses_new and not p.written:
            # Nothing was written: what that means is the debugger's to say.
            ok = False
        elif not holds(c, p, pc, address, size, &ok) and ok:
            return False
        if not ok:
            p.decided = False
            return True
    p.passed += 1
    if p.action == ACTION_RECORD:
        record(c, p, pc, address, size)
        if p.used == p.capacity:
            k.full |= <uint32_t>1 << n
        return False
    return True


cdef void record(Cpu* c, Program* p, uint64_t pc, uint64_t address, uint64_t size) noexcept nogil:
    """pc, address, old, new, instructions retired, size | access << 8 | written << 16, count, registers."""
    cdef uint64_t* to
    cdef uint32_t n
    if p.used >= p.capacity:
        return
    to = <uint64_t*>(p.buffer + p.used * (RECORD_WORDS + p.nregisters) * 8)
    to[0] = pc
    to[1] = address
    to[2] = 0
    to[3] = 0
    if p.scalar:
        memcpy(&to[2], p.old, p.size)
        memcpy(&to[3], p.new, p.size)
    to[4] = c.end_count - <uint64_t>c.budget
    to[5] = size | (<uint64_t>(c.pr_flags & 3 if p.kind == KIND_WATCH else 0) << 8) | (<uint64_t>p.written << 16)
    to[6] = p.seen
    for n in range(p.nregisters):
        to[RECORD_WORDS + n] = c.x[p.registers[n]]
    p.used += 1


# ---- hits -------------------------------------------------------------------------------------

cdef bint step_off(Cpu* c) noexcept nogil:
    cdef bint retired
    c.exit = EXIT_NONE
    c.suspended = True
    retired = execute_one(c)
    c.suspended = False
    return retired


cdef uint32_t instruction_at(Cpu* c) noexcept nogil:
    """The instruction at c.pc, 0 where there is none to be read."""
    cdef uint32_t raw = 0
    cdef uint8_t* host = host_at(c, c.pc, 4)
    if host != NULL:
        memcpy(&raw, host, 4)
    return raw


cdef inline bint exclusive(uint32_t raw) noexcept nogil:
    """LDXR, STXR, LDXP, STXP and their like; CASP lies among them."""
    return (raw & 0x3F800000) == 0x08000000 and (raw >> 31 or not (raw >> 21) & 1)


cdef bint watch_hit(Cpu* c, Programs* k) noexcept nogil:
    cdef uint64_t pc = c.pc
    cdef uint64_t va = branch_address(c, c.pr_va)      # without a tag that translation ignores
    cdef uint64_t end = va + c.pr_size
    cdef uint32_t access = c.pr_flags & (ACC_READ | ACC_WRITE)
    cdef uint32_t n, mask = 0
    cdef uint32_t raw
    cdef uint8_t* host[32]
    cdef uint64_t low, high
    cdef Program* p
    cdef bint written
    # One access of one instruction, on one page: what may fault or come in parts is left alone.
    if (va & PAGE) + c.pr_size > 4096 or c.pr_size > 64 or c.pr_flags & (ACC_CACHE | ACC_DCZVA | ACC_AT):
        return False
    raw = instruction_at(c)
    if not ((raw >> 27) & 7 == 7 or (raw >> 27) & 7 == 5 or (raw & 0x3F000000) == 0x08000000):
        return False                       # LD1 to ST4: several accesses
    if exclusive(raw):
        return False                       # an exit would break the sequence: the debugger knows how
    for n in range(k.plain_count):
        if k.plain_address[n] < end and va < k.plain_end[n]:
            return False
    for n in range(k.count):
        p = &k.program[n]
        if p.kind != KIND_WATCH or not p.access & access or not (p.address < end and va < p.address + p.length):
            continue
        low = p.address
        high = p.address + p.length
        if not p.scalar:
            low = va if va > low else low
            high = end if end < high else high
        host[n] = host_at(c, low, high - low)
        if host[n] == NULL:
            return False
        p.size = <uint32_t>(high - low)
        memcpy(p.old, host[n], p.size)
        mask |= <uint32_t>1 << n
    if not step_off(c):
        return True                        # its exception, whatever it is, is looked at anew
    written = (access & ACC_WRITE) != 0
    k.stopped = 0
    k.full = 0
    k.pc = pc
    k.address = va
    k.size = c.pr_size
    k.access = access
    for n in range(k.count):
        if not (mask >> n) & 1:
            continue
        p = &k.program[n]
        p.written = written
        memcpy(p.new, host[n], p.size)
        low = va if va > p.address else p.address
        high = end if end < p.address + p.length else p.address + p.length
        if judge(c, k, n, pc, low, high - low):
            k.stopped |= <uint32_t>1 << n
    if k.stopped or k.full:
        c.exit = EXIT_HIT
    return True


cdef bint break_hit(Cpu* c, Programs* k) noexcept nogil:
    cdef uint64_t pc = c.pc
    cdef uint32_t n
    cdef bint ours = False
    cdef Program* p
    for n in range(k.plain_count):
        if k.plain_address[n] == pc and k.plain_end[n] == pc:
            return False
    for n in range(k.count):
        p = &k.program[n]
        if p.kind == KIND_BREAK and p.address == pc:
            ours = True
    if not ours:
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
        if judge(c, k, n, pc, pc, 4):
            k.stopped |= <uint32_t>1 << n
    if k.stopped or k.full:
        c.exit = EXIT_HIT                  # before the instruction: it is for the caller to step off
        return True
    # Off the breakpoint, watchpoints armed: what they stop is looked at next.
    c.exit = EXIT_NONE
    c.passing = True
    execute_one(c)
    c.passing = False
    return True


cdef bint hits_decide(Cpu* c) noexcept nogil:
    cdef Programs* k = <Programs*>c.programs
    cdef uint32_t ec = (c.esr_el2 >> 26) & 63
    if c.step_enabled:
        return False                       # the hypervisor steps: every exception is its own
    if ec == EC_WATCHPOINT:
        return watch_hit(c, k)
    if ec == EC_BREAKPOINT:
        return break_hit(c, k)
    return False


# The codes, for the test that holds them to guestdbg.kvm.programs.
OPS = {
    "CONST": LOAD_CONST, "NEW": LOAD_NEW, "OLD": LOAD_OLD, "PC": LOAD_PC, "ADDRESS": LOAD_ADDRESS,
    "SIZE": LOAD_SIZE, "COUNT": LOAD_COUNT, "SP": LOAD_SP, "X": LOAD_X, "W": LOAD_W,
    "MEMORY": LOAD_MEMORY, "NEG": NEG, "INVERT": INVERT, "NOT": NOT, "ADD": ADD, "SUB": SUB,
    "MUL": MUL, "FLOORDIV": FLOORDIV, "MOD": MOD, "AND": AND, "OR": OR, "XOR": XOR,
    "LSHIFT": LSHIFT, "RSHIFT": RSHIFT, "EQ": EQ, "NE": NE, "LT": LT, "LE": LE, "GT": GT, "GE": GE,
    "BOTH": BOTH, "EITHER": EITHER,
}
LIMITS = {"depth": DEPTH, "programs": MOST, "record_words": RECORD_WORDS}
