"""Names of C++ and Rust as people write them, for the names that the linker sees."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demangle import Limits, Signature

__all__ = ["display_name", "hint", "is_mangled", "spellings"]

_LANGUAGES = ("itanium", "rust")
_PREFIXES = ("_Z", "__Z", "_R")
_KNOWN = 4096
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_NOT_MANGLED_SO = ("operator", "anonymous", "namespace", "const")


def is_mangled(name: str) -> bool:
    """Whether it looks like a name for the linker."""
    return name.startswith(_PREFIXES)


@lru_cache(maxsize=_KNOWN)
def display_name(name: str) -> str:
    """What to call a symbol: ``drv::Port::get`` for ``_ZN3drv4Port3getEv``, others as they are.

    Without parameters and return type, as GDB names a function.
    """
    found = _signature(name)
    if found is None:
        return name
    if found.is_special or not found.qualified_name:
        return found.demangled
    return found.qualified_name + found.decoration


def spellings(name: str) -> tuple[str, ...]:
    """How a symbol may be written: with and without parameters. No spaces are in the result."""
    found = _signature(name)
    if found is None:
        return (name,)
    full = found.demangled
    if found.return_type and full.startswith(found.return_type):
        full = full[len(found.return_type) :]
    texts = (found.qualified_name + found.decoration, found.qualified_name, full, found.demangled)
    return tuple(dict.fromkeys("".join(text.split()) for text in texts if text))


def hint(written: str) -> str:
    """An identifier that is in the symbol's name for the linker too; empty if there is none."""
    path = written.partition("(")[0].partition("<")[0]
    words = [word for word in _IDENTIFIER.findall(path) if word not in _NOT_MANGLED_SO]
    return words[-1] if words else ""


def _signature(name: str) -> Signature | None:
    if not is_mangled(name):
        return None
    import demangle  # which takes as long as all of this package, and most guests do not need it

    try:
        found = demangle.signature(name, language=_LANGUAGES, style="gnu", limits=_limits())
    except demangle.DemanglingError:
        return None
    return None if found is None or found.demangled == name else found


@cache
def _limits() -> Limits:
    """Longer names are shown as they are, and so are those with a longer output."""
    from demangle import Limits

    return Limits(max_depth=128, max_output=8192, max_substitutions=1024, max_input=4096)
