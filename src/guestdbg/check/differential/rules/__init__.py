"""What explains a difference: rules, each as narrow as can be, with who is right and why.

``a`` is the software KVM, ``b`` the real one: here Linux 6.1 under QEMU 7.2, which emulates the
processor. A rule that explains nothing any more is reported: it is out of date.
"""

from __future__ import annotations

from guestdbg.check.differential.compare import Difference
from guestdbg.check.differential.program import Program
from guestdbg.check.differential.rules import emulation, permitted
from guestdbg.check.differential.rules.base import RULES, Rule
from guestdbg.check.differential.situation import Situation
from guestdbg.check.differential.trace import Trace

__all__ = ["RULES", "Rule", "explain"]
assert emulation
assert permitted


def explain(program: Program, difference: Difference, a: Trace, b: Trace) -> Rule | None:
    """The first rule that explains a difference, None where none does.

    Nothing explains that one refuses what the host asks for and the other does not.
    """
    if difference.field("refused") is not None:
        return None
    situation = Situation(program, difference, a, b)
    return next((rule for rule in RULES if rule.explains(situation)), None)
