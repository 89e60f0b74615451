"""Plays a program on a KVM, with the KVM API alone (``guestdbg.kvm``)."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from guestdbg.arm64.esr import EC
from guestdbg.check.differential import controller, layout
from guestdbg.check.differential.initial import memory_of, system_registers
from guestdbg.check.differential.program import (
    Complete,
    Debug,
    Line,
    OnHit,
    SetReg,
)
from guestdbg.check.differential.trace import Moment, Trace, Where
from guestdbg.check.differential.vectors import BUDGET
from guestdbg.check.watchdog import Watchdog
from guestdbg.kvm import (
    ExitDebug,
    ExitIntr,
    ExitMmio,
    ExitSystemEvent,
    GuestDebug,
    KvmError,
    SupportsInstructionLimit,
)
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_PSCI_0_2,
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
)
from guestdbg.kvm.regs import PC, PSTATE, core_reg, sys_reg
from guestdbg.quiet import quiet

if TYPE_CHECKING:
    from guestdbg.check.differential.program import (
        Action,
        HitPolicy,
        Program,
    )
    from guestdbg.check.differential.trace import Seen
    from guestdbg.kvm import (
        Exit,
        Kvm,
        Vcpu,
    )

#: The registers that are read at every exit of a full trace. On a real KVM most of the time goes
#: into reading registers, so a brief trace has only ``BRIEF`` and one general register in turn, and
#: at the end those that the program uses.
EACH = (
    *(f"x{n}" for n in range(31)),
    *("pc", "pstate", "sp", "sp_el1", "elr_el1", "spsr[0]"),
    *("ESR_EL1", "FAR_EL1", "MDSCR_EL1"),
    *(f"v{n}" for n in range(8)),
)
BRIEF = ("pc", "pstate", "elr_el1")
#: The debug registers that a program may use, and one more of each kind.
_DEBUG_REGISTERS = tuple(
    f"DBG{kind}R{n}_EL1"
    for kind, many in (("BC", 7), ("BV", 7), ("WC", 5), ("WV", 5))
    for n in range(many)
)
_USED = (
    *(f"x{n}" for n in (*range(13), *range(16, 23), 25)),
    *("sp", "sp_el1", "spsr[0]", "ESR_EL1", "MDSCR_EL1", "CONTEXTIDR_EL1", "OSLSR_EL1"),
)
_VECTORS = EACH[-8:]
FINAL = (
    *("fpsr", "fpcr"),
    *("CONTEXTIDR_EL1", "OSLSR_EL1", "TPIDR_EL0", "TPIDR_EL1", "PAR_EL1"),
    *_DEBUG_REGISTERS,
)
_CORE = frozenset((*EACH[:37], *_VECTORS, *FINAL[:2]))


def _id(name: str) -> int:
    return core_reg(name) if name in _CORE else sys_reg(name)


_IDS = {name: _id(name) for name in (*EACH, *FINAL)}
_EACH = tuple((name, _IDS[name]) for name in EACH)
_BRIEF = tuple(
    (*((name, _id(name)) for name in BRIEF), (f"x{n}", core_reg(f"x{n}"))) for n in range(31)
)
_MIDR = sys_reg("MIDR_EL1")
_MSR_MASK, _MSR_DEBUG = 0xFFF80000, 0xD5100000

#: How many instructions a run may retire, if the KVM counts them. If not, the watchdog's seconds
#: limit a run.
INSTRUCTIONS = 100_000


class Player:
    """Plays programs on one KVM, each on a machine of its own."""

    def __init__(self, kvm: Kvm, *, full: bool = True, seconds: float = 1.5) -> None:
        self._kvm = kvm
        self._full = full
        self._watchdog = Watchdog(seconds)

    def close(self) -> None:
        """End the watchdog's thread. The KVM belongs to the caller and stays open."""
        self._watchdog.close()

    @quiet()
    def play(self, program: Program, *, full: bool | None = None) -> Trace:
        """Play one program. ``full``: whether the trace is (None: as the player's are).

        There are no warnings meanwhile: random programs are full of undefined instructions.

        Raises:
            KvmError: the machine could not be created. Later errors are part of the trace.
        """
        memory = mmap.mmap(-1, layout.RAM_SIZE)
        memory[:] = memory_of(program)
        with contextlib.closing(self._kvm.create_vm()) as vm:
            vm.set_user_memory_region(0, layout.RAM, memory)
            vcpu = vm.create_vcpu(0)
            vcpu.init(vm.preferred_target().with_feature(KVM_ARM_VCPU_PSCI_0_2))
            device = controller.create(vm) if program.interrupts else None
            for name, value in system_registers(program):
                vcpu.set_one_reg(sys_reg(name), value)
            for n, value in enumerate(program.x):
                if value:
                    vcpu.set_one_reg(core_reg(f"x{n}"), value)
            vcpu.set_one_reg(core_reg("sp"), layout.STACK + 0x400)
            vcpu.set_one_reg(core_reg("sp_el1"), layout.STACK + 0x800)
            vcpu.set_one_reg(PC, layout.CODE)
            vcpu.set_one_reg(PSTATE, 0x3C5 if program.el else 0x3C0)
            where = Where(self._kvm.provider, self._kvm.linux, vcpu.get_one_reg(_MIDR))
            trace = _Playing(
                program, vcpu, memory, self._watchdog, self._full if full is None else full
            ).trace()
            if device is not None:
                trace = replace(trace, final={**trace.final, **controller.final(device)})
            return replace(trace, where=where)

    def play_all(self, programs: Iterable[Program]) -> Iterator[Trace]:
        """Play programs in turn."""
        for program in programs:
            yield self.play(program)


class _Playing:
    def __init__(
        self,
        program: Program,
        vcpu: Vcpu,
        memory: mmap.mmap,
        watchdog: Watchdog,
        full: bool,
    ) -> None:
        self.full = full
        self.program = program
        self.vcpu = vcpu
        self.limited = isinstance(vcpu, SupportsInstructionLimit)
        self.memory = memory
        self.watchdog = watchdog
        self.debug = GuestDebug(0)
        self.stepping_off: GuestDebug | None = None
        self.policy: HitPolicy = "skip"
        self.moments: list[Moment] = []
        self.known: dict[str, int] = {}

    def trace(self) -> Trace:
        for number in range(self.program.exits):
            refused = []
            for n, action in enumerate(self.program.actions(number)):
                try:
                    self.act(action)
                except KvmError as error:
                    refused.append((n, error.errno or 0))
            exit_ = self.run()
            seen = self.seen(exit_)
            self.moments.append(
                Moment(seen, tuple(refused), self.changed(), zlib.crc32(self.written()))
            )
            if seen[0] not in ("debug", "mmio") or seen[:2] == ("mmio", layout.DONE):
                break
            self.after(exit_)
        names = (*EACH, *FINAL) if self.full else self.used()
        final = {name: self.vcpu.get_one_reg(_IDS[name]) for name in names}
        pages = {
            name: zlib.crc32(self.memory[address - layout.RAM :][: layout.PAGE])
            for name, address in layout.DIGESTED.items()
        }
        taken = self.taken() if self.full else ()
        return Trace(self.program.name, tuple(self.moments), final, pages, taken)

    def used(self) -> list[str]:
        """The registers that are read at the end of a brief trace: those that the program may have
        changed, and one debug register of each kind that it may not have changed."""
        program = self.program
        stray = program.seed
        numbers = {("B", stray % 7), ("W", stray % 5)}
        for word in program.code:
            if word & _MSR_MASK == _MSR_DEBUG and word >> 12 & 15 == 0:
                numbers.add(("B" if word >> 5 & 7 < 6 else "W", word >> 8 & 15))
        for action in program.all_actions():
            if isinstance(action, SetReg) and action.name[:3] == "DBG":
                numbers.add((action.name[3], int(action.name[6:-4])))
        names = [f"DBG{kind}{half}R{n}_EL1" for kind, n in sorted(numbers) for half in "CV"]
        vectors = _VECTORS if stray % 2 else ()
        return [*_USED, *vectors, *(name for name in names if name in _IDS)]

    def taken(self) -> tuple[tuple[int, ...], ...]:
        """The guest's log of the exceptions that it took."""
        start = layout.LOG - layout.RAM
        entries = struct.iter_unpack("<5Q", self.memory[start : start + 40 * BUDGET])
        return tuple(itertools.takewhile(any, entries))

    def written(self) -> bytes:
        start, end = layout.DATA - layout.RAM, layout.TABLES - layout.RAM
        return self.memory[start:end]

    def changed(self) -> dict[str, int]:
        get, known = self.vcpu.get_one_reg, self.known
        changed = {}
        for name, reg in _EACH if self.full else _BRIEF[len(self.moments) % 31]:
            value = get(reg)
            if known.get(name) != value:
                changed[name] = known[name] = value
        return changed

    # -- the host's part --------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        match action:
            case Debug():
                self.stepping_off = None
                debug = _guest_debug(action)
                self.vcpu.set_guest_debug(debug)
                self.debug = debug
            case SetReg():
                reg = core_reg(action.name) if action.core else sys_reg(action.name)
                self.vcpu.set_one_reg(reg, action.value)
            case OnHit():
                self.policy = action.policy
            case Line():
                controller.set_line(self.vcpu.vm, action.intid, action.level)
            case Complete():
                self.vcpu.immediate_exit = True
                try:
                    self.vcpu.run()
                finally:
                    self.vcpu.immediate_exit = False

    def run(self) -> Exit | KvmError:
        """KVM_RUN."""
        vcpu = self.vcpu
        if self.limited and isinstance(vcpu, SupportsInstructionLimit):
            retired: int = getattr(vcpu, "instructions", 0)
            vcpu.max_instructions = retired + INSTRUCTIONS
        try:
            with self.watchdog.watching(vcpu):
                return vcpu.run()
        except KvmError as error:
            return error

    def seen(self, exit_: Exit | KvmError) -> Seen:
        """An exit as plain values."""
        match exit_:
            case KvmError():
                return ("errno", exit_.errno or 0)
            case ExitIntr():
                return ("kicked",)
            case ExitMmio():
                access = exit_.phys_addr, exit_.len, int(exit_.is_write)
                return ("mmio", *access, exit_.data.hex())
            case ExitDebug():
                return ("debug", exit_.hsr, exit_.hsr_high, -1 if exit_.far is None else exit_.far)
            case ExitSystemEvent():
                return ("event", exit_.type, *exit_.data)
        return ("other", exit_.reason)

    def after(self, exit_: Exit | KvmError) -> None:
        """What the host does after every exit: complete MMIO reads, and handle hits."""
        if self.stepping_off is not None:
            # The step without the registers has ended, whatever the exit was.
            self.vcpu.set_guest_debug(self.stepping_off)
            self.debug, self.stepping_off = self.stepping_off, None
        if isinstance(exit_, ExitMmio) and not exit_.is_write:
            mark = len(self.moments) * 0x0101010101010101
            value = (0x8877665544332211 + mark) & (1 << 64) - 1
            self.vcpu.complete_mmio(value.to_bytes(8, "little")[: exit_.len])
        elif isinstance(exit_, ExitDebug) and exit_.ec != EC.SOFTSTP_LOW:
            self.hit(exit_)

    def hit(self, exit_: ExitDebug) -> None:
        vcpu = self.vcpu
        policy = self.policy
        if exit_.ec == EC.BRK64 and policy == "step":
            policy = "skip"  # a step does not get past a BRK
        match policy:
            case "skip":
                vcpu.set_one_reg(PC, vcpu.get_one_reg(PC) + 4 & (1 << 64) - 1)
            case "off":
                self.debug = GuestDebug(0)
                vcpu.set_guest_debug(self.debug)
            case "step":
                self.stepping_off = self.debug
                self.debug = GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
                vcpu.set_guest_debug(self.debug)


def _guest_debug(action: Debug) -> GuestDebug:
    def sixteen(pairs: tuple[tuple[int, int, int], ...], place: int) -> tuple[int, ...]:
        by_number = {pair[0]: pair[place] for pair in pairs}
        return tuple(by_number.get(n, 0) for n in range(16))

    b, w = action.breakpoints, action.watchpoints
    return GuestDebug(action.control, sixteen(b, 1), sixteen(b, 2), sixteen(w, 1), sixteen(w, 2))
