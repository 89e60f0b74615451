"""Every way to change a guest is noticed by its history, or is refused."""

from __future__ import annotations

import mmap
from collections.abc import Callable

import pytest

import guestdbg
from guestdbg.debugger import Guest, Hit, Unsupported
from guestdbg.history import InThePast
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_POWER_OFF,
    KVM_ARM_VCPU_PSCI_0_2,
    KVM_ARM_VCPU_PTRAUTH_ADDRESS,
    KVM_ARM_VCPU_PTRAUTH_GENERIC,
    KVM_MP_STATE_STOPPED,
)
from guestdbg.kvm.regs import core_reg, sys_reg
from guestdbg.kvm.structures import VcpuEvents
from tests.history.digest import digest
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

RAM = 0x4000_0000
FREE = RAM + 0x70_0000
#: As the board initialises its second vCPU.
FEATURES = (
    KVM_ARM_VCPU_POWER_OFF,
    KVM_ARM_VCPU_PSCI_0_2,
    KVM_ARM_VCPU_PTRAUTH_ADDRESS,
    KVM_ARM_VCPU_PTRAUTH_GENERIC,
)


def load() -> Guest:
    return guestdbg.load(
        EXAMPLES / "smp.elf", vcpus=2, console=None, provider="soft", memory="8M", history=True
    )


def init_again(guest: Guest) -> None:
    init = guest.board.vm.preferred_target()
    guest.vcpus[1].vcpu.init(init.with_feature(*FEATURES))


#: What changes the guest: it becomes part of the history, and is refused in the past.
NOTICED: dict[str, Callable[[Guest], object]] = {
    "guest.write": lambda guest: guest.write(FREE, b"abc"),
    "a register": lambda guest: guest.cpu.set_reg("x28", 5),
    "a register of another vCPU": lambda guest: guest.vcpus[1].set_reg("x28", 5),
    "board.write_phys": lambda guest: guest.board.write_phys(FREE, b"abc"),
    "board.memory.write": lambda guest: guest.board.memory.write(FREE, b"abc"),
    "board.memory.zero": lambda guest: guest.board.memory.zero(RAM + 0x20_0000, 4096),
    "board.start": lambda guest: guest.board.start(0x4020_0000),
    "an interrupt": lambda guest: guest.board.interrupt(5)(True),
    "guest.reset": lambda guest: guest.reset(),
    "KVM_SET_ONE_REG": lambda guest: guest.cpu.vcpu.set_one_reg(core_reg("x28"), 5),
    "a system register": lambda guest: guest.cpu.vcpu.set_one_reg(sys_reg("TPIDR_EL1"), 5),
    "KVM_ARM_VCPU_INIT": init_again,
    "KVM_SET_MP_STATE": lambda guest: guest.vcpus[1].vcpu.set_mp_state(KVM_MP_STATE_STOPPED),
    "KVM_SET_VCPU_EVENTS": lambda guest: guest.cpu.vcpu.set_vcpu_events(
        VcpuEvents(serror_pending=True)
    ),
    "KVM_IRQ_LINE": lambda guest: guest.board.vm.irq_line(1 << 24 | 40, 1),
}

#: What cannot be made again.
REFUSED: dict[str, Callable[[Guest], object]] = {
    "KVM_RUN": lambda guest: guest.cpu.vcpu.run(),
    "board.run": lambda guest: guest.board.run(guest.board.vcpus[0]),
    "board.restore": lambda guest: guest.board.restore(guest.board.snapshot()),
    "KVM_CREATE_VCPU": lambda guest: guest.board.vm.create_vcpu(5),
    "KVM_SET_USER_MEMORY_REGION": lambda guest: guest.board.vm.set_user_memory_region(
        7, 0x2_0000_0000, mmap.mmap(-1, 4096)
    ),
}


@pytest.mark.parametrize("name", NOTICED)
def test_a_change_is_part_of_the_history(name: str) -> None:
    change = NOTICED[name]
    with load() as guest:
        guest.run(max_instructions=20_000)
        before = guest.history.now, digest(guest)
        change(guest)
        changed = digest(guest)
        guest.run(max_instructions=5_000)
        after = guest.history.now, digest(guest)
        guest.goto(guest.history.begin)
        guest.goto(after[0])
        assert digest(guest) == after[1]
        guest.goto(before[0].position)
        assert digest(guest) == changed
        guest.reverse_step(1)
        earlier = digest(guest)
        with pytest.raises(InThePast, match="branch"):
            change(guest)
        assert digest(guest) == earlier
        guest.history.goto_end()
        assert digest(guest) == after[1]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_repeated_is_refused(name: str) -> None:
    with load() as guest:
        guest.run(max_instructions=20_000)
        before = digest(guest)
        with pytest.raises(Unsupported, match="history"):
            REFUSED[name](guest)
        assert digest(guest) == before
        guest.history.stop()


@pytest.mark.parametrize("by", ["the debugger", "the provider", "the board"])
def test_a_handler_that_changes_the_guest(by: str) -> None:
    """Only what handlers do is a change: the run around them is the guest's own."""
    changes = {
        "the debugger": lambda guest: guest.cpu.set_reg("x28", 6),
        "the provider": lambda guest: guest.cpu.vcpu.set_one_reg(core_reg("x28"), 6),
        "the board": lambda guest: guest.board.write_phys(FREE, b"xyz"),
    }
    with load() as guest:

        @guest.watch("counter")
        def written(hit: Hit) -> object:
            if hit.new == 3:
                changes[by](guest)
            return guestdbg.STOP if hit.new == 6 else None

        guest.run()
        time, expected = guest.history.now, digest(guest)
        written.delete()
        guest.goto(guest.history.begin)
        guest.goto(time)
        assert digest(guest) == expected
        here = guest.history.begin
        guest.goto(here)
        again = guest.watch("counter", when=lambda hit: changes[by](guest))
        with pytest.raises(InThePast):
            guest.run()
        again.delete()
        guest.goto(time)
        assert digest(guest) == expected


def test_points_are_no_change() -> None:
    """Neither a BRK in memory, nor a snapshot, nor input that arrives."""
    with load() as guest:
        guest.run(max_instructions=20_000)
        guest.goto(guest.history.begin)
        point = guest.break_(guest.cpu.pc + 16, kind="software")
        guest.snapshot()
        guest.step()
        point.delete()
        guest.board.console.feed(b"x")
        guest.snapshot()
        guest.history.goto_end()


def test_an_input_that_raises_an_interrupt_is_no_change() -> None:
    """Wherever it is delivered: by a run, for a snapshot, for a question, in the past."""
    with load() as guest:
        line = guest.board.interrupt(5)
        port = guest.board.inputs.connect("test", lambda data: line(data == b"1"))
        guest.run(max_instructions=20_000)
        seen = []
        for data in (b"1", b"0", b"1"):
            port.post(data)
            time = guest.history.now
            if data == b"0":  # for a question of the present
                guest.history.last_write("counter")
            seen.append((time, digest(guest)))
            guest.run(max_instructions=5_000)
        assert len(guest.history._there.recorder.checkpoints) == 1, "no change by the user"
        for time, expected in (*seen, *reversed(seen)):
            guest.goto(time)
            guest.history.last_write("counter")  # it is put back there
            assert digest(guest) == expected
            guest.history.next_write("counter")  # and to after the input
            assert digest(guest) == expected
            guest.board.snapshot()
