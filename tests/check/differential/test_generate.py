"""Random programs: a seed always gives the same one; they are valid, and they end."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.check import assembler as asm
from guestdbg.check.differential import layout
from guestdbg.check.differential.generate import generate, of_name
from guestdbg.check.differential.play import Player
from guestdbg.check.differential.program import (
    Debug,
    Line,
    Program,
    ProgramError,
    SetReg,
    dumps,
    loads,
)
from guestdbg.check.differential.show import program_lines
from guestdbg.kvm import open_kvm
from guestdbg.kvm.constants import KVM_GUESTDBG_USE_HW

seeds = st.integers(0, 1 << 40)


@given(seeds, st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_seed_is_a_program(seed: int, interrupts: bool) -> None:
    program = generate(seed, with_interrupts=interrupts)
    assert of_name(program.name) == program
    assert loads(dumps(program)) == program
    assert all(0 <= word < 1 << 32 for word in program.code + program.vectors)
    assert 4 * len(program.code) <= layout.PAGE
    assert 4 * len(program.vectors) <= layout.PAGE
    assert len(program.x) == 31
    assert [at for at, _ in program.script] == sorted({at for at, _ in program.script})
    assert "\n".join(program_lines(program))


def test_another_process_makes_the_same_programs() -> None:
    code = (
        "from guestdbg.check.differential.generate import generate\n"
        "from guestdbg.check.differential.program import dumps\n"
        "print('\\n'.join(dumps(generate(seed)) for seed in range(20)))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines() == [dumps(generate(seed)) for seed in range(20)]


def test_there_is_everything_in_them() -> None:
    """A few hundred programs contain everything that a guest and its host can do."""
    programs = [generate(seed) for seed in range(300)]
    words = Counter(word for p in programs for word in p.code)
    assert words[asm.ERET]
    assert words[asm.hvc(0)]
    for mask, value, what in (
        (0xFFE0001F, 0xD4000001, "SVC"),
        (0xFFE0001F, 0xD4200000, "BRK"),
        (0xFFFFFFE0, asm.msr("MDSCR_EL1", 0), "MSR MDSCR_EL1"),
        (0xFFFFFFE0, asm.msr("OSLAR_EL1", 0), "MSR OSLAR_EL1"),
        (0x3FFF7C00, 0x085F7C00, "a load-exclusive"),
        (0x3FE07C00, 0x08007C00, "a store-exclusive"),
        (0x3A000000, 0x28000000, "a pair"),
        (0x3F000000, 0x18000000, "a literal"),
        (0xBFBF0000, 0x0C000000, "a structure"),
        (0xFFFFFFE0, asm.dc_zva(0), "DC ZVA"),
    ):
        assert any(word & mask == value for word in words), what
    assert {p.el for p in programs} == {0, 1}
    assert {p.mmu for p in programs} == {False, True}
    actions = [a for p in programs for a in p.all_actions()]
    debug = [a for a in actions if isinstance(a, Debug)]
    assert {a.control & 0x3 for a in debug} == {0, 1, 2, 3}
    assert any(a.control & ~0x30003 for a in debug), "flags that do not exist"
    assert sum(bool(a.control & KVM_GUESTDBG_USE_HW) for a in debug) > len(debug) / 3
    names = {a.name[:5] for a in actions if isinstance(a, SetReg)}
    assert {"DBGBC", "DBGBV", "DBGWC", "DBGWV", "MDSCR", "OSLSR"} <= names


def test_programs_with_interrupts_have_them() -> None:
    programs = [generate(seed, with_interrupts=True) for seed in range(100)]
    words = Counter(word for p in programs for word in p.code)
    for one in ("ICC_SGI1R_EL1", "ICC_PMR_EL1", "ICC_EOIR1_EL1", "ICC_IGRPEN1_EL1"):
        assert any(word & ~0x1F == asm.msr(one, 0) for word in words), one
    assert words[asm.daifclr(2)] > 100
    lines = {a for p in programs for a in p.all_actions() if isinstance(a, Line)}
    assert {(a.intid, a.level) for a in lines} == {
        (intid, level) for intid in (layout.EDGE, layout.LEVEL) for level in (0, 1)
    }
    assert not any(isinstance(a, Line) for n in range(100) for a in generate(n).all_actions())


@pytest.mark.parametrize("name", ["", "i", "x", "7:shrunk1", "7ii", "7I", "--7"])
def test_names_of_no_seed(name: str) -> None:
    with pytest.raises(ProgramError, match="not from a seed"):
        of_name(name)


@pytest.fixture(scope="module")
def player() -> Iterator[Player]:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
    with open_kvm("soft", psci_smc=None) as kvm:
        player = Player(kvm)
        yield player
        player.close()


def test_they_end_and_meet_what_they_are_for(player: Player) -> None:
    traces = [player.play(generate(seed)) for seed in range(800)]
    assert sum(trace.kicked for trace in traces) <= 16
    exits = Counter(
        moment.exit[0] if moment.exit[0] != "debug" else int(moment.exit[1]) >> 26
        for trace in traces
        for moment in trace.moments
    )
    for kind, least in ((0x30, 100), (0x32, 200), (0x34, 60), (0x3C, 30), ("mmio", 200)):
        assert exits[kind] >= least, kind
    taken = Counter(entry[0] >> 26 for trace in traces for entry in trace.taken)
    for ec in (0x00, 0x15, 0x24, 0x25, 0x30, 0x31, 0x33, 0x34, 0x35, 0x3C):
        assert taken[ec], f"no guest takes exception class {ec:#x} itself"


def test_interrupts_are_taken(player: Player) -> None:
    traces = [player.play(generate(seed, with_interrupts=True)) for seed in range(150)]
    assert sum(trace.kicked for trace in traces) <= 3
    taken = Counter(
        entry[0] for trace in traces for entry in trace.taken if entry[4] in (0x280, 0x480)
    )
    for intid in (0, 1, 2, 3, layout.EDGE, layout.LEVEL):
        assert taken[intid] >= 3, f"INTID {intid}"
    assert {"GICD_ISPENDR1", "ICC_AP1R0_EL1"} <= traces[0].final.keys()


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_a_program_plays_the_same_twice(player: Player, seed: int) -> None:
    program = generate(seed)
    first = player.play(program)
    if not first.kicked:
        assert player.play(program) == first


@pytest.mark.parametrize(
    "line", ["", "x", "[]", "{}", '{"script": 3}', dumps(generate(1)).replace('"el"', '"le"')]
)
def test_what_is_no_program_is_refused(line: str) -> None:
    with pytest.raises(ProgramError, match="not a program"):
        loads(line)


def test_programs_are_not_alike() -> None:
    programs: list[Program] = [generate(seed) for seed in range(100)]
    assert len({p.code for p in programs}) == 100
