"""Cases for the soft provider: every call of the seam, with a random guest."""

from __future__ import annotations

import errno
import random
import threading
from typing import cast

import fuzz_gic
import fuzz_memory
import fuzz_snapshots
import fuzz_words
from fuzz_case import Action, Case, Failure

from guestdbg.arm64.cpu_models import CPU_MODELS
from guestdbg.kvm import Snapshot, open_kvm
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_PSCI_0_2,
    KVM_CAP_ARM_NISV_TO_USER,
    KVM_MEM_READONLY,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import Exit, ExitIntr, ExitMmio
from guestdbg.kvm.hit_programs import SYSTEM_REGISTERS, HitProgram, Op, Operation
from guestdbg.kvm.linux_release import SOFTWARE_VERSIONS
from guestdbg.kvm.regs import core_reg, name_of, size_of, sys_reg
from guestdbg.kvm.soft.vcpu import SoftVcpu
from guestdbg.kvm.soft.vm import SoftVm
from guestdbg.kvm.structures import GuestDebug, VcpuEvents

RAM = 0x4000_0000
PAGES = 16
BASES = (0, 0x1000, 0x8000_0000, RAM + (PAGES << 12), RAM - 0x2000, 0xFF_FFFF_E000, 0xFFF_FFFF_E000)
_X = [core_reg(f"x{n}") for n in range(31)]
_PC, _PSTATE = core_reg("pc"), core_reg("pstate")
_VBAR, _SCTLR, _CPACR = sys_reg("VBAR_EL1"), sys_reg("SCTLR_EL1"), sys_reg("CPACR_EL1")


class SoftCase(Case):
    kind = "soft"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        breakpoints = rng.choice([6, 2, 16])
        # With the host's clock a guest that waits would take real time.
        self.kvm = open_kvm(
            "soft",
            breakpoints=breakpoints,
            watchpoints=rng.choice([4, 2, 16]),
            context_aware=rng.choice([1, 2, breakpoints]),
            cpu=rng.choice(tuple(CPU_MODELS)),
            linux=rng.choice(SOFTWARE_VERSIONS),
            psci_smc=rng.choice([True, False, None]),
        )
        self.vm = cast(SoftVm, self.kvm.create_vm())
        self.kept: list[fuzz_memory.Memory] = []
        self.bases: dict[int, tuple[int, int]] = {}
        self.ram = fuzz_memory.make(rng, PAGES << 12)
        self.ram.view[:0x800] = fuzz_words.vectors(rng)
        self.ram.view[0x1000:0x3000] = fuzz_words.code(rng, 0x800)
        self.near: list[int] = []
        self.gic: fuzz_gic.FuzzedGic | None = None
        self._slot(0, RAM, self.ram, 0)
        if rng.random() < 0.5:
            self.vm.enable_cap(KVM_CAP_ARM_NISV_TO_USER)
        # With it the TLBs follow the guest's tables; it goes on and off with snapshots, too.
        self.vm.stops_are_invisible = rng.random() < 0.4
        self.vcpus: list[SoftVcpu] = []
        init = self.vm.preferred_target()
        if rng.random() < 0.8:
            init = init.with_feature(KVM_ARM_VCPU_PSCI_0_2)
        for n in range(rng.choice([1, 1, 1, 2])):
            vcpu = self.vm.create_vcpu(n)
            vcpu.init(init)
            self.vcpus.append(vcpu)
        if rng.random() < 0.4:
            self.gic = fuzz_gic.FuzzedGic(self.vm, rng)
            self._near()
        for vcpu in self.vcpus:
            self._start(vcpu, rng)
        self.mmio: dict[int, Exit] = {}
        self.taken: list[Snapshot] = []
        self.undone = 0

    def _start(self, vcpu: SoftVcpu, rng: random.Random) -> None:
        vcpu.set_one_reg(_VBAR, RAM)
        vcpu.set_one_reg(_CPACR, rng.choice([0, 3, 3, 3]) << 20)
        vcpu.set_one_reg(_PC, RAM + 0x1000 + 4 * rng.getrandbits(10))
        for reg in _X:
            vcpu.set_one_reg(reg, fuzz_words.value(rng, self.near))

    def _slot(self, slot: int, base: int, memory: fuzz_memory.Memory, flags: int) -> None:
        self.vm.set_user_memory_region(slot, base, memory.view, flags)
        self.bases[slot] = (base, len(memory.view))
        self.kept.append(memory)
        self._near()

    def _near(self) -> None:
        self.near = [
            at for base, size in self.bases.values() for at in (base, base + 0x1000, base + size)
        ]
        if self.gic is not None:
            self.near += self.gic.near

    @property
    def instructions(self) -> int:
        return self.undone + sum(vcpu.instructions for vcpu in self.vcpus)

    def check(self) -> None:
        for memory in self.kept:
            memory.check()

    def close(self) -> None:
        self.check()
        self.vm.close()
        self.kvm.close()

    def actions(self) -> list[tuple[int, Action]]:
        return [
            (30, self.run_guest),
            (6, self.guest_debug),
            (5, self.write_code),
            (4, self.set_registers),
            (3, self.restart),
            (3, self.system_registers),
            (3, self.change_memory),
            (2, self.programs),
            (3, self.take_snapshot),
            (3, self.go_back),
            (2, self.run_twice),
            (2, self.events),
            (2, self.interrupt_controller),
            (2, self.look),
            (2, self.refused),
            (1, self.init_again),
            (1, self.threads),
            (1, self.together),
        ]

    # ---- running ------------------------------------------------------------------------------

    def _step(self, vcpu: SoftVcpu, rng: random.Random) -> Exit | None:
        """One KVM_RUN. None: it failed, and the cause is removed when this returns."""
        try:
            exit_ = vcpu.run()
        except KvmError as error:
            # An access that the syndrome does not describe, or a fetch where there is no memory.
            if error.errno not in (errno.ENOSYS, errno.ENOMEM, errno.EFAULT, errno.EINVAL):
                raise
            self._start(vcpu, rng)
            vcpu.set_one_reg(_SCTLR, 0x30D00800)
            return None
        if not isinstance(exit_, Exit):
            raise Failure(f"run() returned {exit_!r}")
        str(exit_)
        self.did["MMIO exits"] += isinstance(exit_, ExitMmio)
        if isinstance(exit_, ExitMmio) and not exit_.is_write and rng.random() < 0.9:
            vcpu.complete_mmio(rng.randbytes(exit_.len))
        return exit_

    def run_guest(self, rng: random.Random) -> None:
        vcpu = rng.choice(self.vcpus)
        end = vcpu.instructions + rng.choice([1, 10, 1000, 20000])
        vcpu.max_instructions = end
        for _ in range(300):
            vcpu.immediate_exit = rng.random() < 0.02
            before = vcpu.instructions
            exit_ = self._step(vcpu, rng)
            now = vcpu.instructions
            # Instructions that EL2 emulated count too.
            if now > max(end, before) + 1:
                raise Failure(f"{now} instructions after {before}, with a limit of {end}")
            if now >= end:
                break
            if isinstance(exit_, ExitIntr) and not vcpu.immediate_exit:
                if getattr(exit_, "idle", False):
                    self._start(vcpu, rng)
                    vcpu.set_mp_state(0)
            elif exit_ is not None and not isinstance(exit_, (ExitMmio, ExitIntr)):
                choice = rng.random()
                if choice < 0.3:
                    vcpu.set_guest_debug(GuestDebug())
                elif choice < 0.8:
                    vcpu.set_one_reg(_PC, vcpu.get_one_reg(_PC) + 4 & fuzz_words.MASK64)
                else:
                    self._start(vcpu, rng)
        vcpu.max_instructions = None

    def guest_debug(self, rng: random.Random) -> None:
        vcpu = rng.choice(self.vcpus)
        code = [RAM + 0x1000 + 4 * n for n in range(0, 400, 7)]

        def controls(plain: int) -> tuple[int, ...]:
            return tuple(
                rng.choice([0, plain, plain, rng.getrandbits(32)])
                for _ in range(rng.randint(0, 16))
            )

        debug = GuestDebug(
            rng.choice([0, 1, 3, 0x20001, 0x20003, 0x10001, 0x30003]),
            controls(0x1E7),
            tuple(rng.choice(code) for _ in range(16)),
            controls(0x1FF7 | rng.choice([0, 12]) << 24),
            tuple(fuzz_words.value(rng, self.near) for _ in range(16)),
        )
        vcpu.set_guest_debug(debug)
        str(vcpu.debug_state)

    def condition(self, rng: random.Random) -> tuple[Operation, ...] | None:
        register = rng.randrange(31)
        load = (Op.LOAD, rng.choice([1, 2, 4, 8]) | rng.choice([0, 16]), 0)
        return rng.choice(
            [
                None,
                ((Op.COUNT, 0, 0), (Op.CONST, 0, rng.getrandbits(4)), (Op.GE, 0, 0)),
                ((Op.X, register, 0), load),
                ((Op.SP, 0, 0), load, (Op.X, register, 0), (Op.DIV, 0, 0)),
                ((Op.PC, 0, 0), load, (Op.JUMP_IF, 0, 4), (Op.JUMP, 0, 4), (Op.PSTATE, 0, 0)),
                ((Op.SYSTEM, 0, rng.choice([*SYSTEM_REGISTERS.values()])), load),
            ]
        )

    def programs(self, rng: random.Random) -> None:
        vcpu = rng.choice(self.vcpus)
        debug = vcpu.debug_state.external
        made = []
        for _ in range(rng.randint(0, 3)):
            watch = rng.random() < 0.6
            made.append(
                HitProgram(
                    "watch" if watch else "break",
                    rng.choice(debug.wvr if watch else debug.bvr),
                    rng.choice([1, 4, 8, 64]) if watch else 0,
                    rng.choice([1, 2, 3]) if watch else 0,
                    self.condition(rng),
                    rng.choice([None, bytearray(512)]),
                    tuple(rng.randrange(31) for _ in range(rng.getrandbits(2))),
                )
            )
        hidden = [rng.choice(debug.wvr) for _ in range(rng.getrandbits(2))]
        installed = vcpu.set_hit_programs(made, hidden=hidden)
        for n in range(len(made)):
            installed.counts(n)
            installed.recorded(n)

    # ---- snapshots ----------------------------------------------------------------------------

    def take_snapshot(self, rng: random.Random) -> None:
        self.taken.append(self.vm.snapshot())
        if len(self.taken) > fuzz_snapshots.MOST:
            del self.taken[rng.randrange(len(self.taken))]

    def go_back(self, rng: random.Random) -> None:
        if not self.taken:
            self.take_snapshot(rng)
            self.run_guest(rng)
        if self._restore(rng.choice(self.taken)):
            self.run_guest(rng)

    def _restore(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot could be restored."""
        before = sum(vcpu.instructions for vcpu in self.vcpus)
        try:
            self.vm.restore(snapshot)
        except KvmError as error:
            if error.errno != errno.EINVAL:
                raise
            self.did["snapshots refused"] += 1
            return False
        self.did["snapshots gone back to"] += 1
        self.undone += before - sum(vcpu.instructions for vcpu in self.vcpus)
        return True

    def run_twice(self, rng: random.Random) -> None:
        """Run all vCPUs, restore, and run them again: everything must be the same."""
        if any(vcpu.kicked for vcpu in self.vcpus):
            return  # it ends the first run, and is gone
        snapshot = self.vm.snapshot()
        for vcpu in self.vcpus:
            vcpu.set_hit_programs(())
        limits = [rng.choice([0, 1, 100, 2000]) for _ in range(6)]
        answers = random.Random(rng.random()).getstate()
        seen: list[list[str]] = []
        for _ in range(2):
            # Code written without code_changed() may still be decoded as before: runs may differ.
            for base, size in self.bases.values():
                self.vm.code_changed(base, size)
            own = random.Random()
            own.setstate(answers)
            texts = []
            for n, limit in enumerate(limits):
                vcpu = self.vcpus[n % len(self.vcpus)]
                vcpu.max_instructions = vcpu.instructions + limit
                texts.append(f"{self._step(vcpu, own)} {vcpu.instructions} {vcpu.debug_state}")
            for vcpu in self.vcpus:
                texts.append(str([(reg, vcpu.get_one_reg(reg)) for reg in vcpu.get_reg_list()]))
            texts += [bytes(memory.view).hex() for memory in self.kept]
            seen.append(texts)
            if not self._restore(snapshot):
                raise Failure("a snapshot just taken was refused")
        for first, second in zip(*seen, strict=True):
            if first != second:
                raise Failure(f"the second run from a snapshot differs:\n{first}\n{second}")

    # ---- state --------------------------------------------------------------------------------

    def write_code(self, rng: random.Random) -> None:
        count = rng.choice([1, 16, 256])
        at = 0x1000 + 4 * rng.randrange(0x800)
        data = fuzz_words.code(rng, count)
        self.ram.view[at : at + len(data)] = data
        self.vm.code_changed(RAM + at, len(data))

    def restart(self, rng: random.Random) -> None:
        vcpu = rng.choice(self.vcpus)
        self._start(vcpu, rng)
        vcpu.set_one_reg(_PSTATE, rng.choice([0x3C5, 0x3C0, 0x3C4, 5, 0]))

    def set_registers(self, rng: random.Random) -> None:
        """Any register, any value: refused with EINVAL, ENOENT, EPERM or EBUSY, or accepted."""
        vcpu = rng.choice(self.vcpus)
        ids = vcpu.get_reg_list()
        for _ in range(rng.randint(1, 20)):
            reg = rng.choice(ids)
            value = fuzz_words.value(rng, self.near) & (1 << 8 * size_of(reg)) - 1
            if reg == _VBAR and rng.random() < 0.9:
                continue
            try:
                vcpu.set_one_reg(reg, value)
            except KvmError as error:
                if error.errno not in (errno.EINVAL, errno.ENOENT, errno.EPERM, errno.EBUSY):
                    raise
            vcpu.get_one_reg(reg)
            name_of(reg)

    def system_registers(self, rng: random.Random) -> None:
        """Translation on: blocks that map to their own address, with random permissions."""
        vcpu = rng.choice(self.vcpus)
        for n in range(4):
            entry = n << 30 | 1 << 10 | 1 | rng.choice([0, 0, 1, 3]) << 6
            self.ram.view[0x8000 + 8 * n : 0x8008 + 8 * n] = entry.to_bytes(8, "little")
        vcpu.set_one_reg(sys_reg("MAIR_EL1"), 0xFF)
        vcpu.set_one_reg(sys_reg("TCR_EL1"), 25 | 25 << 16 | 2 << 30 | 2 << 32)
        vcpu.set_one_reg(sys_reg("TTBR0_EL1"), RAM + 0x8000)
        vcpu.set_one_reg(_SCTLR, 0x30D00800 | rng.getrandbits(1))

    def change_memory(self, rng: random.Random) -> None:
        slot = rng.choice([1, 2, 3, 600])
        try:
            if slot in self.bases and rng.random() < 0.6:
                self.vm.set_user_memory_region(slot, 0, None)
                del self.bases[slot]
                self._near()
                return
            memory = fuzz_memory.make(rng, rng.choice([1, 2, 16]) << 12)
            flags = rng.choice([0, 0, KVM_MEM_READONLY, 1, rng.getrandbits(4)])
            self._slot(slot, rng.choice(BASES), memory, flags)
        except KvmError as error:
            if error.errno not in (errno.EINVAL, errno.EEXIST, errno.EFAULT, errno.ENOSPC):
                raise

    def events(self, rng: random.Random) -> None:
        vcpu = rng.choice(self.vcpus)
        choice = rng.randrange(5)
        if choice == 0:
            vcpu.set_vcpu_events(VcpuEvents(serror_pending=rng.random() < 0.5))
        elif choice == 1:
            vcpu.set_vcpu_events(VcpuEvents(ext_dabt_pending=True))
        elif choice == 2:
            self._line(rng, vcpu)
        elif choice == 3:
            vcpu.kick()
        else:
            vcpu.set_mp_state(rng.choice([0, 0, 5]))

    def _line(self, rng: random.Random, vcpu: SoftVcpu) -> None:
        if self.gic is not None:
            self.gic.line(rng, vcpu.id)
        else:
            self.vm.irq_line(vcpu.id << 16 | rng.getrandbits(1), rng.getrandbits(1))

    def interrupt_controller(self, rng: random.Random) -> None:
        """Its registers, and some of its lines."""
        if self.gic is not None:
            self.gic.attributes(rng)
            for _ in range(rng.getrandbits(3)):
                self._line(rng, rng.choice(self.vcpus))

    def look(self, rng: random.Random) -> None:
        vcpu = rng.choice(self.vcpus)
        for reg in vcpu.get_reg_list():
            vcpu.get_one_reg(reg)
        vcpu.get_vcpu_events()
        vcpu.get_mp_state()
        str(vcpu.debug_state)
        repr(vcpu)

    def refused(self, rng: random.Random) -> None:
        """Calls with wrong arguments: each raises KvmError and nothing else."""
        vcpu = rng.choice(self.vcpus)
        anything = rng.choice([-1, 0, 1 << 64, 1 << 70, rng.getrandbits(64)])
        for call in (
            lambda: vcpu.get_one_reg(anything),
            lambda: vcpu.set_one_reg(anything, 0),
            lambda: vcpu.set_one_reg(_PC, 1 << 64),
            lambda: vcpu.set_one_reg(_PSTATE, rng.getrandbits(64)),
            lambda: vcpu.set_guest_debug(GuestDebug(rng.getrandbits(32))),
            lambda: vcpu.set_mp_state(rng.getrandbits(8)),
            lambda: vcpu.complete_mmio(rng.randbytes(rng.getrandbits(4))),
            lambda: vcpu.init(self.vm.preferred_target().with_feature(rng.getrandbits(5))),
            lambda: self.vm.create_vcpu(rng.choice([-1, 0, 1 << 20])),
            lambda: self.vm.create_device(rng.choice([0, 6, 8, 9, -1])),
            lambda: self.vm.irq_line(anything, 1),
            lambda: self.vm.enable_cap(rng.getrandbits(8)),
            lambda: self.vm.set_user_memory_region(anything, 0, bytearray(4096)),
            lambda: self.vm.set_user_memory_region(9, anything | 1, bytearray(4096)),
            lambda: self.vm.set_user_memory_region(9, RAM, bytearray(4096)),
            lambda: self.vm.set_user_memory_region(9, 0, bytearray(rng.getrandbits(11) + 1)),
            lambda: self.vm.set_device_attr(0, 0, b""),
            lambda: vcpu.get_device_attr(rng.getrandbits(2), rng.getrandbits(2), 4),
        ):
            try:
                call()
            except KvmError:
                continue

    def init_again(self, rng: random.Random) -> None:
        vcpu = rng.choice(self.vcpus)
        init = vcpu.initialised_with
        assert init is not None
        vcpu.init(init)
        self._start(vcpu, rng)

    def threads(self, rng: random.Random) -> None:
        """A run that another thread ends. (How far it gets depends on the host: memory and counts
        are not compared.)"""
        vcpu = rng.choice(self.vcpus)
        vcpu.set_guest_debug(GuestDebug())
        vcpu.max_instructions = vcpu.instructions + 200_000
        timer = threading.Timer(rng.random() / 100, vcpu.kick)
        timer.start()
        self._step(vcpu, rng)
        timer.join()
        vcpu.max_instructions = None

    def together(self, rng: random.Random) -> None:
        """Each vCPU with a thread of its own, while another thread changes the machine."""
        wrong: list[BaseException] = []

        def go_on(vcpu: SoftVcpu, own: random.Random) -> None:
            try:
                for _ in range(20):
                    self._step(vcpu, own)
            except BaseException as error:
                wrong.append(error)

        for vcpu in self.vcpus:
            vcpu.set_guest_debug(GuestDebug())
            vcpu.max_instructions = vcpu.instructions + 50_000
        threads = [
            threading.Thread(target=go_on, args=(vcpu, random.Random(rng.random())))
            for vcpu in self.vcpus
        ]
        for thread in threads:
            thread.start()
        for _ in range(10):
            choice = rng.randrange(6)
            if choice >= 4:
                self._snapshot_meanwhile(restore=choice == 5)
            elif choice == 0:
                self.change_memory(rng)
            elif choice == 1:
                self.write_code(rng)
            elif choice == 2:
                self._line(rng, rng.choice(self.vcpus))
            else:
                rng.choice(self.vcpus).kick()
        for thread in threads:
            thread.join()
        for vcpu in self.vcpus:
            vcpu.max_instructions = None
        if wrong:
            raise wrong[0]

    def _snapshot_meanwhile(self, *, restore: bool) -> None:
        """Refused (EBUSY) while a vCPU runs; otherwise it must work."""
        try:
            if restore and self.taken:
                self.vm.restore(self.taken[-1])
            else:
                self.vm.snapshot()
        except KvmError as error:
            if error.errno not in (errno.EBUSY, errno.EINVAL):
                raise
