"""Where a guest was when it was stopped without having ended, and whether it was lost."""

from rich.text import Text

from guestdbg.arm64.esr import Syndrome, class_words
from guestdbg.debugger import Cpu, DebuggerError, Guest

# The vector table: 16 entries of 128 bytes at VBAR_EL1.
_VECTORS = 16 * 128


def diagnose(guest: Guest, *, lost: bool = True) -> list[Text]:
    """One line a vCPU that says where it was; one more (with `lost`) where it is stuck for ever."""
    lines = []
    for cpu in guest.vcpus:
        name = f"vCPU {cpu.id}: " if len(guest.vcpus) > 1 else ""
        lines.append(Text(f"   {name}it was at {guest.locate(cpu.pc)}, pc {cpu.pc:#x}", "dim"))
        if lost and (why := _lost(guest, cpu)):
            lines.append(Text(f"   {name}{why}", "bold red"))
    return lines


def _lost(guest: Guest, cpu: Cpu) -> str | None:
    """Whether the vCPU takes exceptions for ever, because no code is where its vectors should be.

    Each fetch there faults, and goes to the same vector again; ESR_EL1 tells of the last.
    """
    vectors = cpu.reg("vbar_el1")
    if not vectors <= cpu.pc < vectors + _VECTORS:
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
