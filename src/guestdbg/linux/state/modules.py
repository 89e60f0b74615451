"""The kernel modules that are loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.linux.errors import CorruptedGuestData
from guestdbg.linux.state.records import collect
from guestdbg.linux.state.view import Object, list_entries

if TYPE_CHECKING:
    from guestdbg.linux.state.records import Records
    from guestdbg.linux.state.view import KernelView

__all__ = ["Module", "module_objects", "module_parts", "read_modules"]

_STATES = ("live", "coming", "going", "unformed")  # enum module_state
_MAX_MODULES = 4096
_MAX_USERS = 4096
_MAX_SIZE = 1 << 30
_TEXT = 0  # MOD_TEXT of enum mod_mem_type


@hexadecimal("address", "struct_address")
@dataclass(frozen=True, slots=True)
class Module:
    """A kernel module.

    Attributes:
        name: its name, with underscores.
        state: ``live``, ``coming`` (its init function runs), ``going`` or ``unformed``.
        address: where its code is.
        size: the bytes of all its parts, as ``lsmod`` shows them.
        references: how often it is used.
        used_by: the modules that use it.
        struct_address: that of its ``struct module``.
    """

    name: str
    state: str
    address: int
    size: int
    references: int
    used_by: tuple[str, ...]
    struct_address: int

    def __str__(self) -> str:
        users = ",".join(self.used_by)
        return f"{self.name} {self.state} {self.address:#x} {self.size} {self.references} {users}"

    def cells(self) -> tuple[str, ...]:
        """The columns of a table."""
        return (
            self.name,
            str(self.size),
            str(self.references),
            self.state,
            f"{self.address:#x}",
            ",".join(self.used_by),
        )


_HEADINGS = ("module", ">size", ">uses", "state", "address", "used by")


def read_modules(view: KernelView) -> Records[Module]:
    """The modules, the one that was loaded last first."""
    return collect(_HEADINGS, (_module(found) for found in module_objects(view)))


def module_objects(view: KernelView) -> Iterator[Object]:
    """Their ``struct module``."""
    layout = view.layouts.struct("module")
    node = layout.field("list").offset
    for at in list_entries(view, view.address("modules"), _MAX_MODULES, "modules"):
        yield view.object(layout, at - node).fetch()


def module_parts(module: Object) -> list[tuple[int, int]]:
    """The address and the size of each part of a module in memory, that with its code first."""
    if module.has("mem"):  # since 6.4: an array by mod_mem_type
        layouts = module.view.layouts
        field = module.layout.field("mem")
        part = layouts.of(field.target)
        found = [
            Object(module.view, part, module.at("mem") + at)
            for at in range(0, field.size, max(part.size, 1))
        ]
        return [(each.number("base"), each.number("size")) for each in found]
    names = [name for name in ("core_layout", "init_layout") if module.has(name)]
    return [(module.number(f"{n}.base"), module.number(f"{n}.size")) for n in names]


def _module(found: Object) -> Module:
    view = found.view
    state = found.number("state")
    pieces = module_parts(found)
    size = sum(size for _, size in pieces)
    if not 0 <= state < len(_STATES) or not 0 <= size <= _MAX_SIZE:
        raise CorruptedGuestData(
            f"the module at {found.address:#x} has the state {state} and {size} bytes"
        )
    users: list[str] = []
    if found.has("source_list"):
        use = view.layouts.struct("module_use")
        node = use.field("source_list").offset
        for at in list_entries(view, found.at("source_list"), _MAX_USERS, "a module's users"):
            source = view.object(use, at - node).follow("source")
            if source is not None:
                users.append(source.text("name"))
    references = found.number("refcnt.counter") - 1 if found.has("refcnt") else 0
    return Module(
        found.text("name"),
        _STATES[state],
        pieces[_TEXT][0],
        size,
        max(0, references),
        tuple(users),
        found.address,
    )
