"""The machine that a case runs on, and its vCPU."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from guestdbg.arm64.debug import RegisterPair
from guestdbg.arm64.registers import by_name
from guestdbg.check import assembler as asm
from guestdbg.check import layout
from guestdbg.check.expect import Expectations
from guestdbg.check.verdict import Failure, Skipped
from guestdbg.kvm import (
    ExitIntr,
    ExitMmio,
    GuestDebug,
    KvmError,
    SupportsCodeChanged,
    SupportsInstructionLimit,
)
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_PSCI_0_2,
    KVM_CAP_GUEST_DEBUG_HW_BPS,
    KVM_CAP_GUEST_DEBUG_HW_WPS,
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_USE_SW_BP,
)
from guestdbg.kvm.regs import CORE_REGS, core_reg, sys_reg

if TYPE_CHECKING:
    from guestdbg.check.watchdog import Watchdog
    from guestdbg.kvm import (
        Exit,
        Kvm,
        Vcpu,
        Vm,
    )

ENABLE = KVM_GUESTDBG_ENABLE
STEP = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP
USE_HW = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW
USE_SW_BP = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP

#: PSTATE of EL1 and EL0 with every exception masked, and PSTATE.D.
EL1H, EL0T, PSTATE_D = 0x3C5, 0x3C0, 1 << 9

#: Pairs of control and value register: by number, or a sequence that starts with number 0.
Pairs = Mapping[int, RegisterPair] | Sequence[RegisterPair]

#: What a positive control gives back to the guest: all that decides what it does, and whether it
#: stops.
_GIVEN_BACK = (
    *(CORE_REGS[f"x{n}"] for n in range(31)),
    *(CORE_REGS[name] for name in ("sp", "sp_el1", "elr_el1", "spsr[0]", "pc", "pstate")),
    *(sys_reg(name) for name in ("CONTEXTIDR_EL1", "MDSCR_EL1")),
)

#: How many instructions a run may retire, if the KVM counts them. If not, the watchdog's seconds
#: limit a run.
INSTRUCTIONS = 1_000_000


class Machine:
    """A machine: memory with translation tables, exception vectors, and room for programs."""

    def __init__(self, kvm: Kvm, watchdog: Watchdog) -> None:
        self.kvm = kvm
        self.watchdog = watchdog
        self.memory = mmap.mmap(-1, layout.RAM_SIZE)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            # A stage 2 fault for each page: KVM cleans the caches for the page when it maps it.
            self.memory.madvise(mmap.MADV_NOHUGEPAGE)
        self.vm: Vm = kvm.create_vm()
        self.vm.set_user_memory_region(0, layout.RAM, self.memory)
        self._next = {1: layout.EL1_CODE, 0: layout.EL0_CODE}
        self.write(layout.TABLES, layout.tables())
        for offset in range(0, 0x800, 0x80):
            words = asm.flat(
                asm.mov(28, layout.TAKEN + offset),
                asm.mrs(29, "ESR_EL1"),
                asm.str_(29, 28),
                asm.b(0),
            )
            self.place(layout.VECTORS + offset, words)

    def close(self) -> None:
        """Close the machine."""
        self.vm.close()

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to memory."""
        start = address - layout.RAM
        self.memory[start : start + len(data)] = data

    def read(self, address: int, length: int) -> bytes:
        """Read bytes of memory."""
        start = address - layout.RAM
        return self.memory[start : start + length]

    def code_at(self, address: int, count: int) -> bytes:
        """Up to ``count`` instructions as bytes; empty outside the regions for code."""
        if address % 4 or not layout.EL1_CODE <= address < layout.DATA:
            return b""
        return self.read(address, 4 * count)

    def u64(self, address: int) -> int:
        """Read a doubleword of memory."""
        return int.from_bytes(self.read(address, 8), "little")

    def place(self, address: int, words: Sequence[int]) -> None:
        """Write instructions to memory. Use addresses that the guest has not executed yet."""
        data = asm.Code(address, tuple(words), {}).data
        self.write(address, data)
        if isinstance(self.vm, SupportsCodeChanged):
            self.vm.code_changed(address, len(data))

    def program(self, *items: asm.Item, el: int = 1) -> asm.Code:
        """Assemble a program into a new slot that this EL may execute."""
        code = asm.assemble(self._next[el], *items)
        self._next[el] += layout.SLOT
        limit = layout.VECTORS if el else layout.DATA
        if self._next[el] > limit or len(code.words) * 4 > layout.SLOT:
            raise ValueError("the case has more programs than there is room for")
        self.place(code.address, code.words)
        return code


class Rig(Expectations):
    """A vCPU on its machine: what a case gets.

    Attributes:
        machine: memory and programs; shared by the vCPUs of one machine.
        vcpu: the vCPU, for calls that have no method here.
        number: the vCPU's number.
        breakpoints, watchpoints: how many registers KVM reports.
        asked: the last argument of KVM_SET_GUEST_DEBUG.
        last_exit: the exit of the last KVM_RUN.
        family: this rig and those that the case made from it; the one that ran last is the last.
    """

    def __init__(self, machine: Machine, number: int = 0, family: list[Rig] | None = None) -> None:
        self.machine = machine
        self.number = number
        self.asked: GuestDebug | None = None
        self.last_exit: Exit | None = None
        self.family: list[Rig] = [] if family is None else family
        self.family.append(self)
        self.kvm = machine.kvm
        self.vcpu: Vcpu = machine.vm.create_vcpu(number)
        self._others: list[Rig] = []
        self._machines: list[Machine] = []
        self._unfinished = False
        self._init = machine.vm.preferred_target().with_feature(KVM_ARM_VCPU_PSCI_0_2)
        self.reset()
        self.breakpoints = self.kvm.check_extension(KVM_CAP_GUEST_DEBUG_HW_BPS)
        self.watchpoints = self.kvm.check_extension(KVM_CAP_GUEST_DEBUG_HW_WPS)

    def reset(self) -> None:
        """KVM_ARM_VCPU_INIT, and then the state in which a case starts: at EL1, with the MMU on."""
        self.vcpu.init(self._init)
        for name, value in (
            ("MAIR_EL1", layout.MAIR),
            ("TCR_EL1", layout.TCR),
            ("TTBR0_EL1", layout.TABLES),
            ("VBAR_EL1", layout.VECTORS),
            ("CPACR_EL1", 3 << 20),
            ("SCTLR_EL1", layout.SCTLR),
        ):
            self.set_reg(name, value)
        self.pstate = EL1H

    # -- more vCPUs and machines ------------------------------------------------------------------

    def another_vcpu(self) -> Rig:
        """One more vCPU of the same machine."""
        rig = Rig(self.machine, 1 + len(self._others), self.family)
        self._others.append(rig)
        return rig

    def another_machine(self) -> Rig:
        """A vCPU of another machine, which is closed with this one."""
        machine = Machine(self.kvm, self.machine.watchdog)
        self._machines.append(machine)
        return Rig(machine, family=self.family)

    def close(self) -> None:
        """Close all machines."""
        for machine in (*self._machines, self.machine):
            machine.close()

    # -- registers --------------------------------------------------------------------------------

    def core(self, name: str) -> int:
        """A core register: x0 … x30, sp (SP_EL0), sp_el1, elr_el1, spsr[0], v0 …"""
        return self.vcpu.get_one_reg(core_reg(name))

    def set_core(self, name: str, value: int) -> None:
        """Write a core register."""
        self.vcpu.set_one_reg(core_reg(name), value)

    def reg(self, name: str) -> int:
        """A system register, by the manual's name."""
        return self.vcpu.get_one_reg(sys_reg(name))

    def set_reg(self, name: str, value: int) -> None:
        """Write a system register."""
        self.vcpu.set_one_reg(sys_reg(name), value)

    def x(self, n: int) -> int:
        """Xn."""
        return self.core(f"x{n}")

    def set_x(self, n: int, value: int) -> None:
        """Write Xn."""
        self.set_core(f"x{n}", value)

    @property
    def pc(self) -> int:
        """The PC."""
        return self.core("pc")

    @pc.setter
    def pc(self, value: int) -> None:
        self.set_core("pc", value)

    @property
    def pstate(self) -> int:
        """PSTATE, in the format of SPSR_ELx."""
        return self.core("pstate")

    @pstate.setter
    def pstate(self, value: int) -> None:
        self.set_core("pstate", value)

    # -- programs ---------------------------------------------------------------------------------

    def code(self, *items: asm.Item, el: int = 1) -> asm.Code:
        """Assemble a program into a new slot, and set the PC to its start, at this EL."""
        code = self.machine.program(*items, el=el)
        self.start(code, el=el)
        return code

    def start(self, code: asm.Code, *, el: int = 1) -> None:
        """Set the PC to the first instruction of a program (again), at this EL."""
        self.complete()
        self.pc = code.address
        self.pstate = EL1H if el else EL0T

    @staticmethod
    def finish(register: int = 31) -> list[int]:
        """Instructions that end a program: they store the register to DONE. Uses x28."""
        return asm.flat(asm.mov(28, layout.DONE), asm.str_(register, 28), asm.b(0))

    # -- debugging --------------------------------------------------------------------------------

    def debug(self, control: int, breakpoints: Pairs = (), watchpoints: Pairs = ()) -> None:
        """KVM_SET_GUEST_DEBUG."""
        b, w = _sixteen(breakpoints), _sixteen(watchpoints)
        self.asked = GuestDebug(
            control,
            tuple(p.control for p in b),
            tuple(p.value for p in b),
            tuple(p.control for p in w),
            tuple(p.value for p in w),
        )
        self.vcpu.set_guest_debug(self.asked)

    def run(self, *, may_be_idle: bool = False) -> Exit:
        """KVM_RUN. A guest that does not stop is kicked out of it, and that is a failure.

        ``may_be_idle``: the guest waits for the case, and a KVM that does not wait with it may
        return (``ExitIntr.idle``).
        """
        vcpu = self.vcpu
        if isinstance(vcpu, SupportsInstructionLimit):
            retired: int = getattr(vcpu, "instructions", 0)
            vcpu.max_instructions = retired + INSTRUCTIONS
        watchdog = self.machine.watchdog
        if self.family[-1] is not self:
            self.family.remove(self)
            self.family.append(self)
        with watchdog.watching(vcpu):
            exit_ = vcpu.run()
        self.last_exit = exit_
        self._unfinished = isinstance(exit_, ExitMmio)
        if may_be_idle and isinstance(exit_, ExitIntr) and exit_.idle:
            return exit_
        if watchdog.expired or (exit_.reason == 10 and not vcpu.immediate_exit):
            raise Failure("the guest to stop by itself", f"it ran on, to {self.pc:#x}: {exit_}")
        return exit_

    def complete(self) -> None:
        """Let KVM complete the access of the last KVM_EXIT_MMIO, which moves the PC.

        Source: KVM API 5 (kvm_run, KVM_EXIT_MMIO and immediate_exit).
        """
        if self._unfinished:
            self._unfinished = False
            self.vcpu.immediate_exit = True
            try:
                self.vcpu.run()
            finally:
                self.vcpu.immediate_exit = False

    @contextmanager
    def positive_control(self) -> Iterator[None]:
        """Show that the guest *does* stop if only the difference under test is another one.

        For a case about what must not stop the guest: inside, the case changes that difference
        alone (the watched address, the direction, the level, the control word), and expects the
        stop. Afterwards the guest is where it was, and the case takes the control's debugging
        back with a ``debug`` of its own. Without this, a KVM that never stops passes.
        """
        get, set_ = self.vcpu.get_one_reg, self.vcpu.set_one_reg
        before = [(reg_id, get(reg_id)) for reg_id in _GIVEN_BACK]
        try:
            yield
        except Failure as failure:
            raise Failure(f"as a positive control, {failure.expected}", failure.seen) from failure
        self.complete()
        for reg_id, value in before:
            set_(reg_id, value)

    # -- requirements -----------------------------------------------------------------------------

    def skip(self, reason: str) -> None:
        """End the case: it cannot be judged here, for this reason.

        Raises:
            Skipped: always.
        """
        raise Skipped(reason)

    def need_breakpoints(self, count: int) -> None:
        """Skip unless there are at least ``count`` breakpoint registers."""
        if self.breakpoints < count:
            self.skip(f"KVM_CAP_GUEST_DEBUG_HW_BPS: there are {self.breakpoints}")

    def need_watchpoints(self, count: int) -> None:
        """Skip unless there are at least ``count`` watchpoint registers."""
        if self.watchpoints < count:
            self.skip(f"KVM_CAP_GUEST_DEBUG_HW_WPS: there are {self.watchpoints}")

    def context_aware(self) -> list[int]:
        """The numbers of the context-aware breakpoints, highest first."""
        count = by_name("ID_AA64DFR0_EL1").get(self.reg("ID_AA64DFR0_EL1"), "CTX_CMPs") + 1
        return list(range(self.breakpoints - 1, self.breakpoints - 1 - count, -1))

    def refused(self, call: str, action: object, number: int = errno.EINVAL) -> None:
        """Expect ``action()`` to be refused with this errno."""
        name = errno.errorcode[number]
        try:
            assert callable(action)
            action()
        except KvmError as error:
            if error.errno != number:
                raise Failure(f"{call}: {name}", str(error)) from error
            return
        raise Failure(f"{call}: {name}", "it was accepted")


def _sixteen(pairs: Pairs) -> list[RegisterPair]:
    numbers = pairs if isinstance(pairs, Mapping) else dict(enumerate(pairs))
    return [numbers.get(n, RegisterPair(0, 0)) for n in range(16)]
