"""Which tier executes guests: the interpreter, or stencils where blocks are executed often.

Environment:
    GUESTDBG_TIER=interpreter|stencils|auto
    GUESTDBG_TIER_ENTRIES=N|random    for tests: after how many entries a block is translated

What cannot be done is reported once, when the processor is imported, and the interpreter executes
everything.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from types import ModuleType

from guestdbg.cpu import translation

TIERS = ("interpreter", "stencils", "auto")
#: What `auto` and an unset variable mean.
DEFAULT = "interpreter"
#: A translation takes the time of about so many executions of the block.
ENTRIES = 32

_status = "interpreter"
_modules: list[ModuleType] = []


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=3)


def status() -> str:
    """Which tier runs, and why: for `guestdbg caps`."""
    return _status


def _entries() -> tuple[int, bool]:
    text = os.environ.get("GUESTDBG_TIER_ENTRIES", "")
    if text == "random":
        return 64, True
    if not text:
        return ENTRIES, False
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number < 1 << 31:
        _warn(
            f"GUESTDBG_TIER_ENTRIES={text!r}: must be 1 to 2147483647, or 'random'; "
            f"{ENTRIES} is used"
        )
        return ENTRIES, False
    return number, False


def use(tier: str, entries: int = ENTRIES, *, random: bool = False) -> str | None:
    """Of processors made from now on. Returns why it is the interpreter all the same, or None."""
    global _status
    translation.configure(False, 1)
    _status = "interpreter"
    if tier == "interpreter":
        return None
    why: str | None
    if not translation.load(_modules):
        why = "this build has no stencils"
    else:
        translation.configure(True, entries, random)
        if translation.probe():
            _status = "stencils"
            return None
        why = translation.why_not()
        translation.configure(False, 1)
    _status = f"interpreter ({why})"
    return why


def choose(modules: Iterable[ModuleType]) -> None:
    """Follow the environment; modules: the processor's, which may have stencils."""
    _modules.extend(modules)
    tier = os.environ.get("GUESTDBG_TIER") or "auto"
    if tier not in TIERS:
        _warn(f"GUESTDBG_TIER={tier!r}: must be one of {', '.join(TIERS)}; 'auto' is used")
        tier = "auto"
    entries, random = _entries()
    why = use(DEFAULT if tier == "auto" else tier, entries, random=random)
    if why is not None and tier == "stencils":
        _warn(f"GUESTDBG_TIER=stencils: {why}; the interpreter is used")
