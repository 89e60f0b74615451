"""Kernel modules: what a driver depends on, in the order in which to load it.

Debian's package has no modules.dep, which is made when the package is installed. But every module
names its dependencies in its ``.modinfo`` section.
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
    """The name that other modules use for this file, or None if it is not a module."""
    base = path.rpartition("/")[2]
    return _SUFFIX.sub("", base).replace("-", "_") if _SUFFIX.search(base) else None


def plain(path: str, data: bytes) -> bytes:
    """The ELF file of a module, decompressed if necessary."""
    return lzma.decompress(data) if path.endswith(".xz") else data


def modinfo(elf: bytes) -> dict[str, str]:
    """The tags of a module: "depends", "vermagic" and so on. Raises LabError if it has none."""
    try:
        section = ELFFile(io.BytesIO(elf)).get_section_by_name(".modinfo")
    except ELFError as error:
        raise LabError(f"a kernel module is not an ELF file: {error}") from error
    if section is None:
        raise LabError("a kernel module has no .modinfo section")
    tags = (line.decode("utf-8", "replace") for line in section.data().split(b"\0"))
    return {key: value for key, _, value in (tag.partition("=") for tag in tags) if key}


def built_in(listing: bytes) -> set[str]:
    """The module names in the kernel's modules.builtin: these need not be loaded."""
    return {name for line in listing.decode().split() if (name := module_name(line)) is not None}


def load_order(
    names: list[str], modules: Mapping[str, bytes], loaded: Collection[str] = ()
) -> list[str]:
    """``names`` and their dependencies, each after what it depends on, without those in ``loaded``.

    Raises LabError if a module is not among ``modules`` (name -> ELF file), or if modules depend
    on each other in a circle.
    """
    order: list[str] = []

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in order or name in loaded:
            return
        if name in above:
            raise LabError(
                f"kernel modules depend on each other in a circle: {' '.join(above)} {name}"
            )
        if name not in modules:
            raise LabError(f"the kernel package has no module {name}")
        for needed in filter(None, modinfo(modules[name]).get("depends", "").split(",")):
            add(needed.replace("-", "_"), (*above, name))
        order.append(name)

    for name in names:
        add(name, ())
    return order
