"""The debug information of the modules that are loaded, out of a folder with their files.

A file is that of a loaded module if it has its build ID, or its srcversion where the kernel keeps
no build ID. The kernel has the addresses of the sections for /sys/module/*/sections.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from guestdbg.debugger import InvalidLocation
from guestdbg.debugger.errors import BadImage
from guestdbg.debugger.program.decompression import with_plain_sections
from guestdbg.debugger.program.image import Image
from guestdbg.errors import GuestdbgError
from guestdbg.linux.memory import is_kernel_pointer
from guestdbg.linux.module_file import build_id, has_debug_info, linked, modinfo, relocatable
from guestdbg.linux.state.modules import module_objects
from guestdbg.regular_file import UnsuitableFile, read_regular_file

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.program.symbol_source import MovingSource
    from guestdbg.linux.state.view import KernelView, Object

__all__ = ["ModuleImages"]

log = logging.getLogger(__name__)

_SUFFIXES = (".ko", ".ko.debug")
_MAX_FILES = 1 << 16
_MAX_SECTIONS = 4096
_MAX_NAME = 256
_UNFORMED, _LIVE = 3, 0  # enum module_state
_NOTE = ".note.gnu.build-id"
_NOTE_HEADER = re.compile(rb"\x04\0\0\0([\x08-\x40])\0\0\0\x03\0\0\0GNU\0", re.DOTALL)
_NOTE_BYTES = 16 + 64


class ModuleImages:
    """The ELF files of the loaded modules, among the guest's images.

    Args:
        guest: the guest.
        folder: where the files are, at any depth: ``NAME.ko`` or ``NAME.ko.debug``.
        view: gives the kernel's structures.
        source: the symbols of the modules, which the images belong to.

    Raises InvalidLocation for a folder that is none.
    """

    def __init__(
        self,
        guest: Guest,
        folder: str | os.PathLike[str],
        view: Callable[[], KernelView],
        source: MovingSource,
    ) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InvalidLocation(f"{folder} is no folder: modules is one with the modules' files")
        self._guest = guest
        self._view = view
        self._source = source
        self._files: dict[str, list[Path]] | None = None
        self._images: dict[tuple[int, str, int], Image | None] = {}

    def update(self, going: int | None = None) -> None:
        """Have the images of the modules that are loaded now, without the one at ``going``."""
        try:
            loaded = {
                self._key(module): module
                for module in module_objects(self._view())
                if module.address != going and module.number("state") != _UNFORMED
            }
        except GuestdbgError as error:
            log.debug("the modules of the kernel cannot be read: %s", error)
            loaded = {}
        for key in [key for key in self._images if key not in loaded]:
            image = self._images.pop(key)
            if image is not None:
                self._guest.execution.remove_image(image)
        for key, module in loaded.items():
            if key not in self._images:
                self._images[key] = image = self._image(module)
                if image is not None:
                    image.moves_with = self._source
                    image.is_scattered = True
                    self._guest.execution.add_image(image)

    def close(self) -> None:
        """Take them out."""
        for image in self._images.values():
            if image is not None:
                self._guest.execution.remove_image(image)
        self._images.clear()

    def _key(self, module: Object) -> tuple[int, str, int]:
        return module.address, module.text("name"), module.number("sect_attrs")

    # ---- files -------------------------------------------------------------------------------

    def _named(self, name: str) -> list[Path]:
        """The files of that name, which is one with underscores."""
        if self._files is None:
            self._files = {}
            for count, path in enumerate(self.folder.rglob("*.ko*")):
                if count >= _MAX_FILES:
                    log.warning("%s has more than %d modules", self.folder, _MAX_FILES)
                    break
                suffix = next((each for each in _SUFFIXES if path.name.endswith(each)), None)
                if suffix is not None:
                    stem = path.name.removesuffix(suffix).replace("-", "_")
                    self._files.setdefault(stem, []).append(path)
        # Debug information is in the .ko.debug, where there are both.
        return sorted(self._files.get(name, ()), key=lambda path: path.suffix != ".debug")

    def _image(self, module: Object) -> Image | None:
        """The image of a module; None, which is logged, if there is no file of this build."""
        name = module.text("name")
        refused: list[str] = []
        try:
            sections = dict(_section_addresses(module))
            own = _loaded_build_id(module, sections)
            version = module.string("srcversion", _MAX_NAME) if module.has("srcversion") else ""
        except GuestdbgError as error:
            log.warning("where the module %s is loaded cannot be read: %s", name, error)
            return None
        for path in self._named(name):
            try:
                contents = read_regular_file(path, what="file of a module")
                if not relocatable(contents):
                    raise BadImage("it is no module for arm64")
                found, source = build_id(contents), modinfo(contents, "srcversion")
                same = found == own if found and own else bool(version) and source == version
                if not same:
                    refused.append(f"{path} is of build {found.hex() or source or 'unknown'}")
                    continue
                if not has_debug_info(contents):
                    raise BadImage("it has no debug information")
                contents = with_plain_sections(contents, path)
                return Image(path, contents=linked(contents, sections))
            except (UnsuitableFile, GuestdbgError) as error:
                refused.append(f"{path}: {error}")
        if refused:
            log.warning(
                "the module %s (build %s) has no lines and types: %s",
                name,
                own.hex() or version or "unknown",
                "; ".join(refused),
            )
        return None


def _section_addresses(module: Object) -> Iterator[tuple[str, int]]:
    """Where a module's sections are. Those of its init code are gone once it is live.

    ``grp.bin_attrs`` is an array of pointers with NULL at its end, each to a ``bin_attribute`` at
    the start of a ``module_sect_attr`` with the address; in newer kernels the attribute has it in
    ``private``.
    """
    attributes = module.follow("sect_attrs")
    if attributes is None:
        return
    view = module.view
    is_live = module.number("state") == _LIVE
    old = view.layouts.find("module_sect_attr")
    at = attributes.number("grp.bin_attrs")
    for _ in range(_MAX_SECTIONS):
        pointer = view.memory.u64(at)
        if not is_kernel_pointer(pointer):
            return
        attribute = view.object("bin_attribute", pointer)
        name = attribute.string("attr.name", _MAX_NAME)
        if old is None or not old.has("address"):
            address = attribute.number("private")
        else:
            address = view.object(old, pointer).number("address")
        if not (is_live and name.startswith(".init")):
            yield name, address
        at += 8


def _loaded_build_id(module: Object, sections: dict[str, int]) -> bytes:
    """The build ID of a loaded module; empty if it has none."""
    at = sections.get(_NOTE)
    if at is None:
        return b""
    note = module.view.memory.read(at, _NOTE_BYTES)
    found = _NOTE_HEADER.match(note)
    return b"" if found is None else note[found.end() : found.end() + found[1][0]]
