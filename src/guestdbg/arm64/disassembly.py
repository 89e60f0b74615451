"""Instructions as text, by capstone, which is imported when the first one is needed."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import capstone

__all__ = ["instruction"]


@functools.cache
def _disassembler() -> capstone.Cs:
    import capstone

    return capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)


@functools.lru_cache(maxsize=4096)
def instruction(code: bytes, address: int) -> str | None:
    """Four bytes at an address as assembly; None if they are no instruction that capstone knows."""
    from capstone import CsError

    with contextlib.suppress(CsError):
        for _, _, mnemonic, operands in _disassembler().disasm_lite(code, address, 1):
            return f"{mnemonic} {operands}".rstrip()
    return None
