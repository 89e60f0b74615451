"""Memory sizes as text: ``"128M"``."""

import re

from guestdbg.machine.errors import MachineError

_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_SIZE = re.compile(r"(0x[0-9a-f]+|[0-9]+) *([kmgt]?)(?:i?b)?", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """The bytes of ``"128M"``, ``"64 KiB"``, ``"0x8000000"`` or a number; units are powers of 1024.

    Raises:
        MachineError: it is not a size.
    """
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or len(match[1]) > 40:
        text = text if len(str(text)) < 80 else f"{str(text)[:20]}..."
        raise MachineError(
            f"{text!r} is not a size; write bytes, or a number with K, M, G or T: 128M"
        )
    return int(match[1], 0 if match[1].lower().startswith("0x") else 10) << _UNITS[match[2].lower()]


def format_size(size: int) -> str:
    """``size`` bytes as text: ``128 MiB``, or the number of bytes if no unit divides it."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift} {unit}"
    return f"{size} bytes"
