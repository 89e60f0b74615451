"""Cases on both tiers: after each action, everything that can be observed must be equal.

A case of fuzz_cpu (or fuzz_soft) is played with the interpreter, and again with blocks that are
translated, at their first entry or after a random number of entries. Compared are the exits with
their counts and syndromes, registers, memory, snapshots, coverage, traces and records of hit
programs. What depends on time or threads is left out.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, ClassVar

import fuzz_words
from fuzz_case import Action, Case, Failure
from fuzz_cpu import RAM, CpuCase
from fuzz_soft import SoftCase

from guestdbg.cpu import tier
from guestdbg.cpu.processor import FlowBuffer, InstructionBuffer, Processor
from guestdbg.kvm.exits import Exit
from guestdbg.kvm.soft.vcpu import SoftVcpu

Tell = Callable[[str], None]
CODE = RAM + 0x1000


class _Observed(Case):
    """Notes what is observed, for the comparison."""

    seen: list[tuple[str, object]]

    def note(self, what: str, value: object) -> None:
        self.seen.append((what, value))

    def observe(self) -> None:
        """All that can be seen now."""

    def check(self) -> None:
        super().check()
        self.observe()


def _digest(data: bytes | memoryview) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


class CpuOnTiers(_Observed, CpuCase):
    """The bare processor, with loops, coverage and traces."""

    kind = "tiers"

    def __init__(self, seed: int) -> None:
        self.seen = []
        self.flow: list[bytes] = []
        self.log: list[bytes] = []
        self.buffers: list[FlowBuffer | InstructionBuffer] = []
        super().__init__(seed)

    def choose_clock(self, rng: random.Random) -> str:
        super().choose_clock(rng)
        return "virtual"

    def came_back(self, cpu: Processor, reason: int) -> None:
        syndrome = cpu.esr_el2, cpu.far_el2, cpu.hpfar_el2
        self.note("exit", (reason, cpu.instructions, cpu.pc, *syndrome))

    def trace_is_full(self) -> None:
        for buffer in self.buffers:
            buffer.flush()

    def actions(self) -> list[tuple[int, Action]]:
        added: list[tuple[int, Action]] = [
            (30, self.run_loops),
            (3, self.cover),
            (2, self.trace_flow),
            (1, self.trace_instructions),
        ]
        # What the holder writes without saying so may be executed late, or never.
        return added + [
            (weight, action)
            for weight, action in super().actions()
            if action not in (self.write_data, self.run_twice)
        ]

    def write_code(self, rng: random.Random) -> None:
        super().write_code(rng)
        for base, memory in self.slots.values():
            self.memory.code_changed(base, len(memory.view))

    def translate(self, rng: random.Random) -> None:
        super().translate(rng)
        self.memory.code_changed(RAM, len(self.ram.view))

    def run_loops(self, rng: random.Random) -> None:
        """Code that is executed often: loops in each other, calls, code that changes itself."""
        cpu = rng.choice(self.cpus)
        if rng.random() < 0.7:
            code = fuzz_words.loops(rng, 0x600)
            self.ram.view[0x1000 : 0x1000 + len(code)] = code
            self.memory.code_changed(CODE, len(code))
        if rng.random() < 0.7:
            cpu.set_sysreg(0xC080, cpu.get_sysreg(0xC080) & ~1)
            cpu.pstate = rng.choice([0x3C5, 0x3C0, 0, 5])
        self._registers(cpu, rng)
        for n in range(8):
            cpu.set_x(n, RAM + rng.choice([0x4000, 0x1000, 0xC000]) + 8 * rng.getrandbits(8))
        cpu.pc = CODE + 4 * rng.getrandbits(9)
        self._run(cpu, rng, rng.choice([1, 3, 50, 700, 9000, 30_000]))

    def cover(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        form = rng.choice([0, 1, 2, 3, 3])
        if form:
            cpu.start_coverage(form)
        else:
            cpu.stop_coverage()
        self.run_loops(rng)

    def trace_flow(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        if rng.random() < 0.4:
            cpu.stop_flow()
            return
        sizes = {"capacity": rng.choice([64, 1000])}
        buffer = FlowBuffer(self.flow.append, what=7, arguments=rng.random() < 0.5, **sizes)
        self.buffers.append(buffer)
        cpu.start_flow(buffer, 0)
        self.run_loops(rng)

    def trace_instructions(self, rng: random.Random) -> None:
        cpu = rng.choice(self.cpus)
        buffer = InstructionBuffer(self.log.append)
        self.buffers.append(buffer)
        cpu.start_instruction_log(buffer, 0)
        self._run(cpu, rng, rng.choice([50, 1000]))
        cpu.stop_instruction_log()

    def observe(self) -> None:
        self.trace_is_full()
        for n, cpu in enumerate(self.cpus):
            self.note(f"instructions of {n}", cpu.instructions)
            self.note(f"X of {n}", [hex(cpu.get_x(k)) for k in range(31)])
            self.note(f"V of {n}", [hex(cpu.get_v(k)) for k in range(32)])
            self.note(f"PC and PSTATE of {n}", (hex(cpu.pc), hex(cpu.pstate)))
            if len(self.seen) % 3 == 0:  # it empties the TLBs
                self.note(f"state of {n}", _digest(bytes(cpu.save_state())))
            self.note(f"coverage of {n}", self._coverage(cpu))
            if cpu.programs is not None:
                counts = [cpu.programs.counts(k) for k in range(len(cpu.programs))]
                self.note(f"hit programs of {n}", counts)
        for slot, (_, memory) in sorted(self.slots.items()):
            self.note(f"memory of {slot}", _digest(memory.view))
        self.note("flow", _digest(b"".join(self.flow)))
        self.note("log", _digest(b"".join(self.log)))

    def close(self) -> None:
        for cpu in self.cpus:
            statistics = cpu.tier_statistics()
            for what in ("translated", "dropped"):
                self.did[f"blocks {what}"] += statistics[what]
        super().close()

    def _coverage(self, cpu: Processor) -> object:
        try:
            blocks, edges, complete = cpu.coverage()
        except ValueError:
            return "not started"
        return _digest(blocks), _digest(edges), complete


class SoftOnTiers(_Observed, SoftCase):
    """Through the seam."""

    kind = "tiers"
    LEFT_OUT: ClassVar = ("threads", "together", "run_twice")

    def __init__(self, seed: int) -> None:
        self.seen = []
        super().__init__(seed)

    def actions(self) -> list[tuple[int, Action]]:
        return [one for one in super().actions() if one[1].__name__ not in self.LEFT_OUT]

    def _step(self, vcpu: SoftVcpu, rng: random.Random) -> Exit | None:
        exit_ = super()._step(vcpu, rng)
        self.note("exit", (str(exit_), vcpu.instructions))
        return exit_

    def observe(self) -> None:
        for vcpu in self.vcpus:
            self.note(f"instructions of {vcpu.id}", vcpu.instructions)
            ids = vcpu.get_reg_list()
            self.note(f"registers of {vcpu.id}", [(hex(reg), vcpu.get_one_reg(reg)) for reg in ids])
            self.note(f"debugging of {vcpu.id}", str(vcpu.debug_state))
        for n, memory in enumerate(self.kept):
            self.note(f"memory {n}", _digest(memory.view))


KINDS: tuple[type[CpuOnTiers | SoftOnTiers], ...] = (CpuOnTiers, CpuOnTiers, SoftOnTiers)


def _play(
    kind: type[Any], seed: int, actions: int, leave_out: Collection[int], tell: Tell
) -> tuple[Any, int]:
    case = kind(seed)
    return case, case.run(actions, leave_out, tell)


def run(seed: int, actions: int, leave_out: Collection[int], tell: Tell, did: Counter[str]) -> int:
    """Play a case twice; the instructions of both. Raises Failure at the first difference."""
    kind = KINDS[seed % len(KINDS)]
    before = tier.chosen()
    try:
        tier.use("interpreter")
        one, total = _play(kind, seed, actions, leave_out, lambda _: None)
        # Odd ones: each block, when it is first entered.
        why = tier.use("stencils", 1) if seed & 1 else tier.use("stencils", seed=seed)
        if why is None:
            did["cases with stencils"] += 1
        other, more = _play(kind, seed, actions, leave_out, tell)
    finally:
        tier.use_again(before)
    did.update(other.did)
    did["observations compared"] += len(one.seen)
    for n, (first, second) in enumerate(zip(one.seen, other.seen, strict=False)):
        if first != second:
            raise Failure(
                f"observation {n} is {first[0]} {first[1]}\nwith the interpreter, and "
                f"{second[0]} {second[1]}\nwith stencils"
            )
    if len(one.seen) != len(other.seen) or total != more:
        raise Failure(
            f"{len(one.seen)} observations, {total} instructions; {len(other.seen)} and "
            f"{more} with stencils"
        )
    return total + more
