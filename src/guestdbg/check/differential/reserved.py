"""Reserved encodings of the breakpoint and watchpoint control registers.

DBGBCR and DBGWCR have reserved values whose effect is CONSTRAINED UNPREDICTABLE (DDI 0487, K1.2.12
to K1.2.18, and the descriptions of the registers): the register may be disabled, or behave as with
some value that is not reserved. Two processors may differ here, and both are right.
"""

from __future__ import annotations

# (HMC, SSC) -> the values of PAC or PMC that are not reserved in the manual's table of execution
# conditions. Without EL3 (ID_AA64PFR0_EL1.EL3), values of SSC that select a Security state are
# reserved.
_CONDITIONS = {(0, 0): {0, 1, 2, 3}, (1, 0): {1, 3}}

_ADDRESS, _LINKED_ADDRESS, _LINKED_CONTEXT = 0, 1, 3


def _condition(control: int) -> bool:
    state = control >> 13 & 1, control >> 14 & 3
    return (control >> 1 & 3) not in _CONDITIONS.get(state, set())


def breakpoint_is_reserved(control: int, value: int, context_aware: bool = True) -> bool:
    """Whether a DBGBCR is enabled and has, with its DBGBVR, a reserved encoding.

    Its link to another breakpoint is checked by ``link_is_reserved``.
    """
    if not control & 1:
        return False
    kind = control >> 20 & 15
    if kind in (_ADDRESS, _LINKED_ADDRESS):
        return _condition(control) or control >> 5 & 15 != 15 or not _canonical(value)
    if kind == _LINKED_CONTEXT:
        # It generates no exception by itself, and its execution conditions are ignored.
        return not context_aware
    return True


def watchpoint_is_reserved(control: int, value: int) -> bool:
    """Whether a DBGWCR is enabled and has, with its DBGWVR, a reserved encoding."""
    if not control & 1:
        return False
    bas, mask = control >> 5 & 0xFF, control >> 24 & 31
    if mask:
        # The address bits that MASK covers must be zero.
        outside = bas != 0xFF or mask < 3 or value & (1 << mask) - 1 & ~3
    else:
        # With DBGWVR[2] set, BAS[7:4] is ignored.
        used = bas & 15 if value & 4 else bas
        run = used >> ((used & -used).bit_length() - 1) if used else 0
        outside = not used or run & (run + 1) or (value & 4 and bas >> 4)
    return bool(outside) or not control >> 3 & 3 or _condition(control) or not _canonical(value)


def watched_range(control: int, value: int) -> tuple[int, int]:
    """The first watched address, and the address after the last one.

    Gaps in BAS are included. The encoding must not be reserved.
    """
    mask, bas = control >> 24 & 31, control >> 5 & 0xFF
    if mask:
        return value & -1 << mask, (value & -1 << mask) + (1 << mask)
    if value & 4:
        bas &= 15
    start = value & ~3
    return start + (bas & -bas).bit_length() - 1 if bas else start, start + bas.bit_length()


def link_is_reserved(control: int, place: int, breakpoints: dict[int, int]) -> bool:
    """Whether an enabled register is linked to one that is not an enabled linked context match.

    ``place``: the bit of ``control`` that says that it is linked (20). ``breakpoints``: DBGBCR by
    number.
    """
    if not control & 1 or not control >> place & 1:
        return False
    target = breakpoints.get(control >> 16 & 15, 0)
    return not (target & 1 and target >> 20 & 15 == _LINKED_CONTEXT)


def _canonical(value: int) -> bool:
    """Whether bits 63 to 48 are all equal. Otherwise the effect is the processor's choice."""
    return value >> 48 in (0, 0xFFFF)
