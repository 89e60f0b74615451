# cython: language_level=3
"""The conditions of hit programs: small programs for a stack machine, verified before they are used.

A verified condition executes each of its operations at most once, stays within its stack, and reads
guest memory only. Where it cannot be evaluated (a fault, a division by zero), the hit is not decided here.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy
from guestdbg.cpu.condition_floats cimport float_binary, float_unary
from guestdbg.cpu.core cimport *
from guestdbg.cpu.exception cimport get_spsr
from guestdbg.cpu.mmu cimport find_region, tlb_host, translate
from guestdbg.cpu.register_bits cimport *
from guestdbg.cpu.sysreg cimport reg_get, sysreg_find


cdef uint8_t* host_at(Cpu* c, uint64_t va, uint64_t size) noexcept nogil:
    """Guest virtual memory within a page, whatever its permissions; NULL: there is none. c.tr_pa is its
    physical address."""
    cdef uint8_t* host
    if (va & PAGE_MASK) + size > 4096:
        return NULL
    host = tlb_host(c, va)
    if host != NULL:
        return host
    return <uint8_t*>c.tr_host if translate(c, va, 0) else NULL


# ---- evaluation -------------------------------------------------------------------------------

cdef bint has_hidden_word(const Hidden* h, uint64_t pa, uint64_t size) noexcept nogil:
    cdef uint32_t n
    for n in range(h.count):
        if h.address[n] < pa + size and pa < h.address[n] + 4:
            return True
    return False


cdef s128 load_memory(Cpu* c, const Program* p, uint64_t va, uint32_t index, bint* ok) noexcept nogil:
    cdef uint32_t size = index & 15
    cdef uint8_t* host = host_at(c, va, size)
    cdef uint64_t value = 0
    if host == NULL or has_hidden_word(p.hidden, c.tr_pa, size):
        ok[0] = False
        return 0
    memcpy(&value, host, size)
    return sign_extend(value, size * 8) if index & 16 else <s128><u128>value


cdef s128 load_physical(Cpu* c, const Program* p, uint64_t pa, uint32_t index, bint* ok) noexcept nogil:
    cdef uint32_t size = index & 15
    cdef Region* region = find_region(c.phys, pa)
    cdef uint64_t value = 0
    if region == NULL or (pa & PAGE_MASK) + size > 4096 or has_hidden_word(p.hidden, pa, size):
        ok[0] = False
        return 0
    memcpy(&value, region.host + (pa - region.gpa), size)
    return sign_extend(value, size * 8) if index & 16 else <s128><u128>value


cdef s128 unsigned_value(const uint8_t* bytes, uint32_t size) noexcept nogil:
    cdef uint64_t value = 0
    memcpy(&value, bytes, size)
    return <s128><u128>value


cdef s128 load_vector(const Cpu* c, const Operation* o) noexcept nogil:
    """Bytes of a V register. load_condition() has verified that they are in it."""
    cdef uint64_t value = 0
    memcpy(&value, <const uint8_t*>&c.v[2 * o.index] + (o.low & 15), o.low >> 8)
    return <s128><u128>value


cdef inline s128 constant(const Operation* o) noexcept nogil:
    return (<s128><u128>o.low) | ((<s128><u128>o.high) << 64)


cdef s128 push(Cpu* c, const Program* p, const Operation* o, uint64_t pc, uint64_t address, uint64_t size,
               bint* ok) noexcept nogil:
    """The value of an operation that takes nothing off the stack."""
    if o.op == LOAD_CONST:
        return constant(o)
    if o.op == LOAD_NEW:
        return unsigned_value(p.new, p.size)
    if o.op == LOAD_OLD:
        return unsigned_value(p.old, p.size)
    if o.op == LOAD_PC:
        return <s128><u128>pc
    if o.op == LOAD_ADDRESS:
        return <s128><u128>address
    if o.op == LOAD_SIZE:
        return <s128><u128>size
    if o.op == LOAD_COUNT:
        return <s128><u128>p.seen
    if o.op == LOAD_SP:
        return <s128><u128>c.x[SP]
    if o.op == LOAD_X:
        return <s128><u128>c.x[o.index]
    if o.op == LOAD_W:
        return <s128><u128>(c.x[o.index] & <uint64_t>0xFFFFFFFF)
    if o.op == LOAD_PSTATE:
        return <s128><u128>(get_spsr(c) & ~<uint64_t>PSTATE_SS)
    if o.op == LOAD_SYSTEM:
        return <s128><u128>reg_get(c, sysreg_find(<uint32_t>o.low), c.end_count - <uint64_t>c.budget)
    if o.op == LOAD_VECTOR:
        return load_vector(c, o)
    return load_memory(c, p, o.low, o.index, ok)


cdef inline s128 unary(Cpu* c, const Program* p, const Operation* o, s128 a, bint* ok) noexcept nogil:
    if o.op == NEG:
        return wrapping_sub(0, a)
    if o.op == INVERT:
        return ~a
    if o.op == NOT:
        return 1 if a == 0 else 0
    if o.op == LOAD:
        return load_memory(c, p, <uint64_t><u128>a, o.index, ok)
    if o.op == LOAD_PHYSICAL:
        return load_physical(c, p, <uint64_t><u128>a, o.index, ok)
    if o.op == SEXT:
        return sign_extend(<uint64_t><u128>a, o.index)
    if o.op >= WIDEN:
        return float_unary(o.op, a, o.index)
    return zero_extend(<uint64_t><u128>a, o.index)


cdef inline s128 binary(uint32_t op, s128 a, s128 b, bint* ok) noexcept nogil:
    if op >= FADD:
        return float_binary(op, a, b, ok)
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


cdef s128 evaluate(Cpu* c, const Program* p, const Operation* code, uint32_t operations, uint64_t pc,
                   uint64_t address, uint64_t size, bint* ok) noexcept nogil:
    """The value that operations leave. verified() has verified that they stay within their stack and only
    jump forward. ok is False where there is none: no memory at an address, or a division by zero."""
    cdef s128 stack[32]
    cdef s128 top
    cdef uint32_t n = 0, k = 0, op
    cdef const Operation* o
    while k < operations:
        o = &code[k]
        op = o.op
        k += 1
        if op <= LOAD_VECTOR and op != PICK:
            stack[n] = push(c, p, o, pc, address, size, ok)
            n += 1
        elif op == CONST_OPERAND:
            # The second operand of the next operation.
            stack[n - 1] = binary(code[k].op, stack[n - 1], constant(o), ok)
            k += 1
        elif op >= ADD:
            n -= 1
            stack[n - 1] = binary(op, stack[n - 1], stack[n], ok)
        elif op <= TO_FLOAT and op != PICK:
            stack[n - 1] = unary(c, p, o, stack[n - 1], ok)
        elif op == PICK:
            stack[n] = stack[n - 1 - o.index]
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
            k = <uint32_t>o.low
        else:
            n -= 1
            if stack[n] != 0:
                k = <uint32_t>o.low
        if not ok[0]:
            return 0
    return stack[n - 1]


cdef bint condition_holds(Cpu* c, const Program* p, uint64_t pc, uint64_t address, uint64_t size, bint* ok) noexcept nogil:
    """Evaluate a condition. One with `new` where nothing was written is for the caller."""
    return evaluate(c, p, p.code, p.operations, pc, address, size, ok) != 0


cdef uint64_t field_value(Cpu* c, const Program* p, uint32_t n, uint64_t pc, uint64_t address, uint64_t size, bint* ok) noexcept nogil:
    return <uint64_t><u128>evaluate(c, p, p.field[n], p.field_operations[n], pc, address, size, ok)


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


# ---- verification -----------------------------------------------------------------------------

# (pops, pushes) of each operation.
STACK_EFFECT = {NEG: (1, 1), INVERT: (1, 1), NOT: (1, 1), LOAD: (1, 1), LOAD_PHYSICAL: (1, 1), SEXT: (1, 1), ZEXT: (1, 1),
                  WIDEN: (1, 1), TO_FLOAT: (1, 1),
                  DROP: (1, 0), SWAP: (2, 2), ROT: (3, 3), JUMP: (0, 0), JUMP_IF: (1, 0),
                  BOTH: (2, 1), EITHER: (2, 1)}
STACK_EFFECT.update({op: (0, 1) for op in range(LOAD_CONST, LOAD_VECTOR + 1)})

# The system registers that conditions may read: their values do not depend on who reads, and reading
# has no side effect. The same as guestdbg.kvm.hit_programs.SYSTEM_REGISTERS.
SYSTEM_REGISTERS = frozenset({
    0xc681,  # CONTEXTIDR_EL1
    0xc201,  # ELR_EL1
    0xc290,  # ESR_EL1
    0xc300,  # FAR_EL1
    0xda20,  # FPCR
    0xda21,  # FPSR
    0xc510,  # MAIR_EL1
    0xc005,  # MPIDR_EL1
    0xc080,  # SCTLR_EL1
    0xc200,  # SPSR_EL1
    0xc208,  # SP_EL0
    0xc102,  # TCR_EL1
    0xde83,  # TPIDRRO_EL0
    0xde82,  # TPIDR_EL0
    0xc684,  # TPIDR_EL1
    0xc100,  # TTBR0_EL1
    0xc101,  # TTBR1_EL1
    0xc600,  # VBAR_EL1
})
STACK_EFFECT.update({op: (2, 1) for op in (*range(ADD, REM + 1), *range(EQ, GE + 1), *range(FADD, FGE + 1))})


cdef check_operation(Program* p, op, index, value, depth):
    """The depth of the stack after an operation. Raises ValueError for an invalid one."""
    if op not in STACK_EFFECT:
        raise ValueError(f"a condition has no operation {op}")
    takes, puts = STACK_EFFECT[op]
    if op == PICK:
        takes, puts = index + 1, index + 2
    if op in (LOAD_X, LOAD_W) and not 0 <= index <= 30:
        raise ValueError(f"x{index}: general registers are x0 to x30")
    if op in (LOAD_NEW, LOAD_OLD) and not p.scalar:
        raise ValueError("only a watch of 1, 2, 4 or 8 bytes has values to compute with")
    if op in (LOAD_MEMORY, LOAD, LOAD_PHYSICAL) and index & ~16 not in (1, 2, 4, 8):
        raise ValueError(f"{index & 15} bytes of memory: must be 1, 2, 4 or 8")
    if op == LOAD_SYSTEM and value not in SYSTEM_REGISTERS:
        raise ValueError(f"{value:#x} is not the encoding of a system register for conditions")
    if op == LOAD_VECTOR:
        offset, size = value & 255, value >> 8
        if not 0 <= index <= 31 or size not in (1, 2, 4, 8) or offset % size or offset + size > 16:
            raise ValueError(f"{size} bytes from {offset} on of v{index}: must be 1, 2, 4 or 8 in v0 to v31")
    if op == WIDEN and index not in (2, 4, 8):
        raise ValueError(f"a floating-point value of {index} bytes: must be 2, 4 or 8")
    if op in (SEXT, ZEXT) and not 1 <= index <= 64:
        raise ValueError(f"extending {index} bits: must be 1 to 64")
    if not 0 <= index <= 255:
        raise ValueError(f"index {index} of an operation: must be 0 to 255")
    p.uses_new = p.uses_new or op == LOAD_NEW
    if depth < takes or depth - takes + puts > MAX_DEPTH:
        raise ValueError(f"a condition needs between 1 and {MAX_DEPTH} places on its stack")
    return depth - takes + puts


cdef int load_condition(Program* p, code) except -1:
    verified(p, code, &p.code, &p.operations)
    return 0


cdef int load_field(Program* p, code) except -1:
    cdef uint32_t n = p.nfields
    cdef bint uses_new = p.uses_new
    if n == MAX_FIELDS:
        raise ValueError(f"more than {MAX_FIELDS} fields of a record")
    p.nfields += 1
    verified(p, code, &p.field[n], &p.field_operations[n])
    p.uses_new = uses_new                  # that is said of the condition
    return 0


cdef int verified(Program* p, code, Operation** place, uint32_t* count) except -1:
    """Verify that the operations stay within the stack and leave one value, then store them."""
    cdef uint32_t n
    cdef Operation* to
    if not code:
        raise ValueError("a condition without operations")
    if len(code) > MAX_OPERATIONS:
        raise ValueError(f"a condition of {len(code)} operations: there can be {MAX_OPERATIONS}")
    to = <Operation*>calloc(len(code), sizeof(Operation))
    if to == NULL:
        raise MemoryError
    place[0] = to                          # freed with the program, also if this raises
    count[0] = len(code)
    depths = [None] * (len(code) + 1)      # of the stack before each operation; None: not reached
    depth = 0
    for n, (op, index, value) in enumerate(code):
        if depths[n] is not None and depth is not None and depths[n] != depth:
            raise ValueError(f"operation {n} is reached with {depths[n]} and with {depth} values on the stack")
        depth = depths[n] if depth is None else depth
        if depth is None:
            raise ValueError(f"operation {n} is never reached")
        depth = check_operation(p, op, index, value, depth)
        if op == JUMP or op == JUMP_IF:
            if not n < value <= len(code):
                raise ValueError(f"operation {n} jumps to {value}: jumps go forward, to {len(code)} at most")
            if depths[value] not in (None, depth):
                raise ValueError(f"operation {value} is reached with {depths[value]} and with {depth} values")
            depths[value] = depth
            if op == JUMP:
                depth = None
        value &= (1 << 128) - 1
        to[n].op = op
        to[n].index = index
        to[n].low = value & 0xFFFFFFFFFFFFFFFF
        to[n].high = value >> 64
    if not {depth, depths[len(code)]} <= {1, None}:
        raise ValueError("a condition leaves exactly one value")
    for n in range(count[0] - 1):
        if to[n].op == LOAD_CONST and to[n + 1].op >= ADD:
            to[n].op = CONST_OPERAND
    return 0


# The codes, which a test compares with guestdbg.kvm.hit_programs.
OPS = {
    "CONST": LOAD_CONST, "NEW": LOAD_NEW, "OLD": LOAD_OLD, "PC": LOAD_PC, "ADDRESS": LOAD_ADDRESS,
    "SIZE": LOAD_SIZE, "COUNT": LOAD_COUNT, "SP": LOAD_SP, "X": LOAD_X, "W": LOAD_W,
    "MEMORY": LOAD_MEMORY, "PSTATE": LOAD_PSTATE, "PICK": PICK, "SYSTEM": LOAD_SYSTEM, "NEG": NEG, "INVERT": INVERT, "NOT": NOT,
    "LOAD": LOAD, "SEXT": SEXT, "ZEXT": ZEXT, "DROP": DROP, "SWAP": SWAP, "ROT": ROT, "JUMP": JUMP,
    "JUMP_IF": JUMP_IF, "ADD": ADD, "SUB": SUB, "DIV": DIV, "REM": REM,
    "MUL": MUL, "FLOORDIV": FLOORDIV, "MOD": MOD, "AND": AND, "OR": OR, "XOR": XOR,
    "LSHIFT": LSHIFT, "RSHIFT": RSHIFT, "EQ": EQ, "NE": NE, "LT": LT, "LE": LE, "GT": GT, "GE": GE,
    "BOTH": BOTH, "EITHER": EITHER, "VECTOR": LOAD_VECTOR, "PHYSICAL": LOAD_PHYSICAL, "WIDEN": WIDEN, "TO_FLOAT": TO_FLOAT,
    "FADD": FADD, "FSUB": FSUB, "FMUL": FMUL, "FDIV": FDIV, "FFLOORDIV": FFLOORDIV, "FMOD": FMOD,
    "TRUEDIV": TRUEDIV, "COMPARE_FLOAT": COMPARE_FLOAT, "FEQ": FEQ, "FNE": FNE, "FLT": FLT,
    "FLE": FLE, "FGT": FGT, "FGE": FGE,
}
LIMITS = {
    "depth": MAX_DEPTH, "operations": MAX_OPERATIONS, "programs": MAX_PROGRAMS, "record_words": RECORD_WORDS, "plain": MAX_PLAIN,
    "hidden": MAX_HIDDEN, "fields": MAX_FIELDS,
}
