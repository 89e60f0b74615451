"""What the panes show of a stopped guest: values, which the interface may read at any time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Instruction", "Register", "Source", "View", "Watched"]


class Register(NamedTuple):
    """A register; ``note`` says what its value is, such as a symbol."""

    name: str
    text: str
    changed: bool
    note: str


class Instruction(NamedTuple):
    """An instruction, or a line with the name of the function that begins there (no ``text``)."""

    address: int
    label: str
    text: str
    mark: str


@dataclass(frozen=True)
class Source:
    """A source file.

    Attributes:
        name: as a title.
        lines: all of them; None: the file is not here, and ``name`` says what is missing.
        line: the current one, from 1.
        marks: lines with breakpoints, each with its mark.
    """

    name: str
    lines: Sequence[Text] | None
    line: int
    marks: dict[int, str] = field(default_factory=dict)


class Watched(NamedTuple):
    """A watched value."""

    name: str
    text: str
    changed: bool


@dataclass(frozen=True)
class View:
    """All of it.

    Attributes:
        state: in one word: stopped, running, ended, in the past.
        where: the rest of the status line.
        pc: the address of the next instruction.
        shown: the address that source and disassembly are about: that of a frame, or what `list`
            has asked for.
    """

    state: str
    where: str
    pc: int = 0
    shown: int = 0
    registers: tuple[Register, ...] = ()
    source: Source | None = None
    instructions: tuple[Instruction, ...] = ()
    watched: tuple[Watched, ...] = ()
    stack: tuple[Text, ...] = ()
