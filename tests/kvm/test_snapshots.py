"""Snapshots of a machine: what a machine does after going back is what it did the first time.

The guests are random programs with a userspace that answers at random too, but always the same at
the same place: whatever differs is the provider's doing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import mmap
import random
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.container import expand, page_sections
from guestdbg.kvm import (
    ExitDebug,
    ExitIntr,
    ExitMmio,
    GuestDebug,
    HitProgram,
    KvmError,
    Snapshot,
    SupportsSnapshots,
    VcpuEvents,
    open_kvm,
)
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_PSCI_0_2,
    KVM_CAP_ARM_NISV_TO_USER,
    KVM_DEV_TYPE_ARM_VGIC_V3,
    KVM_MEM_READONLY,
    KVM_REG_SIZE_SHIFT,
)
from guestdbg.kvm.regs import core_reg, sys_reg

from .support import BREAK_ANY, DATA, ENABLE, RAM, STEP, USE_HW, WATCH_BOTH, WATCH_STORE, Guest

sys.path.append(str(Path(__file__).parents[2] / "tools"))

import fuzz_words

from guestdbg.cpu.processor import Pages
from guestdbg.kvm.soft import SoftVm
from guestdbg.kvm.soft.registers.timer import COUNTER_HZ
from guestdbg.kvm.soft.snapshot import present_pages, serial, snapshots
from guestdbg.kvm.soft.state import VcpuState
from guestdbg.kvm.soft.vgic import save as vgic_save

PAGE = 4096
MIB = 1 << 20
NORESERVE = 0x4000
X = [core_reg(f"x{n}") for n in range(31)]
PC, PSTATE = core_reg("pc"), core_reg("pstate")
B_SELF = 0x14000000
LDR_X0_X1, STR_X0_X1 = 0xF9400020, 0xF9000020
ADD_X0_1 = 0x91000400


def private(size: int) -> mmap.mmap:
    """Memory as a board has it."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    return mmap.mmap(-1, size, flags=flags | (NORESERVE if sys.platform == "linux" else 0))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What random code does that is not implemented is named in the log."""
    caplog.set_level(logging.CRITICAL, logger="guestdbg")


class Program:
    """A random guest, and a userspace that goes by nothing but the seed and its own place."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = random.Random(seed)
        self.kvm = open_kvm("soft", cpu="max" if seed & 1 else "cortex-a57")
        self.vm = cast(SoftVm, self.kvm.create_vm())
        self.vm.enable_cap(KVM_CAP_ARM_NISV_TO_USER)
        self.ram = private(64 * PAGE)
        self.flash = bytearray(4 * PAGE)
        self.ram[:0x800] = fuzz_words.vectors(rng)
        self.ram[0x1000:0x3000] = fuzz_words.code(rng, 0x800)
        self.flash[:0x1000] = fuzz_words.code(rng, 0x400)
        self.vm.set_user_memory_region(0, RAM, self.ram)
        self.vm.set_user_memory_region(3, 0, self.flash, KVM_MEM_READONLY)
        self.near = [RAM + 0x4000, RAM + 0x9000, RAM + 0x1000, 0, 0x0900_0000]
        self.vcpus = [self.vm.create_vcpu(n) for n in range(1 + (seed & 2 > 0))]
        init = self.vm.preferred_target().with_feature(KVM_ARM_VCPU_PSCI_0_2)
        for vcpu in self.vcpus:
            vcpu.init(init)
            vcpu.set_one_reg(sys_reg("VBAR_EL1"), RAM)
            vcpu.set_one_reg(sys_reg("CPACR_EL1"), 3 << 20)
            self.start(vcpu, rng)
        #: What userspace has of the guest: where it is.
        self.at = 0

    def close(self) -> None:
        self.vm.close()
        self.kvm.close()

    def start(self, vcpu: Any, rng: random.Random) -> None:
        vcpu.set_one_reg(PC, RAM + 0x1000 + 4 * rng.getrandbits(10))
        vcpu.set_one_reg(PSTATE, rng.choice([0x3C5, 5, 0]))
        vcpu.set_one_reg(sys_reg("SCTLR_EL1"), 0x30D00800)
        for reg in X:
            vcpu.set_one_reg(reg, fuzz_words.value(rng, self.near))

    def tick(self) -> str:
        """One run of one vCPU; the exit and what userspace did, as text."""
        rng = random.Random(f"{self.seed}/{self.at}")
        self.at += 1
        vcpu = rng.choice(self.vcpus)
        what = rng.randrange(20)
        if what == 0:
            self.start(vcpu, rng)
            vcpu.set_mp_state(0)
        elif what <= 4:
            self.debug(vcpu, rng)
        elif what == 5:
            vcpu.set_guest_debug(GuestDebug())
        elif what == 6:
            self.vm.irq_line(vcpu.id << 16 | rng.getrandbits(1), rng.getrandbits(1))
        elif what == 7:
            vcpu.set_vcpu_events(VcpuEvents(serror_pending=True))
        elif what == 8:
            vcpu.set_one_reg(sys_reg("CNTV_CVAL_EL0"), rng.getrandbits(10))
            vcpu.set_one_reg(sys_reg("CNTV_CTL_EL0"), 1)
        elif what == 9:
            at = 0x1000 + 4 * rng.getrandbits(10)
            self.ram[at : at + 16] = fuzz_words.code(rng, 4)
            self.vm.code_changed(RAM + at, 16)
        vcpu.immediate_exit = rng.random() < 0.05
        vcpu.max_instructions = vcpu.instructions + rng.choice([0, 1, 3, 40, 400])
        try:
            exit_ = vcpu.run()
        except KvmError as error:
            self.start(vcpu, rng)
            return f"{vcpu.id} {error} {self.place()}"
        text = f"{vcpu.id} {exit_!r} {self.place()}"
        if isinstance(exit_, ExitMmio) and not exit_.is_write and rng.random() < 0.9:
            vcpu.complete_mmio(rng.randbytes(exit_.len))
        elif isinstance(exit_, ExitDebug):
            if exit_.ec != 0x32 and rng.random() < 0.5:
                vcpu.set_guest_debug(GuestDebug(STEP))
        elif not isinstance(exit_, (ExitMmio, ExitIntr)):
            self.start(vcpu, rng)
        return text

    def debug(self, vcpu: Any, rng: random.Random) -> None:
        code = tuple(RAM + 0x1000 + 4 * rng.getrandbits(10) for _ in range(6))
        data = tuple(RAM + 8 * rng.randrange(0x2000) for _ in range(4))
        wcr = tuple(rng.choice([WATCH_BOTH, WATCH_STORE, WATCH_BOTH | 10 << 24]) for _ in range(4))
        control = rng.choice([ENABLE, STEP, USE_HW, USE_HW, USE_HW, USE_HW | STEP])
        vcpu.set_guest_debug(GuestDebug(control, (BREAK_ANY,) * 6, code, wcr, data))

    def place(self) -> str:
        return " ".join(f"{v.instructions}@{v.get_one_reg(PC):#x}" for v in self.vcpus)

    def state(self) -> str:
        """Everything that is visible at the seam, as a digest."""
        digest = hashlib.sha256(self.ram[:])
        digest.update(self.flash)
        for vcpu in self.vcpus:
            registers = [(reg, vcpu.get_one_reg(reg)) for reg in vcpu.get_reg_list()]
            pending = (vcpu.mmio, vcpu.mmio_data, vcpu.pc_adjustment, vcpu.waiting, vcpu.stopped)
            text = f"{registers} {vcpu.debug_state} {vcpu.get_vcpu_events()} {vcpu.get_mp_state()}"
            digest.update(f"{text} {pending} {vcpu.instructions}".encode())
        return digest.hexdigest()


def straight(seed: int, ticks: int) -> tuple[list[str], list[str]]:
    """What the program does without a snapshot: the text of each tick, and the state before it."""
    program = Program(seed)
    text, states = [], []
    for _ in range(ticks):
        states.append(program.state())
        text.append(program.tick())
    states.append(program.state())
    program.close()
    return text, states


TICKS = 60

moves = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.integers(1, 25)),
        st.tuples(st.just("snapshot"), st.just(0)),
        st.tuples(st.just("restore"), st.integers(0, 5)),
        st.tuples(st.just("forget"), st.integers(0, 5)),
    ),
    min_size=4,
    max_size=25,
)


@given(seed=st.integers(0, 1 << 30), moves=moves)
@settings(max_examples=60, deadline=None)
def test_going_back_in_any_order_changes_nothing(seed: int, moves: list[tuple[str, int]]) -> None:
    text, states = straight(seed, TICKS)
    program = Program(seed)
    taken: list[tuple[int, Snapshot]] = [(0, program.vm.snapshot())]
    for move, number in moves:
        if move == "run":
            for _ in range(min(number, TICKS - program.at)):
                at = program.at
                assert program.tick() == text[at], f"tick {at}"
        elif move == "snapshot":
            taken.append((program.at, program.vm.snapshot()))
        elif move == "restore":
            program.at, snapshot = taken[number % len(taken)]
            program.vm.restore(snapshot)
        elif len(taken) > 1:
            del taken[number % len(taken)]
        assert program.state() == states[program.at], f"before tick {program.at}"
    program.close()


def test_the_random_programs_cover_every_kind_of_exit() -> None:
    """That the property above is about what it should be: every kind of exit, at many places."""
    text = [tick for seed in range(12) for tick in straight(seed, TICKS)[0]]
    for what, least in (
        ("ExitMmio", 5),
        ("ExitDebug", 30),
        ("ExitIntr", 100),
        ("ExitArmNisv", 1),
    ):
        assert sum(what in tick for tick in text) >= least, what


# ---- one aspect at a time ---------------------------------------------------------------------


def back(guest: Guest, snapshot: Snapshot) -> None:
    guest.vm.restore(snapshot)


def test_it_is_an_extension_of_the_machine() -> None:
    guest = Guest(B_SELF)
    assert isinstance(guest.vm, SupportsSnapshots)
    snapshot = guest.vm.snapshot()
    assert isinstance(snapshot, Snapshot)
    assert snapshot.instructions == (0,)
    assert snapshot.memory_size == snapshot.own_memory_size == PAGE


def test_every_register_comes_back() -> None:
    """All that one-reg access can change, changed, and brought back."""
    guest = Guest(B_SELF)
    vcpu = guest.vcpu
    rng = random.Random(5)

    def scramble() -> None:
        for reg in vcpu.get_reg_list():
            bits = 8 << (reg >> KVM_REG_SIZE_SHIFT & 15)
            with contextlib.suppress(KvmError):  # those that describe the processor
                vcpu.set_one_reg(reg, rng.getrandbits(bits))
        vcpu.set_one_reg(PSTATE, rng.choice([0, 4, 5]) | rng.getrandbits(4) << 28)

    def registers() -> dict[int, int]:
        return {reg: vcpu.get_one_reg(reg) for reg in vcpu.get_reg_list()}

    scramble()
    before, snapshot = registers(), guest.vm.snapshot()
    scramble()
    between = registers()
    assert sum(between[reg] != value for reg, value in before.items()) > 100
    back(guest, snapshot)
    assert registers() == before


def test_no_attribute_is_forgotten() -> None:
    """Every attribute is either saved or listed as not saved; saved ones are restored."""
    guest = Guest(B_SELF)
    vcpu, vm = guest.vcpu, guest.vm
    assert type(vcpu).__slots__ == ()  # all of its state is in VcpuState
    assert not vars(vcpu)
    kept = set(VcpuState.__slots__) - snapshots.VCPU_NOT_SAVED
    assert snapshots.VCPU_NOT_SAVED.issubset(VcpuState.__slots__)
    assert vars(vm).keys() > snapshots.NOT_SAVED
    assert vars(vm).keys() - snapshots.NOT_SAVED == {
        "cntvoff",
        "has_run",
        "id_aa64dfr0_el1",
        "max_vcpus",
        "nisv_to_user",
        "timer_ppis",
        "virtual_time",
    }
    snapshot = guest.vm.snapshot()
    before = {name: getattr(vcpu, name) for name in kept}
    changed = {bool: True, int: 7, str: "external", list: [7] * 5, dict: {7: 7}}
    for name, value in before.items():
        setattr(vcpu, name, changed.get(type(value), ("something",)))
    vm.cntvoff, vm.virtual_time, vm.nisv_to_user = 7, 7, True
    vm.has_run, vm.id_aa64dfr0_el1 = True, 7
    back(guest, snapshot)
    assert {name: getattr(vcpu, name) for name in kept} == before
    assert (vm.cntvoff, vm.virtual_time, vm.nisv_to_user) == (0, 0, False)
    assert (vm.has_run, vm.id_aa64dfr0_el1) == (False, None)


def test_what_cannot_be_kept_is_refused() -> None:
    """An attribute of a kind that could change under the snapshot is noticed when it is added."""
    guest = Guest(B_SELF)
    guest.vm.something_new = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="cannot keep a lock"):
        guest.vm.snapshot()


def test_a_snapshot_is_not_changed_by_the_machine() -> None:
    """Lists and dictionaries are copied both ways."""
    guest = Guest(B_SELF)
    guest.vcpu.spsr_aarch32[1] = 5
    snapshot = guest.vm.snapshot()
    for _ in range(2):
        guest.vcpu.spsr_aarch32[1] = 6
        back(guest, snapshot)
        assert guest.vcpu.spsr_aarch32[1] == 5


@pytest.mark.parametrize("answered", [True, False])
def test_in_the_middle_of_an_mmio_read(answered: bool) -> None:
    guest = Guest(LDR_X0_X1, ADD_X0_1, B_SELF)
    guest.set_x(1, 0x0900_0000)
    assert isinstance(guest.run(), ExitMmio)
    if answered:
        guest.vcpu.complete_mmio((41).to_bytes(8, "little"))
    snapshot = guest.vm.snapshot()
    for _ in range(3):
        if not answered:
            guest.vcpu.complete_mmio((41).to_bytes(8, "little"))
        guest.run(3)
        assert guest.x(0) == 42
        back(guest, snapshot)
        assert guest.pc == RAM


def test_in_the_middle_of_a_step() -> None:
    """An MMIO read that is stepped: the step's exit comes after it, each time."""
    guest = Guest(LDR_X0_X1, B_SELF)
    guest.set_x(1, 0x0900_0000)
    guest.debug(STEP)
    assert isinstance(guest.run(), ExitMmio)
    snapshot = guest.vm.snapshot()
    for _ in range(2):
        exit_ = guest.run()
        assert isinstance(exit_, ExitDebug)
        assert exit_.ec == 0x32
        assert guest.pc == RAM + 4
        guest.debug(0)
        guest.run(10)
        back(guest, snapshot)


def test_watchpoints_that_were_armed_are_armed_again() -> None:
    guest = Guest(STR_X0_X1, ADD_X0_1, 0x17FFFFFE)
    guest.set_x(1, DATA)
    guest.run(30)
    armed = {"dbg_wcr": (WATCH_STORE,), "dbg_wvr": (DATA,)}
    guest.debug(USE_HW, **armed)
    snapshot = guest.vm.snapshot()
    first = guest.run()
    assert isinstance(first, ExitDebug)
    count = guest.vcpu.instructions
    guest.debug(0)
    unarmed = guest.vm.snapshot()
    assert isinstance(guest.run(300), ExitIntr)
    back(guest, snapshot)
    assert guest.run() == first
    assert guest.vcpu.instructions == count
    back(guest, unarmed)
    assert isinstance(guest.run(300), ExitIntr)


def test_code_that_was_changed_is_decoded_anew() -> None:
    guest = Guest(ADD_X0_1, B_SELF)
    guest.run(2)
    snapshot = guest.vm.snapshot()
    guest.place(RAM, 0x91004000)  # add x0, x0, #16
    guest.pc = RAM
    guest.run(2)
    assert guest.x(0) == 17
    back(guest, snapshot)
    guest.pc = RAM
    guest.run(2)
    assert guest.x(0) == 2


def test_the_exclusive_monitor_comes_back() -> None:
    """Between a load-exclusive and its store-exclusive: the store succeeds, each time."""
    guest = Guest(0xC85F7C22, 0xC8037C22, B_SELF)  # ldxr x2, [x1]; stxr w3, x2, [x1]
    guest.set_x(1, DATA)
    guest.run(1)
    snapshot = guest.vm.snapshot()
    for _ in range(3):
        guest.set_x(3, 9)
        guest.run(1)
        assert guest.x(3) == 0
        back(guest, snapshot)


def test_hit_programs_are_the_callers_and_stay() -> None:
    guest = Guest(STR_X0_X1, ADD_X0_1, 0x17FFFFFE)
    guest.set_x(1, DATA)
    snapshot = guest.vm.snapshot()
    guest.debug(USE_HW, dbg_wcr=(WATCH_STORE,), dbg_wvr=(DATA,))
    buffer = bytearray(8 * 7 * 100)
    installed = guest.vcpu.set_hit_programs([HitProgram("watch", DATA, 8, 2, None, buffer)])
    armed = guest.vm.snapshot()
    assert isinstance(guest.run(30), ExitIntr)
    assert installed.counts(0) == (10, 10)
    back(guest, armed)
    guest.run(30)
    assert installed.counts(0) == (20, 20)
    back(guest, snapshot)  # nothing is armed: nothing is decided
    guest.run(30)
    assert installed.counts(0) == (20, 20)
    guest.debug(0)
    back(guest, armed)
    assert isinstance(guest.run(30), ExitIntr), "decided by the program, as it was"
    assert installed.counts(0) == (30, 30)


def test_virtual_time_goes_back() -> None:
    guest = Guest(0xD53BE020, 0x17FFFFFF)  # mrs x0, cntpct_el0
    guest.run(1000)
    snapshot = guest.vm.snapshot()
    guest.run(2001)
    count = guest.x(0)
    guest.run(5000)
    back(guest, snapshot)
    guest.run(2001)
    assert guest.x(0) == count


def test_with_the_hosts_clock_time_goes_on_from_where_it_was() -> None:
    guest = Guest(0xD53BE020, 0x17FFFFFF, clock="host", vcpus=2)
    guest.run(1001)
    start = time.perf_counter()
    before = guest.vcpus[0].cpu.counter
    snapshot = guest.vm.snapshot()
    passed = time.perf_counter() - start
    while guest.vcpus[0].cpu.counter < before + 1_000_000:
        guest.run(1001)
    restoring = time.perf_counter()
    back(guest, snapshot)
    for vcpu in guest.vcpus:
        counter = vcpu.cpu.counter
        # No more host time has passed for the guest than taking the snapshot and restoring took.
        seconds = passed + time.perf_counter() - restoring
        assert before <= counter <= before + seconds * COUNTER_HZ


def test_a_vcpu_that_psci_starts() -> None:
    """The second is off, or asked to come up, or runs; each is brought back."""
    guest = Guest(0xD4000002, B_SELF, vcpus=2)  # hvc #0
    guest.vcpus[1].set_mp_state(5)
    off = guest.vm.snapshot()
    guest.set_x(0, 0xC4000003)  # CPU_ON
    guest.set_x(1, 1)
    guest.set_x(2, RAM + 4)
    guest.set_x(3, 77)
    on_the_way = guest.vm.snapshot()
    guest.run(1)
    coming = guest.vm.snapshot()
    second = guest.vcpus[1]
    for snapshot, runs in ((coming, True), (off, False), (coming, True), (on_the_way, False)):
        back(guest, snapshot)
        second.max_instructions = second.instructions + 5
        exit_ = second.run()
        assert isinstance(exit_, ExitIntr)
        assert exit_.idle is not runs
        assert (second.get_one_reg(PC) == RAM + 4) is runs
        assert (second.get_one_reg(core_reg("x0")) == 77) is runs


# ---- memory -----------------------------------------------------------------------------------


def machine(memory: Any, **options: Any) -> tuple[Any, SoftVm, Any]:
    kvm = open_kvm("soft", **options)
    vm = cast(SoftVm, kvm.create_vm())
    vm.set_user_memory_region(0, RAM, memory)
    vcpu = vm.create_vcpu()
    vcpu.init(vm.preferred_target())
    return kvm, vm, vcpu


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which pages are present")
def test_it_takes_what_was_touched_and_gives_it_back() -> None:
    """A guest of 4 GiB: neither time nor memory is by its size."""
    memory = private(4096 * MIB)
    _, vm, _ = machine(memory)
    memory[3000 * MIB] = 1
    memory[PAGE : 9 * PAGE] = b"x" * 8 * PAGE
    snapshot = vm.snapshot()
    assert snapshot.memory_size == 9 * PAGE
    for at in range(100 * MIB, 110 * MIB, PAGE):
        memory[at] = 7
    memory[2 * PAGE] = 0
    memory[3000 * MIB] = 2
    later = vm.snapshot()
    assert later.memory_size == 9 * PAGE + 10 * MIB
    assert later.own_memory_size == 10 * MIB + 2 * PAGE, "the rest is shared"
    vm.restore(snapshot)
    assert memory[3000 * MIB] == 1
    assert memory[PAGE : 9 * PAGE] == b"x" * 8 * PAGE
    start, length = snapshots.address_of(memory)
    there = sum(count for _, count in present_pages.present_pages(start, length))
    assert there <= 16, "what is zero again was given back to the host"
    assert memory[100 * MIB : 110 * MIB] == bytes(10 * MIB)
    vm.restore(later)
    assert memory[105 * MIB] == 7
    assert memory[3000 * MIB] == 2


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_memory_of_every_kind_comes_back(data: st.DataObject) -> None:
    """Private or shared, aligned or not, in any order, with pages shared among snapshots."""
    pages = 12
    kind = data.draw(st.sampled_from(["private", "shared", "bytes", "offset"]))
    memory: Any = {
        "private": lambda: private(pages * PAGE),
        "shared": lambda: mmap.mmap(-1, pages * PAGE),
        "bytes": lambda: bytearray(pages * PAGE),
        "offset": lambda: memoryview(bytearray(pages * PAGE + 77))[77:],
    }[kind]()
    _, vm, _ = machine(memory)
    taken: list[tuple[bytes, Snapshot]] = []
    for _ in range(data.draw(st.integers(3, 15))):
        what = data.draw(st.sampled_from(["write", "write", "zero", "snapshot", "restore"]))
        at = data.draw(st.integers(0, pages * PAGE - 1))
        if what == "write":
            memory[at] = data.draw(st.integers(0, 255))
        elif what == "zero":
            page = at // PAGE * PAGE
            memory[page : page + PAGE] = bytes(PAGE)
        elif what == "snapshot":
            taken.append((bytes(memory), vm.snapshot()))
        elif taken:
            expected, snapshot = taken[at % len(taken)]
            vm.restore(snapshot)
            assert bytes(memory) == expected
    held = {bytes(part[n : n + PAGE]) for part, _ in taken for n in range(0, len(part), PAGE)}
    for expected, snapshot in taken:
        zero = sum(expected[n : n + PAGE] == bytes(PAGE) for n in range(0, len(expected), PAGE))
        assert snapshot.memory_size == (pages - zero) * PAGE
    assert len(held) <= 1 + sum(snapshot.memory_size for _, snapshot in taken) // PAGE


def test_two_slots_of_the_same_memory() -> None:
    """Code decoded by one address, changed by the other: what was decoded goes by both."""
    memory = private(16 * PAGE)
    _, vm, vcpu = machine(memory)
    vm.set_user_memory_region(1, RAM + 16 * PAGE, memory)
    memory[:8] = ADD_X0_1.to_bytes(4, "little") + B_SELF.to_bytes(4, "little")
    snapshot = vm.snapshot()
    for add in (0x91004000, 0x91008000):
        memory[:4] = add.to_bytes(4, "little")
        for base in (RAM, RAM + 16 * PAGE):
            vm.code_changed(base, 4)
            vcpu.set_one_reg(PC, base)
            vcpu.max_instructions = vcpu.instructions + 2
            vcpu.run()
        vm.restore(snapshot)
        for base in (RAM, RAM + 16 * PAGE):
            vcpu.set_one_reg(PC, base)
            vcpu.set_one_reg(core_reg("x0"), 0)
            vcpu.max_instructions = vcpu.instructions + 2
            vcpu.run()
            assert vcpu.get_one_reg(core_reg("x0")) == 1


def test_snapshots_are_freed() -> None:
    memory = private(16 * MIB)
    _, vm, _ = machine(memory)
    memory[: 4 * MIB] = b"y" * 4 * MIB
    first = vm.snapshot()
    second = vm.snapshot()
    assert (first.own_memory_size, second.own_memory_size) == (0, 0)
    gone = weakref.ref(first)
    del first
    assert gone() is None
    assert second.own_memory_size == 4 * MIB
    memory[0] = 1
    vm.restore(second)
    assert memory[0] == ord("y")


@pytest.mark.parametrize("fails", [errno.ENOTTY, errno.EINVAL, errno.EPERM])
def test_kernels_that_cannot_scan(fails: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 6.7 each page's entry is read; without pagemap every page counts as present."""

    def refuse(*_: object) -> list[tuple[int, int]]:
        raise OSError(fails, "no")

    memory = private(64 * MIB)
    memory[5 * MIB] = memory[40 * MIB + 3 * PAGE] = 1
    start, length = snapshots.address_of(memory)
    if sys.platform == "linux":
        assert present_pages.is_private_anonymous(start, length)
    monkeypatch.setattr(present_pages, "_scan", refuse)
    found = present_pages.present_pages(start, length)
    if fails == errno.EPERM or sys.platform != "linux":
        assert found == present_pages.all_pages(length)
        return
    for page in (5 * MIB // PAGE, 40 * MIB // PAGE + 3):
        assert any(first <= page < first + count for first, count in found)
    assert sum(count for _, count in found) <= 2 * 512
    monkeypatch.setattr(present_pages.os, "open", refuse)
    assert present_pages.present_pages(start, length) == present_pages.all_pages(length)


def test_shared_memory_counts_as_present() -> None:
    """Its pages may have contents although this process has not touched them."""
    shared = mmap.mmap(-1, 16 * PAGE)
    assert not present_pages.is_private_anonymous(*snapshots.address_of(shared))


@pytest.mark.parametrize(
    "runs", [[(0, 3)], [(2, 1)], [(1, 1), (0, 1)], [(1 << 63, 2)], [(0, 1 << 62)]]
)
def test_pages_beyond_the_buffer_are_refused(runs: list[tuple[int, int]]) -> None:
    buffer = bytearray(2 * PAGE)
    pages = Pages(buffer, [(0, 2)])
    for call in (
        lambda: Pages(buffer, runs),
        lambda: pages.differing(buffer, runs),
        lambda: pages.put_back(buffer, runs, False),
        lambda: pages.differing(bytearray(PAGE), []),
        lambda: pages.put_back(bytearray(4 * PAGE), [], False),
        lambda: Pages(bytearray(100), []),
    ):
        with pytest.raises(ValueError, match=r"pages|bytes"):
            call()


# ---- what is refused --------------------------------------------------------------------------


def refused(vm: SoftVm, snapshot: Any, number: int, words: str) -> None:
    with pytest.raises(KvmError, match=words) as raised:
        vm.restore(snapshot)
    assert raised.value.errno == number
    assert raised.value.call == "restore"


def test_snapshots_of_other_machines_are_refused() -> None:
    one = Guest(B_SELF)
    refused(one.vm, "yesterday", errno.EINVAL, "not a snapshot")
    for options, words in (
        ({"cpu": "cortex-a72"}, "their processor: .* in the snapshot, cortex-a72 here"),
        ({"watchpoints": 8}, r"debug registers .*: \(6, 2, 4\) in the snapshot, \(6, 2, 8\)"),
        ({"linux": "6.1"}, "their Linux version: 6.14 in"),
        ({"clock": "host"}, "their clock: virtual in"),
    ):
        with open_kvm("soft", **options) as kvm, kvm.create_vm() as vm:
            vm.set_user_memory_region(0, RAM, bytearray(len(one.memory)))
            vm.create_vcpu()
            refused(cast(SoftVm, vm), one.vm.snapshot(), errno.EINVAL, words)


@pytest.mark.parametrize("seed", range(6))
def test_a_twin_goes_on_as_the_machine_did(seed: int) -> None:
    """A machine that was only made, and one that has run something else, are given its state."""
    with contextlib.closing(Program(seed)) as one, contextlib.closing(Program(seed)) as other:
        for _ in range(40):
            one.tick()
        snapshot, at = one.vm.snapshot(), one.at
        expected = [one.tick() for _ in range(40)], one.state()
        for before in (0, 25):
            other.at = 0
            for _ in range(before):
                other.tick()
            other.vm.restore(snapshot)
            other.at = at
            assert ([other.tick() for _ in range(40)], other.state()) == expected
            again = other.vm.snapshot()
            one.vm.restore(again)
            assert one.state() == expected[1]
        other.vm.restore(snapshot)
        shared = other.vm.snapshot()
        assert shared.own_memory_size == 0, "its pages are those of the first machine"


def test_a_closed_machine() -> None:
    guest = Guest(B_SELF)
    snapshot = guest.vm.snapshot()
    guest.vm.close()
    refused(guest.vm, snapshot, errno.EBADF, "closed")
    with pytest.raises(KvmError, match="closed"):
        guest.vm.snapshot()


def test_other_vcpus_and_other_memory_are_refused_and_nothing_changes() -> None:
    guest = Guest(ADD_X0_1, B_SELF)
    snapshot = guest.vm.snapshot()
    guest.run(2)
    extra = bytearray(PAGE)
    guest.vm.set_user_memory_region(5, 0, extra)
    refused(guest.vm, snapshot, errno.EINVAL, "slot 5 is 0x1000 bytes at 0x0, and was not there")
    guest.vm.set_user_memory_region(5, 0, None)
    guest.vm.set_user_memory_region(0, 0, guest.memory)
    refused(guest.vm, snapshot, errno.EINVAL, "slot 0 is .* at 0x0, and was .* at 0x40000000")
    guest.vm.set_user_memory_region(0, RAM, guest.memory, KVM_MEM_READONLY)
    refused(guest.vm, snapshot, errno.EINVAL, "with other flags")
    guest.vm.set_user_memory_region(0, 0, None)
    refused(guest.vm, snapshot, errno.EINVAL, "slot 0 is not there")
    guest.vm.set_user_memory_region(0, RAM, guest.memory)
    assert guest.x(0) == 1
    back(guest, snapshot)
    assert guest.x(0) == 0
    guest.vm.create_vcpu(1)
    refused(guest.vm, snapshot, errno.EINVAL, r"their vCPUs: \[0\] in the snapshot, \[0, 1\] here")


@pytest.mark.parametrize("clock", ["virtual", "host"])
def test_while_a_vcpu_runs(clock: str) -> None:
    """In a loop, or asleep in a WFI with the host's clock."""
    guest = Guest(B_SELF if clock == "virtual" else 0xD503207F, B_SELF, clock=clock)
    snapshot = guest.vm.snapshot()
    thread = threading.Thread(target=guest.vcpu.run)
    thread.start()
    try:
        while not guest.vcpu.running:
            pass
        with pytest.raises(KvmError, match="vCPU 0 is running in another thread: kick"):
            guest.vm.snapshot()
        refused(guest.vm, snapshot, errno.EBUSY, "running in another thread")
    finally:
        guest.vcpu.kick()
        thread.join()
    guest.vm.restore(snapshot)
    assert guest.vcpu.instructions == 0


def test_while_another_thread_changes_the_machine() -> None:
    guest = Guest(B_SELF)
    with guest.vm.run_lock, pytest.raises(KvmError, match="another thread"):
        guest.vm.snapshot()
    guest.vm.snapshot()


# ---- as bytes, for files ------------------------------------------------------------------------


def test_every_attribute_has_a_type_in_files() -> None:
    """An attribute that a snapshot keeps is checked when it is read from a file."""
    guest = Guest(B_SELF)
    snapshot = guest.vm.snapshot()
    assert serial.MACHINE.keys() == snapshot.machine.keys()
    assert serial.VCPU.keys() == snapshots.vcpu_state(guest.vm.soft_vcpus[0]).keys()
    guest.vm.create_device(KVM_DEV_TYPE_ARM_VGIC_V3)
    state = guest.vm.snapshot().vgic
    assert state is not None
    assert vgic_save.DIST.keys() == state.dist.keys()


@pytest.mark.parametrize("seed", range(6))
def test_a_machine_goes_through_bytes(seed: int) -> None:
    with contextlib.closing(Program(seed)) as one, contextlib.closing(Program(seed)) as other:
        for _ in range(40):
            one.tick()
        saved = one.vm.save_snapshot(one.vm.snapshot())
        at = one.at
        expected = [one.tick() for _ in range(40)], one.state()
        sections = [
            data for slot, pages in saved.pages.items() for data in page_sections(slot, pages)
        ]
        with expand(sections, saved.sizes) as image:
            other.vm.restore(other.vm.load_snapshot(saved.state, image, ()))
        other.at = at
        assert ([other.tick() for _ in range(40)], other.state()) == expected
