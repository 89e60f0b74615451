"""Programs: instructions and labels, and how they become words."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from guestdbg.check.assembler.fields import AssemblerError


@dataclass(frozen=True, slots=True)
class Label:
    """A named place in the program. It takes no space."""

    name: str


@dataclass(frozen=True, slots=True)
class Fixup:
    """An instruction that needs a label's address. ``encode(offset from it)`` returns its word."""

    target: str
    encode: Callable[[int], int]


Item = int | list[int] | Label | Fixup


@dataclass(frozen=True, slots=True)
class Code:
    """Assembled words and their address.

    ``code["name"]`` is a label's address, ``code.at(n)`` that of the n-th instruction.
    """

    address: int
    words: tuple[int, ...]
    labels: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        try:
            return self.labels[name]
        except KeyError:
            raise AssemblerError(
                f"no label {name!r}; the labels are {sorted(self.labels)}"
            ) from None

    def at(self, n: int) -> int:
        """The address of the n-th instruction."""
        return self.address + 4 * n

    @property
    def end(self) -> int:
        """The address after the last instruction."""
        return self.at(len(self.words))

    @property
    def data(self) -> bytes:
        """The words as bytes in memory order."""
        return struct.pack(f"<{len(self.words)}I", *self.words)


def label(name: str) -> Label:
    """A place that branches can name."""
    return Label(name)


def flat(*parts: int | list[int]) -> list[int]:
    """Words and lists of words as one list."""
    words: list[int] = []
    for part in parts:
        words.extend(part if isinstance(part, list) else [part])
    return words


def assemble(address: int, *items: Item) -> Code:
    """Assemble a program for an address.

    Raises:
        AssemblerError: a label does not exist, exists twice, or is out of range.
    """
    labels: dict[str, int] = {}
    at = address
    for item in items:
        if isinstance(item, Label):
            if item.name in labels:
                raise AssemblerError(f"label {item.name!r} exists twice")
            labels[item.name] = at
        else:
            at += 4 * len(item) if isinstance(item, list) else 4
    code = Code(address, (), labels)
    words: list[int] = []
    for item in items:
        if isinstance(item, list):
            words.extend(item)
        elif isinstance(item, Fixup):
            words.append(item.encode(code[item.target] - address - 4 * len(words)))
        elif isinstance(item, int):
            words.append(item)
    return Code(address, tuple(words), labels)
