"""Threads: kicks, calls from other threads, and vCPUs with a thread each."""

import errno
import threading
import time
from collections.abc import Callable

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitIntr, ExitSystemEvent, GuestDebug, KvmError, VcpuEvents
from guestdbg.kvm.regs import core_reg, sys_reg
from guestdbg.kvm.soft.run.fair_lock import FairLock
from guestdbg.kvm.soft.run.requests import power_off, power_on

from .support import DATA, ENABLE, PC, RAM, USE_SW_BP, Guest

SPIN = (asm.add(0, 0, 1), asm.b(-4))


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.001)


class Running:
    """A vCPU that runs in a thread of its own until kicked."""

    def __init__(self, guest: Guest, number: int = 0) -> None:
        self.vcpu = guest.vcpus[number]
        self.exits: list[object] = []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.exits.append(self.vcpu.run())
        except KvmError as error:
            self.exits.append(error)

    def __enter__(self) -> "Running":
        self.thread.start()
        eventually(lambda: self.vcpu.running or bool(self.exits))
        return self

    def __exit__(self, *_: object) -> None:
        self.vcpu.kick()
        self.thread.join(20)
        assert not self.thread.is_alive()


def test_kick_ends_the_current_run() -> None:
    guest = Guest(*SPIN)
    with Running(guest) as running:
        eventually(lambda: guest.vcpu.instructions > 1000)
    assert running.exits == [ExitIntr()]
    before = guest.vcpu.instructions
    assert guest.run(100) == ExitIntr()
    assert guest.vcpu.instructions == before + 100, "the kick was used up"


def test_kick_ends_the_next_run_and_only_that() -> None:
    guest = Guest(*SPIN)
    guest.vcpu.kick()
    assert guest.vcpu.run() == ExitIntr()
    assert guest.vcpu.instructions == 0
    assert guest.run(10) == ExitIntr()
    assert guest.vcpu.instructions == 10


def test_calls_from_another_thread_while_it_runs_raise() -> None:
    """Only kick() may come from another thread; every other call raises EBUSY."""
    guest = Guest(*SPIN)
    vcpu = guest.vcpu
    calls: dict[str, Callable[[], object]] = {
        "run": vcpu.run,
        "get_one_reg": lambda: vcpu.get_one_reg(PC),
        "set_one_reg": lambda: vcpu.set_one_reg(PC, 0),
        "get_reg_list": vcpu.get_reg_list,
        "set_guest_debug": lambda: vcpu.set_guest_debug(GuestDebug(ENABLE)),
        "get_vcpu_events": vcpu.get_vcpu_events,
        "set_vcpu_events": lambda: vcpu.set_vcpu_events(VcpuEvents()),
        "get_mp_state": vcpu.get_mp_state,
        "set_mp_state": lambda: vcpu.set_mp_state(0),
        "complete_mmio": lambda: vcpu.complete_mmio(b""),
        "init": lambda: vcpu.init(guest.vm.preferred_target()),
        "debug_state": lambda: vcpu.debug_state,
        "close": vcpu.close,
    }
    with Running(guest) as running:
        for name, call in calls.items():
            with pytest.raises(KvmError, match="another thread") as error:
                call()
            assert error.value.errno == errno.EBUSY, name
    assert running.exits == [ExitIntr()]
    vcpu.get_one_reg(PC)


def test_another_thread_may_take_over_between_runs() -> None:
    guest = Guest(*SPIN)
    guest.run(10)
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(guest.run(10)))
    thread.start()
    thread.join()
    assert seen == [ExitIntr()]


def test_memory_is_mapped_while_a_vcpu_runs() -> None:
    guest = Guest(*SPIN)
    with Running(guest):
        for _ in range(20):
            guest.vm.set_user_memory_region(1, 0, bytearray(4096))
            guest.vm.code_changed(RAM, 8)
            guest.vm.set_user_memory_region(1, 0, None)


def test_interrupt_line_is_raised_while_the_vcpu_runs() -> None:
    guest = Guest(asm.daifclr(2), *SPIN)
    guest.place(RAM + 0x8280, asm.str_(0, 1), asm.b(0))
    guest.set_reg("VBAR_EL1", RAM + 0x8000)
    guest.set_x(1, DATA)
    with Running(guest):
        eventually(lambda: guest.vcpu.instructions > 1000)
        guest.vm.irq_line(0, 1)
        eventually(lambda: guest.u64(DATA) != 0)


def test_two_vcpus_with_a_thread_each_take_turns() -> None:
    """They wait for each other in memory: neither may keep the run lock."""
    guest = Guest(vcpus=2)
    # Each waits until the other's word has reached its own, then adds one; a thousand times.
    wait = (asm.ldr(2, 4), 0xEB03005F, 0x54FFFFCB)  # cmp x2, x3; b.lt back to the ldr
    code = asm.flat(list(wait), asm.add(3, 3, 1), asm.str_(3, 5), 0xF10FA07F, 0x54FFFF4B, asm.b(0))
    guest.place(RAM, *code)
    for number, vcpu in enumerate(guest.vcpus):
        vcpu.set_one_reg(PC, RAM)
        vcpu.set_one_reg(core_reg("x4"), DATA + 8 * (1 - number))
        vcpu.set_one_reg(core_reg("x5"), DATA + 8 * number)
    with Running(guest, 0), Running(guest, 1):
        eventually(lambda: guest.u64(DATA) >= 100 and guest.u64(DATA + 8) >= 100)


def test_host_clock_wfi_sleeps_until_kicked() -> None:
    guest = Guest(asm.WFI, asm.b(-4), clock="host")
    with Running(guest) as running:
        time.sleep(0.02)
        assert running.vcpu.running
    assert running.exits == [ExitIntr(waiting=True)]


def test_host_clock_wfi_sleeps_until_the_timer() -> None:
    guest = Guest(
        *asm.mov(4, 625_000),  # ten milliseconds
        asm.msr("CNTV_TVAL_EL0", 4),
        *asm.mov(4, 1),
        asm.msr("CNTV_CTL_EL0", 4),
        asm.WFI,
        asm.mrs(5, "CNTV_CTL_EL0"),
        0x3617FFC5,  # tbz w5, #2, the WFI
        *asm.mov(0, 0x84000008),
        asm.hvc(),
        clock="host",
    )
    began = time.monotonic()
    assert isinstance(guest.vcpu.run(), ExitSystemEvent)
    assert time.monotonic() - began >= 0.009


def test_host_clock_stopped_vcpu_sleeps_until_powered_on() -> None:
    guest = Guest(clock="host", vcpus=2)
    guest.place(RAM, *asm.mov(0, 0x84000008), asm.hvc())
    power_off(guest.vcpus[1])
    guest.vcpus[1].set_one_reg(PC, RAM)
    running = Running(guest, 1)
    with running:
        time.sleep(0.02)
        assert running.vcpu.running
        power_on(running.vcpu, RAM, 0)
        eventually(lambda: bool(running.exits))
    assert isinstance(running.exits[0], ExitSystemEvent)


def test_the_fair_lock_is_exclusive_and_starves_no_thread() -> None:
    lock = FairLock()
    inside = 0
    taken = [0, 0, 0]
    stop = threading.Event()

    def work(me: int) -> None:
        nonlocal inside
        lock.acquire()
        while not stop.is_set():
            inside += 1
            assert inside == 1
            taken[me] += 1
            inside -= 1
            lock.yield_to_waiters()
        lock.release()

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: all(count > 50 for count in taken))
    stop.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert not lock.waiters


def test_virtual_time_is_the_same_in_one_piece_and_in_pieces() -> None:
    """Limits, kicks and debugging leave no trace in what a guest computes or when."""

    def run(pieces: int, control: int) -> list[int]:
        guest = Guest(asm.mrs(1, "CNTVCT_EL0"), asm.add(0, 0, 1), asm.b(-8))
        guest.debug(control)
        total = 30_000
        while guest.vcpu.instructions < total:
            guest.vcpu.max_instructions = min(guest.vcpu.instructions + pieces, total)
            guest.vcpu.run()
        return [guest.pc, guest.x(0), guest.x(1), guest.reg("CNTVCT_EL0"), guest.vcpu.instructions]

    whole = run(30_000, 0)
    assert whole == run(7, 0) == run(1001, 0) == run(1001, ENABLE)
    assert sys_reg("CNTVCT_EL0")


def test_code_that_one_vcpu_writes_and_the_other_executes() -> None:
    """A thread each, one page: the writer's maintenance and the other's ISB are what the
    architecture asks for. Each function must give the number that was announced with it."""
    mov_x0, ret = 0xD2800000, 0xD65F03C0
    functions = RAM + 0x4000
    rounds = 1000
    # x4: the announcements, x5: the answers, x6: functions, x7: mov x0, #0; x3 counts.
    writer = (
        0x91000463,  # add x3, x3, #1
        0x2A0314E8,  # orr w8, w7, w3, lsl #5
        0x12000869,  # and w9, w3, #7
        0x8B0918CA,  # add x10, x6, x9, lsl #6
        0xB9000148,  # str w8, [x10]
        0xD50B7B2A,  # dc cvau, x10
        0xD5033B9F,  # dsb ish
        0xD50B752A,  # ic ivau, x10
        0xD5033B9F,  # dsb ish
        0xD5033FDF,  # isb
        0xC89FFC83,  # stlr x3, [x4]
        0xC8DFFCA2,  # ldar x2, [x5]
        0xEB03005F,  # cmp x2, x3
        0x54FFFFC1,  # b.ne back to the ldar
        0x17FFFFF2,  # b to the start
    )
    reader = (
        0xC8DFFC82,  # ldar x2, [x4]
        0xEB03005F,  # cmp x2, x3
        0x54FFFFC0,  # b.eq back to the ldar
        0xAA0203E3,  # mov x3, x2
        0x12000869,  # and w9, w3, #7
        0x8B0918CA,  # add x10, x6, x9, lsl #6
        0xD5033FDF,  # isb
        0xD63F0140,  # blr x10
        0xEB03001F,  # cmp x0, x3
        0x54000061,  # b.ne to the brk
        0xC89FFCA3,  # stlr x3, [x5]
        0x17FFFFF5,  # b to the start
        0xD4200000,  # brk #0: stale
    )
    guest = Guest(vcpus=2)
    guest.place(RAM, *writer)
    guest.place(RAM + 0x1000, *reader)
    for n in range(8):
        guest.place(functions + 64 * n, mov_x0, ret)
    for number, vcpu in enumerate(guest.vcpus):
        vcpu.set_one_reg(PC, RAM + 0x1000 * number)
        for register, value in (("x4", DATA), ("x5", DATA + 8), ("x6", functions), ("x7", mov_x0)):
            vcpu.set_one_reg(core_reg(register), value)
        vcpu.set_guest_debug(GuestDebug(USE_SW_BP))
    with Running(guest, 0) as first, Running(guest, 1) as second:
        eventually(lambda: guest.u64(DATA + 8) >= rounds or bool(first.exits or second.exits))
    assert first.exits == second.exits == [ExitIntr()]
    assert guest.u64(DATA + 8) >= rounds
