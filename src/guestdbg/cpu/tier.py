"""Which tier executes guests: the interpreter, or stencils where blocks are executed often.

Environment:
    GUESTDBG_TIER=interpreter|stencils|auto
    GUESTDBG_TIER_ENTRIES=N|random|random:SEED
                                      for tests: after how many entries a block is translated

What cannot be done is reported once, when the processor is imported, and the interpreter executes
everything. `auto` is stencils where the build and the host have them, and reports nothing.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import NamedTuple

from guestdbg.cpu import translation

TIERS = ("interpreter", "stencils", "auto")
#: What `auto` and an unset variable mean.
DEFAULT = "stencils"
#: A translation takes the time of about so many executions of the block.
ENTRIES = 32
#: The most entries, where these are random.
_RANDOM_ENTRIES = 64


class Choice(NamedTuple):
    """The arguments of use()."""

    tier: str
    entries: int
    seed: int | None
    mixed: bool


_status = "interpreter"
_reported = False
_chosen = Choice("interpreter", ENTRIES, None, False)
_modules: list[ModuleType] = []


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=3)


def status() -> str:
    """Which tier runs, and why: for `guestdbg caps`."""
    return _status


def _entries() -> tuple[int, int | None]:
    """(entries, seed); the seed is None if entries are not random."""
    text = os.environ.get("GUESTDBG_TIER_ENTRIES", "")
    if not text:
        return ENTRIES, None
    word, _, rest = text.partition(":")
    try:
        number = int(rest or "1") if word == "random" else int(text)
    except ValueError:
        number = 0
    if word == "random" and 1 <= number < 1 << 64:
        return _RANDOM_ENTRIES, number
    if word != "random" and 1 <= number < 1 << 31:
        return number, None
    _warn(
        f"GUESTDBG_TIER_ENTRIES={text!r}: must be 1 to 2147483647, 'random', or 'random:SEED'; "
        f"{ENTRIES} is used"
    )
    return ENTRIES, None


def use(
    tier: str, entries: int | None = None, *, seed: int | None = None, mixed: bool = False
) -> str | None:
    """Of processors made from now on. Returns why it is the interpreter all the same, or None.

    entries: after how many a block is translated. seed: after a random number of at most so many.
    mixed: processors are in turn interpreted, translated after one entry, and as the others say.
    """
    global _chosen, _status
    if entries is None:
        entries = ENTRIES if seed is None else _RANDOM_ENTRIES
    _chosen = Choice(tier, entries, seed, mixed)
    translation.configure(False, 1)
    _status = "interpreter"
    if tier == "interpreter":
        return None
    why: str | None
    if not translation.load(_modules):
        why = "this build has no stencils"
    else:
        translation.configure(True, entries, seed)
        if translation.probe():
            translation.configure(True, entries, seed, mixed)
            _status = "stencils"
            return None
        why = translation.why_not()
        translation.configure(False, 1)
    _status = f"interpreter ({why})"
    return why


def chosen() -> Choice:
    """What use() was called with last."""
    return _chosen


def use_again(choice: Choice) -> None:
    """Go back to an earlier choice."""
    use(choice.tier, choice.entries, seed=choice.seed, mixed=choice.mixed)


def report() -> None:
    """The host gives no (more) memory for machine code to some processor: say so, once."""
    global _status, _reported
    why = translation.why_not()
    _status = f"stencils (the interpreter for some processors: {why})"
    if not _reported:
        _reported = True
        _warn(f"{why}; the interpreter is used")


def choose(modules: Iterable[ModuleType]) -> None:
    """Follow the environment; modules: the processor's, which may have stencils."""
    _modules.extend(modules)
    tier = os.environ.get("GUESTDBG_TIER") or "auto"
    if tier not in TIERS:
        _warn(f"GUESTDBG_TIER={tier!r}: must be one of {', '.join(TIERS)}; 'auto' is used")
        tier = "auto"
    entries, seed = _entries()
    why = use(DEFAULT if tier == "auto" else tier, entries, seed=seed)
    if why is not None and tier == "stencils":
        _warn(f"GUESTDBG_TIER=stencils: {why}; the interpreter is used")
