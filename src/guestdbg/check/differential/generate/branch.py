"""Branches that cannot loop for ever: forward, loops that count down, calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check.assembler import Fixup, Item
from guestdbg.check.differential.generate.source import INNER, OUTER, SCRATCH

if TYPE_CHECKING:
    from guestdbg.check.differential.generate.source import Source

Body = list[Item]
_AND_7 = 0x92400800  # AND Xd, Xn, #7


def _conditional(s: Source, target: str) -> Fixup:
    kind = s.below(4)
    if kind == 0:
        return asm.b_cond(s.choice(tuple(asm.CONDITIONS)), target)
    if kind == 1:
        return s.choice((asm.cbz, asm.cbnz))(s.rd(), target)
    if kind == 2:
        return s.choice((asm.tbz, asm.tbnz))(s.rd(), s.below(64), target)
    return asm.b(target)


def forward(s: Source, body: Body) -> list[Item]:
    """A conditional branch over the body."""
    name = s.name()
    return [_conditional(s, name), *body, asm.label(name)]


def loop(s: Source, body: Body) -> list[Item]:
    """The body a few times. The counter is masked, so that the loop ends even if the host skips the
    instruction that sets it."""
    name = s.name()
    counter = s.choice((OUTER, INNER))
    return [
        asm.mov(counter, 1 + s.below(4)),
        asm.label(name),
        *body,
        asm.sub(counter, counter, 1),
        _AND_7 | counter << 5 | counter,
        asm.cbnz(counter, name),
    ]


def call(s: Source, body: Body) -> list[Item]:
    """The body as a function, called by BL or BLR."""
    function, after = s.name(), s.name()
    enter: list[Item] = [asm.bl(function)]
    if s.chance(40):
        enter = [Fixup(function, lambda offset: asm.adr(SCRATCH, offset)), asm.blr(SCRATCH)]
    return [*enter, asm.b(after), asm.label(function), *body, asm.RET, asm.label(after)]


def jump(s: Source, body: Body) -> list[Item]:
    """A branch over the body by BR."""
    name = s.name()
    return [
        Fixup(name, lambda offset: asm.adr(SCRATCH, offset)),
        asm.br(SCRATCH),
        *body,
        asm.label(name),
    ]


SHAPES = ((forward, 6), (loop, 4), (call, 2), (jump, 1))
