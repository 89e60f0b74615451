"""Agent expressions: parsed, and verified before anything evaluates them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.gdb.agent.errors import AgentError
from guestdbg.gdb.agent.opcodes import OPCODE_INFO, UNSUPPORTED, Opcode
from guestdbg.gdb.agent.printf_format import parse_format

if TYPE_CHECKING:
    from guestdbg.gdb.agent.printf_format import Format

__all__ = ["MAX_BYTES", "MAX_STACK", "Expression", "Instruction", "parse"]

#: The longest expression in bytes, and the deepest stack; GDB's expressions need much less.
MAX_BYTES = 4096
MAX_STACK = 256

_CONSTANTS = (Opcode.CONST8, Opcode.CONST16, Opcode.CONST32, Opcode.CONST64)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        offset: the byte offset of its opcode in the expression.
        op: the opcode.
        operand: the operand; for a jump, the index of the target instruction.
        format: the format string of a printf.
    """

    offset: int
    op: Opcode
    operand: int = 0
    format: Format | None = None

    @property
    def consumed(self) -> int:
        """The number of values that must be on the stack."""
        if self.op is Opcode.PICK:
            return self.operand + 1
        return OPCODE_INFO[self.op].consumed + (self.operand if self.op is Opcode.PRINTF else 0)

    @property
    def stack_change(self) -> int:
        """By how many values the stack grows."""
        info = OPCODE_INFO[self.op]
        return info.produced - info.consumed - (self.operand if self.op is Opcode.PRINTF else 0)

    @property
    def jumps(self) -> bool:
        """Whether it may jump to another instruction."""
        return self.op is Opcode.IF_GOTO or self.op is Opcode.GOTO

    @property
    def falls_through(self) -> bool:
        """Whether the next instruction may be executed after it."""
        return self.op is not Opcode.END and self.op is not Opcode.GOTO


@dataclass(frozen=True, slots=True)
class Expression:
    """A verified expression: with no value does it leave its stack or its code.

    Attributes:
        code: the bytes.
        instructions: the instructions in order.
        depths: the stack depth before each instruction; None if it is unreachable.
    """

    code: bytes
    instructions: tuple[Instruction, ...]
    depths: tuple[int | None, ...]

    @property
    def has_value(self) -> bool:
        """Whether there is a value on the stack at each of its ends."""
        return all(
            depth != 0
            for instruction, depth in zip(self.instructions, self.depths, strict=True)
            if instruction.op is Opcode.END
        )

    @property
    def prints(self) -> bool:
        """Whether it contains a printf, the only instruction with an effect."""
        return any(i.op is Opcode.PRINTF for i in self.instructions)


def parse(code: bytes) -> Expression:
    """Parse and verify an expression. Raises AgentError, which names the byte and the mistake."""
    if not code:
        raise AgentError("an empty agent expression")
    if len(code) > MAX_BYTES:
        raise AgentError(f"an agent expression of {len(code)} bytes: {MAX_BYTES} at most")
    decoded: list[Instruction] = []
    at = 0
    while at < len(code):
        instruction, at = _decode(code, at)
        decoded.append(instruction)
    index = {instruction.offset: n for n, instruction in enumerate(decoded)}
    instructions = tuple(_resolve_jump(i, index) if i.jumps else i for i in decoded)
    return Expression(code, instructions, _depths(instructions))


def _decode(code: bytes, at: int) -> tuple[Instruction, int]:
    """The instruction at a byte, and where the next one begins."""
    try:
        op = Opcode(code[at])
    except ValueError:
        raise AgentError(
            f"byte {at} of an agent expression, {code[at]:#04x}, is not an opcode"
        ) from None
    if op in UNSUPPORTED:
        raise AgentError(
            f"{op.name.lower()} at byte {at} of an agent expression is {UNSUPPORTED[op]}"
        )
    end = at + 1 + OPCODE_INFO[op].operand_size
    if end > len(code):
        raise AgentError(f"{op.name.lower()} at byte {at} of an agent expression is cut short")
    operand = int.from_bytes(code[at + 1 : end], "big")
    if op is Opcode.PRINTF:
        return _printf(code, at, operand >> 16, operand & 0xFFFF)
    if op in (Opcode.EXT, Opcode.ZERO_EXT) and operand == 0:
        raise AgentError(f"{op.name.lower()} at byte {at} of an agent expression extends 0 bits")
    return Instruction(at, op, operand), end


def _printf(code: bytes, at: int, arguments: int, length: int) -> tuple[Instruction, int]:
    end = at + 4 + length
    text = code[at + 4 : end]
    if end > len(code) or not text or text[-1] != 0:
        raise AgentError(
            f"the printf at byte {at} of an agent expression has a format of {length} bytes that "
            "does not end with a zero byte"
        )
    try:
        format_ = parse_format(text[:-1])
    except ValueError as error:
        raise AgentError(f"the printf at byte {at} of an agent expression: {error}") from None
    if format_.arguments != arguments:
        raise AgentError(
            f"the printf at byte {at} of an agent expression has {arguments} arguments, but its "
            f"format takes {format_.arguments}"
        )
    return Instruction(at, Opcode.PRINTF, arguments, format_), end


def _resolve_jump(jump: Instruction, index: dict[int, int]) -> Instruction:
    if jump.operand not in index:
        raise AgentError(
            f"{jump.op.name.lower()} at byte {jump.offset} of an agent expression jumps to byte "
            f"{jump.operand}, where no instruction begins"
        )
    return Instruction(jump.offset, jump.op, index[jump.operand])


def _depths(instructions: tuple[Instruction, ...]) -> tuple[int | None, ...]:
    """The stack depth before each instruction, which must be the same on all paths to it."""
    depths: list[int | None] = [None] * len(instructions)
    depths[0] = 0
    pending = [0]
    while pending:
        n = pending.pop()
        instruction, depth = instructions[n], depths[n]
        assert depth is not None
        name = f"{instruction.op.name.lower()} at byte {instruction.offset} of an agent expression"
        if depth < instruction.consumed:
            raise AgentError(
                f"{name} needs {instruction.consumed} values on the stack, which has {depth}"
            )
        depth += instruction.stack_change
        if depth > MAX_STACK:
            raise AgentError(f"{name} makes the stack deeper than {MAX_STACK} values")
        following = [n + 1] if instruction.falls_through else []
        if instruction.jumps:
            following.append(instruction.operand)
        for m in following:
            if m == len(instructions):
                raise AgentError("an agent expression that runs past its last byte: it has no end")
            if depths[m] is None:
                depths[m] = depth
                pending.append(m)
            elif depths[m] != depth:
                raise AgentError(
                    f"byte {instructions[m].offset} of an agent expression is reached with "
                    f"{depths[m]} values on the stack and with {depth}"
                )
    return tuple(depths)
