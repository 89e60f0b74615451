# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu

# What an operation of a condition does: the codes of guestdbg.kvm.hit_programs.Op, which works without
# the compiled processor and so cannot take them from here. tests/kvm/test_hit_programs.py compares both.
cdef enum:
    LOAD_CONST = 0
    LOAD_NEW = 1
    LOAD_OLD = 2
    LOAD_PC = 3
    LOAD_ADDRESS = 4
    LOAD_SIZE = 5
    LOAD_COUNT = 6
    LOAD_SP = 7
    LOAD_X = 8
    LOAD_W = 9
    LOAD_MEMORY = 10       # value: the address; index: bytes | 16 if signed
    LOAD_PSTATE = 11
    PICK = 12              # index: how far below the top
    LOAD_SYSTEM = 13       # value: the register's encoding
    LOAD_VECTOR = 14       # index: of V0 to V31; value: the first byte | bytes << 8
    LOAD_PHYSICAL = 15     # guest-physical memory at the address on the stack; index: bytes | 16 if signed
    NEG = 16
    INVERT = 17
    NOT = 18
    LOAD = 19              # index: bytes | 16 if signed
    SEXT = 20              # index: bits
    ZEXT = 21
    WIDEN = 22             # to double precision; index: bytes
    TO_FLOAT = 23          # of an integer
    DROP = 24
    SWAP = 25
    ROT = 26
    JUMP = 28              # value: the operation to go to
    JUMP_IF = 29
    ADD = 32
    SUB = 33
    MUL = 34
    FLOORDIV = 35
    MOD = 36
    AND = 37
    OR = 38
    XOR = 39
    LSHIFT = 40
    RSHIFT = 41
    DIV = 42
    REM = 43
    EQ = 48
    NE = 49
    LT = 50
    LE = 51
    GT = 52
    GE = 53
    BOTH = 56              # and
    EITHER = 57            # or
    # Of the bits of double-precision values, zero-extended.
    FADD = 64
    FSUB = 65
    FMUL = 66
    FDIV = 67
    FFLOORDIV = 68
    FMOD = 69
    TRUEDIV = 70           # of integers
    COMPARE_FLOAT = 71     # an integer with a float: -1, 0, 1; 2 if that is not a number
    FEQ = 72
    FNE = 73
    FLT = 74
    FLE = 75
    FGT = 76
    FGE = 77
    # Not of programs: load_condition() puts it for LOAD_CONST before a binary operation, which is then executed
    # with the constant. Jumps to that operation stay valid.
    CONST_OPERAND = 255

cdef enum:
    KIND_WATCH = 0
    KIND_BREAK = 1
    ACTION_STOP = 0
    ACTION_RECORD = 1
    MAX_DEPTH = 32             # of a condition's stack
    MAX_OPERATIONS = 4096           # of a condition
    MAX_PROGRAMS = 32              # programs of a processor
    RECORD_WORDS = 7       # of a record, before the registers
    MAX_PLAIN = 64             # ranges without a program
    MAX_HIDDEN = 64            # words that conditions must not read
    MAX_FIELDS = 8             # words of a record that operations compute

cdef struct Operation:
    uint8_t op
    uint8_t index
    uint64_t low           # of a 128-bit constant
    uint64_t high

cdef struct Hidden:
    uint32_t count
    uint64_t address[64]   # physical, of 32-bit words

cdef struct Program:
    uint8_t kind
    uint8_t access         # ACC_READ | ACC_WRITE
    uint8_t action
    bint scalar            # the value is the whole range, of 1, 2, 4 or 8 bytes
    bint uses_new
    uint64_t address
    uint64_t length
    const Hidden* hidden
    Operation* code        # NULL: always true
    uint32_t operations
    uint8_t* buffer        # records; NULL for ACTION_STOP
    uint64_t capacity      # records it holds
    uint64_t used
    uint8_t registers[16]
    uint32_t nregisters
    Operation* field[8]    # what computes the words of a record after the registers
    uint32_t field_operations[8]
    uint32_t nfields
    uint64_t vcpu          # bits 32 to 47 of the word with the size
    uint64_t seen          # hits
    uint64_t passed        # hits whose condition held
    # the last hit
    uint8_t old[64]
    uint8_t new[64]
    uint32_t size          # bytes of them
    bint decided           # False: it could not be evaluated here
    bint written

cdef uint8_t* host_at(Cpu* c, uint64_t va, uint64_t size) noexcept nogil
"""Guest virtual memory within a page, whatever its permissions, and c.tr_pa, where it is; NULL: there is none."""

cdef bint has_hidden_word(const Hidden* h, uint64_t pa, uint64_t size) noexcept nogil
"""Is a hidden word among these bytes?"""

cdef bint condition_holds(Cpu* c, const Program* p, uint64_t pc, uint64_t address, uint64_t size, bint* ok) noexcept nogil
"""Evaluate a condition. ok is False where it cannot be evaluated."""

cdef uint64_t field_value(Cpu* c, const Program* p, uint32_t n, uint64_t pc, uint64_t address, uint64_t size, bint* ok) noexcept nogil
"""The word of a record that field n computes. ok is False where it cannot be evaluated."""

cdef int load_condition(Program* p, code) except -1
"""Set a program's condition: operations as in guestdbg.kvm.hit_programs. Raises ValueError."""

cdef int load_field(Program* p, code) except -1
"""Add a field to a program: operations as those of a condition. Raises ValueError."""
