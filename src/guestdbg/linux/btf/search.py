"""Where a kernel Image has its BTF: the section ``.BTF``, between __start_BTF and __stop_BTF.

A kernel without data symbols in its kallsyms (CONFIG_KALLSYMS_ALL) does not say where. It is found
by its header, and is that which can be read and describes ``task_struct``.
"""

from __future__ import annotations

from collections.abc import Callable

from guestdbg.linux.btf.records import HEADER, MAGIC, Kind
from guestdbg.linux.btf.table import Btf
from guestdbg.linux.errors import BadBtf

__all__ = ["find_btf"]

#: Magic, version 1, no flags, and a header of 24 bytes.
_START = MAGIC.to_bytes(2, "little") + b"\1\0" + HEADER.size.to_bytes(4, "little")
_ALIGNMENT = 4
#: Headers that are looked at, in the data of a hostile guest.
_MAX_CANDIDATES = 256
_IN_EVERY_KERNEL = "task_struct"


def find_btf(image: bytes, parse: Callable[[bytes], Btf] = Btf) -> Btf:
    """The BTF in a kernel Image, from a file or from memory. Raises BadBtf if there is none.

    ``parse`` reads the bytes of one.
    """
    at = -1
    damage: BadBtf | None = None
    for _ in range(_MAX_CANDIDATES):
        at = image.find(_START, at + 1)
        if at < 0:
            break
        if at % _ALIGNMENT:
            continue
        try:
            found = parse(image[at : at + _length(image, at)])
            if found.find(_IN_EVERY_KERNEL, (Kind.STRUCT,)):
                return found
        except BadBtf as error:
            damage = damage or error
    if damage is not None:
        raise BadBtf(f"the kernel's BTF is damaged: {damage}")
    raise BadBtf(
        "the kernel has no BTF, its description of its own types: it was built without "
        "CONFIG_DEBUG_INFO_BTF"
    )


def _length(image: bytes, at: int) -> int:
    """The bytes that the header at this place says there are."""
    if at + HEADER.size > len(image):
        return HEADER.size
    _, _, _, length, type_at, type_size, string_at, string_size = HEADER.unpack_from(image, at)
    end: int = length + max(type_at + type_size, string_at + string_size)
    return end
