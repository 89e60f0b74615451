"""Breakpoints in Linux by address: before the MMU is on, and in the running kernel."""

from guestdbg.machine.layout import RAM_BASE
from tests.linux.support import PROMPT, linux, load

SCTLR_M = 1


def entry_branch(image: bytes) -> int:
    """The offset in the Image that its second instruction, a B, leads to: primary_entry.

    The first one is the "MZ" of the EFI header, a harmless instruction.
    """
    word = int.from_bytes(image[4:8], "little")
    assert word >> 26 == 0b000101
    return 4 + ((word & 0x3FF_FFFF ^ 0x200_0000) - 0x200_0000) * 4


def test_the_first_instructions_with_the_mmu_off() -> None:
    target = RAM_BASE + (2 << 20) + entry_branch(linux().kernel.read_bytes()[:64])
    with load() as guest:
        cpu = guest.vcpus[0]
        tree = cpu.x[0]
        guest.break_(target)
        stop = guest.run(timeout=30)
        assert stop.reason == "hit"
        assert cpu.pc == target
        assert cpu.x[0] == tree
        assert not cpu.reg("SCTLR_EL1") & SCTLR_M
        for _ in range(100):
            guest.step()
        assert RAM_BASE < cpu.pc < RAM_BASE + (64 << 20)


def test_system_calls_at_the_shell() -> None:
    """A breakpoint at the exception vector for EL0: the shell's next system call hits it."""
    output = bytearray()

    def console(data: bytes) -> None:
        output.extend(data)
        if PROMPT in output:
            guest.interrupt()

    with load(console=console) as guest:
        stop = guest.run(timeout=100)
        assert stop.reason == "interrupt", output
        cpu = guest.vcpus[0]
        vector = cpu.reg("VBAR_EL1") + 0x400
        guest.break_(vector, when="(ESR_EL1 >> 26) == 0x15")
        guest.board.console.feed(b"echo $((6*7))\n")
        stop = guest.run(timeout=60)
        assert stop.reason == "hit"
        assert cpu.pc == vector
        assert cpu.x[8] in range(470), "the number of a system call"
