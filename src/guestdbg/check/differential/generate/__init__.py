"""Random programs. A seed gives the same program on every machine and with every Python.

A program runs at EL1 and EL0, mostly with its MMU on. It computes, loads and stores near a few
addresses, branches forward, loops by counters, takes exceptions, and sometimes debugs itself. It
ends with a store to ``layout.DONE``. The host's part is the script: it sets guest debugging,
changes it between exits, and writes the guest's registers.

source  the random numbers, and what the parts below share
debug   debug registers
data    instructions that compute
simd    SIMD and floating-point instructions
memory  loads and stores
branch  branches, loops, calls
system  exceptions, system registers, the guest's own debugging
interrupts  interrupts, for programs that have them
script  what the host does
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check.differential import layout
from guestdbg.check.differential.generate import branch, data, interrupts, memory, simd, system
from guestdbg.check.differential.generate.debug import LENGTH
from guestdbg.check.differential.generate.script import script
from guestdbg.check.differential.generate.source import BASES, DATA, PLACES, SCRATCH, Source
from guestdbg.check.differential.program import Program, ProgramError
from guestdbg.check.differential.vectors import BUDGET, POLICIES, STEP_POLICIES, ending, vectors

if TYPE_CHECKING:
    from guestdbg.check.assembler import Item


def _simple(s: Source, own: int) -> list[Item]:
    """A few instructions that neither branch nor change the level."""
    makers = s.weighted(
        (
            (memory.MAKERS, 40),
            (data.MAKERS, 25),
            (simd.MAKERS, 15),
            (system.MAKERS, 12),
            (system.OWN, own),
            (interrupts.MAKERS, 40 if s.interrupts else 0),
        )
    )
    return s.weighted(makers)(s)


def _count(items: list[Item]) -> int:
    return sum(len(i) if isinstance(i, list) else not isinstance(i, asm.Label) for i in items)


def _body(s: Source, own: int) -> list[Item]:
    """The program's instructions: about as many as ``LENGTH``."""
    items: list[Item] = []
    if s.interrupts and s.chance(80):
        items += [asm.daifclr(2), asm.ISB]
    if own:
        items += system.mask_debug(s)
        for _ in range(1 + s.below(3)):
            items += s.choice((system.write_breakpoint, system.write_watchpoint))(s)
        items += system.write_mdscr(s)
    length = s.random.randint(12, LENGTH)
    while _count(items) < length:
        if s.chance(12):
            part: list[Item] = []
            for _ in range(1 + s.below(3)):
                part += _simple(s, own)
            items += s.weighted(branch.SHAPES)(s, part)
        elif s.chance(5):
            items += system.other_level(s)
        elif s.el and s.chance(4 if own else 1):
            items += system.eret_here(s)
        elif s.chance(0.7):
            items += memory.wild(s)
        else:
            items += _simple(s, own)
    return items


def of_name(name: str) -> Program:
    """The program of a seed by its name: "7", or "7i" with interrupts.

    Raises:
        ProgramError: it is the name of no such program.
    """
    seed = name.removesuffix("i")
    if not seed.removeprefix("-").isdecimal():
        raise ProgramError(f"program {name} is not from a seed: give its file with --programs")
    return generate(int(seed), with_interrupts=name.endswith("i"))


def generate(seed: int, *, with_interrupts: bool = False) -> Program:
    """The program of a seed. ``with_interrupts``: another one, on a machine with a GICv3."""
    s = Source(seed, interrupts=with_interrupts)
    s.mmu = s.chance(85)
    s.reserved = s.chance(5)
    s.el = start = 0 if s.chance(20) else 1
    # Who debugs: usually the host, sometimes the guest itself, sometimes both.
    guest = s.chance(35)
    host = not guest or s.chance(50)
    s.bases = {n: s.weighted(PLACES) for n in BASES}
    start_bases = dict(s.bases)
    items = _body(s, 15 if guest else 2)
    items += ending(SCRATCH)
    code = asm.assemble(layout.CODE, *items)
    x = [s.number() if n in DATA else 0 for n in range(31)]
    for n, address in start_bases.items():
        x[n] = address
    x[25], x[26] = BUDGET, layout.LOG
    return Program(
        seed=seed,
        mmu=s.mmu,
        el=start,
        code=code.words,
        vectors=vectors(s.choice(POLICIES), s.choice(STEP_POLICIES), interrupts=with_interrupts),
        x=tuple(x),
        data=s.bits(32),
        sysregs=(("CONTEXTIDR_EL1", s.below(4)),),
        script=script(s, host=host),
        interrupts=with_interrupts,
    )
