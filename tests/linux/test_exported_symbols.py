"""``__ksymtab``: of Debian's kernels, and in every layout by tables that are written here."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.linux.kallsyms import Kallsyms
from guestdbg.linux.symbols import ExportedSymbols
from guestdbg.linux.symbols.code_references import code_references

from .conftest import kernel_of

ADDRESS = 0xFFFF_8000_0800_0000
#: Offsets of the parts of an image that is written here.
TABLE, NAMES, SIZE = 0x2000, 0x8000, 0x20000
FUNCTIONS = [f"exported_{n}" for n in range(24)] + ["kfree"]


def image(symbols: dict[str, int], width: int) -> bytes:
    """A kernel with these symbols exported; two tables, as of both licences."""
    data = bytearray(SIZE)
    at, name_at = TABLE, NAMES
    for name in sorted(symbols, key=lambda name: (len(name) % 2, name)):
        value = symbols[name]
        if width == 16:
            struct.pack_into("<QQ", data, at, ADDRESS + value, ADDRESS + name_at)
        else:
            struct.pack_into("<ii", data, at, value - at, name_at - at - 4)
        at += width
        data[name_at : name_at + len(name)] = name.encode()
        name_at += len(name) + 1
    return bytes(data)


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,40}", fullmatch=True)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(names, st.integers(0, SIZE - 1), max_size=60),
    st.sampled_from([8, 12, 16]),
    st.data(),
)
def test_what_was_written_is_read(
    variables: dict[str, int], width: int, data: st.DataObject
) -> None:
    functions = {name: 0x1000 + 4 * n for n, name in enumerate(FUNCTIONS)}
    written = variables | functions
    found = ExportedSymbols(image(written, width), SIZE, functions.get, ADDRESS)
    assert {symbol.name: symbol.offset for symbol in found} == written
    name = data.draw(st.sampled_from(sorted(written)))
    assert [symbol.offset for symbol in found.named(name)] == [written[name]]
    at = found.at(written[name])
    assert at is not None
    assert written[at.name] == written[name]
    assert found.named("not there") == []


def test_a_table_that_contradicts_kallsyms_is_not_taken() -> None:
    functions = {name: 0x1000 + 4 * n for n, name in enumerate(FUNCTIONS)}
    data = image(functions, 12)
    moved = {name: at if name == "kfree" else at + 64 for name, at in functions.items()}
    assert len(ExportedSymbols(data, SIZE, moved.get)) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(TABLE, NAMES + 0x200), st.binary(min_size=1, max_size=64))
def test_damage_is_no_crash(at: int, damage: bytes) -> None:
    functions = {name: 0x1000 + 4 * n for n, name in enumerate(FUNCTIONS)}
    data = bytearray(image(functions, 12))
    data[at : at + len(damage)] = damage
    for symbol in ExportedSymbols(bytes(data), SIZE, functions.get):
        assert 0 <= symbol.offset < SIZE


@pytest.mark.parametrize("suite", ["bookworm", "sid"])
def test_debians_kernels(suite: str) -> None:
    """Where kallsyms has all symbols, it is the judge of the exported ones."""
    path: Path = kernel_of(suite)
    data = path.read_bytes()
    tables = Kallsyms(data)

    def code(name: str) -> int | None:
        return next((s.offset for s in tables.named(name) if s.is_code), None)

    found = ExportedSymbols(data, 64 << 20, code)
    assert len(found) > 9000
    known = 0
    for symbol in found:
        offsets = [s.offset for s in tables.named(symbol.name)]
        assert not offsets or symbol.offset in offsets, symbol
        known += bool(offsets)
    assert known / len(found) > (0.99 if suite == "sid" else 0.8)
    assert found.named("init_task")
    assert {"init_net", "jiffies", "memstart_addr", "__per_cpu_offset"} <= set(found.names())


def test_references_of_code() -> None:
    code = struct.pack(
        "<8I",
        0xB000_0000,  # adrp x0, +0x1000
        0x9104_8C01,  # add x1, x0, #0x123
        0xF940_0802,  # ldr x2, [x0, #16]
        0xD000_0003,  # adrp x3, +0x2000
        0xF940_0063,  # ldr x3, [x3]
        0xF940_0463,  # ldr x3, [x3, #8]: of a value that was loaded
        0x1000_0084,  # adr x4, +16
        0xD65F_03C0,  # ret
    )
    page = ADDRESS + 0x1000
    assert code_references(code, ADDRESS) == [
        page + 0x123,
        page + 16,
        page + 0x1000,
        ADDRESS + 24 + 16,
    ]
