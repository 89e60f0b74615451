"""The program that runs many cases at once, the same on guestdbg's processor and on Unicorn.

A case is a block of memory: the registers that it starts with, and later those that it ended with.
The prologue loads a case's registers and branches to its slot: the instructions under test. After
them the slot saves two registers, reads the PC and goes to the epilogue, which stores everything
into the block and continues with the next case. None of it needs EL1, so that a batch of cases
runs at EL0 as well. An exception returns through EXCEPTION, with PC 0 in the block.

So a case needs no calls into either machine, and two pieces of memory have to be compared.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

CODE = 0x1000_0000  # slots; read-only, both ELs execute it
CODE_SIZE = 0x40_0000
SUPPORT = 0x0FE0_0000  # prologue and so on; like CODE
SUPPORT_SIZE = 0x1_0000
EPILOGUE = SUPPORT + 0x1000
EXCEPTION = SUPPORT + 0x2000
START = SUPPORT + 0x3000  # to the EL of the batch; X0: its PSTATE
START_EL1T = SUPPORT + 0x3800  # by MSR SPSel: Unicorn 2.1.4's ERET keeps the stack pointer
VECTORS = SUPPORT + 0x4000
FINISHED = SUPPORT + 0x6000  # arriving means that the batch is done; it loads from NOBODY
STATE = 0x2000_0000  # cursor, scratch; cases from CASES on; both ELs may write it
CASES = STATE + 0x1000
CASE_SIZE = 0x400
STATE_SIZE = 0x80_0000
TABLES = 0x2100_0000
TABLES_SIZE = 0x1_0000
NOBODY = 0x3000_0000  # translated, but there is no memory: an access ends the run
DATA = 0x4000_0000  # see DATA_PAGES
DATA_SIZE = 0x4_0000

EXECUTABLE = {CODE: CODE_SIZE, SUPPORT: SUPPORT_SIZE}
# For branches that go far: the ends of what B reaches from CODE.
FAR_CODE = {CODE - 0x0800_0000: 0x20_0000, CODE + 0x07C0_0000: 0x20_0000}

# A case's block. V0 to V31 are at 0.
X_AT = 512
SP_AT, NZCV_AT, FPCR_AT, FPSR_AT = 760, 768, 776, 784
PC_AT = 792  # before: of the slot; after: of the instruction after those under test
REPORT_AT = 800  # ESR, FAR, ELR, SPSR of the exception; from Unicorn its number + 1, 0, PC, 0
REPORT_SIZE = 32
BLOCK = struct.Struct("<64Q31Q5Q")

MAX_CASES = (STATE_SIZE - 0x1000) // CASE_SIZE - 1

# Pages of the data area: what each EL may do there.
BOTH, READ_ONLY, KERNEL, KERNEL_READ_ONLY, HOLE = range(5)
_ATTRIBUTES = {BOTH: 0x743, READ_ONLY: 0x7C3, KERNEL: 0x703, KERNEL_READ_ONLY: 0x783, HOLE: 0}
_NEVER_EXECUTE = 3 << 53
DATA_PAGES: dict[int, int] = {
    # 16 pages for accesses that succeed
    **dict.fromkeys(range(16), BOTH),
    # every kind beside every other, in both orders
    17: BOTH, 18: READ_ONLY, 19: BOTH, 20: KERNEL, 21: BOTH, 22: KERNEL_READ_ONLY, 23: BOTH,
    25: READ_ONLY, 26: KERNEL, 27: READ_ONLY, 28: KERNEL_READ_ONLY, 29: READ_ONLY,
    31: KERNEL, 32: KERNEL_READ_ONLY, 33: KERNEL,
    35: KERNEL_READ_ONLY,
}  # fmt: skip
SOUND = range(DATA, DATA + 0x1_0000)

NOP = 0xD503_201F
ONES = (1 << 64) - 1


def page_kind(address: int) -> int:
    if not DATA <= address < DATA + DATA_SIZE:
        return HOLE
    return DATA_PAGES.get(address - DATA >> 12, HOLE)


def tables() -> bytes:
    """Translation tables for 39 bits of addresses, 4 KiB granule; everything at its own address."""
    level1, blocks, level2, level3 = (TABLES + 0x1000 * n for n in range(4))
    image = bytearray(TABLES_SIZE)

    def put(table: int, index: int, entry: int) -> None:
        struct.pack_into("<Q", image, table - TABLES + 8 * index, entry)

    put(level1, 0, blocks | 3)
    for start, size, attributes in (
        *((at, size, 0x7C1) for at, size in (*EXECUTABLE.items(), *FAR_CODE.items())),
        (STATE, STATE_SIZE, 0x741 | _NEVER_EXECUTE),
        (NOBODY, 0x1000, 0x741 | _NEVER_EXECUTE),
        (TABLES, TABLES_SIZE, 0x701 | _NEVER_EXECUTE),
    ):
        for at in range(start & ~0x1F_FFFF, start + size, 1 << 21):
            put(blocks, at >> 21, at | attributes)
    put(level1, DATA >> 30, level2 | 3)
    put(level2, 0, level3 | 3)
    for page, kind in DATA_PAGES.items():
        put(level3, page, DATA + (page << 12) | _ATTRIBUTES[kind] | _NEVER_EXECUTE)
    return bytes(image)


# System registers that both machines have set.
CONTROLS = {
    "MAIR_EL1": 0xFF,
    "TCR_EL1": 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 30,  # 39 bits, EPD1, 4 KiB
    "TTBR0_EL1": TABLES,
    "VBAR_EL1": VECTORS,
    "CPACR_EL1": 3 << 20,
    # M, C, I and the reserved ones; neither SA nor A: Unicorn checks no alignment.
    # UCT, DZE, UCI: EL0 may use caches.
    "SCTLR_EL1": 0x30D0_0980 | 1 | 1 << 2 | 1 << 12 | 1 << 14 | 1 << 15 | 1 << 26,
}

# ---- instructions -------------------------------------------------------------------------------

SPSR, ELR, ESR, FAR = (3, 0, 4, 0, 0), (3, 0, 4, 0, 1), (3, 0, 5, 2, 0), (3, 0, 6, 0, 0)
NZCV, FPCR, FPSR = (3, 3, 4, 2, 0), (3, 3, 4, 4, 0), (3, 3, 4, 4, 1)
TPIDR_EL0, TPIDR_EL1 = (3, 3, 13, 0, 2), (3, 0, 13, 0, 4)
ERET = 0xD69F_03E0
CLREX = 0xD503_3F5F


def move_system(read: bool, name: tuple[int, int, int, int, int], rt: int) -> int:
    op0, op1, crn, crm, op2 = name
    return 0xD500_0000 | read << 21 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | rt


def load(rt: int, rn: int, offset: int = 0) -> int:
    """LDR Xt, [Xn, #offset]"""
    return 0xF940_0000 | offset // 8 << 10 | rn << 5 | rt


def store(rt: int, rn: int, offset: int = 0) -> int:
    return 0xF900_0000 | offset // 8 << 10 | rn << 5 | rt


def pair(is_load: bool, rt: int, offset: int, *, vector: bool = False, rn: int = 0) -> int:
    """LDP or STP of Xt, Xt+1 or Qt, Qt+1 at [Xn, #offset]."""
    base, scale = (0xAD00_0000, 16) if vector else (0xA900_0000, 8)
    return base | is_load << 22 | (offset // scale & 0x7F) << 15 | (rt + 1) << 10 | rn << 5 | rt


def branch(at: int, to: int) -> int:
    return 0x1400_0000 | (to - at) // 4 & 0x3FF_FFFF


def state_to(rt: int) -> int:
    """MOVZ Xt, #(STATE >> 16), LSL #16"""
    return 0xD2A0_0000 | STATE >> 16 << 5 | rt


def _prologue() -> list[int]:
    """X0 = the case's X registers; the last thing loaded from the block is X0 itself."""
    words = [CLREX, state_to(0), load(0, 0)]
    words += [pair(True, n, 16 * n - X_AT, vector=True) for n in range(0, 32, 2)]
    for at, name in ((NZCV_AT, NZCV), (FPCR_AT, FPCR), (FPSR_AT, FPSR)):
        words += [load(1, 0, at - X_AT), move_system(False, name, 1)]
    words += [load(1, 0, SP_AT - X_AT), 0x9100_003F]  # MOV SP, X1
    words += [pair(True, n, 8 * n) for n in range(2, 30, 2)]
    return words + [load(30, 0, PC_AT - X_AT), load(1, 0, 8), load(0, 0), 0xD61F_03C0]  # BR X30


def _epilogue() -> list[int]:
    """TPIDR_EL0 holds X0, STATE + 8 holds X1, X1 is the PC."""
    words = [state_to(0), load(0, 0), store(1, 0, PC_AT - X_AT)]
    words += [move_system(True, TPIDR_EL0, 1), store(1, 0), state_to(1), load(1, 1, 8)]
    words += [store(1, 0, 8)]
    words += [pair(False, n, 8 * n) for n in range(2, 30, 2)]
    words += [store(30, 0, 240), 0x9100_03E1, store(1, 0, SP_AT - X_AT)]  # MOV X1, SP
    for at, name in ((NZCV_AT, NZCV), (FPCR_AT, FPCR), (FPSR_AT, FPSR)):
        words += [move_system(True, name, 1), store(1, 0, at - X_AT)]
    words += [pair(False, n, 16 * n - X_AT, vector=True) for n in range(0, 32, 2)]
    # the cursor moves on: ADD X1, X0, #CASE_SIZE
    words += [0x9100_0001 | CASE_SIZE << 10, state_to(0), store(1, 0)]
    return [*words, branch(EPILOGUE + 4 * len(words), SUPPORT)]


def landing(at: int) -> list[int]:
    """Where a case ends: X0 and X1 put aside, X1 = the address of this."""
    words = [move_system(False, TPIDR_EL0, 0), state_to(0), store(1, 0, 8)]
    words += [0x1000_0001 | ((-12 >> 2) & 0x7FFFF) << 5]  # ADR X1, at
    return [*words, branch(at + 4 * len(words), EPILOGUE)]


LANDING_SIZE = 20


def _exception() -> list[int]:
    words = [move_system(False, TPIDR_EL0, 0), state_to(0), store(1, 0, 8), 0xD280_0001]
    return [*words, branch(EXCEPTION + 4 * len(words), EPILOGUE)]  # PC 0


def _vector() -> list[int]:
    """Reports into the case's block and returns to EXCEPTION, to where it came from."""
    words = [move_system(False, TPIDR_EL1, 0), state_to(0), store(1, 0, 8), load(0, 0)]
    for n, name in enumerate((ESR, FAR, ELR, SPSR)):
        words += [move_system(True, name, 1), store(1, 0, REPORT_AT - X_AT + 8 * n)]
    words += [0xD280_0001 | (EXCEPTION & 0xFFFF) << 5, 0xF2A0_0001 | EXCEPTION >> 16 << 5]  # X1
    words += [move_system(False, ELR, 1), state_to(1), load(1, 1, 8)]
    return [*words, move_system(True, TPIDR_EL1, 0), ERET]


def _start() -> list[int]:
    words = [move_system(False, SPSR, 0)]
    words += [0xD280_0001 | (SUPPORT & 0xFFFF) << 5, 0xF2A0_0001 | SUPPORT >> 16 << 5]
    return [*words, move_system(False, ELR, 1), ERET]


def start_of(pstate: int) -> int:
    """Where a batch of this PSTATE starts, at EL1h."""
    return START_EL1T if pstate & 0xF == 4 else START


def support() -> bytes:
    image = bytearray(SUPPORT_SIZE)

    def put(at: int, words: Sequence[int]) -> None:
        struct.pack_into(f"<{len(words)}I", image, at - SUPPORT, *words)

    put(SUPPORT, _prologue())
    put(EPILOGUE, _epilogue())
    put(EXCEPTION, _exception())
    put(START, _start())
    put(START_EL1T, [0xD500_40BF, branch(START_EL1T + 4, SUPPORT)])
    vector = _vector()
    assert len(vector) <= 32
    for offset in (0, 0x200, 0x400):  # synchronous from EL1t, EL1h, EL0
        put(VECTORS + offset, vector)
    put(FINISHED, [0xD2A0_0000 | NOBODY >> 16 << 5, load(0, 0), 0x1400_0000])
    return bytes(image)


# A slot: X30, an instruction that loads it, those under test, the landing.
SLOT_OVERHEAD = 12 + LANDING_SIZE
LOAD_X30 = 0x5800_0000 | ((-8 >> 2) & 0x7FFFF) << 5 | 30  # LDR X30, the 8 bytes before it


def slot(at: int, x30: int, words: Sequence[int]) -> bytes:
    """The bytes of a slot at this address; it is entered at `at + 8`."""
    end = at + 12 + 4 * len(words)
    return struct.pack(f"<QI{len(words)}I5I", x30, LOAD_X30, *words, *landing(end))
