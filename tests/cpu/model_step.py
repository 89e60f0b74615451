"""The software step state machine over a handful of instructions, as a set of possible worlds.

A world is what the architecture lets the processor be in; where it leaves a choice (ISV after an
ERET, ISB or exception; MDSCR_EL1 written and not yet synchronised; PSTATE.SS while step is
inactive) the worlds split. Every program here ends in an exception to EL2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from .model_debug import State
from .model_rig import DEBUG, EC_BRK, EC_STEP, IL, VECTORS

PSTATE_SS, PSTATE_IL, PSTATE_D = 1 << 21, 1 << 20, 1 << 9
AIF = 0x1C0
COMPARED = PSTATE_SS | PSTATE_IL | 0x3C0 | 0x1F
EX = 1 << 6
ISV = 1 << 24


class Left(NamedTuple):
    """The state after a run. Of aborts, ESR_EL2 is only the class."""

    esr_el2: int
    pc: int
    pstate: int
    esr_el1: int
    elr_el1: int
    spsr_el1: int


@dataclass(frozen=True)
class Stepped:
    """What is known of the instruction before a Software Step exception."""

    syndromes: frozenset[int]  # ISV and EX, each permitted pair


NOT_STEPPED = Stepped(frozenset({0}))


def stepped(exclusive: bool, *, certain: bool) -> Stepped:
    syndrome = ISV | exclusive * EX
    return Stepped(frozenset({syndrome} if certain else {0, syndrome}))


@dataclass(frozen=True)
class World:
    pc: int
    el: int
    d: bool
    ss: bool
    il: bool
    mdscr: int  # as it takes effect
    written: int  # as it was written; differs until it is synchronised
    last: Stepped
    sp: int = 1  # PSTATE.SP, which EL0 does not use
    aif: int = AIF
    esr_el1: int = 0
    elr_el1: int = 0
    spsr_el1: int = 0

    def pstate(self) -> int:
        mode = 4 | self.sp if self.el else 0
        return self.ss * PSTATE_SS | self.il * PSTATE_IL | self.d * PSTATE_D | self.aif | mode


@dataclass(frozen=True)
class Insn:
    """kind: next, exclusive (load), isb, skip (a branch over one), svc, hvc, smc, brk, udf,
    abort2 (a data abort to EL2), abort1 (to EL1), daif, mdscr, eret"""

    name: str
    word: int
    kind: str
    value: int = 0


class Machine:
    def __init__(self, state: State, program: Mapping[int, Insn]) -> None:
        self.s = state
        self.program = program

    def levels(self, w: World) -> State:
        return replace(self.s, el=w.el, d=w.d, mdscr=w.mdscr, pstate_ss=w.ss)

    def outcomes(self, start: int, elr: int, spsr: int) -> set[Left]:
        s = self.s
        first = World(
            start, s.el, s.d, s.pstate_ss, False, s.mdscr, s.mdscr, NOT_STEPPED,
            elr_el1=elr, spsr_el1=spsr,
        )  # fmt: skip
        # An exception return from EL2 would not have set PSTATE.SS where step is not enabled.
        worlds = {first}
        if first.ss and not s.step_enabled():
            worlds.add(replace(first, ss=False))
        seen: set[World] = set()
        left: set[Left] = set()
        while worlds:
            world = worlds.pop()
            if world in seen:
                continue
            seen.add(world)
            for result in self.advance(world):
                if isinstance(result, Left):
                    left.add(result)
                else:
                    worlds.add(result)
        return left

    def advance(self, w: World) -> Iterator[World | Left]:
        if w.written != w.mdscr:
            yield from self.one(replace(w, mdscr=w.written))
        yield from self.one(w)

    # ---- exceptions -----------------------------------------------------------------------------

    def to_el1(self, w: World, esr: int, returns: int, last: Stepped) -> World:
        """Taking an exception to EL1 synchronises the context."""
        return World(
            pc=VECTORS + (0x200 * w.sp if w.el else 0x400),
            el=1,
            d=True,
            ss=False,
            il=False,
            mdscr=w.written,
            written=w.written,
            last=last,
            esr_el1=esr,
            elr_el1=returns,
            spsr_el1=w.pstate(),
        )

    def to_el2(self, w: World, esr: int, returns: int) -> Left:
        return Left(esr, returns, w.pstate(), w.esr_el1, w.elr_el1, w.spsr_el1)

    def debug(self, w: World, ec: int, iss: int, last: Stepped) -> World | Left:
        target = self.s.target()
        if target == 2:
            return self.to_el2(w, ec << 26 | IL | iss, w.pc)
        lower = ec in (EC_STEP,) and w.el == 1
        return self.to_el1(w, (ec + lower) << 26 | IL | iss, w.pc, last)

    # ---- one instruction ------------------------------------------------------------------------

    # One branch for each case of the manual's state machine, to be read beside it.
    def one(self, w: World) -> Iterator[World | Left]:  # noqa: C901
        here = self.levels(w)
        if here.step_pending():
            for iss in w.last.syndromes:
                # what a further Software Step exception would say is open
                yield self.debug(w, EC_STEP, iss | DEBUG, stepped(False, certain=False))
            return
        active = here.step_enabled()
        if w.il:
            yield self.to_el1(w, 0x0E << 26 | IL, w.pc, stepped(False, certain=False))
            return
        insn = self.program[w.pc]
        exclusive = insn.kind == "exclusive"
        after = stepped(exclusive, certain=True) if active else NOT_STEPPED
        unsure = stepped(insn.name.startswith("ldx"), certain=False)
        # PSTATE.SS once the instruction is done; while step is inactive it may stay or go
        done = [False] if active or not w.ss else [False, True]
        kind = insn.kind
        if w.el == 0:
            kind = {
                "hvc": "udf", "smc": "udf", "eret": "udf", "mdscr": "udf", "daif": "trap0"
            }.get(kind, kind)  # fmt: skip
        if kind == "mdscr" and self.s.tde:
            kind = "trap2"
        simple: Mapping[str, Callable[[World], World]] = {
            "next": lambda x: x,
            "exclusive": lambda x: x,
            "skip": lambda x: replace(x, pc=w.pc + 8),
            "isb": lambda x: replace(x, mdscr=w.written, last=unsure if active else NOT_STEPPED),
            "daif": lambda x: replace(x, d=bool(insn.value)),
            "mdscr": lambda x: replace(x, written=insn.value),
        }
        if kind in simple:
            for ss in done:
                yield simple[kind](replace(w, pc=w.pc + 4, ss=ss, last=after))
        elif kind == "svc":
            for ss in done:
                yield self.to_el1(replace(w, ss=ss), 0x15 << 26 | IL | insn.value, w.pc + 4, unsure)
        elif kind == "hvc":
            for ss in done:
                yield self.to_el2(replace(w, ss=ss), 0x16 << 26 | IL | insn.value, w.pc + 4)
        elif kind == "smc":
            yield self.to_el2(w, 0x17 << 26 | IL | insn.value, w.pc)
        elif kind == "brk":
            yield self.debug(w, EC_BRK, insn.value, unsure)
        elif kind == "udf":
            yield self.to_el1(w, IL, w.pc, unsure)
        elif kind == "abort2":
            yield self.to_el2(w, 0x24, w.pc)
        elif kind == "abort1":
            yield self.to_el1(w, (0x24 + w.el) << 26 | IL | insn.value, w.pc, unsure)
        elif kind == "trap0":
            word = insn.word
            iss = (word >> 5 & 7) << 17 | (word >> 16 & 7) << 14 | (word >> 12 & 15) << 10
            iss |= 31 << 5 | (word >> 8 & 15) << 1
            yield self.to_el1(w, 0x18 << 26 | IL | iss, w.pc, unsure)
        elif kind == "trap2":
            yield self.to_el2(w, 0x18, w.pc)
        else:
            assert kind == "eret", kind
            yield from self.eret(w, here, unsure if active else NOT_STEPPED)

    def eret(self, w: World, here: State, last: Stepped) -> Iterator[World | Left]:
        spsr = w.spsr_el1
        legal = spsr & 0x1F in (0, 4, 5)
        to = spsr >> 2 & 3 if legal else w.el
        # the mask is that of the SPSR; the level of an illegal return is the present one
        ss = here.return_ss(spsr & ~0xC | to << 2)
        yield replace(
            w,
            pc=w.elr_el1,
            el=to,
            sp=spsr & 1 if legal else w.sp,
            d=bool(spsr & PSTATE_D),
            aif=spsr & AIF,
            ss=ss,
            il=bool(spsr & PSTATE_IL) or not legal,
            mdscr=w.written,
            last=last,
        )
