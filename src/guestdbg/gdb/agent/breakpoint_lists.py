"""The conditions and commands of Z0 and Z1 packets (GDB manual: cond_list and cmd_list).

`Z0,addr,kind[;Xlen,expr]...[;cmds:persist,Xlen,expr...]`, with the lengths and the bytes of the
expressions in hexadecimal. Source: "Debugging with GDB", appendix E.2, "z0" packet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.gdb.agent.errors import AgentError
from guestdbg.gdb.agent.expression import parse

if TYPE_CHECKING:
    from guestdbg.gdb.agent.expression import Expression

__all__ = ["MAX_EXPRESSIONS", "BreakpointLists", "parse_breakpoint_lists"]

#: The most conditions, and the most commands, of one breakpoint.
MAX_EXPRESSIONS = 64

_EXPRESSION = re.compile(rb"X([0-9a-fA-F]{1,8}),")
_COMMANDS = re.compile(rb"cmds:([01]),")
_HEX = re.compile(rb"[0-9a-fA-F]*\Z")


@dataclass(frozen=True, slots=True)
class BreakpointLists:
    """The conditions and commands of a breakpoint.

    Attributes:
        conditions: the guest stops if any of them is not 0; without conditions, always.
        commands: evaluated instead of stopping the guest.
        persist: whether the commands stay active after the client has disconnected.
    """

    conditions: tuple[Expression, ...] = ()
    commands: tuple[Expression, ...] = ()
    persist: bool = False

    @property
    def size(self) -> int:
        """The bytes of all expressions."""
        return sum(len(expression.code) for expression in (*self.conditions, *self.commands))


def parse_breakpoint_lists(text: bytes) -> BreakpointLists:
    """Parse what follows `Z0,addr,kind`: nothing, or text that begins with a semicolon.

    Raises AgentError.
    """
    conditions: list[Expression] = []
    commands: list[Expression] = []
    into, persist = conditions, False
    at = 0
    while at < len(text):
        # GDB separates conditions by semicolons, and commands not at all.
        if text[at : at + 1] == b";":
            at += 1
            if match := _COMMANDS.match(text, at):
                if into is commands:
                    raise AgentError("a breakpoint with two command lists")
                into, persist = commands, match[1] == b"1"
                at = match.end()
        elif at == 0:
            raise AgentError(f"a breakpoint followed by {_shown(text, at)} instead of a semicolon")
        expression, at = _expression(text, at)
        if len(into) == MAX_EXPRESSIONS:
            raise AgentError(f"a breakpoint with more than {MAX_EXPRESSIONS} expressions of a kind")
        into.append(expression)
    for condition in conditions:
        if condition.prints:
            raise AgentError("a condition that prints: only commands can")
        if not condition.has_value:
            raise AgentError("a condition that ends with nothing on its stack")
    return BreakpointLists(tuple(conditions), tuple(commands), persist)


def _expression(text: bytes, at: int) -> tuple[Expression, int]:
    match = _EXPRESSION.match(text, at)
    if match is None:
        raise AgentError(
            f"a breakpoint with {_shown(text, at)} where an expression was expected: X, its length "
            "and a comma"
        )
    length = int(match[1], 16)
    digits = text[match.end() : match.end() + 2 * length]
    if len(digits) != 2 * length or not _HEX.match(digits):
        raise AgentError(
            f"an agent expression has a length of {length} bytes, and is given as "
            f"{_shown(digits, 0)}"
        )
    return parse(bytes.fromhex(digits.decode())), match.end() + 2 * length


def _shown(text: bytes, at: int) -> str:
    found = text[at : at + 20].decode("latin-1")
    return repr(found) if found else "nothing"
