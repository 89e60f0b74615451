"""What the host does: it sets, changes and removes guest debugging between exits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check.differential.generate import debug, interrupts
from guestdbg.check.differential.generate.source import DATA
from guestdbg.check.differential.program import (
    HIT_POLICIES,
    MAX_EXITS,
    Complete,
    Debug,
    OnHit,
    SetReg,
)
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_USE_SW_BP,
)

if TYPE_CHECKING:
    from guestdbg.check.differential.generate.source import Source
    from guestdbg.check.differential.program import (
        Action,
    )

_CONTROLS = (
    (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW, 10),
    (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 5),
    (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW, 3),
    (KVM_GUESTDBG_ENABLE, 2),
    (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, 1),
    (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW, 1),
    (KVM_GUESTDBG_USE_HW, 1),
    (KVM_GUESTDBG_SINGLESTEP, 1),
    (0, 2),
)


def set_debug(s: Source, *, least: int = 0) -> Debug:
    """KVM_SET_GUEST_DEBUG with random registers, sometimes with a flag that does not exist."""
    control = s.weighted(_CONTROLS)
    if least and s.chance(70):
        control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW
    if s.chance(3):
        control |= 1 << s.below(32)
    registers = range(6), range(4)
    breakpoints = s.random.sample(registers[0], s.below(4))
    watchpoints = s.random.sample(registers[1], min(4, least + s.below(3)))
    if s.chance(5):
        watchpoints.append(s.random.randint(4, 15))  # not implemented: does nothing
    return Debug(
        control,
        tuple((n, *debug.breakpoint(s, n)) for n in breakpoints),
        tuple((n, *debug.watchpoint(s)) for n in watchpoints),
    )


def set_own_register(s: Source) -> SetReg:
    """A write to one of the guest's own debug registers by one-reg access."""
    kind = s.below(7)
    n = s.below(6)
    if kind == 0:
        return SetReg(
            "MDSCR_EL1",
            s.choice((0, 1 << 15, 1 << 15 | 1 << 13, 1, 1 << 13, debug.own_mdscr(s))),
        )
    if kind == 1:
        return SetReg("OSLSR_EL1", s.choice((8, 8, 0xA, 0xA, s.bits(4))))
    if kind == 2:
        return SetReg("CONTEXTIDR_EL1", s.below(4))
    if kind < 5:
        control, value = debug.own(s, debug.breakpoint(s, n), debug.BREAKPOINT)
    else:
        control, value = debug.own(s, debug.watchpoint(s), debug.WATCHPOINT)
    letter = "B" if kind < 5 else "W"
    if letter == "W":
        n %= 4
    return s.choice(
        (SetReg(f"DBG{letter}CR{n}_EL1", control), SetReg(f"DBG{letter}VR{n}_EL1", value))
    )


def _set_guest(s: Source) -> list[Action]:
    kind = s.below(3)
    if kind == 0:
        return [SetReg(f"x{s.choice(DATA)}", s.number(), core=True)]
    if kind == 1:
        return [SetReg(f"v{s.below(8)}", s.bits(128), core=True)]
    return [Complete()]


def _between(s: Source) -> list[Action]:
    if s.interrupts and s.chance(35):
        return interrupts.raise_or_lower(s)
    kind = s.weighted((("debug", 6), ("own", 4), ("off", 2), ("hit", 3), ("guest", 3)))
    if kind == "debug":
        return [set_debug(s)]
    if kind == "own":
        return [set_own_register(s) for _ in range(1 + s.below(2))]
    if kind == "off":
        return [Debug(0)]
    if kind == "hit":
        return [OnHit(s.choice(HIT_POLICIES))]
    return _set_guest(s)


def script(s: Source, *, host: bool) -> tuple[tuple[int, tuple[Action, ...]], ...]:
    """The whole script. ``host``: whether the host debugs from the start."""
    first: list[Action] = [OnHit(s.weighted((("skip", 5), ("step", 6), ("off", 1), ("again", 1))))]
    if host:
        first.append(set_debug(s, least=2))
    if s.interrupts and s.chance(30):
        first += interrupts.raise_or_lower(s)
    if s.chance(25):
        first += [set_own_register(s) for _ in range(1 + s.below(4))]
    actions: list[tuple[int, tuple[Action, ...]]] = [(0, tuple(first))]
    busy = s.choice((10, 25, 40) if s.interrupts else (4, 10, 25))
    for at in range(1, MAX_EXITS):
        if s.chance(busy):
            actions.append((at, tuple(_between(s))))
    return tuple(actions)
