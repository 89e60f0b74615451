"""Agent expressions: what GDB has a server work out by itself, at breakpoints.

`parse_tail` takes the conditions and commands of a Z packet apart; `AgentCondition` is a point's
``when`` and `CommandList` its handler. Conditions are judged by the provider where it can
(compiling.py), and in Python everywhere else (evaluate.py), with the same result.
"""

from guestdbg.gdb.agent.commands import CommandList
from guestdbg.gdb.agent.condition import AgentCondition
from guestdbg.gdb.agent.errors import AgentError, EvaluationError
from guestdbg.gdb.agent.evaluate import Target, evaluate
from guestdbg.gdb.agent.expression import Expression, parse
from guestdbg.gdb.agent.tail import Tail, parse_tail

__all__ = [
    "AgentCondition",
    "AgentError",
    "CommandList",
    "EvaluationError",
    "Expression",
    "Tail",
    "Target",
    "evaluate",
    "parse",
    "parse_tail",
]
