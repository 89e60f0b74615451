"""Writes kallsyms tables in the layouts of all releases since Linux 4.0.

From what scripts/kallsyms.c of each release puts into the assembly file: its labels, their order,
the sizes of the entries and their alignment.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Literal

LINK = 0xFFFF_8000_0800_0000
_HEADER = 64


@dataclass(frozen=True)
class Release:
    """What the tables of a release look like."""

    form: Literal["absolute", "relative", "percpu", "place"] = "relative"
    addresses_first: bool = False
    word: int = 4  # of num_syms and the markers
    sequences: bool = True
    long_names: bool = True
    alignment: int = 8


RELEASES = {
    "4.0": Release("absolute", True, 8, sequences=False, long_names=False),
    "4.6": Release("relative", True, 8, sequences=False, long_names=False),
    "4.6 percpu": Release("percpu", True, 8, sequences=False, long_names=False),
    "4.6 absolute": Release("absolute", True, 8, sequences=False, long_names=False),
    "4.20": Release("relative", True, sequences=False, long_names=False),
    "5.10 absolute": Release("absolute", True, sequences=False, long_names=False),
    "6.1": Release("relative", True, sequences=False),
    "6.2": Release("relative", True),
    "6.2 percpu": Release("percpu", True),
    "6.2 absolute": Release("absolute", True),
    "6.4": Release("relative"),
    "6.4 percpu": Release("percpu"),
    "6.4 absolute": Release("absolute"),
    "7.2": Release("place", alignment=4),
}


@dataclass(frozen=True)
class Kernel:
    """An Image with tables, and what is in them: (name, offset, type), sorted by the offset."""

    image: bytes
    symbols: list[tuple[str, int, str]]
    link: int


def random_symbols(random: Random, count: int, *, long_names: bool) -> list[tuple[str, int, str]]:
    """Symbols of a kernel; ``_text`` is the first, and some share names or places."""
    words = ["sched", "mm", "page", "do", "sys", "irq", "__", "vfs", "x64", "init", "tcp", "cpu0"]
    symbols = [("_text", 0, "T")]
    offset = 0
    for number in range(count - 1):
        if random.random() < 0.9:
            offset += random.randrange(4, 4000, 4)
        name = "_".join(random.choices(words, k=random.randint(1, 5)))
        if random.random() < 0.9:
            name += f"_{number}"
        if long_names and random.random() < 0.02:
            name += "".join(random.choices("0123456789abcdefZ", k=random.randint(150, 400)))
        symbols.append((name, offset, random.choice("tTdDbBrRwWvV")))
    return symbols


def _tokens(names: list[str]) -> list[bytes]:
    """Characters that occur are their own tokens; frequent pieces get the other numbers."""
    used = {ord(c) for name in names for c in name}
    tokens = [bytes([code]) if code in used else b"" for code in range(256)]
    pieces: Counter[str] = Counter()
    for name in names[:200]:
        pieces.update(name[i : i + n] for n in (2, 3, 5) for i in range(len(name) - n + 1))
    free = [code for code in range(256) if code not in used]
    for code, (piece, _) in zip(free, pieces.most_common(100), strict=False):
        tokens[code] = piece.encode()
    return tokens


def _compressed(name: str, tokens: list[bytes]) -> bytes:
    by_text = {token: code for code, token in enumerate(tokens) if token}
    text, out, at = name.encode(), bytearray(), 0
    while at < len(text):
        for length in (5, 3, 2, 1):
            code = by_text.get(text[at : at + length])
            if code is not None and len(tokens[code]) == length:
                out.append(code)
                at += length
                break
    return bytes(out)


class _Tables:
    """The section .rodata as the assembler fills it, at an offset in the Image."""

    def __init__(self, release: Release, named: list[tuple[str, int]], at: int) -> None:
        self.release = release
        self.named = named
        self.at = at
        self.tokens = _tokens([name for name, _ in named])
        self.data = bytearray()

    def label(self) -> int:
        """Align for the next table; its place."""
        self.data += bytes(-len(self.data) % self.release.alignment)
        return self.at + len(self.data)

    def addresses(self, link: int, relative_base: int, percpu: int) -> None:
        form = self.release.form
        place = self.label()
        for number, (_, offset) in enumerate(self.named):
            if form == "absolute":
                self.data += struct.pack("<Q", link + offset)
            elif form == "place":
                self.data += struct.pack("<i", offset - (place + 4 * number))
            elif form == "percpu":
                self.data += struct.pack("<i", offset if number < percpu else -1 - offset)
            else:
                self.data += struct.pack("<I", offset)
        if form in ("relative", "percpu"):
            self.label()
            self.data += struct.pack("<Q", relative_base)

    def names(self) -> None:
        word = self.release.word
        self.label()
        self.data += len(self.named).to_bytes(word, "little")
        start = self.label()
        markers = []
        for number, (name, _) in enumerate(self.named):
            if number % 256 == 0:
                markers.append(self.at + len(self.data) - start)
            packed = _compressed(name, self.tokens)
            if len(packed) > 0x7F and self.release.long_names:
                self.data += bytes([len(packed) & 0x7F | 0x80, len(packed) >> 7])
            else:
                self.data.append(len(packed))
            self.data += packed
        self.label()
        for marker in markers:
            self.data += marker.to_bytes(word, "little")

    def sequences(self) -> None:
        self.label()
        order = sorted(range(len(self.named)), key=lambda n: self.named[n][0][1:])
        self.data += b"".join(n.to_bytes(3, "big") for n in order)

    def token_tables(self) -> None:
        self.label()
        self.data += b"".join(token + b"\0" for token in self.tokens)
        self.label()
        starts = [sum(len(t) + 1 for t in self.tokens[:n]) for n in range(256)]
        self.data += struct.pack("<256H", *starts)


def write(
    release: Release,
    symbols: list[tuple[str, int, str]],
    *,
    link: int = LINK,
    filled_in: bool = True,
    padding: bytes = b"",
    percpu: int = 0,
) -> Kernel:
    """An Image with the tables of a release.

    ``filled_in``: whether relative_base has its value, as it has with CONFIG_RELR and at run time.
    ``percpu``: so many absolute symbols, of forms that have them.
    """
    named = [(f"Apercpu_{n}", 8 * n) for n in range(percpu)]
    named += [(type_ + name, offset) for name, offset, type_ in symbols]
    head = struct.pack("<8xQQQ24x4s4x", 0, 1 << 24, 0xA, b"ARM\x64")
    assert len(head) == _HEADER
    tables = _Tables(release, named, -(-(len(head) + len(padding)) // 64) * 64)
    base = link if filled_in else 0
    if release.addresses_first:
        tables.addresses(link, base, percpu)
        tables.names()
        if release.sequences:
            tables.sequences()
        tables.token_tables()
    else:
        tables.names()
        tables.token_tables()
        tables.addresses(link, base, percpu)
        tables.sequences()
    image = (head + padding).ljust(tables.at, b"\0") + bytes(tables.data)
    return Kernel(image, symbols, link)
