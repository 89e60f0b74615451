"""Variables of functions by drgn, from the registers of a vCPU."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.program import drgn_import
from guestdbg.debugger.program.drgn_objects import float_format
from guestdbg.debugger.program.float_format import SINGLE

if TYPE_CHECKING:
    from guestdbg.debugger.program.drgn_program import DrgnProgram

__all__ = ["frame_variable", "register_value"]

_REGISTER_BYTES = 16
_WORDS = struct.Struct("<34Q")


def frame_variable(
    types: DrgnProgram, registers: Sequence[int], pc: int, level: int, name: str
) -> Any | None:
    """The drgn object of a function's variable; None if drgn knows of none.

    ``registers`` are X0 to X30 and SP. ``level`` is 0 for the innermost of the functions that were
    inlined at ``pc``. The object is absent where the compiler keeps the value nowhere. It has a
    value if it is in registers, and otherwise refers to guest memory.

    Raises what drgn does for a damaged file.
    """
    drgn = drgn_import.drgn()
    program = types.program
    word = program.int_type("unsigned long", 8, False)
    members = (
        drgn.TypeMember(program.array_type(word, 31), "regs", 0),
        drgn.TypeMember(word, "sp", 31 * 64),
        drgn.TypeMember(word, "pc", 32 * 64),
        drgn.TypeMember(word, "pstate", 33 * 64),
    )
    pt_regs = program.struct_type("pt_regs", _WORDS.size, members)
    words = _WORDS.pack(*registers, pc, 0)
    with types.without_memory():
        # Without memory the trace ends after the functions at the PC: no more are needed.
        frames = program.stack_trace(drgn.Object.from_bytes_(program, pt_regs, words))
    if level >= len(frames) or name not in frames[level].locals():
        return None
    return frames[level][name]


def register_value(program: Any, type_: Any, register: int) -> Any:
    """The drgn object whose value is in the lowest bytes of a register.

    Of two bytes of floating point, which drgn does not have, it is the same number as a ``float``.
    """
    drgn = drgn_import.drgn()
    size = int(drgn.sizeof(type_))
    found = float_format(type_)
    if found is not None and size < SINGLE.size:
        single = program.float_type("float", SINGLE.size)
        return drgn.Object(program, single, found.value(register & (1 << 8 * size) - 1))
    data = register.to_bytes(_REGISTER_BYTES, "little")[:size]
    return drgn.Object.from_bytes_(program, type_, data)
