# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from guestdbg.cpu.core cimport Cpu

# What a step of a condition does: the codes of guestdbg.kvm.programs.
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
    NEG = 16
    INVERT = 17
    NOT = 18
    LOAD = 19              # index: bytes | 16 if signed
    SEXT = 20              # index: bits
    ZEXT = 21
    DROP = 24
    SWAP = 25
    ROT = 26
    JUMP = 28              # value: the step
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

cdef enum:
    KIND_WATCH = 0
    KIND_BREAK = 1
    ACTION_STOP = 0
    ACTION_RECORD = 1
    DEPTH = 32             # of a condition's stack
    STEPS = 4096           # of a condition
    MOST = 32              # programs of a processor
    RECORD_WORDS = 7       # of a record, before the registers

cdef struct Step:
    uint8_t op
    uint8_t index
    uint64_t low           # of a 128-bit constant
    uint64_t high

cdef struct Program:
    uint8_t kind
    uint8_t access         # ACC_READ | ACC_WRITE
    uint8_t action
    bint scalar            # the value is the whole range, of 1, 2, 4 or 8 bytes
    bint uses_new
    uint64_t address
    uint64_t length
    Step* code             # NULL: always true
    uint32_t steps
    uint8_t* buffer        # records; NULL for ACTION_STOP
    uint64_t capacity      # records it holds
    uint64_t used
    uint8_t registers[16]
    uint32_t nregisters
    uint64_t seen          # hits
    uint64_t passed        # hits whose condition held
    # the hit that was decided last
    uint8_t old[64]
    uint8_t new[64]
    uint32_t size          # bytes of them
    bint decided           # False: it could not be judged here
    bint written

cdef struct Programs:
    uint32_t count
    Program program[32]
    uint32_t plain_count   # watched ranges that no program is for: hits of them exit as ever
    uint64_t plain_address[64]
    uint64_t plain_end[64]
    # the hit that stopped the run
    uint32_t stopped       # programs whose hit it is
    uint32_t full          # recording programs whose buffer is full
    uint64_t pc
    uint64_t address
    uint64_t size
    uint32_t access

cdef bint hits_decide(Cpu* c) noexcept nogil
"""run() is about to return for an exception to EL2. If it is a hit that the programs are for: make
the access, decide, and return True (the run goes on, or c.exit is EXIT_HIT)."""
