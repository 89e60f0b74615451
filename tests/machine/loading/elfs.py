"""ELF files made by hand, valid and invalid."""

import struct
from collections.abc import Sequence

PT_LOAD, PT_INTERP = 1, 3


def program_header(
    physical: int,
    data: bytes,
    *,
    memory_size: int | None = None,
    virtual: int | None = None,
    kind: int = PT_LOAD,
    offset: int = 0,
    file_size: int | None = None,
) -> bytes:
    """One program header; ``offset`` is the offset of its data in the file."""
    return struct.pack(
        "<IIQQQQQQ",
        kind,
        7,
        offset,
        physical if virtual is None else virtual,
        physical,
        len(data) if file_size is None else file_size,
        len(data) if memory_size is None else memory_size,
        4,
    )


def make_elf(
    segments: Sequence[tuple[int, bytes]] = ((0x4020_0000, b"\x1f\x20\x03\xd5" * 4),),
    *,
    entry: int | None = None,
    machine: int = 183,
    kind: int = 2,
    elf_class: int = 2,
    encoding: int = 1,
    memory_sizes: Sequence[int | None] = (),
    virtuals: Sequence[int | None] = (),
    extra_headers: Sequence[bytes] = (),
    **header: int,
) -> bytes:
    """An executable with a PT_LOAD for each segment, given as (physical address, data)."""
    count = len(segments) + len(extra_headers)
    offset = 64 + 56 * count
    headers, body = b"".join(extra_headers), b""
    for index, (physical, data) in enumerate(segments):
        headers += program_header(
            physical,
            data,
            memory_size=memory_sizes[index] if index < len(memory_sizes) else None,
            virtual=virtuals[index] if index < len(virtuals) else None,
            offset=offset + len(body),
        )
        body += data
    if entry is None:
        entry = segments[0][0] if segments else 0
    ident = b"\x7fELF" + bytes([elf_class, encoding, 1]) + bytes(9)
    fields = {"phoff": 64, "phentsize": 56, "phnum": count} | header
    main = struct.pack(
        "<HHIQQQIHHHHHH",
        kind,
        machine,
        1,
        entry,
        fields["phoff"],
        0,
        0,
        64,
        fields["phentsize"],
        fields["phnum"],
        64,
        0,
        0,
    )
    return ident + main + headers + body
