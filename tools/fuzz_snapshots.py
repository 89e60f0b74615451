"""Snapshots of the processor in the cases: taken and restored at any time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import fuzz_memory
from fuzz_case import Failure

from guestdbg.cpu.processor import Pages, PhysicalMemory, Processor, ProcessorState

PAGE = 4096
MOST = 6

Slots = Mapping[int, tuple[int, fuzz_memory.Memory]]


def _all(memory: fuzz_memory.Memory) -> list[tuple[int, int]]:
    return [(0, len(memory.view) // PAGE)]


class Taken:
    """Processors and memory slots as they were."""

    def __init__(self, cpus: Sequence[Processor], slots: Slots, before: Taken | None) -> None:
        self.states: list[tuple[Processor, ProcessorState]] = [
            (cpu, cpu.save_state()) for cpu in cpus
        ]
        known: dict[int, Pages] = {}
        if before is not None:
            known = {id(memory): pages for _, memory, pages in before.pages}
        self.pages: list[tuple[int, fuzz_memory.Memory, Pages]] = [
            (base, memory, Pages(memory.view, _all(memory), known.get(id(memory))))
            for base, memory in slots.values()
        ]

    def put_back(
        self, rng: random.Random, memory: PhysicalMemory, cpus: Sequence[Processor]
    ) -> int:
        """Restore all of it, or some: nothing may break. Returns the instructions taken back."""
        everything = rng.random() < 0.8
        for base, buffer, pages in self.pages:
            if not everything and rng.random() < 0.5:
                continue
            # The slot may have been deleted or moved since; its memory still exists.
            runs = pages.differing(buffer.view, _all(buffer))
            pages.put_back(buffer.view, runs, False)
            if pages.differing(buffer.view, _all(buffer)):
                raise Failure("memory that was put back is not what it was")
            for first, count in runs:
                memory.code_changed(base + first * PAGE, count * PAGE)
        undone = 0
        for cpu, state in self.states:
            if cpu not in cpus or (not everything and rng.random() < 0.5):
                continue
            undone += cpu.instructions
            cpu.restore_state(state, rng.choice([0, rng.getrandbits(20)]))
            undone -= cpu.instructions
        return undone


def same_again(
    rng: random.Random, memory: PhysicalMemory, cpus: Sequence[Processor], slots: Slots
) -> int:
    """Run, restore, and run again: everything must be the same, bit for bit.

    Decoded code is dropped before each, so that this holds also for guests, and for writes of code
    by the holder, that keep no rules. Returns the instructions that were taken back.
    """
    cpu = rng.choice(cpus)
    cpu.set_programs(None)  # their counts and buffers are not the guest's
    cpu.run(cpu.instructions)  # nor is a kick, which ends this one
    taken = Taken(cpus, slots, None)
    budget = rng.choice([1, 30, 1000, 5000])
    undone = 0
    seen: list[tuple[object, ...]] = []
    for _ in range(2):
        for base, buffer in slots.values():
            memory.code_changed(base, len(buffer.view))
        before = cpu.instructions
        reason = cpu.run(before + budget)
        undone += cpu.instructions - before
        states = [bytes(one.save_state()) for one in cpus]
        seen.append((reason, cpu.instructions, states, [bytes(m.view) for _, m in slots.values()]))
        _restore_all(taken, memory)
    if seen[0] != seen[1]:
        which = [n for n in range(4) if seen[0][n] != seen[1][n]]
        names = [("reason", "instructions", "state", "memory")[n] for n in which]
        raise Failure(f"the second run from a snapshot differs: {', '.join(names)}")
    return undone


def _restore_all(taken: Taken, memory: PhysicalMemory) -> None:
    for base, buffer, pages in taken.pages:
        runs = pages.differing(buffer.view, _all(buffer))
        pages.put_back(buffer.view, runs, False)
        for first, count in runs:
            memory.code_changed(base + first * PAGE, count * PAGE)
    for cpu, state in taken.states:
        cpu.restore_state(state)


def refused(calls: Sequence[Callable[[], object]]) -> None:
    """Each raises ValueError or TypeError."""
    for call in calls:
        try:
            call()
        except (ValueError, TypeError):
            continue
        raise Failure(f"{call} was not refused")
