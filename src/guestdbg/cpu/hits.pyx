# cython: language_level=3
"""Hit programs: breakpoint and watchpoint hits that are decided, or recorded, where they happen.

They stand in the place of a hypervisor that would do the same in many round trips: the processor has
taken the exception to EL2; the value is read, the instruction is executed with nothing armed, the
value is read again, and conditions are judged. Only a hit that somebody wants to see ends the run.

What they cannot do exactly as a debugger would, they leave alone: then the exception goes to EL2.
"""
from libc.string cimport memcpy
from guestdbg.cpu.core cimport *
from guestdbg.cpu.exception cimport get_spsr
from guestdbg.cpu.mmu cimport translate

cdef enum:
    EC_BREAKPOINT = 0x30
    EC_WATCHPOINT = 0x34
    PAGE = 0xFFF
    PSTATE_SS = 1 << 21


cdef uint8_t* host_at(Cpu* c, uint64_t va, uint64_t size) noexcept nogil:
    """Guest virtual memory within a page, whatever its permissions; NULL: there is none."""
    if (va & PAGE) + size > 4096 or not translate(c, va, 0):
        return NULL
    return <uint8_t*>c.tr_host


# ---- conditions -------------------------------------------------------------------------------

cdef s128 load_memory(Cpu* c, uint64_t va, uint32_t index, bint* ok) noexcept nogil:
    cdef uint32_t size = index & 15
    cdef uint8_t* host = host_at(c, va, size)
    cdef uint64_t value = 0
    if host == NULL:
        ok[0] = False
        return 0
    memcpy(&value, host, size)
    return sign_extend(value, size * 8) if index & 16 else <s128><u128>value


cdef s128 unsigned_value(const uint8_t* bytes, uint32_t size) noexcept nogil:
    cdef uint64_t value = 0
    memcpy(&value, bytes, size)
    return <s128><u128>value


cdef s128 push(Cpu* c, const Program* p, const Step* s, uint64_t pc, uint64_t address, uint64_t size,
               bint* ok) noexcept nogil:
    """The value of a step that takes nothing off the stack."""
    if s.op == LOAD_CONST:
        return (<s128><u128>s.low) | ((<s128><u128>s.high) << 64)
    if s.op == LOAD_NEW:
        return unsigned_value(p.new, p.size)
    if s.op == LOAD_OLD:
        return unsigned_value(p.old, p.size)
    if s.op == LOAD_PC:
        return <s128><u128>pc
    if s.op == LOAD_ADDRESS:
        return <s128><u128>address
    if s.op == LOAD_SIZE:
        return <s128><u128>size
    if s.op == LOAD_COUNT:
        return <s128><u128>p.seen
    if s.op == LOAD_SP:
        return <s128><u128>c.x[SP]
    if s.op == LOAD_X:
        return <s128><u128>c.x[s.index]
    if s.op == LOAD_W:
        return <s128><u128>(c.x[s.index] & <uint64_t>0xFFFFFFFF)
    if s.op == LOAD_PSTATE:
        return <s128><u128>(get_spsr(c) & ~<uint64_t>PSTATE_SS)
    return load_memory(c, s.low, s.index, ok)


cdef inline s128 unary(Cpu* c, const Step* s, s128 a, bint* ok) noexcept nogil:
    if s.op == NEG:
        return wrapping_sub(0, a)
    if s.op == INVERT:
        return ~a
    if s.op == NOT:
        return 1 if a == 0 else 0
    if s.op == LOAD:
        return load_memory(c, <uint64_t><u128>a, s.index, ok)
    if s.op == SEXT:
        return sign_extend(<uint64_t><u128>a, s.index)
    return zero_extend(<uint64_t><u128>a, s.index)


cdef inline s128 binary(uint32_t op, s128 a, s128 b, bint* ok) noexcept nogil:
    if op == ADD:
        return wrapping_add(a, b)
    if op == SUB:
        return wrapping_sub(a, b)
    if op == MUL:
        return wrapping_mul(a, b)
    if FLOORDIV <= op <= MOD or DIV <= op <= REM:
        if b == 0:
            ok[0] = False
            return 0
        return divide(a, b, op == MOD) if op <= MOD else divide_to_0(a, b, op == REM)
    if op == AND:
        return a & b
    if op == OR:
        return a | b
    if op == XOR:
        return a ^ b
    if op == LSHIFT or op == RSHIFT:
        if b < 0 or b > 64:
            ok[0] = False
            return 0
        return <s128>(<u128>a << <int>b) if op == LSHIFT else a >> <int>b
    if op == EQ:
        return a == b
    if op == NE:
        return a != b
    if op == LT:
        return a < b
    if op == LE:
        return a <= b
    if op == GT:
        return a > b
    if op == GE:
        return a >= b
    if op == BOTH:
        return 1 if a != 0 and b != 0 else 0
    return 1 if a != 0 or b != 0 else 0


cdef bint holds(Cpu* c, const Program* p, uint64_t pc, uint64_t address, uint64_t size, bint* ok) noexcept nogil:
    """Judge a condition. Its making has proved that it keeps to the stack, and goes only forward.

    A comparison with `new` where nothing was written does not hold (as in Python): the caller sees
    to that. ok is False where it cannot be judged: memory that is not there, a division by zero.
    """
    cdef s128 stack[32]
    cdef s128 top
    cdef uint32_t n = 0, k = 0, op
    cdef const Step* s
    while k < p.steps:
        s = &p.code[k]
        op = s.op
        k += 1
        if op < PICK:
            stack[n] = push(c, p, s, pc, address, size, ok)
            n += 1
        elif op >= ADD:
            n -= 1
            stack[n - 1] = binary(op, stack[n - 1], stack[n], ok)
        elif op <= ZEXT and op != PICK:
            stack[n - 1] = unary(c, s, stack[n - 1], ok)
        elif op == PICK:
            stack[n] = stack[n - 1 - s.index]
            n += 1
        elif op == DROP:
            n -= 1
        elif op == SWAP:
            top = stack[n - 1]
            stack[n - 1] = stack[n - 2]
            stack[n - 2] = top
        elif op == ROT:
            top = stack[n - 1]
            stack[n - 1] = stack[n - 2]
            stack[n - 2] = stack[n - 3]
            stack[n - 3] = top
        elif op == JUMP:
            k = <uint32_t>s.low
        else:
            n -= 1
            if stack[n] != 0:
                k = <uint32_t>s.low
        if not ok[0]:
            return False
    return stack[n - 1] != 0


cdef extern from *:
    """
    /* Python's floor division and modulo; b is not 0. */
    static guestdbg_s128 guestdbg_divide(guestdbg_s128 a, guestdbg_s128 b, int modulo)
    {
        guestdbg_s128 q, r;
        if (b == -1)                       /* the one quotient that could overflow */
            return modulo ? 0 : (guestdbg_s128)(0 - (guestdbg_u128)a);
        q = a / b;
        r = a % b;
        if (r != 0 && (r < 0) != (b < 0)) {
            q -= 1;
            r += b;
        }
        return modulo ? r : q;
    }
    static guestdbg_s128 guestdbg_divide_to_0(guestdbg_s128 a, guestdbg_s128 b, int remainder)
    {
        if (b == -1)
            return remainder ? 0 : (guestdbg_s128)(0 - (guestdbg_u128)a);
        return remainder ? a % b : a / b;
    }
    /* What wraps around, as C means it for unsigned integers. */
    #define guestdbg_add(a, b) ((guestdbg_s128)((guestdbg_u128)(a) + (guestdbg_u128)(b)))
    #define guestdbg_subtract(a, b) ((guestdbg_s128)((guestdbg_u128)(a) - (guestdbg_u128)(b)))
    #define guestdbg_multiply(a, b) ((guestdbg_s128)((guestdbg_u128)(a) * (guestdbg_u128)(b)))
    /* bits: 1 to 64 */
    #define guestdbg_zero_extend(v, bits) ((guestdbg_s128)((v) << (64 - (bits)) >> (64 - (bits))))
    #define guestdbg_sign_extend(v, bits) \
        ((guestdbg_s128)((int64_t)((v) << (64 - (bits))) >> (64 - (bits))))
    """
    s128 divide "guestdbg_divide"(s128 a, s128 b, int modulo) nogil
    s128 divide_to_0 "guestdbg_divide_to_0"(s128 a, s128 b, int remainder) nogil
    s128 wrapping_add "guestdbg_add"(s128 a, s128 b) nogil
    s128 wrapping_sub "guestdbg_subtract"(s128 a, s128 b) nogil
    s128 wrapping_mul "guestdbg_multiply"(s128 a, s128 b) nogil
    s128 zero_extend "guestdbg_zero_extend"(uint64_t v, uint32_t bits) nogil
    s128 sign_extend "guestdbg_sign_extend"(uint64_t v, uint32_t bits) nogil


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
    "MEMORY": LOAD_MEMORY, "PSTATE": LOAD_PSTATE, "PICK": PICK, "NEG": NEG, "INVERT": INVERT, "NOT": NOT,
    "LOAD": LOAD, "SEXT": SEXT, "ZEXT": ZEXT, "DROP": DROP, "SWAP": SWAP, "ROT": ROT, "JUMP": JUMP,
    "JUMP_IF": JUMP_IF, "ADD": ADD, "SUB": SUB, "DIV": DIV, "REM": REM,
    "MUL": MUL, "FLOORDIV": FLOORDIV, "MOD": MOD, "AND": AND, "OR": OR, "XOR": XOR,
    "LSHIFT": LSHIFT, "RSHIFT": RSHIFT, "EQ": EQ, "NE": NE, "LT": LT, "LE": LE, "GT": GT, "GE": GE,
    "BOTH": BOTH, "EITHER": EITHER,
}
LIMITS = {"depth": DEPTH, "steps": STEPS, "programs": MOST, "record_words": RECORD_WORDS}
