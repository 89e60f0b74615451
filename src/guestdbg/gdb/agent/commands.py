"""The command lists of Z packets: what `dprintf` becomes with `set dprintf-style agent`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from guestdbg.debugger import Hit
from guestdbg.gdb.agent.errors import EvaluationError
from guestdbg.gdb.agent.evaluate import evaluate
from guestdbg.gdb.agent.expression import Expression
from guestdbg.gdb.agent.target import HitTarget, NameRegister, no_others

__all__ = ["CommandList"]

log = logging.getLogger(__name__)


class CommandList:
    """Expressions that are carried out at a hit, the guest going on afterwards.

    A point's handler. ``output`` takes the bytes that they print. One that has no value is told
    there too, and the ones behind it are carried out all the same. ``persist``: they go on after
    the client has gone.
    """

    def __init__(
        self,
        expressions: Sequence[Expression],
        output: Callable[[bytes], object],
        others: NameRegister = no_others,
    ) -> None:
        self.expressions = tuple(expressions)
        self.output = output
        self.persist = False
        self._others = others

    def __call__(self, hit: Hit) -> None:
        """Carry them out; never asks for a stop."""
        target = HitTarget(hit, self._others)
        for expression in self.expressions:
            try:
                evaluate(expression, target, self.output)
            except EvaluationError as error:
                log.warning("a command of the client's at %s failed: %s", hit.location, error)
                self.output(f"guestdbg: a command at {hit.location} failed: {error}\n".encode())
