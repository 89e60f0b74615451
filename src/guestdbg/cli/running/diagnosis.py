"""Where a guest was when it was stopped before its end, and whether it can ever go on."""

from rich.text import Text

from guestdbg.arm64.esr import Syndrome, class_words
from guestdbg.debugger import Cpu, DebuggerError, Guest

# The vector table at VBAR_EL1: 16 entries of 128 bytes.
_VECTOR_TABLE_SIZE = 16 * 128


def diagnose(guest: Guest, *, lost: bool = True) -> list[Text]:
    """One line for each vCPU: where it was. With `lost`, one more if it is stuck for ever."""
    lines = []
    for cpu in guest.vcpus:
        name = f"vCPU {cpu.id}: " if len(guest.vcpus) > 1 else ""
        lines.append(Text(f"   {name}it was at {guest.locate(cpu.pc)}, pc {cpu.pc:#x}", "dim"))
        if lost and (reason := _lost(guest, cpu)):
            lines.append(Text(f"   {name}{reason}", "bold red"))
    return lines


def _lost(guest: Guest, cpu: Cpu) -> str | None:
    """A sentence if the vCPU takes exceptions for ever, because its vector table holds no code.

    Each fetch from the table faults and enters the same vector again. ESR_EL1, ELR_EL1 and FAR_EL1
    describe the last of these exceptions.
    """
    vectors = cpu.reg("vbar_el1")
    if not vectors <= cpu.pc < vectors + _VECTOR_TABLE_SIZE:
        return None
    try:
        code = guest.read(cpu.pc, 4)
    except DebuggerError:
        code = b"\0\0\0\0"
    if any(code):
        return None
    syndrome = Syndrome.decode(cpu.reg("esr_el1"))
    return (
        f"it is lost: there is no code at its exception vectors (VBAR_EL1 {vectors:#x}), so each "
        f"exception ends in the next; the last was {class_words(syndrome.ec)!r} at "
        f"ELR_EL1 {cpu.reg('elr_el1'):#x}, FAR_EL1 {cpu.reg('far_el1'):#x}"
    )
