"""Compiles agent expressions to hit programs, which the provider evaluates.

The entries of a hit program's stack have 128 bits. Between two agent instructions each holds its
64-bit value as a signed number: SEXT follows an operation whose result may be out of that range.
See ``guestdbg.kvm.hit_programs``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from guestdbg.gdb.agent.evaluator import signed
from guestdbg.gdb.agent.opcodes import Opcode
from guestdbg.kvm.hit_programs import MAX_DEPTH, MAX_OPERATIONS, Op, Operation

if TYPE_CHECKING:
    from guestdbg.gdb.agent.expression import Expression, Instruction

__all__ = ["RegisterOperations", "any_of", "compile_expression"]

#: The operations that push a register (unsigned, 64 bits), by its number; None: there are none.
RegisterOperations = Callable[[int], tuple[Operation, ...] | None]

_SIGNED: Operation = (Op.SEXT, 64, 0)
#: The two values on top as unsigned numbers.
_UNSIGNED: tuple[Operation, ...] = (
    (Op.ZEXT, 64, 0),
    (Op.SWAP, 0, 0),
    (Op.ZEXT, 64, 0),
    (Op.SWAP, 0, 0),
)
_OPERATIONS: dict[Opcode, tuple[Operation, ...]] = {
    Opcode.ADD: ((Op.ADD, 0, 0), _SIGNED),
    Opcode.SUB: ((Op.SUB, 0, 0), _SIGNED),
    Opcode.MUL: ((Op.MUL, 0, 0), _SIGNED),
    Opcode.DIV_SIGNED: ((Op.DIV, 0, 0), _SIGNED),
    Opcode.DIV_UNSIGNED: (*_UNSIGNED, (Op.DIV, 0, 0), _SIGNED),
    Opcode.REM_SIGNED: ((Op.REM, 0, 0),),
    Opcode.REM_UNSIGNED: (*_UNSIGNED, (Op.REM, 0, 0), _SIGNED),
    Opcode.LSH: ((Op.LSHIFT, 0, 0), _SIGNED),
    Opcode.RSH_SIGNED: ((Op.RSHIFT, 0, 0),),
    Opcode.RSH_UNSIGNED: (*_UNSIGNED, (Op.RSHIFT, 0, 0), _SIGNED),
    Opcode.BIT_AND: ((Op.AND, 0, 0),),
    Opcode.BIT_OR: ((Op.OR, 0, 0),),
    Opcode.BIT_XOR: ((Op.XOR, 0, 0),),
    Opcode.EQUAL: ((Op.EQ, 0, 0),),
    Opcode.LESS_SIGNED: ((Op.LT, 0, 0),),
    Opcode.LESS_UNSIGNED: (*_UNSIGNED, (Op.LT, 0, 0)),
    Opcode.LOG_NOT: ((Op.NOT, 0, 0),),
    Opcode.BIT_NOT: ((Op.INVERT, 0, 0),),
    Opcode.REF8: ((Op.LOAD, 1, 0),),
    Opcode.REF16: ((Op.LOAD, 2, 0),),
    Opcode.REF32: ((Op.LOAD, 4, 0),),
    Opcode.REF64: ((Op.LOAD, 8 | 16, 0),),
    Opcode.DUP: ((Op.PICK, 0, 0),),
    Opcode.POP: ((Op.DROP, 0, 0),),
    Opcode.SWAP: ((Op.SWAP, 0, 0),),
    Opcode.ROT: ((Op.ROT, 0, 0),),
}


def compile_expression(
    expression: Expression, registers: RegisterOperations
) -> tuple[Operation, ...] | None:
    """The operations that push its value; None if only Python can evaluate it."""
    if not expression.has_value:
        return None
    operations: list[Operation] = []
    starts: dict[int, int] = {}
    jumps: list[tuple[int, int]] = []  # an operation, and its target instruction
    ends: list[int] = []
    for n, instruction in enumerate(expression.instructions):
        depth = expression.depths[n]
        if depth is None:
            continue
        if depth + instruction.stack_change > MAX_DEPTH:
            return None
        starts[n] = len(operations)
        if instruction.op is Opcode.END:
            operations += [(op, 0, 0) for op in (Op.SWAP, Op.DROP)] * (depth - 1)
            ends.append(len(operations))
            operations.append((Op.JUMP, 0, 0))
        elif instruction.jumps:
            if instruction.operand <= n:
                return None  # a loop
            jumps.append((len(operations), instruction.operand))
            operations.append((Op.JUMP if instruction.op is Opcode.GOTO else Op.JUMP_IF, 0, 0))
        else:
            made = _operations(instruction, registers)
            if made is None:
                return None
            operations += made
    if ends[-1] == len(operations) - 1:
        operations.pop()
        ends.pop()
    for at, instruction_number in jumps:
        operations[at] = (operations[at][0], 0, starts[instruction_number])
    for at in ends:
        operations[at] = (Op.JUMP, 0, len(operations))
    return tuple(operations)


def _operations(
    instruction: Instruction, registers: RegisterOperations
) -> Sequence[Operation] | None:
    op, operand = instruction.op, instruction.operand
    match op:
        case Opcode.CONST8 | Opcode.CONST16 | Opcode.CONST32 | Opcode.CONST64:
            return ((Op.CONST, 0, signed(operand)),)
        case Opcode.REG:
            made = registers(operand)
            return None if made is None else (*made, _SIGNED)
        case Opcode.EXT:
            return ((Op.SEXT, min(operand, 64), 0),)
        case Opcode.ZERO_EXT:
            return ((Op.ZEXT, operand, 0),) if operand < 64 else ()
        case Opcode.PICK:
            return ((Op.PICK, operand, 0),)
    return _OPERATIONS.get(op)


def any_of(
    expressions: Sequence[Expression], registers: RegisterOperations
) -> tuple[Operation, ...] | None:
    """The operations for "any of them is not 0"; None if only Python can evaluate them."""
    operations: list[Operation] = []
    for n, expression in enumerate(expressions):
        made = compile_expression(expression, registers)
        if made is None or (n and max(d or 0 for d in expression.depths) + 1 >= MAX_DEPTH):
            return None
        base = len(operations)
        operations += [
            (op, index, value + base if op in (Op.JUMP, Op.JUMP_IF) else value)
            for op, index, value in made
        ]
        if n:
            operations.append((Op.EITHER, 0, 0))
    return tuple(operations) if 0 < len(operations) <= MAX_OPERATIONS else None
