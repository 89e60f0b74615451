"""The ELF file with a kernel's names, and its call frame information."""

from __future__ import annotations

import random
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.debugger import Symbol
from guestdbg.debugger.program.symbol_table import SymbolKind
from guestdbg.linux.call_frames import Code, debug_frame
from guestdbg.linux.symbol_file import symbol_file

BASE = 0xFFFF_8000_8000_0000
KINDS = (SymbolKind.FUNCTION, SymbolKind.OBJECT)

symbols = st.builds(
    Symbol,
    st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=12),
    st.integers(0, 1 << 30).map(lambda offset: BASE + offset),
    st.integers(0, 1 << 16),
    st.sampled_from(KINDS),
    st.booleans(),
)


def sections(data: bytes) -> dict[str, list[tuple[int, ...]]]:
    """The section headers by their names."""
    at, size, count, names = (
        struct.unpack_from("<Q", data, 40)[0],
        *struct.unpack_from("<HHH", data, 58),
    )
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, at + n * size) for n in range(count)]
    texts = headers[names][4]
    found: dict[str, list[tuple[int, ...]]] = {}
    for header in headers:
        start = texts + header[0]
        found.setdefault(data[start : data.index(b"\0", start)].decode(), []).append(header)
    return found


@settings(max_examples=60)
@given(st.lists(symbols, max_size=40))
def test_all_symbols_are_in_it(given_symbols: list[Symbol]) -> None:
    data = symbol_file(given_symbols, [(BASE, bytes(4096))], 48)
    found = sections(data)
    (table,), (strings,) = found[".symtab"], found[".strtab"]
    assert table[6] == strings_number(data)
    entries = [
        struct.unpack_from("<IBBHQQ", data, table[4] + at) for at in range(0, table[5], table[9])
    ]
    # Local symbols come first, and sh_info is the first global one.
    assert [info >> 4 for _, info, *_ in entries] == [0] * table[7] + [1] * (
        len(entries) - table[7]
    )
    names = set()
    for name, info, _, number, address, _ in entries[1:]:
        start = strings[4] + name
        text = data[start : data.index(b"\0", start)].decode()
        names.add((text, address))
        header = next(
            h
            for h in found[".text" if info & 15 == 2 else ".data"]
            if h[3] <= address <= h[3] + h[5]
        )
        assert number
        assert header[1] == 8  # SHT_NOBITS
    left_out = ("__compound_literal", "__flags_", "__func__", "__UNIQUE_ID", "__already", "$")
    assert names == {
        (s.name, s.address) for s in given_symbols if not s.name.startswith((*left_out, "__msg"))
    }


def strings_number(data: bytes) -> int:
    at, size, count = struct.unpack_from("<Q", data, 40)[0], *struct.unpack_from("<HH", data, 58)
    numbers = [n for n in range(count) if struct.unpack_from("<I", data, at + n * size + 4)[0] == 3]
    return numbers[0]


def frames(words: list[int], name: str = "f", bits: int = 64) -> bytes:
    code = struct.pack(f"<{len(words)}I", *words)
    return debug_frame([Code(code, BASE, [(BASE, name)])], bits)


def test_random_code_has_call_frames() -> None:
    """Of a hostile kernel: any code, functions anywhere; each entry has its length."""
    forms = (0xA9BF7BFD, 0xA9007BFD, 0x910003FD, 0xA8C17BFD, 0xA9417BFD, 0xD65F03C0, 0xD10083FF)
    for seed in range(200):
        rng = random.Random(seed)
        words = [rng.choice((*forms, rng.getrandbits(32))) for _ in range(rng.randrange(1, 300))]
        code = struct.pack(f"<{len(words)}I", *words)
        starts = sorted(rng.sample(range(0, len(code) + 64, 4), min(20, len(words))))
        name = rng.choice(("f", "el1h_64_irq", "el0t_64_sync", "ret_from_fork"))
        functions = [(BASE + at, name) for at in starts]
        found = debug_frame([Code(code, BASE, functions)] * 2, rng.choice((48, 52)))
        at = 0
        while at < len(found):
            at += 4 + struct.unpack_from("<I", found, at)[0]
        assert at == len(found)


def test_a_frame_from_the_push_to_the_return() -> None:
    """STP X29, X30, [SP, #-32]!; MOV X29, SP; NOP; LDP X29, X30, [SP], #32; RET."""
    found = frames([0xA9BE7BFD, 0x910003FD, 0xD503201F, 0xA8C27BFD, 0xD65F03C0])
    program = found[found.index(struct.pack("<QQ", BASE, 20)) + 16 :]
    assert (
        program.rstrip(b"\0").hex()
        == (
            "0c1f00" + "dd" + "de"  # CFA SP, X29 and X30 as they were
            "41" + "0c1f20" + "9d04" + "9e03"  # after STP: CFA SP+32, X29 at -32, X30 at -24
            "41" + "0c1d20"  # after MOV: CFA X29+32
            "42" + "0a" + "0c1f" + "00" + "dd" + "de"  # after LDP: as at the start
            "41" + "0b"  # after RET: as in the body
        )
    )
