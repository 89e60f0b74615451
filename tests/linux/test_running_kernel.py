"""Points in a running kernel and its programs: four vCPUs, preemption, timer interrupts.

Debian's newest kernel, whose kallsyms have variables too. It is booted once; each test begins at
the snapshot of the shell's prompt.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guestdbg import STOP
from guestdbg.arm64.instructions import branch
from guestdbg.arm64.translate import walk
from guestdbg.debugger import Guest, GuestSnapshot, Hit

from .shell import SECONDS, Shell, at_prompt

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: In struct pt_regs: X0 to X30, then SP and PC of the program.
PT_SP, PT_PC = 248, 256
CLONE_VM = 0x100
LINEAR_MAP, RAM = 0xFFFF_0000_0000_0000, 0x4000_0000


@pytest.fixture(scope="module")
def booted() -> Iterator[tuple[Shell, GuestSnapshot]]:
    with at_prompt("sid", vcpus=4, entropy=True) as shell:
        yield shell, shell.guest.snapshot()


@pytest.fixture
def shell(booted: tuple[Shell, GuestSnapshot]) -> Shell:
    shell, snapshot = booted
    for point in shell.guest.points:
        point.delete()
    shell.guest.restore(snapshot)
    return shell


def pt_regs(hit: Hit, offset: int) -> int:
    """A register of the program that made this system call."""
    found: int = hit.guest.read_u64(hit.vcpu.x[0] + offset)
    return found


def test_a_system_call_and_the_program_that_made_it(shell: Shell) -> None:
    guest = shell.guest
    call = guest.break_("__arm64_sys_newuname")
    shell.type(b"uname -r")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert stop.hit.point is call
    functions = [frame.location.function for frame in stop.cpu.backtrace()]
    assert functions[0] == "__arm64_sys_newuname"
    assert "el0_svc" in functions
    assert "el0t_64_sync" in functions
    back = pt_regs(stop.hit, PT_PC)
    # The instruction after the SVC, in the program: reported once, at EL0.
    program = guest.break_(back, el="el0")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert stop.hit.point is program
    assert (stop.pc, stop.cpu.reg("pstate") & 0xF) == (back, 0)
    program.delete()
    call.delete()
    assert guest.linux.release in shell.to_prompt()


def test_data_of_one_cpu(shell: Shell) -> None:
    """The count of interrupts of each CPU: only the CPU itself writes it, and counts by one."""
    guest = shell.guest
    cpu = guest.vcpus[1]
    # TPIDR_EL1 has the distance from the linked per-CPU data to those of this CPU.
    address = guest.symbol("kstat").address + cpu.reg("TPIDR_EL1") & (1 << 64) - 1
    seen: list[tuple[int, int]] = []

    @guest.watch(address, 8)
    def counted(hit: Hit) -> object:
        assert hit.new == hit.old + 1
        seen.append((hit.vcpu.id, hit.new))
        return STOP if len(seen) == 5 else None

    work = b"(i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done) & "
    shell.type(work * 4 + b"wait")
    assert guest.run(timeout=SECONDS).reason == "hit"
    assert {vcpu for vcpu, _ in seen} == {cpu.id}
    first = seen[0][1]
    assert [new for _, new in seen] == list(range(first, first + 5))
    counted.delete()
    shell.to_prompt()


def test_a_lock_that_all_cpus_take(shell: Shell) -> None:
    """Atomics and exclusives on a watched lock go on, and processes begin and end."""
    guest = shell.guest
    taken: list[str | None] = []

    @guest.watch("tasklist_lock", 4)
    def written(hit: Hit) -> None:
        taken.extend(frame.location.function for frame in hit.backtrace(6))

    shell.type(b"for i in 1 2 3 4 5 6; do uname -m & done; wait; echo done-$((40+2))")
    text = shell.to_prompt()
    assert "done-42" in text
    assert text.count("aarch64") == 6
    assert written.hits > 12
    assert {"copy_process", "do_exit"} <= set(taken), set(taken)


def test_a_page_table_entry(shell: Shell) -> None:
    """A fork makes a page of the shell read-only: one store to its descriptor."""
    guest = shell.guest
    fork = guest.break_("__arm64_sys_clone")
    shell.type(b"(:); echo done-$((40+2))")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert not pt_regs(stop.hit, 0) & CLONE_VM
    cpu, stack = stop.cpu, pt_regs(stop.hit, PT_SP)
    read: list[int] = []

    def read_u64(address: int) -> int:
        read.append(address)
        return int.from_bytes(guest.board.read_phys(address, 8), "little")

    registers = {n.lower(): cpu.reg(f"{n}_EL1") for n in ("TCR", "TTBR0", "TTBR1", "SCTLR", "MAIR")}
    walk(read_u64, stack, **registers)
    entry = LINEAR_MAP + read[-1] - RAM
    before = guest.read_u64(entry)
    assert before == read_u64(read[-1])
    assert before & 1
    fork.delete()
    watch = guest.watch(entry, 8)
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert (stop.hit.old, stop.hit.address) == (before, entry)
    read_only = 1 << 7
    assert not before & read_only
    assert stop.hit.new & read_only
    assert "copy_page_range" in [f.location.function for f in stop.cpu.backtrace()]
    watch.delete()
    assert "done-42" in shell.to_prompt()


def test_memory_that_a_device_writes(shell: Shell) -> None:
    """The ring in which the entropy device gives back the buffers that the driver has given it."""
    guest = shell.guest
    queue = guest.board.virtio[0].queues[0]
    index = LINEAR_MAP + queue.device + 2 - RAM
    before = int.from_bytes(guest.read(index, 2), "little")
    watch = guest.watch(index, 2)
    shell.type(b"head -c 16 /dev/hwrng | wc -c")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert stop.hit.device == "virtio-rng"
    assert (stop.hit.address, stop.hit.size) == (index, 2)
    assert (stop.hit.old, stop.hit.new) == (before, before + 1)
    functions = [frame.location.function for frame in stop.cpu.backtrace()]
    assert "rng_dev_read" in functions, functions
    watch.delete()
    assert "16" in shell.to_prompt()


def successors(guest: Guest, pc: int) -> set[int]:
    raw = int.from_bytes(guest.read(pc, 4), "little")
    found = branch(raw)
    if found is None:
        return {pc + 4}
    target = found.target(pc, guest.vcpus[guest.execution.current].reg)
    assert target is not None
    return {pc + 4, target} if found.conditional else {target}


def test_steps_with_an_interrupt_pending(shell: Shell) -> None:
    """A step executes its instruction, whatever interrupt is taken before it."""
    guest = shell.guest
    shell.type(b"while :; do :; done")
    guest.run(max_instructions=20_000_000)
    irq = guest.break_("el0t_64_irq_handler")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    program = guest.read_u64(stop.cpu.x[0] + PT_PC)
    assert program >> 55 == 0
    irq.delete()
    # Where this interrupt was taken, another one is soon: step on from there.
    guest.select(stop.cpu)
    there = guest.break_(program, el="el0")
    stop = guest.run(timeout=SECONDS)
    assert stop.pc == program
    there.delete()
    taken = guest.break_("el0t_64_irq_handler")
    taken(lambda hit: None)
    steps = 0
    while taken.hits < 2 and steps < 3000:
        pc = guest.vcpus[guest.execution.current].pc
        raw = int.from_bytes(guest.read(pc, 4), "little")
        if raw & 0xFFE0_001F == 0xD400_0001:  # SVC
            guest.step_over()
            continue
        after = successors(guest, pc)
        stop = guest.step()
        assert stop.reason in ("step", "hit"), stop
        if stop.pc >> 55 == 0:
            assert stop.pc in after, (hex(pc), hex(stop.pc))
        steps += 1
    assert steps
    taken.delete()
    guest.board.console.feed(b"\x03")
    shell.to_prompt()
