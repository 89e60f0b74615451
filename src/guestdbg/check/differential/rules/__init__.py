"""Rules that explain differences. Each is as narrow as possible and says who is right, and why.

``a`` is the software KVM and ``b`` the real one: Linux under QEMU, which emulates the processor. A
rule states the releases of Linux that it applies to. A rule that explains nothing any more is
reported, because it is out of date.

base       ``Rule``, ``@rule`` and the list of all rules
emulation  where the real KVM, or the emulated processor under it, is wrong
permitted  where the architecture permits both
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check.differential.difference_context import DifferenceContext
from guestdbg.check.differential.rules import emulation, permitted
from guestdbg.check.differential.rules.base import RULES, Rule

if TYPE_CHECKING:
    from guestdbg.check.differential.compare import Difference
    from guestdbg.check.differential.program import Program
    from guestdbg.check.differential.trace import Trace

__all__ = ["RULES", "Rule", "explain"]
assert emulation
assert permitted


def explain(program: Program, difference: Difference, a: Trace, b: Trace) -> Rule | None:
    """The first rule that explains a difference, or None.

    No rule explains that one KVM refuses a call of the host and the other does not.
    """
    if difference.field("refused") is not None:
        return None
    context = DifferenceContext(program, difference, a, b)
    applicable = (rule for rule in RULES if rule.applies_to(b.where.linux))
    return next((rule for rule in applicable if rule.explains(context)), None)
