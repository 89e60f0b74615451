"""Arranges assembler text so that a stencil's usual path is one piece that ends with its exit.

A jump to a label at which there is only a jump onward becomes a jump onward. What follows the first
unconditional jump onward goes to the cold section: nothing falls through into it.
"""

import re

from .source import PREFIX

_ONWARD = r"guestdbg_hole_(?:next|next_plain|taken|not_taken)"
_JUMP = re.compile(rf"^\tjmp\t({_ONWARD})(?:@PLT)?$")
_BRANCH = re.compile(r"^\t(j\w+)\t(\.L\w+)$")
_LABEL = re.compile(r"^(\.L\w+):$")
_SECTION = re.compile(r"^\t\.(?:section|text|data|bss)\b")
_FUNCTION = re.compile(rf"^({PREFIX}\w+):$")


def _exits(lines: list[str]) -> dict[str, str]:
    """Labels at which there is nothing but a jump onward: where it goes."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    for line in lines:
        if label := _LABEL.match(line):
            waiting.append(label[1])
        elif jump := _JUMP.match(line):
            found.update(dict.fromkeys(waiting, jump[1]))
            waiting = []
        elif not line.startswith(("\t.loc", "\t.p2align", "#")):
            waiting = []
    return found


def arranged(text: str) -> str:
    lines = text.split("\n")
    exits = _exits(lines)
    out: list[str] = []
    function = None  # the one whose usual path has not ended yet
    for line in lines:
        branch = _BRANCH.match(line)
        if branch and branch[2] in exits:
            line = f"\t{branch[1]}\t{exits[branch[2]]}"
        if start := _FUNCTION.match(line):
            function = start[1]
        elif _SECTION.match(line):
            function = None
        if line.startswith("\t.size\t" + PREFIX):
            continue  # a difference of labels that may be in two sections now
        out.append(line)
        if function and _JUMP.match(line):
            out.append(f'\t.section\t.text.unlikely.{function},"ax",@progbits')
            function = None
    return "\n".join(out)
