"""A guest as the target of a fuzzer.

target        a guest as a function from bytes to a map of edges and an outcome
input_place   where an input goes in the guest
crash_points  where a run ends, and what counts as a crash
outcome       what came of an input
afl           the same for AFL++
errors        what can go wrong
"""

from typing import TYPE_CHECKING

from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.fuzz.errors import FuzzError
    from guestdbg.fuzz.input_place import InputPlace
    from guestdbg.fuzz.outcome import Outcome
    from guestdbg.fuzz.target import MAP_SIZE, FuzzTarget

__all__ = ["MAP_SIZE", "FuzzError", "FuzzTarget", "InputPlace", "Outcome"]

# AFL++ waits for the first word of its target, which therefore is sent before the rest is imported.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.fuzz.errors": ("FuzzError",),
        "guestdbg.fuzz.input_place": ("InputPlace",),
        "guestdbg.fuzz.outcome": ("Outcome",),
        "guestdbg.fuzz.target": ("MAP_SIZE", "FuzzTarget"),
    },
)
