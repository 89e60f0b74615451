"""A run of 10^9 instructions with a history, which writes a variable near its beginning only."""

import contextlib
import struct
from collections.abc import Iterator

import guestdbg
from guestdbg.debugger import Guest

VARIABLE = 0x4010_0000
INSTRUCTIONS = 1_000_000_000

_ENTRY = 0x4008_0000
_CODE = (
    0xD2A80201,  # movz x1, #0x4010, lsl #16
    0xD2A80222,  # movz x2, #0x4011, lsl #16
    0xF9000021,  # str x1, [x1]
    0x91000400,  # add x0, x0, #1
    0xF9000040,  # str x0, [x2]
    0xF9402043,  # ldr x3, [x2, #64]
    0xCA030084,  # eor x4, x4, x3
    0x17FFFFFC,  # b to the add
)


@contextlib.contextmanager
def at_the_end() -> Iterator[Guest]:
    """The guest after all of its instructions."""
    code = struct.pack(f"<{len(_CODE)}I", *_CODE)
    with guestdbg.load(
        code, kind="raw", address=_ENTRY, provider="soft", console=None, history=True
    ) as guest:
        guest.run(max_instructions=INSTRUCTIONS)
        yield guest
