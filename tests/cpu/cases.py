"""The environment of an instruction under test: memory layout, registers, outcomes."""

from __future__ import annotations

from dataclasses import dataclass

CODE = 0x0010_0000  # slots of two instructions: the one under test, and a branch out
CODE_SIZE = 0x10_0000
SUPPORT = 0x0020_0000  # Unicorn: prologue and epilogue; guestdbg: translation table and vectors
SUPPORT_SIZE = 0x1_0000
EPILOGUE = SUPPORT + 0x1000
TABLE = SUPPORT + 0x2000
VECTORS = SUPPORT + 0x4000
END = SUPPORT + 0x6000  # Unicorn: nothing is mapped, arriving ends the run
STATE = 0x0030_0000  # Unicorn: where prologue and epilogue find the registers
STATE_STRIDE = 0x400  # V registers at 0 of a case's, the others at 512
BATCH = 128  # cases in one go
STATE_SIZE = 0x2_1000  # cursor, cases, the one that ends
DATA = 0x4000_0000  # in the second gigabyte, which EL0 may read and write
DATA_SIZE = 0x2000  # of each case in a batch, one after the other

PSTATE = 0x3C5  # EL1h, all exceptions masked
ONES = (1 << 64) - 1
BRANCH_TO_SELF = 0x1400_0000


@dataclass(frozen=True)
class State:
    """Registers before or after; sizes in bits: x and sp 64, nzcv 4, v 128."""

    x: tuple[int, ...]
    sp: int
    nzcv: int
    v: tuple[int, ...]
    fpcr: int = 0
    fpsr: int = 0


@dataclass(frozen=True)
class Case:
    """One instruction and everything it can see.

    data: DATA_SIZE bytes that the instruction may access, at data_at; empty if it accesses none.
    """

    row: str
    raw: int
    state: State
    data: bytes = b""
    data_at: int = DATA


@dataclass(frozen=True)
class Outcome:
    """The result of a case on one machine. kind: ok, undefined, abort, or a description."""

    kind: str
    pc: int
    state: State | None = None
    data: bytes = b""
