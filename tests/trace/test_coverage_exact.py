"""Coverage is what single steps find: every instruction, every branch, at every exception level."""

from __future__ import annotations

import contextlib
import mmap
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

import guestdbg
from guestdbg.check.differential import layout
from guestdbg.check.differential.generate import generate
from guestdbg.check.differential.initial import memory_of, system_registers
from guestdbg.check.differential.program import Program
from guestdbg.debugger import AddressError, Guest
from guestdbg.kvm import (
    ExitDebug,
    ExitIntr,
    ExitMmio,
    ExitSystemEvent,
    GuestDebug,
    KvmError,
    SupportsCoverage,
    Vcpu,
    open_kvm,
)
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_PSCI_0_2,
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
)
from guestdbg.kvm.coverage import CoverageForm
from guestdbg.kvm.regs import PC, PSTATE, core_reg, sys_reg
from guestdbg.trace.coverage.executed import blocks_of, edges_of
from tests.machine.guests import EXAMPLES
from tests.trace.stepped import Key, Stepped

FORMS: tuple[CoverageForm, ...] = ("first", "counts", "edges")
MOST = 4000
KINDS = ("run", "limit", "step", "break", "watch")


def counts_of(vcpu: SupportsCoverage) -> Counter[Key]:
    found: Counter[Key] = Counter()
    for el, block, count in blocks_of(vcpu.coverage().blocks):
        for n in range(block.instructions):
            found[el, block.address + 4 * n] += count
    return found


def edges_at(vcpu: SupportsCoverage) -> Counter[tuple[int, int, int]]:
    found: Counter[tuple[int, int, int]] = Counter()
    for el, edge, count in edges_of(vcpu.coverage().edges):
        found[(el, *edge)] += count
    return found


# ---- random programs of the differential ------------------------------------------------------


@contextlib.contextmanager
def machine(program: Program) -> Iterator[tuple[Vcpu, mmap.mmap]]:
    memory = mmap.mmap(-1, layout.RAM_SIZE)
    memory[:] = memory_of(program)
    with open_kvm("soft") as kvm, contextlib.closing(kvm.create_vm()) as vm:
        vm.set_user_memory_region(0, layout.RAM, memory)
        vcpu = vm.create_vcpu(0)
        vcpu.init(vm.preferred_target().with_feature(KVM_ARM_VCPU_PSCI_0_2))
        for name, value in system_registers(program):
            vcpu.set_one_reg(sys_reg(name), value)
        for n, value in enumerate(program.x):
            vcpu.set_one_reg(core_reg(f"x{n}"), value)
        vcpu.set_one_reg(core_reg("sp"), layout.STACK + 0x400)
        vcpu.set_one_reg(core_reg("sp_el1"), layout.STACK + 0x800)
        vcpu.set_one_reg(PC, layout.CODE)
        vcpu.set_one_reg(PSTATE, 0x3C5 if program.el else 0x3C0)
        yield vcpu, memory


def ends(exit_: object) -> bool:
    """Whether the program has come to its end; the host's part is to answer reads with zeros."""
    return not isinstance(exit_, ExitMmio) or exit_.phys_addr == layout.DONE


def run(vcpu: Vcpu) -> object:
    """KVM_RUN: its exit, or the error that it ends with."""
    try:
        return vcpu.run()
    except KvmError as error:
        return error


def end_state(vcpu: Vcpu, memory: mmap.mmap) -> tuple[object, ...]:
    """Not all of memory: the vectors log SPSR_EL1, in which a step shows."""
    names = ("pc", "sp", "sp_el1", *(f"x{n}" for n in range(31)))
    start, end = layout.DATA - layout.RAM, layout.TABLES - layout.RAM
    return (*(vcpu.get_one_reg(core_reg(name)) for name in names), memory[start:end])


def stepped(program: Program) -> tuple[Stepped, int, tuple[object, ...]]:
    with machine(program) as (vcpu, memory):

        def instruction(pc: int) -> int:
            # The programs map their memory where it is, and the same once more above.
            at = (pc & (1 << 32) - 1) - layout.RAM
            return int.from_bytes(memory[at : at + 4], "little") if 0 <= at < len(memory) else 0

        oracle = Stepped(vcpu, instruction)
        while vcpu.instructions < MOST:
            exit_ = oracle.step(lambda: run(vcpu))
            if exit_ is not None and ends(exit_):
                break
        return oracle, vcpu.instructions, end_state(vcpu, memory)


def run_in_pieces(
    vcpu: Vcpu, total: int, rnd: random.Random, kinds: tuple[str, ...] = KINDS
) -> None:
    """Run up to so many instructions, with limits, breakpoints, watchpoints and steps at random."""
    while vcpu.instructions < total:
        kind = rnd.choice(kinds)
        vcpu.max_instructions = total
        if kind == "limit":
            vcpu.max_instructions = min(total, vcpu.instructions + rnd.randrange(1, 40))
        if kind == "step":
            vcpu.set_guest_debug(GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP))
        elif kind == "break":
            at = layout.CODE + 4 * rnd.randrange(150)
            vcpu.set_guest_debug(
                GuestDebug(
                    KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW, dbg_bcr=(0x1E7,), dbg_bvr=(at,)
                )
            )
        elif kind == "watch":
            at = layout.DATA + 8 * rnd.randrange(32)
            vcpu.set_guest_debug(
                GuestDebug(
                    KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW, dbg_wcr=(0x1FFF,), dbg_wvr=(at,)
                )
            )
        else:
            vcpu.set_guest_debug(GuestDebug(0))
        exit_ = run(vcpu)
        if isinstance(exit_, ExitDebug | ExitIntr):
            continue
        if ends(exit_):
            break


def test_random_programs() -> None:
    tried: list[bool] = []

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 1 << 32), st.integers(0, 1 << 32))
    def check(seed: int, pieces: int) -> None:
        tried.extend(is_as_stepped(generate(seed), pieces))

    check()
    # The others see that they are stepped, by their own debug registers for example.
    assert tried.count(True) > 10


def is_as_stepped(program: Program, pieces: int) -> Iterator[bool]:
    """Compare; False for each run that was another one than the stepped one."""
    oracle, total, state = stepped(program)
    for form in FORMS:
        for whole in (True, False):
            with machine(program) as (vcpu, memory):
                vcpu.start_coverage(form)
                rnd = random.Random(pieces)
                if whole:
                    vcpu.max_instructions = total
                    while not ends(run(vcpu)):
                        pass
                else:
                    run_in_pieces(vcpu, total, rnd)
                # A program may see that it is stepped: PSTATE.SS in SPSR_EL1, an exclusive that
                # fails. Then it is another program.
                same = vcpu.instructions == total and end_state(vcpu, memory) == state
                yield same
                if not same:
                    continue
                found = counts_of(vcpu)
                if form == "first":
                    assert found.keys() == oracle.counts.keys()
                    continue
                assert found == oracle.counts
                assert edges_at(vcpu) == (oracle.edges if form == "edges" else Counter())


# ---- example guests ---------------------------------------------------------------------------


def follow(guest: Guest, most: int) -> Stepped:
    """Step the vCPU of a guest up to so many instructions."""
    board = guest.board
    (vcpu,) = board.vcpus

    def instruction(pc: int) -> int:
        try:
            return guest.read_u32(pc)
        except AddressError:
            return 0  # it cannot be executed

    oracle = Stepped(vcpu, instruction)
    while vcpu.instructions < most:
        exit_ = oracle.step(lambda: board.run(vcpu))
        if isinstance(exit_, ExitSystemEvent):
            break
    return oracle


@pytest.mark.parametrize("name", ["queue", "fault", "mmu", "pid"])
def test_example_guests(name: str) -> None:
    """Their beginning, with exceptions, EL0, devices and interrupts of a timer in it."""
    most = 12_000
    options = {"provider": "soft", "memory": "16M", "console": None}
    with guestdbg.load(EXAMPLES / f"{name}.elf", **options) as guest:
        oracle = follow(guest, most)
    rnd = random.Random(name)
    for form in FORMS:
        for whole in (True, False):
            with guestdbg.load(EXAMPLES / f"{name}.elf", **options) as guest:
                (vcpu,) = guest.board.vcpus
                with guest.coverage(counts=form != "first", edges=form == "edges"):
                    while vcpu.instructions < most and guest.ended is None:
                        left = most - vcpu.instructions
                        piece = left if whole else min(left, rnd.choice((1, 2, 30, 900)))
                        if not whole and rnd.random() < 0.3:
                            point = guest.break_(rnd.choice(list(oracle.counts))[1])
                            guest.run(max_instructions=piece)
                            point.delete()
                        elif not whole and rnd.random() < 0.3:
                            guest.step()
                        else:
                            guest.run(max_instructions=piece)
                    found, where = counts_of(vcpu), edges_at(vcpu)
            if form == "first":
                assert found.keys() == oracle.counts.keys()
            else:
                assert found == oracle.counts
                assert where == (oracle.edges if form == "edges" else Counter())
