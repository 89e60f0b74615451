"""The command lists of Z packets, which GDB sends for `dprintf` with `set dprintf-style agent`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from guestdbg.gdb.agent.errors import EvaluationError
from guestdbg.gdb.agent.evaluator import evaluate
from guestdbg.gdb.agent.hit_target import HitTarget, no_system_registers

if TYPE_CHECKING:
    from guestdbg.debugger import Hit
    from guestdbg.gdb.agent.expression import Expression
    from guestdbg.gdb.agent.hit_target import RegisterName

__all__ = ["CommandList"]

log = logging.getLogger(__name__)


class CommandList:
    """The handler of a breakpoint: evaluates expressions at each hit; the guest then runs on.

    An expression that fails is reported to ``output`` as well, and those after it are evaluated
    all the same.

    Attributes:
        expressions: the expressions in order.
        output: called with the bytes that they print.
        persist: they stay active after the client has disconnected.
    """

    def __init__(
        self,
        expressions: Sequence[Expression],
        output: Callable[[bytes], object],
        register_name: RegisterName = no_system_registers,
    ) -> None:
        self.expressions = tuple(expressions)
        self.output = output
        self.persist = False
        self._register_name = register_name

    def __call__(self, hit: Hit) -> None:
        """Evaluate the expressions; never stops the guest."""
        target = HitTarget(hit, self._register_name)
        for expression in self.expressions:
            try:
                evaluate(expression, target, self.output)
            except EvaluationError as error:
                log.warning("a command of the client at %s failed: %s", hit.location, error)
                self.output(f"guestdbg: a command at {hit.location} failed: {error}\n".encode())
