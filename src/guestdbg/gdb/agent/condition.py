"""The conditions of a Z packet as a condition of the debugger's."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from guestdbg.debugger import Hit
from guestdbg.debugger.breakpoints.conditions.compiler import Shape
from guestdbg.gdb.agent.compiling import any_of
from guestdbg.gdb.agent.errors import EvaluationError
from guestdbg.gdb.agent.evaluate import evaluate
from guestdbg.gdb.agent.expression import Expression
from guestdbg.gdb.agent.target import HitTarget, NameRegister, no_others, register_steps
from guestdbg.kvm.hit_programs import Operation

__all__ = ["AgentCondition"]

log = logging.getLogger(__name__)


class AgentCondition:
    """Holds where one of the expressions is not 0, or has no value: then the client must see.

    A point's ``when``. Where the provider has hit programs it judges there, unless an expression
    loops, prints, or uses registers that programs do not have.
    """

    def __init__(self, expressions: Sequence[Expression], others: NameRegister = no_others) -> None:
        self.expressions = tuple(expressions)
        self._others = others
        self._steps: tuple[Operation, ...] | None = any_of(
            self.expressions, lambda number: register_steps(number, others)
        )

    def compile(self, shape: Shape) -> tuple[Operation, ...] | None:
        """The condition for a provider that judges by itself; None: it must be judged here."""
        return self._steps

    def __call__(self, hit: Hit) -> bool:
        """Judges a hit."""
        target = HitTarget(hit, self._others)
        for expression in self.expressions:
            try:
                if evaluate(expression, target):
                    return True
            except EvaluationError as error:
                log.warning(
                    "the client's condition at %s cannot be judged, and counts as true: %s",
                    hit.location,
                    error,
                )
                return True
        return False

    def __repr__(self) -> str:
        return f"<AgentCondition of {', '.join(e.code.hex() for e in self.expressions)}>"
