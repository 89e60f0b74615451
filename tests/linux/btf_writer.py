"""Writes BTF, also such as no compiler does."""

from __future__ import annotations

import struct
from collections.abc import Sequence

(
    INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC,
    FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64,
) = range(1, 20)  # fmt: skip
SIGNED, CHAR, BOOL = 1, 2, 4


class Writer:
    """BTF whose types are added one after the other; each ``add`` gives the type's number.

    ``base`` is the writer of the base of split BTF.
    """

    def __init__(self, base: Writer | None = None) -> None:
        self._base = base
        self._first = base.next if base is not None else 1
        self._start = base._start + len(base._strings) if base is not None else 0
        self._strings = bytearray(b"" if base is not None else b"\0")
        self._known: dict[str, int] = {}
        self._types: list[bytes] = []

    @property
    def next(self) -> int:
        """The number of the type that is added next."""
        return self._first + len(self._types)

    def string(self, text: str) -> int:
        """The offset of a string, which is written once."""
        if not text:
            return 0
        base = self._base
        while base is not None:
            if text in base._known:
                return base._known[text]
            base = base._base
        if text not in self._known:
            self._known[text] = self._start + len(self._strings)
            self._strings += text.encode() + b"\0"
        return self._known[text]

    def add(
        self, kind: int, name: str, size: int, added: bytes = b"", *, count: int = 0, flag: int = 0
    ) -> int:
        info = flag << 31 | kind << 24 | count
        self._types.append(struct.pack("<III", self.string(name), info, size) + added)
        return self.next - 1

    def int(self, name: str, size: int, encoding: int = 0, bits: int | None = None) -> int:
        details = encoding << 24 | (8 * size if bits is None else bits)
        return self.add(INT, name, size, struct.pack("<I", details))

    def array(self, target: int, length: int) -> int:
        return self.add(ARRAY, "", 0, struct.pack("<III", target, 1, length))

    def struct(
        self, name: str, size: int, members: Sequence[tuple[str, int, int]], kind: int = STRUCT,
        flag: int = 0,
    ) -> int:  # fmt: skip
        """Members are (name, type, offset); with the flag, bits 24 to 31 of that are a size."""
        added = b"".join(struct.pack("<III", self.string(n), t, at) for n, t, at in members)
        return self.add(kind, name, size, added, count=len(members), flag=flag)

    def enum(self, name: str, values: dict[str, int], flag: int = 0) -> int:
        added = b"".join(struct.pack("<II", self.string(n), v & 0xFFFF_FFFF)
                         for n, v in values.items())  # fmt: skip
        return self.add(ENUM, name, 4, added, count=len(values), flag=flag)

    def enum64(self, name: str, values: dict[str, int], flag: int = 0) -> int:
        added = b"".join(
            struct.pack("<III", self.string(n), v & 0xFFFF_FFFF, v >> 32 & 0xFFFF_FFFF)
            for n, v in values.items()
        )
        return self.add(ENUM64, name, 8, added, count=len(values), flag=flag)

    def prototype(self, result: int, parameters: Sequence[tuple[str, int]]) -> int:
        added = b"".join(struct.pack("<II", self.string(n), t) for n, t in parameters)
        return self.add(FUNC_PROTO, "", result, added, count=len(parameters))

    def section(self, name: str, variables: Sequence[tuple[int, int, int]]) -> int:
        added = b"".join(struct.pack("<III", *each) for each in variables)
        return self.add(DATASEC, name, 0, added, count=len(variables))

    def finish(self) -> bytes:
        types = b"".join(self._types)
        strings = bytes(self._strings) or b"\0"
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
        return header + types + strings
