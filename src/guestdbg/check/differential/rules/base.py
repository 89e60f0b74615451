"""What a rule is, and the list of all rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guestdbg.arm64.esr import EC
from guestdbg.arm64.loadstore import memory_operand
from guestdbg.check.differential.difference_context import DifferenceContext
from guestdbg.kvm.linux_release import is_within, version_of

WATCHPOINTS = (EC.WATCHPT_LOW, EC.WATCHPT_CUR)
BREAKPOINTS = (EC.BREAKPT_LOW, EC.BREAKPT_CUR)
DATA_ABORTS = (EC.DABT_LOW, EC.DABT_CUR)


@dataclass(frozen=True, slots=True)
class Rule:
    """Explains one sort of difference.

    Attributes:
        name: a short name.
        right: who is right: ``"soft"``, ``"real"`` or ``"both"``.
        why: the reason, with its source.
        explains: whether it explains a difference.
        since, until: the first Linux release of the real side that it applies to, and the first
            that it no longer applies to; None: no limit.
    """

    name: str
    right: str
    why: str
    explains: Callable[[DifferenceContext], bool]
    since: tuple[int, int] | None = None
    until: tuple[int, int] | None = None

    def applies_to(self, release: str) -> bool:
        """Whether it applies to a Linux release; to an unknown one every rule does."""
        unknown = version_of(release) == (0, 0)
        return unknown or is_within(release, self.since, self.until)


RULES: list[Rule] = []

Explains = Callable[[DifferenceContext], bool]


def rule(
    name: str,
    right: str,
    why: str,
    *,
    since: tuple[int, int] | None = None,
    until: tuple[int, int] | None = None,
) -> Callable[[Explains], Explains]:
    """Register a rule. Rules are tried in the order of their registration."""

    def register(explains: Explains) -> Explains:
        RULES.append(Rule(name, right, why, explains, since, until))
        return explains

    return register


def loaded_in_part(s: DifferenceContext) -> set[str]:
    """Registers of stopped loads of several registers, which may or may not have been loaded."""
    names: set[str] = set()
    for address in s.stopped_at:
        operand = memory_operand(s.word_at(address) or 0)
        if operand is not None and operand.reads and len(operand.registers) > 1:
            letter = "v" if operand.simd else "x"
            names |= {f"{letter}{n}" for n in operand.registers}
    return names


#: PSTATE.BTYPE. The rule processor-with-bti explains it, so other rules ignore it.
BTYPE = 3 << 10


def only(s: DifferenceContext, *names: str) -> bool:
    """Whether only these fields differ, apart from PSTATE.BTYPE. ``page`` means every page."""
    seen = {
        "page" if name.startswith("page ") else name
        for name, a, b in s.difference.fields
        if not (name == "pstate" and has_branch_type(a, b))
    }
    return seen <= set(names)


def has_branch_type(a: object, b: object) -> bool:
    """Whether only PSTATE.BTYPE differs: it is 0 in the first and set in the second."""
    return isinstance(a, int) and isinstance(b, int) and a != b and a ^ b == b & BTYPE
