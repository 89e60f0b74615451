"""A trace has what single steps find: calls, returns, exceptions and their returns, contexts."""

from __future__ import annotations

import functools
import mmap
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

import itertools

import guestdbg
import guestdbg.kvm.soft.flow_trace
from guestdbg.check.differential import layout
from guestdbg.check.differential.generate import generate
from guestdbg.check.differential.program import Program
from guestdbg.cpu.processor import FlowBuffer
from guestdbg.debugger import AddressError
from guestdbg.kvm import ExitDebug, ExitSystemEvent, GuestDebug, KvmError, open_kvm
from guestdbg.kvm.constants import KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP
from guestdbg.kvm.regs import PC, PSTATE, core_reg
from guestdbg.trace import Event
from guestdbg.trace.tracing.flow_records import events_of
from tests.machine.guests import EXAMPLES
from tests.trace.test_coverage_exact import end_state, ends, machine, run, run_in_pieces

MOST = 4000
WHAT = ("calls", "exceptions", "contexts")
#: kind, time, EL afterwards, source, target, value, register
Seen = tuple[str, int, int, int, int, int, object]

_CALLS = ((0xFC000000, 0x94000000), (0xFFFFFC1F, 0xD63F0000), (0xFEFFF800, 0xD63F0800))
_RETURNS = ((0xFFFFFC1F, 0xD65F0000), (0xFFFFFBFF, 0xD65F0BFF))
_SVC = (0xFFE0001F, 0xD4000001)
_ERETS = ((0xFFFFFFFF, 0xD69F03E0), (0xFFFFFBFF, 0xD69F0BFF))
_CONTEXTS = {0xD518D020: "CONTEXTIDR_EL1", 0xD5182000: "TTBR0_EL1", 0xD5184100: "SP_EL0"}
_STEP = GuestDebug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
_SP_EL1 = core_reg("sp_el1")


def _is(raw: int, *encodings: tuple[int, int]) -> bool:
    return any(raw & mask == value for mask, value in encodings)


class Oracle:
    """What a vCPU does, found out by its single steps."""

    def __init__(self, vcpu: Any, instruction: Callable[[int], int]) -> None:
        self.seen: list[Seen] = []
        self._vcpu = vcpu
        self._instruction = instruction

    def _sp(self) -> int:
        at_el1 = self._vcpu.get_one_reg(PSTATE) & 0xF == 5
        return int(self._vcpu.get_one_reg(_SP_EL1 if at_el1 else core_reg("sp")))

    def step(self, run: Callable[[], object]) -> object:
        """One step. The exit, if it is another one than that of the step."""
        vcpu = self._vcpu
        vcpu.set_guest_debug(_STEP)
        pc, sp, before = vcpu.get_one_reg(PC), self._sp(), vcpu.instructions
        raw = self._instruction(pc)
        register = _CONTEXTS.get(raw & ~0x1F)
        value = 0 if raw & 31 == 31 else vcpu.get_one_reg(core_reg(f"x{raw & 31}"))
        exit_ = run()
        now, target = vcpu.instructions, vcpu.get_one_reg(PC)
        el = vcpu.get_one_reg(PSTATE) >> 2 & 1
        if now == before:
            if target != pc:
                self.seen.append(("exception", now, el, pc, target, 0, None))
        elif _is(raw, *_CALLS):
            self.seen.append(("call", now, el, pc, target, sp, None))
        elif _is(raw, *_RETURNS):
            self.seen.append(("return", now, el, pc, target, sp, None))
        elif _is(raw, _SVC):
            self.seen.append(("exception", now, el, pc, target, 0, None))
        elif _is(raw, *_ERETS):
            self.seen.append(("exception_return", now, el, pc, target, 0, None))
        elif register is not None:
            if register == "CONTEXTIDR_EL1":
                value &= 0xFFFFFFFF
            self.seen.append(("context", now, el, pc, 0, value, register))
        return None if isinstance(exit_, ExitDebug) and exit_.ec == 0x32 else exit_


def plain(events: list[Event]) -> list[Seen]:
    """Without what steps do not say."""
    return [
        (
            e.kind,
            e.time,
            e.el,
            e.source,
            e.target,
            e.value if e.kind in ("call", "return", "context") else 0,
            e.detail if e.kind == "context" else None,
        )
        for e in events
    ]


def in_order(events: list[Event]) -> bool:
    times = [(e.time, e.nanoseconds) for e in events]
    return all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(times))


# ---- random programs of the differential ------------------------------------------------------


def stepped(program: Program) -> tuple[list[Seen], int, tuple[object, ...]]:
    with machine(program) as (vcpu, memory):

        def instruction(pc: int) -> int:
            at = (pc & (1 << 32) - 1) - layout.RAM
            return int.from_bytes(memory[at : at + 4], "little") if 0 <= at < len(memory) else 0

        oracle = Oracle(vcpu, instruction)
        while vcpu.instructions < MOST:
            exit_ = oracle.step(lambda: run(vcpu))
            if exit_ is not None and ends(exit_):
                break
        return oracle.seen, vcpu.instructions, end_state(vcpu, memory)


def traced(
    vcpu: Any, memory: mmap.mmap, total: int, pieces: int | None, *, coverage: bool
) -> tuple[list[Event], tuple[object, ...]]:
    found: list[Event] = []
    if coverage:
        vcpu.start_coverage("edges" if pieces else "first")
    trace = vcpu.vm.start_flow_trace(WHAT, lambda data: found.extend(events_of(data)))
    if pieces is None:
        vcpu.max_instructions = total
        while not ends(run(vcpu)):
            pass
    else:
        run_in_pieces(vcpu, total, random.Random(pieces))
    trace.close()
    assert trace.error is None
    assert trace.lost == 0
    return found, end_state(vcpu, memory)


@pytest.mark.parametrize("capacity", [1, 3, 16384])
def test_random_programs(capacity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        guestdbg.kvm.soft.flow_trace,
        "FlowBuffer",
        functools.partial(FlowBuffer, capacity=capacity),
    )
    same: list[int] = []

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, 1 << 32), st.integers(1, 1 << 32), st.booleans())
    def check(seed: int, pieces: int, coverage: bool) -> None:
        program = generate(seed)
        seen, total, state = stepped(program)
        for way in (None, pieces):
            with machine(program) as (vcpu, memory):
                found, now = traced(vcpu, memory, total, way, coverage=coverage)
                # A program may see that it is stepped: then it is another program.
                if now == state and vcpu.instructions == total:
                    assert plain(found) == seen
                    assert in_order(found)
                    same.append(len(seen))

    check()
    assert sum(same) > 5


# ---- example guests ---------------------------------------------------------------------------


def instructions_of(guest: Any) -> Callable[[int], int]:
    def instruction(pc: int) -> int:
        try:
            return int(guest.read_u32(pc))
        except AddressError:
            return 0

    return instruction


@pytest.mark.parametrize("name", ["queue", "fault", "mmu", "pid"])
def test_example_guests(name: str) -> None:
    """Their beginning, with exceptions, EL0, devices and interrupts of a timer in it."""
    most = 12_000
    options: dict[str, Any] = {"provider": "soft", "memory": "16M", "console": None}
    with guestdbg.load(EXAMPLES / f"{name}.elf", **options) as guest:
        (vcpu,) = guest.board.vcpus
        oracle = Oracle(vcpu, instructions_of(guest))
        while vcpu.instructions < most:
            if isinstance(oracle.step(lambda: guest.board.run(vcpu)), ExitSystemEvent):
                break
    rnd = random.Random(name)
    for whole in (True, False):
        with guestdbg.load(EXAMPLES / f"{name}.elf", **options) as guest:
            (vcpu,) = guest.board.vcpus
            with guest.trace(what=WHAT) as trace:
                while vcpu.instructions < most and guest.ended is None:
                    left = most - vcpu.instructions
                    piece = left if whole else min(left, rnd.choice((1, 2, 30, 900)))
                    if not whole and rnd.random() < 0.3:
                        point = guest.break_(rnd.choice(oracle.seen)[4] or "_start")
                        guest.run(max_instructions=piece)
                        point.delete()
                    elif not whole and rnd.random() < 0.3:
                        guest.step()
                    else:
                        guest.run(max_instructions=piece)
            assert plain(trace.events) == oracle.seen
            assert in_order(trace.events)


# ---- the seam ---------------------------------------------------------------------------------


@pytest.fixture
def vm() -> Iterator[Any]:
    with open_kvm("soft") as kvm:
        machine = kvm.create_vm()
        machine.create_vcpu(0)
        yield machine
        machine.close()


@pytest.mark.parametrize(
    ("what", "options", "number"),
    [
        ((), {}, "EINVAL"),
        ("calls", {}, "EINVAL"),
        (("calls", "jumps"), {}, "EINVAL"),
        (("calls",), {"start": -1}, "EINVAL"),
        (("calls",), {"stop": 1 << 64}, "EINVAL"),
    ],
)
def test_what_cannot_be_started(vm: Any, what: Any, options: Any, number: str) -> None:
    with pytest.raises(KvmError, match=number):
        vm.start_flow_trace(what, list, **options)


def test_one_at_a_time(vm: Any) -> None:
    first = vm.start_flow_trace(("calls",), list)
    with pytest.raises(KvmError, match="another trace"):
        vm.start_flow_trace(("calls",), list)
    first.close()
    first.close()
    first.flush()
    vm.start_flow_trace(("calls",), list).close()
    vm.close()
    with pytest.raises(KvmError, match="EBADF"):
        vm.start_flow_trace(("calls",), list)
