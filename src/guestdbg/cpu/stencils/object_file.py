"""Sections, symbols and relocations of a 64-bit little-endian ELF object."""

import struct
from dataclasses import dataclass, field
from pathlib import Path

ET_REL = 1
SHT_SYMTAB = 2
SHT_RELA = 4
STT_SECTION = 3
MACHINES = {62: "x86_64", 183: "aarch64"}


class NotAnObject(ValueError):
    """The file is not such an object."""


@dataclass(frozen=True)
class Symbol:
    name: str
    section: int  # 0: defined elsewhere
    value: int
    size: int


@dataclass(frozen=True)
class Relocation:
    offset: int
    kind: int
    symbol: Symbol
    addend: int


@dataclass
class Section:
    name: str
    data: bytes
    relocations: list[Relocation] = field(default_factory=list)


@dataclass
class ObjectFile:
    machine: str
    sections: list[Section]
    symbols: list[Symbol]


def _string(table: bytes, at: int) -> str:
    return table[at : table.index(b"\0", at)].decode()


def read(path: Path) -> ObjectFile:
    """Raises NotAnObject for anything else."""
    image = path.read_bytes()
    if image[:6] != b"\x7fELF\x02\x01":
        raise NotAnObject(f"{path}: not a 64-bit little-endian ELF file")
    kind, number = struct.unpack_from("<HH", image, 16)
    if kind != ET_REL or number not in MACHINES:
        raise NotAnObject(f"{path}: not an object for {' or '.join(MACHINES.values())}")
    (start,) = struct.unpack_from("<Q", image, 40)
    size, count, names = struct.unpack_from("<HHH", image, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", image, start)]
    # With very many sections the numbers are in the first header.
    count = count or headers[0][5]
    names = names if names != 0xFFFF else headers[0][6]
    headers = [struct.unpack_from("<IIQQQQIIQQ", image, start + n * size) for n in range(count)]

    def contents(n: int) -> bytes:
        return b"" if headers[n][1] == 8 else image[headers[n][4] :][: headers[n][5]]

    strings = contents(names)
    sections = [
        Section(_string(strings, header[0]), contents(n)) for n, header in enumerate(headers)
    ]
    symbols: list[Symbol] = []
    for n, header in enumerate(headers):
        if header[1] == SHT_SYMTAB:
            strings = contents(header[6])
            for name, info, _, section, value, length in struct.iter_unpack("<IBBHQQ", contents(n)):
                text = (
                    sections[section].name if info & 15 == STT_SECTION else _string(strings, name)
                )
                symbols.append(Symbol(text, section, value, length))
    for n, header in enumerate(headers):
        if header[1] == SHT_RELA:
            sections[header[7]].relocations = [
                Relocation(offset, info & 0xFFFFFFFF, symbols[info >> 32], addend)
                for offset, info, addend in struct.iter_unpack("<QQq", contents(n))
            ]
    return ObjectFile(MACHINES[number], sections, symbols)
