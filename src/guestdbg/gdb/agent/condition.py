"""The conditions of a Z packet as the condition of a breakpoint."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from guestdbg.gdb.agent.compiler import any_of
from guestdbg.gdb.agent.errors import EvaluationError
from guestdbg.gdb.agent.evaluator import evaluate
from guestdbg.gdb.agent.hit_target import (
    HitTarget,
    no_system_registers,
    register_operations,
)

if TYPE_CHECKING:
    from guestdbg.debugger import Hit
    from guestdbg.debugger.breakpoints.conditions.compiler import Shape
    from guestdbg.gdb.agent.expression import Expression
    from guestdbg.gdb.agent.hit_target import (
        RegisterName,
    )
    from guestdbg.kvm.hit_programs import Operation

__all__ = ["AgentCondition"]

log = logging.getLogger(__name__)


class AgentCondition:
    """The condition (``when``) of a breakpoint: holds if any of the expressions is not 0.

    It also holds if one has no value, so that the client sees the error. A provider with hit
    programs evaluates it, unless an expression loops, prints, or uses registers that hit programs
    cannot read.
    """

    def __init__(
        self, expressions: Sequence[Expression], register_name: RegisterName = no_system_registers
    ) -> None:
        self.expressions = tuple(expressions)
        self._register_name = register_name
        self._operations: tuple[Operation, ...] | None = any_of(
            self.expressions, lambda number: register_operations(number, register_name)
        )

    def compile(self, shape: Shape) -> tuple[Operation, ...] | None:
        """The condition as a hit program; None if only Python can evaluate it."""
        return self._operations

    def __call__(self, hit: Hit) -> bool:
        """Whether the condition holds at a hit."""
        target = HitTarget(hit, self._register_name)
        for expression in self.expressions:
            try:
                if evaluate(expression, target):
                    return True
            except EvaluationError as error:
                log.warning(
                    "the client's condition at %s cannot be evaluated, and counts as true: %s",
                    hit.location,
                    error,
                )
                return True
        return False

    def __repr__(self) -> str:
        return f"<AgentCondition of {', '.join(e.code.hex() for e in self.expressions)}>"
