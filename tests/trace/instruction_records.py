"""Records of `SupportsInstructionTrace`, read by the description in its docstring."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

RETIRED, EMULATED, EXCEPTION, HOST = 1, 2, 4, 8
SP, NZCV, FPSR, V0 = 31, 32, 33, 64


class Made(NamedTuple):
    """An access: its value is None where bytes were zeroed."""

    write: bool
    address: int
    size: int
    value: bytes | None


class Record(NamedTuple):
    what: int
    vcpu: int
    el: int
    kind: int
    raw: int
    time: int
    pc: int
    registers: dict[int, int]
    accesses: list[Made]
    vector: int | None


def records_of(data: bytes) -> Iterator[Record]:
    place = 0
    while place < len(data):
        size, what, vcpu, el, registers, accesses, kind, raw, time, pc = struct.unpack_from(
            "<HBBBBBBIQQ", data, place
        )
        at, end = place + 28, place + size
        changed = {}
        for _ in range(registers):
            number = data[at]
            width = 16 if number >= V0 else 8
            assert number not in changed
            changed[number] = int.from_bytes(data[at + 1 : at + 1 + width], "little")
            at += 1 + width
        made = []
        for _ in range(accesses):
            width = data[at] & 127
            address = int.from_bytes(data[at + 1 : at + 9], "little")
            if width:
                value = data[at + 9 : at + 9 + width]
                made.append(Made(data[at] >= 128, address, width, value))
                at += 9 + width
            else:
                length = int.from_bytes(data[at + 9 : at + 11], "little")
                made.append(Made(data[at] >= 128, address, length, None))
                at += 11
        vector = None
        if what & EXCEPTION:
            vector = int.from_bytes(data[at : at + 8], "little")
            at += 8
        assert at == end
        yield Record(what, vcpu, el, kind, raw, time, pc, changed, made, vector)
        place = end
