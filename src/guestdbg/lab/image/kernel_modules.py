"""Kernel modules: which ones a driver needs, in the order in which to load them.

Debian's package has no modules.dep (its installation makes it), but every module says in its
``.modinfo`` section what it depends on.
"""

import io
import lzma
import re
from collections.abc import Collection, Mapping

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from guestdbg.lab.errors import LabError

_SUFFIX = re.compile(r"\.ko(\.xz)?$")


def module_name(path: str) -> str | None:
    """The name under which other modules know this file; None if it is no module."""
    base = path.rpartition("/")[2]
    return _SUFFIX.sub("", base).replace("-", "_") if _SUFFIX.search(base) else None


def plain(path: str, data: bytes) -> bytes:
    """A module's ELF, out of its compression if it has one."""
    return lzma.decompress(data) if path.endswith(".xz") else data


def modinfo(elf: bytes) -> dict[str, str]:
    """The tags of a module: "depends", "vermagic" and so on. Raises LabError if it has none."""
    try:
        section = ELFFile(io.BytesIO(elf)).get_section_by_name(".modinfo")
    except ELFError as error:
        raise LabError(f"a kernel module that is not an ELF file: {error}") from error
    if section is None:
        raise LabError("a kernel module without a .modinfo section")
    tags = (line.decode("utf-8", "replace") for line in section.data().split(b"\0"))
    return {key: value for key, _, value in (tag.partition("=") for tag in tags) if key}


def built_in(listing: bytes) -> set[str]:
    """The names in the kernel's modules.builtin: what is in the kernel and need not be loaded."""
    return {name for line in listing.decode().split() if (name := module_name(line)) is not None}


def load_order(
    wanted: list[str], modules: Mapping[str, bytes], there: Collection[str] = ()
) -> list[str]:
    """``wanted`` and what they stand on, each after what it needs, but for those ``there``.

    Raises LabError if a module is not among ``modules`` (name -> ELF).
    """
    order: list[str] = []

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in order or name in there:
            return
        if name in above:
            raise LabError(f"kernel modules need each other in a circle: {' '.join(above)} {name}")
        if name not in modules:
            raise LabError(f"the kernel package has no module {name}")
        for needed in filter(None, modinfo(modules[name]).get("depends", "").split(",")):
            add(needed.replace("-", "_"), (*above, name))
        order.append(name)

    for name in wanted:
        add(name, ())
    return order
