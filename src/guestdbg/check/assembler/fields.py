"""What the encoders share: checks that operands fit."""

from guestdbg.errors import GuestdbgError


class AssemblerError(GuestdbgError, ValueError):
    """An operand does not fit the instruction, or a label does not exist."""


def register(number: int) -> int:
    """A register number, 0 to 31."""
    if not 0 <= number <= 31:
        raise AssemblerError(f"register {number}: numbers are 0 to 31")
    return number


def unsigned(value: int, bits: int, what: str = "immediate") -> int:
    """A value that must fit ``bits`` bits."""
    if not 0 <= value < 1 << bits:
        raise AssemblerError(f"{what} {value:#x} does not fit {bits} bits")
    return value


def signed(value: int, bits: int, what: str = "offset") -> int:
    """A signed value as the two's complement of ``bits`` bits."""
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise AssemblerError(f"{what} {value:#x} does not fit {bits} signed bits")
    return value & (1 << bits) - 1


def scaled(value: int, scale: int, what: str = "offset") -> int:
    """``value`` in units of 1 << scale bytes."""
    if value & (1 << scale) - 1:
        raise AssemblerError(f"{what} {value:#x} is not a multiple of {1 << scale}")
    return value >> scale


def r3(rd: int, rn: int, rm: int) -> int:
    """Rd, Rn, Rm in their usual places."""
    return register(rm) << 16 | register(rn) << 5 | register(rd)
