"""Arranges assembler text so that a stencil's usual path is one piece that ends with its exit.

A jump to a label at which there is only a jump onward becomes a jump onward. What follows the first
unconditional jump onward goes to the cold section: nothing falls through into it.
"""

import re

from .machine import Machine
from .source import PREFIX

_ONWARD = {f"guestdbg_hole_{name}" for name in ("next", "next_plain", "taken", "not_taken")}
_LABEL = re.compile(r"^(\.L\w+):$")
_SECTION = re.compile(r"^\t\.(?:section|text|data|bss)\b")
_FUNCTION = re.compile(rf"^({PREFIX}\w+):$")


def _onward(line: str, machine: Machine) -> str | None:
    """Where the line jumps onward to, if it does."""
    jump = machine.jump.match(line)
    return jump[1] if jump and jump[1] in _ONWARD else None


def _exits(lines: list[str], machine: Machine) -> dict[str, str]:
    """Labels at which there is nothing but a jump onward: where it goes."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    for line in lines:
        if label := _LABEL.match(line):
            waiting.append(label[1])
        elif where := _onward(line, machine):
            found.update(dict.fromkeys(waiting, where))
            waiting = []
        elif not line.startswith(("\t.loc", "\t.p2align", "#")):
            waiting = []
    return found


def arranged(text: str, machine: Machine) -> str:
    lines = text.split("\n")
    exits = _exits(lines, machine)
    out: list[str] = []
    function = None  # the one whose usual path has not ended yet
    for line in lines:
        branch = machine.branch.match(line)
        if branch and branch[2] in exits:
            line = branch[1] + exits[branch[2]]
        if start := _FUNCTION.match(line):
            function = start[1]
        elif _SECTION.match(line):
            function = None
        if line.startswith("\t.size\t" + PREFIX):
            continue  # a difference of labels that may be in two sections now
        out.append(line)
        if function and _onward(line, machine):
            out.append(f'\t.section\t.text.unlikely.{function},"ax",@progbits')
            function = None
    return "\n".join(out)
