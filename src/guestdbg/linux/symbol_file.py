"""A kernel's names as an ELF file, for debuggers that read names from files only.

The file has a symbol table, call frame information, and no contents. Its sections are where the
symbols are, so that a debugger tells functions from variables. (System V ABI, chapters "Object
Files" and "Symbol Table".)
"""

from __future__ import annotations

import itertools
import re
import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from guestdbg.debugger.program.symbol_table import SymbolKind
from guestdbg.linux.call_frames import Code, debug_frame

if TYPE_CHECKING:
    from guestdbg.debugger import Symbol

__all__ = ["symbol_file"]

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_SYM = struct.Struct("<IBBHQQ")
_IDENT = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
_ET_EXEC, _EM_AARCH64, _EV_CURRENT = 2, 183, 1
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_NOBITS = 1, 2, 3, 8
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_STT_OBJECT, _STT_FUNC = 1, 2
_STB_LOCAL, _STB_GLOBAL = 0, 1
_U64 = (1 << 64) - 1
#: Two symbols so far apart are in different sections, as the kernel and its modules are.
_GAP = 16 << 20
#: What the last symbol of a section may have after it.
_LAST = 4096
#: Section numbers end below 0xff00.
_MAX_SECTIONS = 0xFE00
#: Names that the compiler or a macro makes up, and what cannot be in a string table.
_MADE_UP = re.compile(r"__(?:compound_literal|flags_|func__|UNIQUE_ID|already_done|msg\b)|\$|.*\0")


def symbol_file(
    symbols: Iterable[Symbol], code: Sequence[tuple[int, bytes]], address_bits: int
) -> bytes:
    """An ELF file with these symbols, at the addresses that they have now.

    Those without a name of their own in the source, such as string literals, are left out.

    Args:
        symbols: the symbols.
        code: the code that the symbols are in, as (address, contents).
        address_bits: how many bits of a pointer are its address.
    """
    kept = {(s.address, s.name): s for s in symbols if s.name and not _MADE_UP.match(s.name)}
    ordered = sorted(kept.values(), key=lambda symbol: symbol.address)
    sections = _sections(ordered)
    names, strings = _strings(symbol.name for symbol in ordered)
    entries: tuple[list[bytes], list[bytes]] = [], []
    for symbol, number in zip(ordered, _numbers(sections), strict=True):
        kind = _STT_FUNC if symbol.kind is SymbolKind.FUNCTION else _STT_OBJECT
        info = (_STB_GLOBAL if symbol.is_global else _STB_LOCAL) << 4 | kind
        entry = _SYM.pack(names[symbol.name], info, 0, number, symbol.address, symbol.size)
        entries[symbol.is_global].append(entry)
    local = [bytes(_SYM.size), *entries[False]]
    table = b"".join([*local, *entries[True]])
    functions: dict[int, str] = {}
    for symbol in ordered:
        if symbol.kind is SymbolKind.FUNCTION:
            functions.setdefault(symbol.address, symbol.name)
    places = [*functions]
    areas = []
    for address, text in code:
        inside = places[bisect_left(places, address) : bisect_left(places, address + len(text))]
        areas.append(Code(text, address, [(at, functions[at]) for at in inside]))
    frames = debug_frame(areas, address_bits)
    return _file(sections, table, len(local), strings, frames)


def _strings(names: Iterable[str]) -> tuple[dict[str, int], bytes]:
    """Where each name is in a string table, and the table."""
    table, at = bytearray(1), {}
    for name in names:
        if name not in at:
            at[name] = len(table)
            table += name.encode("utf-8", "replace") + b"\0"
    return at, bytes(table)


def _sections(ordered: list[Symbol]) -> list[tuple[int, int, bool, int]]:
    """Runs of functions, and of other symbols: (start, end, functions, how many)."""
    found: list[tuple[int, int, bool, int]] = []
    runs = itertools.groupby(_with_gaps(ordered), key=lambda one: one[1:])
    for (_, is_code), run in runs:
        inside = [symbol for symbol, *_ in run]
        last = inside[-1]
        end = min(last.address + max(last.size, _LAST), _U64)
        found.append((inside[0].address, end, is_code, len(inside)))
    if len(found) > _MAX_SECTIONS:
        return [(found[0][0], found[-1][1], True, len(ordered))]
    # A run ends where the next one starts.
    return [
        (start, min(end, following), is_code, count)
        for (start, end, is_code, count), (following, *_) in itertools.pairwise(
            [*found, (_U64, 0, False, 0)]
        )
    ]


def _with_gaps(ordered: list[Symbol]) -> Iterable[tuple[Symbol, int, bool]]:
    """Each symbol, how many gaps are before it, and whether it is a function."""
    gaps, before = 0, 0
    for symbol in ordered:
        gaps += symbol.address - before > _GAP
        before = symbol.address + symbol.size
        yield symbol, gaps, symbol.kind is SymbolKind.FUNCTION


def _numbers(sections: list[tuple[int, int, bool, int]]) -> Iterable[int]:
    """The section of each symbol. Section 0 is none."""
    for number, (_, _, _, count) in enumerate(sections, 1):
        yield from itertools.repeat(number, count)


def _file(
    sections: list[tuple[int, int, bool, int]],
    symbols: bytes,
    first_global: int,
    strings: bytes,
    frames: bytes,
) -> bytes:
    at, names = _strings([".text", ".data", ".debug_frame", ".symtab", ".strtab", ".shstrtab"])
    frames_at = _EHDR.size
    symbols_at = frames_at + len(frames)
    strings_at = symbols_at + len(symbols)
    names_at = strings_at + len(strings)
    headers_at = (names_at + len(names) + 7) & -8
    headers = [bytes(_SHDR.size)]
    for start, end, is_code, _ in sections:
        flags = _SHF_ALLOC | (_SHF_EXECINSTR if is_code else _SHF_WRITE)
        name = at[".text" if is_code else ".data"]
        size = end - start
        headers.append(_SHDR.pack(name, _SHT_NOBITS, flags, start, frames_at, size, 0, 0, 1, 0))
    where = at[".debug_frame"], _SHT_PROGBITS, 0, 0, frames_at, len(frames)
    headers.append(_SHDR.pack(*where, 0, 0, 8, 0))
    table = len(headers)
    headers += [
        _SHDR.pack(
            at[".symtab"],
            _SHT_SYMTAB,
            0,
            0,
            symbols_at,
            len(symbols),
            table + 1,
            first_global,
            8,
            _SYM.size,
        ),
        _SHDR.pack(at[".strtab"], _SHT_STRTAB, 0, 0, strings_at, len(strings), 0, 0, 1, 0),
        _SHDR.pack(at[".shstrtab"], _SHT_STRTAB, 0, 0, names_at, len(names), 0, 0, 1, 0),
    ]
    head = _EHDR.pack(
        _IDENT,
        _ET_EXEC,
        _EM_AARCH64,
        _EV_CURRENT,
        sections[0][0] if sections else 0,
        0,
        headers_at,
        0,
        _EHDR.size,
        0,
        0,
        _SHDR.size,
        len(headers),
        len(headers) - 1,
    )
    padding = bytes(headers_at - names_at - len(names))
    return head + frames + symbols + strings + names + padding + b"".join(headers)
