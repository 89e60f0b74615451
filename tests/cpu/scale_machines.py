"""Guestdbg's processor and Unicorn, each with the memory of scale_program.py."""

from __future__ import annotations

import ctypes
import mmap
import struct

import unicorn
from unicorn import arm64_const as uc_arm64

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import EXIT_EL2, PhysicalMemory, Processor
from tests.cpu.processor_features import LSE
from tests.cpu.scale_program import (
    CASE_SIZE,
    CASES,
    CODE,
    CODE_SIZE,
    CONTROLS,
    DATA,
    DATA_SIZE,
    EXCEPTION,
    FAR_CODE,
    FINISHED,
    PC_AT,
    REPORT_AT,
    STATE,
    STATE_SIZE,
    SUPPORT,
    SUPPORT_SIZE,
    TABLES,
    TABLES_SIZE,
    X_AT,
    move_system,
    start_of,
    support,
    tables,
)
from tests.cpu.tiers import ALWAYS, NEVER, RANDOM, processors


class Stopped(AssertionError):
    """A machine did not reach the end of its cases."""


EL0T, EL1T, EL1H = 0x3C0, 0x3C4, 0x3C5


class Memory:
    """The regions of one machine."""

    def __init__(self) -> None:
        sizes = {
            CODE: CODE_SIZE,
            SUPPORT: SUPPORT_SIZE,
            STATE: STATE_SIZE,
            TABLES: TABLES_SIZE,
            DATA: DATA_SIZE,
            **FAR_CODE,
        }
        self.regions = {at: mmap.mmap(-1, size) for at, size in sizes.items()}
        self.regions[SUPPORT][:] = support()
        self.regions[TABLES][:] = tables()
        self.state = self.regions[STATE]
        self.data = self.regions[DATA]

    def place(self, at: int, content: bytes) -> None:
        for start, region in self.regions.items():
            if start <= at < start + len(region):
                region[at - start : at - start + len(content)] = content
                return
        raise ValueError(f"no memory at {at:#x}")

    def begin(self, cases: bytes) -> None:
        """Blocks of cases; after them one that goes to FINISHED."""
        self.state[CASES - STATE : CASES - STATE + len(cases)] = cases
        end = CASES - STATE + len(cases)
        self.state[end : end + CASE_SIZE] = bytes(CASE_SIZE)
        struct.pack_into("<Q", self.state, end + PC_AT, FINISHED)
        struct.pack_into("<Q", self.state, 0, CASES + X_AT)

    def blocks(self, count: int) -> bytes:
        """The results of the cases."""
        return self.state[CASES - STATE : CASES - STATE + count * CASE_SIZE]

    def reached(self) -> int:
        """The case that runs, by the cursor."""
        (cursor,) = struct.unpack_from("<Q", self.state)
        return int(cursor - X_AT - CASES) // CASE_SIZE


class ProcessorUnderTest(Memory):
    """The processor under test."""

    BUDGET = 4000  # instructions for each case: prologue, epilogue, vector are about 200

    def __init__(self, *, lse: bool = False) -> None:
        super().__init__()
        self.physical = PhysicalMemory()
        for slot, (at, region) in enumerate(self.regions.items()):
            self.physical.map(slot, at, region)
        identification = LSE if lse else None
        with processors(NEVER):
            self.cpu = Processor(self.physical, identification=identification)
        self.others: dict[str, Processor] = {}
        for kind in (ALWAYS, RANDOM):
            with processors(kind, "scale"):
                self.others[kind] = Processor(self.physical, identification=identification)
        for name, value in CONTROLS.items():
            self.cpu.set_sysreg(SYSREGS[name].encoding, value)

    def forget_code(self) -> None:
        for at, region in self.regions.items():
            if at not in (STATE, TABLES, DATA, SUPPORT):
                self.physical.code_changed(at, len(region))

    def run(self, cases: bytes, pstate: int) -> bytes:
        """The interpreter's results. Stopped: those of blocks that are translated differ."""
        self.begin(cases)
        state, written = self.cpu.save_state(), (self.state, self.data)
        before = [region[:] for region in written]
        start = self.cpu.instructions
        found = self._run(self.cpu, len(cases) // CASE_SIZE, pstate)
        after = [region[:] for region in written]
        for kind, other in self.others.items():
            other.restore_state(state)
            for region, content in zip(written, before, strict=True):
                region[:] = content
            try:
                same = self._run(other, len(cases) // CASE_SIZE, pstate) == found
            except Stopped as error:
                raise Stopped(f"on the tier {kind!r}, {error}") from error
            if not same or [region[:] for region in written] != after:
                raise Stopped(f"on the tier {kind!r}, the results are not the interpreter's")
            if other.instructions != self.cpu.instructions:
                counts = other.instructions - start, self.cpu.instructions - start
                raise Stopped(f"on the tier {kind!r}, instructions: {counts}")
        return found

    def _run(self, cpu: Processor, count: int, pstate: int) -> bytes:
        cpu.pstate = EL1H
        cpu.set_x(0, pstate)
        cpu.pc = start_of(pstate)
        # In one run: another entry would clear the exclusive monitor.
        code = cpu.run(cpu.instructions + (count + 1) * self.BUDGET)
        if code != EXIT_EL2 or cpu.pc != FINISHED + 4:
            raise Stopped(
                f"our processor stopped at case {self.reached()} with exit {code}, "
                f"PC {cpu.pc:#x}, ESR_EL2 {cpu.esr_el2:#x}"
            )
        return self.blocks(count)


class Reference(Memory):
    """Unicorn. model: a UC_CPU_ARM64_* constant; the Cortex-A57 is an Armv8.0-A processor."""

    def __init__(self, model: int = uc_arm64.UC_CPU_ARM64_A57) -> None:
        super().__init__()
        uc = self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        uc.ctl_set_cpu_model(model)
        for at, region in self.regions.items():
            host = ctypes.addressof(ctypes.c_char.from_buffer(region))
            uc.mem_map_ptr(at, len(region), unicorn.UC_PROT_ALL, host)
        self._set_controls()
        self.at_el1 = uc.context_save()
        self.exceptions = 0
        uc.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)

    def _set_controls(self) -> None:
        """By instructions, as a guest does it. SCTLR_EL1, the last, switches translation on."""
        uc = self.uc
        at = CODE
        for name, value in CONTROLS.items():
            register = SYSREGS[name]
            place = (register.op0, register.op1, register.crn, register.crm, register.op2)
            uc.reg_write(uc_arm64.UC_ARM64_REG_X0, value)
            self.place(at, struct.pack("<I", move_system(False, place, 0)))
            uc.emu_start(at, at + 4)
            at += 64
        self.place(CODE, bytes(0x1000))
        self.forget_code()

    def forget_code(self) -> None:
        self.uc.ctl_flush_tb()

    def _interrupt(self, uc: unicorn.Uc, number: int, _user: object) -> None:
        """No exception is taken by itself: the case reports its number, and ends."""
        pc = uc.reg_read(uc_arm64.UC_ARM64_REG_PC)
        if pc in (FINISHED - 4, FINISHED):  # how Unicorn reports at EL0 that it arrived
            uc.emu_stop()
            return
        at = CASES - STATE + self.reached() * CASE_SIZE + REPORT_AT
        struct.pack_into("<4Q", self.state, at, number + 1, 0, pc, 0)
        self.exceptions += 1
        uc.reg_write(uc_arm64.UC_ARM64_REG_PC, EXCEPTION)

    def run(self, cases: bytes, pstate: int) -> bytes:
        self.begin(cases)
        count = len(cases) // CASE_SIZE
        uc = self.uc
        uc.context_restore(self.at_el1)  # writing PSTATE does not bring it back to EL1
        uc.reg_write(uc_arm64.UC_ARM64_REG_X0, pstate)
        try:
            uc.emu_start(start_of(pstate), FINISHED)
        except unicorn.UcError as error:
            raise Stopped(f"Unicorn stopped at case {self.reached()}: {error}") from error
        return self.blocks(count)
