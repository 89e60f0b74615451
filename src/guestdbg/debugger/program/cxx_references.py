"""Which members and variables of C++ are references, of what drgn takes for pointers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.program import drgn_import, dwarf_entries
from guestdbg.debugger.program.drgn_objects import plain
from guestdbg.library_errors import reason

if TYPE_CHECKING:
    from elftools.dwarf.die import DIE

    from guestdbg.debugger.program.image import Image

__all__ = ["References", "is_reference"]

log = logging.getLogger(__name__)

_REFERENCES = ("DW_TAG_reference_type", "DW_TAG_rvalue_reference_type")
_SAME = ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type")
_MOST_TYPES = 32
#: So many bytes of .debug_info are read to find all classes of a name.
_MAX_READ = 16 << 20


def is_reference(die: DIE) -> bool:
    """Whether a variable or member is a reference. Raises what pyelftools does."""
    for _ in range(_MOST_TYPES):
        type_ = dwarf_entries.type_of(die)
        if type_ is None:
            return False
        die = type_
        if die.tag in _REFERENCES:
            return True
        if die.tag not in _SAME:
            return False
    return False


class References:
    """The references of all images; what is damaged has none."""

    def __init__(self, images: Sequence[Image]) -> None:
        self._all = images
        self._members: dict[tuple[str, int, str], bool] = {}
        self._variables: dict[str, bool] = {}

    @cached_property
    def _images(self) -> list[Image]:
        """The images with references; their debug information is read when this is asked for."""
        return [image for image in self._all if image.has_cxx_references]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._images)

    def member(self, type_: Any, name: str) -> bool:
        """Whether the member of that name, of a class or of its bases, is a reference."""
        owner = _owner(type_, name) if self._images else None
        if owner is None or owner.tag is None:
            return False
        key = owner.tag, int(drgn_import.drgn().sizeof(owner)), name
        if key not in self._members:
            self._members[key] = self._any(self._find_member, *key)
        return self._members[key]

    def variable(self, name: str) -> bool:
        """Whether the guest's variable of that name is a reference."""
        if not self._images:
            return False
        if name not in self._variables:
            self._variables[name] = self._any(self._find_variable, name)
        return self._variables[name]

    def _any(self, find: Any, *what: Any) -> bool:
        for image in self._images:
            try:
                if find(image, *what):
                    return True
            except Exception as error:  # of pyelftools, for a damaged file
                log.debug("the references of %s: %s", image.path, reason(error))
        return False

    def _find_member(self, image: Image, tag: str, size: int, name: str) -> bool:
        simple = tag.rpartition("::")[2] if "<" not in tag else tag
        for die in self._entries(image, simple, dwarf_entries.CLASSES):
            length = die.attributes.get("DW_AT_byte_size")
            if length is None or length.value != size:
                continue
            for child in dwarf_entries.children(die, set()):
                if child.tag == "DW_TAG_member" and dwarf_entries.name(child) == name:
                    return is_reference(child)
        return False

    def _find_variable(self, image: Image, name: str) -> bool:
        simple = name.rpartition("::")[2]
        return any(
            is_reference(die)
            for die in self._entries(image, simple, ("DW_TAG_variable",))
            if dwarf_entries.qualified_name(die) in (name, simple)
        )

    def _entries(self, image: Image, name: str, tags: Sequence[str]) -> Iterator[DIE]:
        """The entries of that name outside functions."""
        names = image.scopes.names
        units = [] if names is None else names.with_name(name)
        if sum(unit.size for unit in units) > _MAX_READ:
            return
        for unit in units:
            for die in dwarf_entries.outside_functions(unit):
                if die.tag in tags and dwarf_entries.name(die) == name:
                    yield die


def _owner(type_: Any, name: str) -> Any | None:
    """The class that has the member itself: a base class is a member without a name."""
    waiting = [plain(type_)]
    for _ in range(_MOST_TYPES):
        if not waiting:
            return None
        type_ = waiting.pop(0)
        for member in getattr(type_, "members", None) or ():
            if member.name == name:
                return type_
            if not member.name:
                waiting.append(plain(member.type))
    return None
