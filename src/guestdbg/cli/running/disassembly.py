"""Instructions as text, by capstone."""

import contextlib
import functools

import capstone

from guestdbg.debugger import DebuggerError, Hit


@functools.cache
def _disassembler() -> capstone.Cs:
    return capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)


@functools.lru_cache(maxsize=4096)
def instruction(code: bytes, address: int) -> str | None:
    """Four bytes at an address as assembly; None if they are no instruction that capstone knows."""
    with contextlib.suppress(capstone.CsError):
        for _, _, mnemonic, operands in _disassembler().disasm_lite(code, address, 1):
            return f"{mnemonic} {operands}".rstrip()
    return None


def of_hit(hit: Hit) -> str | None:
    """The instruction at the PC of a hit; None if it can no longer be read."""
    try:
        return instruction(hit.guest.read(hit.pc, 4), hit.pc)
    except DebuggerError:
        return None
