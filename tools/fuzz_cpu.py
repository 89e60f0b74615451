"""Cases for the bare processor: whatever its holder and its guest may do, in any order."""

from __future__ import annotations

import contextlib
import gc
import random
from collections.abc import Callable

import fuzz_memory
import fuzz_snapshots
import fuzz_words
from fuzz_case import Action, Case, Failure

from guestdbg.arm64.cpu_models import CPU_MODELS
from guestdbg.cpu.identification import identification
from guestdbg.cpu.processor import (
    EXIT_EL2,
    EXIT_HIT,
    EXIT_KICK,
    EXIT_LIMIT,
    EXIT_MAINTENANCE,
    EXIT_STUCK,
    EXIT_TIMER,
    EXIT_TRACE,
    HitPrograms,
    Pages,
    PhysicalMemory,
    Processor,
)

RAM = 0x4000_0000
PAGES = 16
BASES = (
    0,
    0x1000,
    0x8000_0000,
    RAM + (PAGES << 12),
    RAM - 0x2000,
    0xFFF_FFFF_E000,
    0xFFFF_FFFF_E000,
)
REASONS = {
    EXIT_EL2, EXIT_LIMIT, EXIT_KICK, EXIT_TIMER, EXIT_STUCK, EXIT_HIT, EXIT_MAINTENANCE,
    EXIT_TRACE,
}  # fmt: skip
VBAR, SCTLR, TCR, TTBR0, TTBR1, MAIR = 0xC600, 0xC080, 0xC102, 0xC100, 0xC101, 0xC510
CPACR = 0xC082
ICH_HCR, ICH_MISR, ICH_VMCR = 0xE658, 0xE65A, 0xE65F


class CpuCase(Case):
    kind = "cpu"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rng = self.rng
        self.memory = PhysicalMemory()
        self.slots: dict[int, tuple[int, fuzz_memory.Memory]] = {}
        self.retired: list[fuzz_memory.Memory] = []
        self.counted = 0
        self.taken: list[fuzz_snapshots.Taken] = []
        self.by_the_host: list[Processor] = []
        self.ram = fuzz_memory.make(rng, PAGES << 12)
        self.near: list[int] = []
        self._map(0, RAM, self.ram, False)
        self.cpus = [self._new_cpu(rng) for _ in range(rng.choice([1, 1, 1, 2]))]
        for cpu in self.cpus:
            cpu.set_sysreg(VBAR, RAM)
            cpu.set_sysreg(CPACR, rng.choice([0, 3, 3, 3]) << 20)
            cpu.pc = RAM + 0x1000
            self._registers(cpu, rng)
        self.ram.view[:0x800] = fuzz_words.vectors(rng)
        self.ram.view[0x1000:0x3000] = fuzz_words.code(rng, 0x800)

    def _new_cpu(self, rng: random.Random) -> Processor:
        breakpoints = rng.choice([6, 2, 16])
        clock = self.choose_clock(rng)
        cpu = Processor(
            self.memory,
            breakpoints=breakpoints,
            watchpoints=rng.choice([4, 2, 16]),
            context_aware=rng.choice([1, 2, breakpoints]),
            identification=identification(rng.choice(tuple(CPU_MODELS))),
            clock=clock,
        )
        if clock == "host":
            self.by_the_host.append(cpu)
        return cpu

    def choose_clock(self, rng: random.Random) -> str:
        return rng.choice(["virtual", "virtual", "virtual", "host"])

    def came_back(self, cpu: Processor, reason: int) -> None:
        """run() returned this."""

    def trace_is_full(self) -> None:
        """Make room."""

    def _registers(self, cpu: Processor, rng: random.Random) -> None:
        for n in range(31):
            cpu.set_x(n, fuzz_words.value(rng, self.near))
        cpu.sp_el0 = fuzz_words.value(rng, self.near) & ~15
        cpu.sp_el1 = fuzz_words.value(rng, self.near) & ~15

    def _map(self, slot: int, base: int, memory: fuzz_memory.Memory, readonly: bool) -> None:
        self.memory.map(slot, base, memory.view, readonly)
        self.slots[slot] = (base, memory)
        self.near = [
            at
            for base, mem in self.slots.values()
            for at in (base, base + 0x1000, base + len(mem.view) // 2, base + len(mem.view))
        ]

    @property
    def instructions(self) -> int:
        return self.counted + sum(cpu.instructions for cpu in self.cpus)

    def check(self) -> None:
        for _, memory in self.slots.values():
            memory.check()
        for memory in self.retired:
            memory.check()

    def close(self) -> None:
        self.check()
        self.counted += sum(cpu.instructions for cpu in self.cpus)
        self.cpus = []

    def actions(self) -> list[tuple[int, Action]]:
        return [
            (30, self.run_guest),
            (6, self.write_code),
            (6, self.translate),
            (5, self.set_system_registers),
            (4, self.set_registers),
            (4, self.set_el2),
            (4, self.set_debug),
            (4, self.set_gic),
            (3, self.set_programs),
            (3, self.change_memory),
            (3, self.write_data),
            (3, self.take_snapshot),
            (3, self.go_back),
            (2, self.run_twice),
            (2, self.set_pstate),
            (2, self.lines_and_time),
            (2, self.inject),
            (2, self.look),
            (2, self.wrong_arguments),
            (1, self.reset),
            (1, self.replace_processor),
        ]

    # ---- running ------------------------------------------------------------------------------

    def run_guest(self, rng: random.Random) -> None:
        """Run, and be the hypervisor for what comes to EL2, within a budget."""
        cpu = rng.choice(self.cpus)
        budget = rng.choice([1, 5, 100, 1000, 3000, 3000, 30000])
        if rng.random() < 0.5:  # not where the last one went round for ever
            cpu.pc = RAM + 0x1000 + rng.getrandbits(11) * 4
            self._registers(cpu, rng)
        self._run(cpu, rng, budget)

    # One branch for each reason for which the processor comes back.
    def _run(  # noqa: C901
        self, cpu: Processor, rng: random.Random, budget: int, *, pass_hits: bool = False
    ) -> None:
        end = cpu.instructions + budget
        for _ in range(400):
            before = cpu.instructions
            reason = cpu.run(end)
            now = cpu.instructions
            self.came_back(cpu, reason)
            if reason not in REASONS:
                raise Failure(f"run() came back with {reason}")
            if now < before or now > max(end, before):
                raise Failure(f"{now} instructions after {before}, with a limit of {end}")
            if reason == EXIT_LIMIT and now < end:
                raise Failure(f"a limit of {end} reached at {now}")
            if reason == EXIT_LIMIT:
                return
            if reason == EXIT_EL2 and cpu.esr_el2 >> 26 in (0x24, 0x25):
                self.did["accesses outside memory"] += 1
            if reason == EXIT_EL2 and pass_hits and cpu.esr_el2 >> 26 in (0x24, 0x30, 0x34):
                cpu.skip_instruction()
            elif reason == EXIT_EL2:
                self._hypervisor(cpu, rng)
            elif reason == EXIT_STUCK:
                cpu.set_sysreg(VBAR, RAM)
                cpu.set_sysreg(SCTLR, cpu.get_sysreg(SCTLR) & ~1)
                cpu.pc = RAM + 0x1000 + rng.getrandbits(10) * 4
            elif reason == EXIT_MAINTENANCE:
                self._maintenance(cpu, rng)
            elif reason == EXIT_TRACE:
                self.trace_is_full()
            elif reason == EXIT_HIT and cpu.programs is not None:
                for n, *_ in cpu.programs.hit()[4]:
                    if cpu.programs.counts(n)[0] == 0:
                        raise Failure(f"a hit of program {n}, which has seen none")
                if cpu.programs.full():
                    for n in range(len(cpu.programs)):
                        cpu.programs.clear(n)
                elif cpu.esr_el2 >> 26 == 0x30:
                    cpu.skip_instruction()

    def _maintenance(self, cpu: Processor, rng: random.Random) -> None:
        """Remove the cause, or put something else into the list registers."""
        if not cpu.get_sysreg(ICH_HCR) & 1 or not cpu.get_sysreg(ICH_MISR):
            raise Failure("a maintenance interrupt without a cause")
        self.did["maintenance interrupts"] += 1
        self._list_registers(cpu, rng, 1 << 41 if rng.random() < 0.3 else 0)
        if rng.random() < 0.8:
            cpu.set_sysreg(ICH_HCR, rng.choice([1, 1, 0]))

    def _list_registers(self, cpu: Processor, rng: random.Random, eoi: int) -> None:
        count = rng.randint(0, cpu.list_registers)
        cpu.load_list_registers(
            [
                rng.choice([1, 1, 2, 3, 0]) << 62 | rng.getrandbits(1) << 60
                | rng.getrandbits(8) << 48 | eoi | rng.choice([rng.getrandbits(5), 1022, 9000])
                for _ in range(count)
            ]
        )  # fmt: skip

    def set_gic(self, rng: random.Random) -> None:
        """A GIC of either version, most often enabled; its frame over memory or beside it."""
        cpu = rng.choice(self.cpus)
        if cpu.gic_version == 0 or rng.random() < 0.3:
            cpu.set_gic(rng.choice([0, 2, 2, 3, 3]), rng.choice([1, 4, 4, 16]))
        if cpu.gic_version == 0:
            return
        if cpu.gic_version == 2:
            frame = rng.choice([*BASES, RAM + (rng.randrange(4, PAGES) << 12)])
            cpu.set_gicv(None if rng.random() < 0.1 else min(frame, (1 << 48) - 0x2000))
            self.near += [frame, frame + 0xC, frame + 0x10, frame + 0x1000]
        cpu.hcr_el2 |= 3 << 3
        cpu.set_sysreg(ICH_VMCR, rng.choice([0xF80000EB, 0xF80000E8, rng.getrandbits(32)]))
        cpu.set_sysreg(ICH_HCR, rng.choice([1, 1, 1, rng.getrandbits(32)]))
        self._list_registers(cpu, rng, rng.getrandbits(1) << 41)

    def _hypervisor(self, cpu: Processor, rng: random.Random) -> None:
        ec = cpu.esr_el2 >> 26
        choice = rng.random()
        if ec in (0x20, 0x21) or choice < 0.1:
            cpu.pc = rng.choice(self.near) - 4 * rng.randint(0, 64) & fuzz_words.MASK64
            if choice < 0.5:
                cpu.set_sysreg(SCTLR, cpu.get_sysreg(SCTLR) & ~1)
                cpu.pc = RAM + 0x1000 + rng.getrandbits(10) * 4
        elif ec == 0x32:
            cpu.mdscr_el1 &= ~1
        elif ec in (0x30, 0x34) and choice < 0.7:
            cpu.mdcr_el2 &= ~(1 << 8)
        elif choice < 0.3:
            cpu.take_exception(0x02000000, rng.choice([None, 0, 1 << 63]))
        elif ec != 0x16:
            cpu.skip_instruction()

    # ---- what the guest finds -----------------------------------------------------------------

    def write_code(self, rng: random.Random) -> None:
        base, memory = rng.choice(list(self.slots.values()))
        count = rng.choice([1, 16, 256])
        at = rng.randrange(0, len(memory.view) - 4 * count + 1, 4)
        if memory is self.ram and at < 0x800 and rng.random() < 0.8:
            at = 0x1000
        memory.view[at : at + 4 * count] = fuzz_words.code(rng, count)
        if rng.random() < 0.8:
            self.memory.code_changed(base + at, 4 * count)

    def write_data(self, rng: random.Random) -> None:
        _, memory = rng.choice(list(self.slots.values()))
        at = rng.randrange(0, len(memory.view))
        data = rng.randbytes(min(rng.getrandbits(7), len(memory.view) - at))
        memory.view[at : at + len(data)] = data

    def translate(self, rng: random.Random) -> None:
        """Tables at random in the RAM, and registers that use them."""
        tables = [RAM + (n << 12) for n in range(8, 12)]
        pages = [base + (n << 12) for base, _ in self.slots.values() for n in range(4)]
        for table in tables:
            if rng.random() < 0.5:
                at = table - RAM
                for _ in range(40):
                    index = rng.choice([rng.getrandbits(4), rng.getrandbits(9), 511])
                    entry = fuzz_words.descriptor(rng, tables, pages)
                    self.ram.view[at + 8 * index : at + 8 * index + 8] = entry.to_bytes(8, "little")
        cpu = rng.choice(self.cpus)
        grain = rng.choice([0, 0, 1, 2, 3])
        tcr = rng.choice([25, 16, 39, 32, rng.getrandbits(6)])
        tcr |= rng.choice([25, 16, 39, 32, rng.getrandbits(6)]) << 16 | grain << 14
        tcr |= (
            rng.choice([2, 2, 1, 3, 0]) << 30 | rng.getrandbits(3) << 32 | rng.getrandbits(2) << 37
        )
        if rng.random() < 0.1:
            tcr = rng.getrandbits(64)
        identity = rng.random() < 0.6
        if identity:  # so that code goes on where it is: 1 GiB blocks one to one
            tcr = 25 | 25 << 16 | 2 << 30 | 2 << 32
            for n in range(4):
                entry = n << 30 | 1 << 10 | 1 | rng.choice([0, 0, 1, 3]) << 6
                self.ram.view[0x8000 + 8 * n : 0x8008 + 8 * n] = entry.to_bytes(8, "little")
        cpu.set_sysreg(TCR, tcr)
        cpu.set_sysreg(TTBR0, RAM + 0x8000 if identity else fuzz_words.value(rng, tables))
        cpu.set_sysreg(TTBR1, fuzz_words.value(rng, tables))
        cpu.set_sysreg(MAIR, rng.choice([0xFF, 0x4404FF, rng.getrandbits(64)]))
        cpu.set_sysreg(
            SCTLR, 0x30D00800 | (0 if rng.random() < 0.2 else 1) | rng.getrandbits(28) & 0x4081002
        )

    def set_system_registers(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        for _ in range(rng.randint(1, 12)):
            enc = rng.choice(cpu.sysregs())  # which depends on the identification registers
            if enc == VBAR and rng.random() < 0.8:
                continue
            cpu.set_sysreg(enc, fuzz_words.value(rng, self.near))

    def set_registers(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        self._registers(cpu, rng)
        if rng.random() < 0.3:
            cpu.pc = fuzz_words.value(rng, self.near)
        else:
            cpu.pc = RAM + 0x1000 + rng.getrandbits(11) * 4
        for n in range(32):
            cpu.set_v(n, rng.getrandbits(128))
        cpu.fpcr = rng.getrandbits(32)
        cpu.fpsr = rng.getrandbits(32)

    def set_pstate(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        value = rng.getrandbits(32) & 0xF0200000 | rng.getrandbits(4) << 6 | rng.choice([0, 4, 5])
        if rng.random() < 0.1:
            value |= rng.getrandbits(32) & ~0x1F
        cpu.pstate = value
        cpu.pstate_ss = rng.getrandbits(1)

    def set_el2(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        quiet = rng.random() < 0.5
        cpu.hcr_el2 = 0 if quiet else fuzz_words.value(rng, [])
        cpu.mdcr_el2 = rng.choice([0, 1 << 8, 1 << 9, fuzz_words.value(rng, [])])
        cpu.cptr_el2 = 0 if quiet else fuzz_words.value(rng, [])
        cpu.cnthctl_el2 = fuzz_words.value(rng, [])
        cpu.cntvoff_el2 = fuzz_words.value(rng, [])
        cpu.mdscr_el1 = rng.choice([0, 1, 1 << 15, 1 << 15 | 1 << 13, fuzz_words.value(rng, [])])
        cpu.esr_el2 = rng.getrandbits(32)
        cpu.far_el2 = rng.getrandbits(64)
        cpu.hpfar_el2 = rng.getrandbits(64)

    def set_debug(self, rng: random.Random) -> None:
        self._arm(rng.choice(self.cpus), rng)

    def _arm(self, cpu: Processor, rng: random.Random) -> None:
        """Breakpoints in the code, watchpoints where registers point to, and anywhere."""

        def control(plain: int) -> int:
            return rng.choice([0, plain, plain, rng.getrandbits(32), rng.getrandbits(32) | 1])

        code = [RAM + 0x1000 + 4 * n for n in range(0, 400, 7)]
        bcr = [control(0x1E7) for _ in range(16)]
        bvr = [rng.choice([rng.choice(code), fuzz_words.value(rng, self.near)]) for _ in range(16)]
        wcr = [control(0x1FF7 | rng.choice([0, 12]) << 24) for _ in range(16)]
        wvr = [
            rng.choice([cpu.get_x(rng.randrange(12)) & ~7, fuzz_words.value(rng, self.near)])
            for _ in range(16)
        ]
        cpu.load_debug(bcr, bvr, wcr, wvr)
        cpu.mdscr_el1 = rng.choice([1 << 15, 1 << 15 | 1 << 13, 1 << 15 | 1])
        cpu.mdcr_el2 = rng.choice([0, 1 << 8, 1 << 8])
        cpu.save_debug()

    def set_programs(self, rng: random.Random) -> None:
        """Programs that decide hits, over accesses that are watched: many are hits."""
        cpu = rng.choice(self.cpus)
        if rng.random() < 0.1:
            cpu.set_programs(None)
            return
        count = 40
        code, data = RAM + 0x3000, RAM + 0xC000
        self.ram.view[0x3000 : 0x3000 + 4 * count] = fuzz_words.accesses(rng, count)
        self.memory.code_changed(code, 4 * count)
        cpu.set_programs(None)
        cpu.set_sysreg(SCTLR, cpu.get_sysreg(SCTLR) & ~1)
        cpu.set_sysreg(CPACR, 3 << 20)
        cpu.hcr_el2 = cpu.cptr_el2 = 0
        cpu.pstate = rng.choice([0, 5])
        for n in range(12):
            cpu.set_x(n, data + rng.randrange(0, 0x3000, rng.choice([1, 8, 8])))
        wvr = [
            rng.choice([cpu.get_x(rng.randrange(12)), rng.choice(self.near)]) & ~7
            for _ in range(16)
        ]
        bvr = [code + 4 * rng.randrange(count) for _ in range(16)]
        wcr = [rng.choice([0x1FF7, 0x1FEF, 0x1FFF, 0x1FFF | 8 << 24]) for _ in range(16)]
        cpu.load_debug([0x1E7 * (rng.random() < 0.3) for _ in range(16)], bvr, wcr, wvr)
        programs = []
        for _ in range(rng.randint(1, 6)):
            watch = rng.random() < 0.8
            length = rng.choice([1, 2, 4, 8, 8, 3, 64, 256]) if watch else 0
            n = rng.randrange(cpu.watchpoints if watch else cpu.breakpoints)
            steps = None
            if rng.random() < 0.8:
                steps = self._expression(rng, rng.choice([0, 1, 2, 3, 4]), length in (1, 2, 4, 8))
                if rng.random() < 0.05:
                    steps.insert(rng.randrange(len(steps) + 1), self._step(rng))
            buffer = bytearray(rng.choice([64, 512, 4096])) if rng.random() < 0.5 else None
            registers = [rng.randrange(31) for _ in range(rng.choice([0, 0, 1, 16]))]
            address = (wvr if watch else bvr)[n]
            kind, access = (0, rng.choice([1, 2, 3])) if watch else (1, 0)
            programs.append((kind, address, length, access, steps, buffer, registers))
        try:
            made = HitPrograms(programs, [(wvr[0], wvr[0] + 8)] if rng.random() < 0.3 else [])
        except ValueError:
            return
        cpu.set_programs(made)
        cpu.mdscr_el1 = 1 << 15
        cpu.mdcr_el2 = 1 << 8
        cpu.pc = code
        self._run(cpu, rng, 1000, pass_hits=True)

    def _expression(
        self, rng: random.Random, depth: int, values: bool
    ) -> list[tuple[int, int, int]]:
        """A condition that can be computed."""
        if not depth:
            op, index, number = self._step(rng)
            while not (op <= 10 and (values or op not in (1, 2))):
                op, index, number = self._step(rng)
            return [(op, index, number)]
        left = self._expression(rng, depth - 1, values)
        if rng.random() < 0.2:
            return [*left, (rng.choice([16, 17, 18]), 0, 0)]
        right = self._expression(rng, rng.randrange(depth), values)
        return [*left, *right, (rng.choice([*range(32, 42), *range(48, 54), 56, 57]), 0, 0)]

    def _step(self, rng: random.Random) -> tuple[int, int, int]:
        op = rng.choice([*range(11), 8, 10, 10, 16, 17, 18, *range(32, 42), *range(48, 54), 56, 57])
        index = rng.choice([1, 2, 4, 8, 24]) if op == 10 else rng.randrange(31)
        return (
            op,
            index,
            rng.choice([0, 1, -1, rng.getrandbits(64), fuzz_words.value(rng, self.near)]),
        )

    # ---- going back ---------------------------------------------------------------------------

    def take_snapshot(self, rng: random.Random) -> None:
        before = rng.choice([None, *self.taken])
        self.taken.append(fuzz_snapshots.Taken(self.cpus, self.slots, before))
        if len(self.taken) > fuzz_snapshots.MOST:
            del self.taken[rng.randrange(len(self.taken))]

    def go_back(self, rng: random.Random) -> None:
        if not self.taken:
            self.take_snapshot(rng)
            self.run_guest(rng)
        self.did["snapshots gone back to"] += 1
        taken = rng.choice(self.taken)
        self.counted += taken.put_back(rng, self.memory, self.cpus)
        self.run_guest(rng)

    def run_twice(self, rng: random.Random) -> None:
        if any(cpu in self.by_the_host for cpu in self.cpus):
            return  # its time is another the second time
        self.did["runs done twice"] += 1
        self.counted += fuzz_snapshots.same_again(rng, self.memory, self.cpus, self.slots)

    # ---- the machine around it ----------------------------------------------------------------

    def change_memory(self, rng: random.Random) -> None:
        slot = rng.randrange(1, 70) if rng.random() < 0.1 else rng.randrange(1, 4)
        if slot in self.slots and rng.random() < 0.5:
            self.memory.unmap(slot)
            self.retired.append(self.slots.pop(slot)[1])
            self._near_again()
            return
        memory = fuzz_memory.make(rng, rng.choice([1, 2, 2, 16]) << 12)
        memory.view[:] = rng.randbytes(64) * (len(memory.view) // 64)
        old = self.slots.get(slot)
        try:
            self._map(slot, rng.choice(BASES), memory, rng.random() < 0.3)
        except ValueError:  # overlaps, or beyond 48 bits: nothing has changed
            return
        if old is not None:
            self.retired.append(old[1])

    def _near_again(self) -> None:
        self.near = [
            at
            for base, mem in self.slots.values()
            for at in (base, base + 0x1000, base + len(mem.view))
        ]

    def lines_and_time(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        cpu.irq = rng.random() < 0.3
        cpu.fiq = rng.random() < 0.1
        cpu.advance_counter(rng.choice([0, 1, 1000, rng.getrandbits(40), rng.getrandbits(64)]))
        cpu.next_timer()

    def inject(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        choice = rng.randrange(5)
        if choice == 0:
            cpu.take_exception(rng.getrandbits(32), rng.choice([None, rng.getrandbits(64)]))
        elif choice == 1:
            cpu.take_serror(rng.getrandbits(32))
        elif choice == 2:
            cpu.skip_instruction()
        elif choice == 3:
            cpu.kick()
        else:
            self.memory.code_changed(rng.getrandbits(64), rng.getrandbits(64))

    def look(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        for enc in cpu.sysregs():
            cpu.get_sysreg(enc)
        for _ in range(20):
            address = fuzz_words.value(rng, self.near)
            cpu.translate(address, bool(rng.getrandbits(1)), rng.getrandbits(1))
        cpu.statistics()
        cpu.undefined()
        cpu.decodes(rng.randbytes(4 * rng.getrandbits(6)))
        str((cpu.counter, cpu.vtimer_output, cpu.ptimer_output, cpu.pstate, cpu.pc))
        for n in range(31):
            cpu.get_x(n)
        for n in range(32):
            cpu.get_v(n)

    def wrong_arguments(self, rng: random.Random) -> None:
        """Each is refused with the exception that is documented, and changes nothing."""
        cpu = rng.choice(self.cpus)
        wild = rng.choice([31, 32, -1, 1 << 31, -(1 << 31), 1 << 64])
        number = rng.choice([-1, 1 << 64, 1 << 128])
        calls: list[tuple[Callable[[], object], type[Exception] | tuple[type[Exception], ...]]] = [
            (lambda: cpu.get_x(wild), (IndexError, OverflowError)),
            (lambda: cpu.set_x(wild, 0), (IndexError, OverflowError)),
            (lambda: cpu.get_v(32 if wild == 31 else wild), (IndexError, OverflowError)),
            (lambda: cpu.set_v(0, 1 << 128), OverflowError),
            (lambda: cpu.set_x(0, number), OverflowError),
            (lambda: cpu.get_sysreg(0xFFFF), KeyError),
            (lambda: cpu.set_sysreg(0, 0), KeyError),
            (lambda: cpu.translate(0, False, rng.choice([2, -1])), ValueError),
            (lambda: cpu.load_debug([], [], [], []), (ValueError, IndexError)),
            (lambda: cpu.run(number), OverflowError),
            (lambda: self.memory.map(0, 1, bytearray(4096)), ValueError),
            (lambda: self.memory.map(0, RAM, bytearray(1)), ValueError),
            (lambda: self.memory.map(0, RAM, bytearray()), ValueError),
            (lambda: self.memory.map(0, RAM, bytes(4096)), BufferError),
            (lambda: self.memory.map(0, (1 << 48) - 4096, bytearray(8192)), ValueError),
        ]
        state = cpu.save_state()
        with contextlib.suppress(ValueError):  # it may be of another kind
            self._new_cpu(rng).restore_state(state)
        fuzz_snapshots.refused(
            [
                lambda: cpu.restore_state(None),  # type: ignore[arg-type]
                lambda: Pages(self.ram.view, [(0, 1 << rng.randrange(5, 64))]),
                lambda: Pages(self.ram.view[: rng.randrange(1, 4096)], []),
                lambda: Pages(self.ram.view, []).put_back(bytearray(4096), [], True),
            ]
        )
        for call, expected in calls:
            try:
                call()
            except expected:
                continue
            raise Failure(f"{call} was not refused")

    def reset(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        cpu.reset()
        cpu.set_sysreg(VBAR, RAM)
        cpu.pc = RAM + 0x1000 + 4 * rng.getrandbits(10)

    def replace_processor(self, rng: random.Random) -> None:
        """One processor goes while others, and the memory with its decoded code, stay."""
        n = rng.randrange(len(self.cpus))
        self.counted += self.cpus[n].instructions
        self.cpus[n] = self._new_cpu(rng)
        gc.collect(0)
        cpu = self.cpus[n]
        cpu.set_sysreg(VBAR, RAM)
        cpu.pc = RAM + 0x1000
        self._registers(cpu, rng)
