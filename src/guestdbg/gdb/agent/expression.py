"""Agent expressions taken apart, and shown to be sound before anything evaluates them."""

from __future__ import annotations

from dataclasses import dataclass

from guestdbg.gdb.agent.errors import AgentError
from guestdbg.gdb.agent.formatting import Format, parse_format
from guestdbg.gdb.agent.opcodes import REFUSED, SHAPES, Opcode

__all__ = ["MAX_BYTES", "MAX_STACK", "Expression", "Instruction", "parse"]

#: The longest expression, and the deepest stack: GDB's own stay far below.
MAX_BYTES = 4096
MAX_STACK = 256

_CONSTANTS = (Opcode.CONST8, Opcode.CONST16, Opcode.CONST32, Opcode.CONST64)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        offset: of its opcode in the expression.
        operand: what follows the opcode; of a jump the index of the instruction that it goes to.
        format: of a printf.
    """

    offset: int
    op: Opcode
    operand: int = 0
    format: Format | None = None

    @property
    def takes(self) -> int:
        """Values that must be on the stack."""
        if self.op is Opcode.PICK:
            return self.operand + 1
        return SHAPES[self.op].takes + (self.operand if self.op is Opcode.PRINTF else 0)

    @property
    def change(self) -> int:
        """By how much the stack grows."""
        shape = SHAPES[self.op]
        return shape.puts - shape.takes - (self.operand if self.op is Opcode.PRINTF else 0)

    @property
    def jumps(self) -> bool:
        """Whether it has another instruction to go on at."""
        return self.op is Opcode.IF_GOTO or self.op is Opcode.GOTO

    @property
    def goes_on(self) -> bool:
        """Whether the next instruction may follow it."""
        return self.op is not Opcode.END and self.op is not Opcode.GOTO


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that keeps to its stack and its code, whatever values it meets.

    Attributes:
        code: the bytes.
        instructions: in their order.
        depths: values on the stack before each of them; None where nothing leads to it.
    """

    code: bytes
    instructions: tuple[Instruction, ...]
    depths: tuple[int | None, ...]

    @property
    def has_value(self) -> bool:
        """Whether every way through it ends with a value."""
        return all(
            depth != 0
            for instruction, depth in zip(self.instructions, self.depths, strict=True)
            if instruction.op is Opcode.END
        )

    @property
    def prints(self) -> bool:
        """Whether it has an effect."""
        return any(i.op is Opcode.PRINTF for i in self.instructions)


def parse(code: bytes) -> Expression:
    """Take an expression apart. Raises AgentError, which says at which byte what is wrong."""
    if not code:
        raise AgentError("an agent expression without a byte")
    if len(code) > MAX_BYTES:
        raise AgentError(f"an agent expression of {len(code)} bytes: {MAX_BYTES} at most")
    decoded: list[Instruction] = []
    at = 0
    while at < len(code):
        instruction, at = _decode(code, at)
        decoded.append(instruction)
    index = {instruction.offset: n for n, instruction in enumerate(decoded)}
    instructions = tuple(_aimed(i, index) if i.jumps else i for i in decoded)
    return Expression(code, instructions, _depths(instructions))


def _decode(code: bytes, at: int) -> tuple[Instruction, int]:
    """The instruction at a byte, and where the next one begins."""
    try:
        op = Opcode(code[at])
    except ValueError:
        raise AgentError(
            f"byte {at} of an agent expression, {code[at]:#04x}, is no opcode"
        ) from None
    if op in REFUSED:
        raise AgentError(f"{op.name.lower()} at byte {at} of an agent expression is {REFUSED[op]}")
    end = at + 1 + SHAPES[op].operand
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
            f"the text of the printf at byte {at} of an agent expression does not end with a zero "
            f"byte after the {length} bytes that it is said to have"
        )
    try:
        made = parse_format(text[:-1])
    except ValueError as error:
        raise AgentError(f"the printf at byte {at} of an agent expression: {error}") from None
    if made.arguments != arguments:
        raise AgentError(
            f"the printf at byte {at} of an agent expression has {arguments} arguments, and its "
            f"text takes {made.arguments}"
        )
    return Instruction(at, Opcode.PRINTF, arguments, made), end


def _aimed(jump: Instruction, index: dict[int, int]) -> Instruction:
    if jump.operand not in index:
        raise AgentError(
            f"{jump.op.name.lower()} at byte {jump.offset} of an agent expression goes to byte "
            f"{jump.operand}, where no instruction begins"
        )
    return Instruction(jump.offset, jump.op, index[jump.operand])


def _depths(instructions: tuple[Instruction, ...]) -> tuple[int | None, ...]:
    """How much is on the stack before each instruction: the same on all ways to it."""
    depths: list[int | None] = [None] * len(instructions)
    depths[0] = 0
    pending = [0]
    while pending:
        n = pending.pop()
        instruction, depth = instructions[n], depths[n]
        assert depth is not None
        name = f"{instruction.op.name.lower()} at byte {instruction.offset} of an agent expression"
        if depth < instruction.takes:
            raise AgentError(
                f"{name} needs {instruction.takes} values on the stack, where {depth} are"
            )
        depth += instruction.change
        if depth > MAX_STACK:
            raise AgentError(f"{name} puts more than {MAX_STACK} values on the stack")
        following = [n + 1] if instruction.goes_on else []
        if instruction.jumps:
            following.append(instruction.operand)
        for m in following:
            if m == len(instructions):
                raise AgentError("an agent expression that goes on beyond its last byte: no end")
            if depths[m] is None:
                depths[m] = depth
                pending.append(m)
            elif depths[m] != depth:
                raise AgentError(
                    f"byte {instructions[m].offset} of an agent expression is reached with "
                    f"{depths[m]} values on the stack, and with {depth}"
                )
    return tuple(depths)
