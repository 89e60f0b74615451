"""The machine code of each stencil with its patches, cut out of an object file and checked.

A function that fails a check has no stencil: its instruction stays with the interpreter's function.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .holes import FIRST_EXTERNAL, MOST_EXTERNALS, NUMBER, ONWARD
from .machine import NotCut
from .object_file import Section
from .source import PREFIX

if TYPE_CHECKING:
    from .machine import Machine
    from .object_file import ObjectFile, Relocation

_HOLE = "guestdbg_hole_"
MOST_BYTES = 2048
#: Targets that are reached by their distance.
_PLACES = (*ONWARD, NUMBER["i"], NUMBER["hot"], NUMBER["cold"])


@dataclass(frozen=True)
class Patch:
    offset: int
    kind: int
    target: int
    addend: int


@dataclass
class Stencil:
    op: str
    hot: bytes
    cold: bytes
    patches: list[Patch]
    last: int  # the hole to which the hot part's end leads, 0: to none


@dataclass
class Cut:
    """The stencils of a module, and what they need."""

    stencils: list[Stencil] = field(default_factory=list)
    externals: list[str] = field(default_factory=list)
    data: bytes = b""
    refused: dict[str, str] = field(default_factory=dict)


def _data_offsets(found: ObjectFile) -> tuple[bytes, dict[str, int]]:
    """Constants, one section after the other, and where each begins."""
    data = b""
    offsets: dict[str, int] = {}
    for section in found.sections:
        if section.name.startswith(".rodata") and not section.relocations:
            data += bytes(-len(data) % 64)
            offsets[section.name] = len(data)
            data += section.data
    return data, offsets


class _Cutter:
    def __init__(self, found: ObjectFile, externals: dict[str, str], machine: Machine) -> None:
        self.found = found
        self.machine = machine
        self.names = externals
        self.sections = {section.name: section for section in found.sections}
        self.result = Cut()
        self.result.data, self.data = _data_offsets(found)
        self.used_data = False

    def target(self, relocation: Relocation, op: str, code: bytes) -> tuple[int, int]:
        """What the symbol of a relocation is, and its value relative to that."""
        symbol = relocation.symbol
        name = symbol.name
        if name.startswith(_HOLE):
            hole = name.removeprefix(_HOLE).removesuffix("_plain")
            return NUMBER[hole], 0
        section = self.found.sections[symbol.section].name if symbol.section else ""
        if section == f".text.{PREFIX}{op}":
            return NUMBER["hot"], symbol.value
        if section == f".text.unlikely.{PREFIX}{op}":
            return NUMBER["cold"], symbol.value
        if section in self.data:
            return NUMBER["data"], self.data[section] + symbol.value
        if symbol.section == 0 and name in self.names:
            if self.machine.is_call(code, relocation.offset):
                raise NotCut(f"calls {name}")
            if not self.machine.is_jump(code, relocation.offset):
                raise NotCut(f"uses the address of {name}")
            if name not in self.result.externals:
                if len(self.result.externals) == MOST_EXTERNALS:
                    raise NotCut("the module uses too many functions")
                self.result.externals.append(name)
            return FIRST_EXTERNAL + self.result.externals.index(name), 0
        raise NotCut(f"uses {name or section}")

    def patches(self, section: Section, base: int, op: str) -> list[Patch]:
        found = []
        for relocation in section.relocations:
            kind = self.machine.kinds.get(relocation.kind)
            if kind is None:
                raise NotCut(f"relocation {relocation.kind} of {relocation.symbol.name}")
            target, value = self.target(relocation, op, section.data)
            if kind not in self.machine.relative and target in _PLACES:
                raise NotCut(f"an absolute address of {relocation.symbol.name}")
            found.append(Patch(base + relocation.offset, kind, target, value + relocation.addend))
        return found

    def cut(self, op: str) -> Stencil:
        hot = self.sections.get(f".text.{PREFIX}{op}")
        cold = self.sections.get(f".text.unlikely.{PREFIX}{op}", Section("", b""))
        if hot is None:
            raise NotCut("the compiler left no such function")
        if len(hot.data) + len(cold.data) > MOST_BYTES:
            raise NotCut(f"{len(hot.data) + len(cold.data)} bytes")
        patches = self.patches(hot, 0, op)
        data, last = hot.data, 0
        end = [patch for patch in patches if patch.offset == len(data) - 4]
        size = self.machine.last_jump(data)
        if size and end and end[0].target in ONWARD and end[0].addend == self.machine.jump_addend:
            data, last = data[:-size], end[0].target
            patches.remove(end[0])
        patches += self.patches(cold, len(data), op)
        return Stencil(op, data, cold.data, patches, last)


def cut(found: ObjectFile, ops: list[str], externals: dict[str, str], machine: Machine) -> Cut:
    """externals: C functions of other modules, by their C names."""
    cutter = _Cutter(found, externals, machine)
    for op in ops:
        try:
            cutter.result.stencils.append(cutter.cut(op))
        except NotCut as why:
            cutter.result.refused[op] = str(why)
    return cutter.result
