"""The symbols of loaded modules and BPF programs, which appear and disappear as the guest runs."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from guestdbg.debugger import OutOfRegisters, Symbol
from guestdbg.debugger.program.symbol_table import SymbolKind
from guestdbg.errors import GuestdbgError
from guestdbg.linux.memory import is_kernel_pointer
from guestdbg.linux.state.modules import module_objects, module_parts
from guestdbg.linux.state.view import list_entries

if TYPE_CHECKING:
    from guestdbg.debugger import Breakpoint, Guest, Hit
    from guestdbg.debugger.program.symbol_source import SymbolSource
    from guestdbg.linux.state.view import KernelView, Object

__all__ = ["ModuleSymbols"]

log = logging.getLogger(__name__)

#: Called with the module in X0: before its init function runs, and when it is freed.
_LOADED, _FREED = "do_init_module", "free_module"
_UNFORMED = 3  # enum module_state: it has no symbols yet
_ENTRY = struct.Struct("<IBBHQQ")  # Elf64_Sym
_MAX_SYMBOLS = 1 << 18
_MAX_STRINGS = 16 << 20
_MAX_NAME = 512
_MAX_PROGRAMS = 1 << 16
_MAX_SIMILAR = 4000
_UNDEFINED = 0  # SHN_UNDEF
_CODE = "tTwW"
_U64 = (1 << 64) - 1
_NAME = re.compile(r"[A-Za-z0-9_]+\Z")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A module as it was when its symbols were read, or a BPF program."""

    address: int
    name: str
    parts: tuple[range, ...]
    symbols: tuple[Symbol, ...] = ()
    by_name: dict[str, list[Symbol]] = field(default_factory=dict)


class ModuleFiles(Protocol):
    """The files of the loaded modules: see ``ModuleImages``."""

    def update(self, going: int | None = None) -> None: ...


class ModuleSymbols:
    """The symbols of modules and BPF programs, as a source of the resolver.

    A breakpoint at ``module:function`` of a module that is not loaded waits for it: it is armed
    before the module's init function runs. When a module is unloaded, the breakpoints in it are
    taken out and wait again. For that, two breakpoint registers are used as long as there are such
    points.

    Args:
        guest: the guest.
        view: the kernel's structures.
        kernel: the kernel's own symbols.
        is_ready: whether the kernel has modules yet: before it runs there are none.
        image: the addresses of the kernel itself.
    """

    def __init__(
        self,
        guest: Guest,
        view: Callable[[], KernelView],
        kernel: SymbolSource,
        is_ready: Callable[[], bool],
        image: Callable[[], range],
    ) -> None:
        self._guest = guest
        self._view = view
        self._kernel = kernel
        self._is_ready = is_ready
        self._image = image
        self.is_stable = False
        self.more_names = ""
        self._modules: dict[int, _Loaded] = {}
        self._point: Breakpoint | None = None
        self._reading = False
        self._files: ModuleFiles | None = None

    def use_files(self, files: ModuleFiles | None) -> None:
        """Have these updated when modules are loaded and unloaded."""
        self._files = files
        if files is not None:
            files.update()
            self.follow()

    # ---- what is loaded ----------------------------------------------------------------------

    def _loaded(self) -> list[_Loaded]:
        """The modules that are loaded now; those that are known already are not read again."""
        if self._reading:
            return []
        self._reading = True  # reading them asks for names of the kernel
        try:
            if not self._is_ready():
                return []
            self._update()
        except GuestdbgError as error:
            log.debug("the modules of the kernel cannot be read: %s", error)
        finally:
            self._reading = False
        return list(self._modules.values())

    def _update(self) -> None:
        known, self._modules = self._modules, {}
        for module in module_objects(self._view()):
            if module.number("state") == _UNFORMED:
                continue
            name = module.text("name")
            parts = tuple(range(at, at + size) for at, size in module_parts(module) if size)
            before = known.get(module.address)
            if before is not None and (before.name, before.parts) == (name, parts):
                self._modules[module.address] = before
                continue
            symbols = _symbols(module)
            by_name: dict[str, list[Symbol]] = {}
            for symbol in symbols:
                by_name.setdefault(symbol.name, []).append(symbol)
            self._modules[module.address] = _Loaded(module.address, name, parts, symbols, by_name)

    def _programs(self) -> list[Symbol]:
        """The BPF programs that are compiled (``bpf_prog_...``), trampolines among them."""
        if self._reading or not self._is_ready():
            return []
        self._reading = True
        found: list[Symbol] = []
        try:
            view = self._view()
            head = view.find("bpf_kallsyms")
            layout = view.layouts.find("bpf_ksym")
            if head is None or layout is None:
                return []
            node = layout.field("lnode").offset
            for at in list_entries(view, head, _MAX_PROGRAMS, "BPF programs"):
                each = view.object(layout, at - node)
                start, end = each.number("start"), each.number("end")
                size = max(0, end - start)
                name = each.text("name")
                found.append(Symbol(name, start, size, SymbolKind.FUNCTION, True))
        except GuestdbgError as error:
            log.debug("the BPF programs of the kernel cannot be read: %s", error)
        finally:
            self._reading = False
        return found

    # ---- as a SymbolSource -------------------------------------------------------------------

    def named(self, name: str) -> list[Symbol]:
        """The symbols of that name, global ones first; ``module:name`` is that of one module."""
        module, _, base = name.rpartition(":")
        found = [
            symbol
            for each in self._loaded()
            if not module or each.name == module.replace("-", "_")
            for symbol in each.by_name.get(base, ())
        ]
        if not module and not found and name.startswith("bpf_"):
            found = [symbol for symbol in self._programs() if symbol.name == name]
        return sorted(found, key=lambda symbol: not symbol.is_global)

    def __iter__(self) -> Iterator[Symbol]:
        """The symbols of all modules that are loaded now, and the BPF programs."""
        for module in self._loaded():
            yield from module.symbols
        yield from self._programs()

    def code(self) -> Iterator[range]:
        """Where modules have functions."""
        for module in self._loaded():
            starts = [s.address for s in module.symbols if s.kind is SymbolKind.FUNCTION]
            for part in module.parts:
                if any(start in part for start in starts):
                    yield part

    def similar(self, name: str) -> list[str]:
        """Names that begin like ``name``, or contain it."""
        found = [
            each
            for module in self._loaded()
            for each in module.by_name
            if each[:2] == name[:2] or (len(name) > 2 and name in each)
        ]
        return found[:_MAX_SIMILAR]

    def at(self, address: int) -> Symbol | None:
        """The symbol that an address belongs to."""
        if not is_kernel_pointer(address) or not self._is_ready() or address in self._image():
            return None
        found = self._known(address)
        if found is None:
            around = (m for m in self._loaded() if any(address in part for part in m.parts))
            found = next(around, None)
        if found is not None:
            return _at(found.symbols, address)
        return next((each for each in self._programs() if each.contains(address)), None)

    def _known(self, address: int) -> _Loaded | None:
        """The module with an address, if it is known and has not been unloaded since."""
        for module in self._modules.values():
            if any(address in part for part in module.parts):
                try:
                    now = self._view().object("module", module.address)
                    if now.text("name") == module.name and now.number("state") != _UNFORMED:
                        return module
                except GuestdbgError:
                    return None
        return None

    def placed(self, symbol: Symbol) -> Symbol:
        """A symbol of a module's file, where its code is executed."""
        return symbol

    def image_address(self, symbol: Symbol) -> int | None:
        """Where a module's file has a symbol."""
        return symbol.address

    def may_appear(self, module: str) -> bool:
        """Whether ``module:name`` may be a name of a module that is not loaded yet."""
        return _NAME.match(module.replace("-", "_")) is not None

    def follow(self) -> None:
        """A point is at a name of a module: have it come and go with the module."""
        if self._point is not None and not self._point.deleted:
            return
        symbols = [s for name in (_LOADED, _FREED) for s in self._kernel.named(name)]
        if not symbols:
            log.warning("the kernel has no %s: points in its modules are not moved", _LOADED)
            return
        try:
            self._point = self._guest.execution.hidden_breakpoint(
                "the loading of a module",
                [symbol.address for symbol in symbols],
                self._changed,
                source=self._kernel,
            )
        except OutOfRegisters as error:
            log.warning(
                "points in modules do not come and go with these: %s", str(error).splitlines()[0]
            )

    def refresh(self, *, reloaded: bool) -> None:
        """The guest was put back to a snapshot, or reset: there may be other modules."""
        self._modules = {}
        if self._files is not None:
            self._files.update()
        self._place_all(range(0))

    # ---- points ------------------------------------------------------------------------------

    def _changed(self, hit: Hit) -> None:
        """A module is about to run its init function, or to be freed (X0)."""
        freed = [symbol.address for symbol in self._kernel.named(_FREED)]
        going: tuple[range, ...] = ()
        if hit.pc in freed:
            known = self._modules.pop(hit.vcpu.x[0], None)
            going = known.parts if known is not None else ()
            if known is None:
                try:
                    module = self._view().object("module", hit.vcpu.x[0])
                    going = tuple(range(at, at + size) for at, size in module_parts(module))
                except GuestdbgError as error:
                    log.warning("a module that is freed cannot be read: %s", error)
        if self._files is not None:
            self._files.update(hit.vcpu.x[0] if hit.pc in freed else None)
        self._place_all(*going)
        if self._files is None and not self._guest.execution.has_points_of(self):
            hit.point.delete()

    def _place_all(self, *going: range) -> None:
        """Have each breakpoint where its name is now, but none in these ranges."""
        execution = self._guest.execution
        execution.forget_locations()
        for point in execution.breakpoints_of(self):
            try:
                addresses = execution.resolve(point.where).addresses
            except GuestdbgError:
                addresses = ()  # the module is not loaded
            addresses = tuple(a for a in addresses if not any(a in part for part in going))
            if addresses == point.addresses and point.placed == bool(addresses):
                continue
            try:
                point.put(addresses)
            except GuestdbgError as error:
                log.warning("%s is not armed: %s", point.name, str(error).splitlines()[0])


def _at(symbols: tuple[Symbol, ...], address: int) -> Symbol | None:
    """The symbol with an address: by its size, else the last one before it."""
    before = [symbol for symbol in symbols if symbol.address <= address]
    return max(before, key=lambda s: (s.contains(address), s.address), default=None)


def _symbols(module: Object) -> tuple[Symbol, ...]:
    """The symbols of a module, as its kallsyms has them (struct mod_kallsyms, since 4.5)."""
    tables = module.follow("kallsyms")
    if tables is None:
        return ()
    memory = module.view.memory
    count = tables.number("num_symtab")
    if not 0 < count <= _MAX_SYMBOLS:
        return ()
    entries = memory.read(tables.number("symtab"), count * _ENTRY.size)
    letters = b""
    if tables.has("typetab"):  # since 5.2; before, the letter is in st_info
        letters = memory.read(tables.number("typetab"), count)
    strings = _Strings(memory.read, tables.number("strtab"))
    found: list[Symbol] = []
    for n, (name_at, info, _, section, value, size) in enumerate(_ENTRY.iter_unpack(entries)):
        if not name_at or section == _UNDEFINED or not is_kernel_pointer(value):
            continue
        name = strings.at(name_at)
        if not name or name[0] == "$" or name.startswith(".L"):
            continue
        letter = chr(letters[n] if letters else info)
        kind = SymbolKind.FUNCTION if letter in _CODE else SymbolKind.OBJECT
        found.append(Symbol(name, value, min(size, _U64 - value), kind, letter.isupper()))
    return tuple(sorted(found, key=lambda symbol: symbol.address))


class _Strings:
    """A string table of unknown length: it is read as far as names are."""

    _PIECE = 4096

    def __init__(self, read: Callable[[int, int], bytes], address: int) -> None:
        self._read = read
        self._address = address
        self._data = b""

    def at(self, offset: int) -> str:
        """The name at an offset; empty for one that is too long or too far."""
        if offset > _MAX_STRINGS:
            return ""
        while (end := self._data.find(b"\0", offset)) < 0:
            if len(self._data) > offset + _MAX_NAME:
                return ""
            start = self._address + len(self._data)
            try:
                self._data += self._read(start, self._PIECE - start % self._PIECE)
            except GuestdbgError:
                return ""
        return self._data[offset : min(end, offset + _MAX_NAME)].decode("latin-1")
