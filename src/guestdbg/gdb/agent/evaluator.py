"""Evaluates agent expressions in Python. What ``compiler`` produces must give the same results.

Values have 64 bits; arithmetic wraps around. Shifts that are undefined in C are defined here: the
distance is unsigned, and a distance of 64 or more shifts all bits out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from guestdbg.gdb.agent.errors import EvaluationError
from guestdbg.gdb.agent.opcodes import Opcode

if TYPE_CHECKING:
    from guestdbg.gdb.agent.expression import Expression, Instruction

__all__ = ["MAX_EVALUATED", "EvaluationTarget", "evaluate", "signed"]

#: The instructions after which an evaluation ends with an error. Only a loop takes so many; GDB's
#: own expressions have none.
MAX_EVALUATED = 10_000

#: The bytes that one evaluation prints at most.
MAX_PRINTED = 64 << 10

_BITS = 64
_MASK = (1 << _BITS) - 1


class EvaluationTarget(Protocol):
    """The registers and memory that an expression reads. Both methods raise EvaluationError."""

    def read_register(self, number: int) -> int:
        """A register by its number in the target description, unsigned."""

    def read_memory(self, address: int, length: int) -> bytes:
        """Guest virtual memory."""


def signed(value: int, bits: int = _BITS) -> int:
    """The lowest ``bits`` bits as a two's complement number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def _divide(a: int, b: int) -> int:
    """The quotient rounded towards zero, as in C."""
    quotient = abs(a) // abs(b)
    return -quotient if (a < 0) != (b < 0) else quotient


def _remainder(a: int, b: int) -> int:
    return a - b * _divide(a, b)


_BINARY: dict[Opcode, Callable[[int, int], int]] = {
    Opcode.ADD: lambda a, b: a + b,
    Opcode.SUB: lambda a, b: a - b,
    Opcode.MUL: lambda a, b: a * b,
    Opcode.DIV_SIGNED: lambda a, b: _divide(signed(a), signed(b)),
    Opcode.DIV_UNSIGNED: lambda a, b: a // b,
    Opcode.REM_SIGNED: lambda a, b: _remainder(signed(a), signed(b)),
    Opcode.REM_UNSIGNED: lambda a, b: a % b,
    Opcode.LSH: lambda a, b: a << min(b, _BITS),
    Opcode.RSH_SIGNED: lambda a, b: signed(a) >> min(b, _BITS),
    Opcode.RSH_UNSIGNED: lambda a, b: a >> min(b, _BITS),
    Opcode.BIT_AND: lambda a, b: a & b,
    Opcode.BIT_OR: lambda a, b: a | b,
    Opcode.BIT_XOR: lambda a, b: a ^ b,
    Opcode.EQUAL: lambda a, b: a == b,
    Opcode.LESS_SIGNED: lambda a, b: signed(a) < signed(b),
    Opcode.LESS_UNSIGNED: lambda a, b: a < b,
}
_MEMORY = {Opcode.REF8: 1, Opcode.REF16: 2, Opcode.REF32: 4, Opcode.REF64: 8}


def evaluate(
    expression: Expression,
    target: EvaluationTarget,
    output: Callable[[bytes], object] | None = None,
) -> int | None:
    """The value of an expression, unsigned; None if its stack is empty at the end.

    ``output`` is called with what it prints. Raises EvaluationError.
    """
    stack: list[int] = []
    at = printed = 0
    for _ in range(MAX_EVALUATED):
        instruction = expression.instructions[at]
        at += 1
        op = instruction.op
        if op is Opcode.END:
            return stack[-1] if stack else None
        if op is Opcode.GOTO:
            at = instruction.operand
        elif op is Opcode.IF_GOTO:
            if stack.pop():
                at = instruction.operand
        elif op is Opcode.PRINTF:
            text = _print(instruction, stack, target)
            printed += len(text)
            if printed > MAX_PRINTED:
                raise EvaluationError(
                    f"an agent expression has printed more than {MAX_PRINTED} bytes"
                )
            if output is not None:
                output(text)
        elif op in _BINARY:
            b = stack.pop()
            stack[-1] = _compute(instruction, stack[-1], b)
        else:
            _execute(instruction, stack, target)
    raise EvaluationError(
        f"an agent expression has executed more than {MAX_EVALUATED} instructions"
    )


def _compute(instruction: Instruction, a: int, b: int) -> int:
    try:
        return int(_BINARY[instruction.op](a, b)) & _MASK
    except ZeroDivisionError:
        raise EvaluationError(
            f"{instruction.op.name.lower()} at byte {instruction.offset} of an agent expression "
            "divides by 0"
        ) from None


def _execute(instruction: Instruction, stack: list[int], target: EvaluationTarget) -> None:
    """Instructions that compute nothing from two values: constants, loads, unary and stack ones."""
    operand = instruction.operand
    match instruction.op:
        case Opcode.CONST8 | Opcode.CONST16 | Opcode.CONST32 | Opcode.CONST64:
            stack.append(operand)
        case Opcode.REG:
            stack.append(target.read_register(operand) & _MASK)
        case Opcode.REF8 | Opcode.REF16 | Opcode.REF32 | Opcode.REF64:
            data = target.read_memory(stack[-1], _MEMORY[instruction.op])
            stack[-1] = int.from_bytes(data, "little")
        case Opcode.EXT:
            stack[-1] = signed(stack[-1], min(operand, _BITS)) & _MASK
        case Opcode.ZERO_EXT:
            stack[-1] &= (1 << operand) - 1
        case Opcode.LOG_NOT:
            stack[-1] = int(not stack[-1])
        case Opcode.BIT_NOT:
            stack[-1] ^= _MASK
        case Opcode.DUP:
            stack.append(stack[-1])
        case Opcode.POP:
            stack.pop()
        case Opcode.PICK:
            stack.append(stack[-1 - operand])
        case Opcode.SWAP:
            stack[-2:] = stack[-1], stack[-2]
        case Opcode.ROT:
            stack[-3:] = stack[-1], stack[-3], stack[-2]
        case op:
            raise AssertionError(f"{op.name} is not executed here")


def _print(instruction: Instruction, stack: list[int], target: EvaluationTarget) -> bytes:
    """On top of the stack are function and channel, which are ignored; then the first argument."""
    assert instruction.format is not None
    taken = 2 + instruction.operand
    values = stack[len(stack) - taken : len(stack) - 2][::-1]
    del stack[len(stack) - taken :]

    def read_string(address: int, most: int) -> bytes:
        found = bytearray()
        while len(found) < most:
            here = address + len(found) & _MASK
            chunk = target.read_memory(here, min(64 - here % 64, most - len(found)))
            end = chunk.find(0)
            if end >= 0:
                return bytes(found + chunk[:end])
            found += chunk
        return bytes(found)

    return instruction.format.fill(values, read_string)
