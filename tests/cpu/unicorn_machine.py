"""Single instructions on Unicorn.

It is asked through guest code rather than through its register interface (2.5 microseconds a
register, and everything is translated anew at each start): a prologue loads a case's registers
from memory and does an exception return to the instruction, after which a branch leads to an
epilogue that stores the registers and goes on to the next case. A start runs as many cases as
there are up to the next exception.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Sequence

import unicorn
from unicorn import arm64_const as uc_arm64

from tests.cpu.cases import (
    BATCH,
    CODE,
    CODE_SIZE,
    DATA,
    DATA_SIZE,
    END,
    EPILOGUE,
    ONES,
    PSTATE,
    STATE,
    STATE_SIZE,
    STATE_STRIDE,
    SUPPORT,
    SUPPORT_SIZE,
    Case,
    Outcome,
    State,
)


def _system_move(read: bool, name: tuple[int, int, int, int, int], rt: int) -> int:
    op0, op1, crn, crm, op2 = name
    return 0xD500_0000 | read << 21 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | rt


def _pair(load: bool, vector: bool, rt: int, offset: int) -> int:
    """LDP or STP of Xrt, Xrt+1 or Qrt, Qrt+1 at [X0, #offset]."""
    scale = 16 if vector else 8
    base = 0xAD00_0000 if vector else 0xA900_0000
    return base | load << 22 | (offset // scale & 0x7F) << 15 | (rt + 1) << 10 | rt


def _single(load: bool, rt: int, offset: int) -> int:
    """LDR or STR of Xrt at [X0, #offset]."""
    return 0xF900_0000 | load << 22 | (offset // 8) << 10 | rt


SP_AT, SPSR_AT, ELR_AT, FPCR_AT, FPSR_AT = 248, 256, 264, 272, 280
_SPSR, _ELR = (3, 0, 4, 0, 0), (3, 0, 4, 0, 1)
_NZCV, _FPCR, _FPSR, _TPIDR = (3, 3, 4, 2, 0), (3, 3, 4, 4, 0), (3, 3, 4, 4, 1), (3, 3, 13, 0, 2)
_CASE_TO_X0 = [0xD2A0_0000 | (STATE >> 16) << 5, _single(True, 0, 0)]  # X0 = STATE; X0 = cursor


def _prologue() -> list[int]:
    words = list(_CASE_TO_X0)
    words += [_pair(True, True, n, 16 * n - 512) for n in range(0, 32, 2)]
    for at, name in ((SPSR_AT, _SPSR), (ELR_AT, _ELR), (FPCR_AT, _FPCR), (FPSR_AT, _FPSR)):
        words += [_single(True, 1, at), _system_move(False, name, 1)]
    words += [_single(True, 1, SP_AT), 0x9100_003F]  # MOV SP, X1
    words += [_pair(True, False, n, 8 * n) for n in range(2, 30, 2)]
    words += [_single(True, 30, 240), _single(True, 1, 8), _single(True, 0, 0)]
    return [*words, 0xD69F_03E0]  # ERET


def _epilogue() -> list[int]:
    words = [_system_move(False, _TPIDR, 0), *_CASE_TO_X0]
    words += [_single(False, 1, 8), _system_move(True, _TPIDR, 1), _single(False, 1, 0)]
    words += [_pair(False, False, n, 8 * n) for n in range(2, 30, 2)]
    words += [_single(False, 30, 240), 0x9100_03E1, _single(False, 1, SP_AT)]  # MOV X1, SP
    for at, name in ((SPSR_AT, _NZCV), (FPCR_AT, _FPCR), (FPSR_AT, _FPSR)):
        words += [_system_move(True, name, 1), _single(False, 1, at)]
    words += [_pair(False, True, n, 16 * n - 512) for n in range(0, 32, 2)]
    # the cursor moves on: ADD X1, X0, #STRIDE; X0 = STATE; STR X1, [X0]
    words += [0x9100_0001 | STATE_STRIDE << 10, _CASE_TO_X0[0], _single(False, 1, 0)]
    here = EPILOGUE + 4 * len(words)
    return [*words, 0x1400_0000 | ((SUPPORT - here) // 4 & 0x3FF_FFFF)]  # B prologue


class Reference:
    """Unicorn. model: a UC_CPU_ARM64_* constant; the Cortex-A57 is an Armv8.0-A processor."""

    LAYOUT = struct.Struct("<64Q31QQQQQQ")
    UNDEFINED = 1  # Unicorn's exception numbers
    ABORTS = (3, 4)
    FAULTS = (
        unicorn.UC_ERR_READ_UNMAPPED,
        unicorn.UC_ERR_WRITE_UNMAPPED,
        unicorn.UC_ERR_READ_PROT,
        unicorn.UC_ERR_WRITE_PROT,
    )

    def __init__(self, model: int = uc_arm64.UC_CPU_ARM64_A57) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(model)
        self.uc.mem_map(CODE, CODE_SIZE)
        self.uc.mem_map(SUPPORT, SUPPORT_SIZE)
        self.state = mmap.mmap(-1, STATE_SIZE)  # the cursor, then the cases
        self.data = mmap.mmap(-1, DATA_SIZE * BATCH)
        for at, memory in ((STATE, self.state), (DATA, self.data)):
            host = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            protection = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
            self.uc.mem_map_ptr(at, len(memory), protection, host)
        prologue, epilogue = _prologue(), _epilogue()
        self.uc.mem_write(SUPPORT, struct.pack(f"<{len(prologue)}I", *prologue))
        self.uc.mem_write(EPILOGUE, struct.pack(f"<{len(epilogue)}I", *epilogue))
        self.exception: int | None = None
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)

    def _interrupt(self, uc: unicorn.Uc, number: int, _user: object) -> None:
        self.exception = number
        uc.emu_stop()

    def place(self, pc: int, words: bytes) -> None:
        self.uc.mem_write(pc, words)

    def forget_code(self) -> None:
        self.uc.ctl_remove_cache(CODE, CODE + CODE_SIZE)

    def run(self, cases: Sequence[Case], places: Sequence[int]) -> list[Outcome]:
        """At most BATCH cases whose instructions are at these places."""
        for n, (case, pc) in enumerate(zip(cases, places, strict=True)):
            state = case.state
            vectors = [half for v in state.v for half in (v & ONES, v >> 64)]
            registers = (*state.x, state.sp, PSTATE | state.nzcv << 28, pc, state.fpcr, state.fpsr)
            self.LAYOUT.pack_into(self.state, self._block(n), *vectors, *registers)
            if case.data:
                at = case.data_at - DATA
                self.data[at : at + DATA_SIZE] = case.data
        # after the last case: one that goes to END
        tail = [0] * 95 + [0, PSTATE, END, 0, 0]
        self.LAYOUT.pack_into(self.state, self._block(len(cases)), *tail)
        kinds: dict[int, str] = {}
        first = 0
        while first < len(cases):
            struct.pack_into("<Q", self.state, 0, STATE + self._block(first) + 512)
            kind = self._start()
            if kind == "ok":
                break
            (cursor,) = struct.unpack_from("<Q", self.state)
            stopped = (cursor - 512 - STATE - self._block(0)) // STATE_STRIDE
            assert first <= stopped < len(cases), f"Unicorn stopped outside the cases: {kind}"
            kinds[stopped] = kind
            first = stopped + 1
        return [
            self._outcome(n, case, pc, kinds.get(n, "ok"))
            for n, (case, pc) in enumerate(zip(cases, places, strict=True))
        ]

    @staticmethod
    def _block(n: int) -> int:
        return STATE_STRIDE * (n + 1)

    def _start(self) -> str:
        """Run on from the cursor: ok when END was reached, else what an instruction made happen."""
        self.exception = None
        kind = "ok"
        try:
            self.uc.emu_start(SUPPORT, END)
        except unicorn.UcError as error:
            kind = str(error)
            if error.errno in self.FAULTS:
                kind = "abort"
            elif error.errno == unicorn.UC_ERR_INSN_INVALID:
                kind = "undefined"
        if self.exception == self.UNDEFINED:
            kind = "undefined"
        elif self.exception in self.ABORTS:
            kind = "abort"
        elif self.exception is not None:
            kind = f"Unicorn's exception {self.exception}"
        return kind

    def _outcome(self, n: int, case: Case, pc: int, kind: str) -> Outcome:
        if kind != "ok":
            return Outcome(kind, pc)
        found = self.LAYOUT.unpack_from(self.state, self._block(n))
        x, (sp, nzcv, _elr, fpcr, fpsr) = found[64:95], found[95:]
        v = tuple([found[k] | found[k + 1] << 64 for k in range(0, 64, 2)])
        data = b""
        if case.data:
            at = case.data_at - DATA
            data = self.data[at : at + DATA_SIZE]
        return Outcome("ok", pc + 4, State(x, sp, nzcv >> 28, v, fpcr, fpsr), data)
