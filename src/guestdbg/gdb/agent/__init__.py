"""Agent expressions: the conditions and commands of breakpoints that GDB sends to the server.

``parse_breakpoint_lists`` parses those of a Z packet. ``AgentCondition`` is the condition of a
breakpoint (``when``), ``CommandList`` its handler. The provider evaluates conditions where it can,
and Python does everywhere else, with the same results.

errors            AgentError, EvaluationError
opcodes           the opcodes
printf_format     format strings of the printf opcode
expression        parsing and verification
evaluator         evaluation in Python
hit_target        registers and memory of the vCPU of a hit
compiler          compilation to hit programs
condition         conditions
command_list      commands
breakpoint_lists  both of them in a Z packet
"""

from guestdbg.gdb.agent.breakpoint_lists import BreakpointLists, parse_breakpoint_lists
from guestdbg.gdb.agent.command_list import CommandList
from guestdbg.gdb.agent.condition import AgentCondition
from guestdbg.gdb.agent.errors import AgentError, EvaluationError
from guestdbg.gdb.agent.evaluator import EvaluationTarget, evaluate
from guestdbg.gdb.agent.expression import Expression, parse

__all__ = [
    "AgentCondition",
    "AgentError",
    "BreakpointLists",
    "CommandList",
    "EvaluationError",
    "EvaluationTarget",
    "Expression",
    "evaluate",
    "parse",
    "parse_breakpoint_lists",
]
