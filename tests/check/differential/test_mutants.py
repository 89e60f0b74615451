"""Random programs find mutants, and a program that shows the difference is shrunk."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from guestdbg.arm64.loadstore import memory_operand
from guestdbg.campaign import CampaignError, OnlyHere
from guestdbg.check import assembler as asm
from guestdbg.check.differential.campaign import (
    Programs,
    compare,
    make,
    make_or_resume,
    report_of,
)
from guestdbg.check.differential.findings import LocalSide, Side
from guestdbg.check.differential.play import Player
from guestdbg.check.differential.program import Debug, Program, ProgramError
from guestdbg.check.differential.show import comparison_lines, program_lines
from guestdbg.check.differential.trace import TraceLine
from guestdbg.kvm import Kvm, open_kvm
from tests.check.differential.mutants import MUTANTS, WnR
from tests.check.mutants import MutantKvm, MutantVcpu

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")


def mutant(kind: type[MutantVcpu]) -> LocalSide:
    kvm: Any = MutantKvm(kind)
    return side(kvm)


def side(kvm: Kvm) -> LocalSide:
    return LocalSide(Player(kvm, full=False), Player(kvm))


class Pair:
    """Two KVMs of this process, as a campaign needs them."""

    def __init__(self, a: Side, b: Side) -> None:
        self.sides = OnlyHere((a, b))

    @contextlib.contextmanager
    def __call__(self) -> Iterator[tuple[Side, Side]]:
        yield self.sides.thing


@pytest.fixture
def right() -> Iterator[LocalSide]:
    with open_kvm("soft") as kvm:
        yield side(kvm)


def test_the_same_kvm_is_the_same(right: LocalSide) -> None:
    with open_kvm("soft") as kvm:
        report = compare(Programs(0, 150), Pair(right, side(kvm)))
    assert report.compared == 150
    assert not report.explained
    assert not report.unexplained
    assert not report.unsteady
    assert "150 the same" in str(report)


@pytest.mark.parametrize("kind", MUTANTS, ids=lambda kind: kind.__name__)
def test_mutants_are_found(kind: type[MutantVcpu], right: LocalSide) -> None:
    report = compare(Programs(0, 200), Pair(right, mutant(kind)))
    assert report.unexplained, str(report)
    assert len(report.unexplained) > report.explained.total(), "a rule explains it away"


def test_the_wrong_direction_is_not_explained() -> None:
    """Rules are about the real KVM: they do not excuse the same fault in the software KVM."""
    with open_kvm("soft") as kvm:
        report = compare(Programs(0, 200), Pair(mutant(WnR), side(kvm)))
    assert report.unexplained


def test_in_workers_and_resumed_it_is_the_same(tmp_path: Path) -> None:
    """Each worker has KVMs of its own; the campaign keeps which programs were compared."""
    programs = Programs(0, 60, with_interrupts=20)
    here = make(tmp_path / "here", programs, WithMutant())
    here.run(workers=0, minimise=2)
    there = make_or_resume(tmp_path / "there", programs, WithMutant(), {})
    there.run(workers=2, minimise=2, until=lambda progress: progress.done > 20)
    there = make_or_resume(tmp_path / "there", programs, WithMutant(), {})
    there.run(workers=2, minimise=2)
    assert there.to_arrow().equals(here.to_arrow())
    one, other = report_of(here), report_of(there)
    assert str(one) == str(other)
    assert one == other
    assert one.compared == 80
    assert one.unexplained
    assert any(name.endswith("i") for name in here.to_arrow().column("program").to_pylist())
    for each in one.unexplained:
        if each.finding is not None:
            assert each.finding.difference.signature == each.signature
            assert each.finding.program.variant
    with pytest.raises(CampaignError, match="is another one"):
        make_or_resume(tmp_path / "there", Programs(1, 60), WithMutant(), {})


class WithMutant:
    """The software KVM and a mutant of it, made where they are used."""

    @contextlib.contextmanager
    def __call__(self) -> Iterator[tuple[Side, Side]]:
        with open_kvm("soft") as kvm:
            yield side(kvm), mutant(WnR)


class Broken:
    """A KVM that has gone."""

    def brief(self, programs: Sequence[Program]) -> Iterable[TraceLine]:
        raise ProgramError("the command in the lab ended")

    full = brief


def test_a_kvm_that_has_gone_is_no_result(right: LocalSide) -> None:
    with pytest.raises(ProgramError, match="the command in the lab ended"):
        compare(Programs(0, 5), Pair(right, Broken()))


def test_what_only_this_process_has(right: LocalSide, tmp_path: Path) -> None:
    pair = Pair(right, right)
    campaign = make(tmp_path / "campaign", Programs(0, 5), pair)
    with pytest.raises(CampaignError, match="run it there, with workers=0"):
        campaign.run(workers=1)
    assert campaign.run(workers=0).counts == {"same": 5}
    again = make(tmp_path / "again", Programs(0, 5), Pair(right, right))
    with pytest.raises(CampaignError, match="run it there, with workers=0"):
        again.run(workers=0)  # the pair is gone


def test_a_finding_is_shrunk_to_what_shows_it(right: LocalSide) -> None:
    report = compare(Programs(0, 120), Pair(right, mutant(WnR)), shrink=1000)
    found = [(each, each.finding) for each in report.unexplained if each.finding is not None]
    assert len(found) == len({each.signature for each in report.unexplained})
    each, small = min(found, key=lambda pair: pair[1].difference.moment)
    assert small.difference.signature == each.signature
    assert small.program.variant.startswith("shrunk")
    body = [word for word in small.program.code if word != asm.NOP]
    assert len(body) <= 12, "\n".join(program_lines(small.program))
    stores = [word for word in body if (operand := memory_operand(word)) and operand.writes]
    assert stores
    debug = [a for a in small.program.all_actions() if isinstance(a, Debug) and a.control]
    assert len(debug) <= 2
    assert sum(len(a.watchpoints) for a in debug) >= 1
    lines = "\n".join(comparison_lines(small.a, small.b, ("one", "other"), small.difference))
    assert "differ at" in lines
    assert "watchpoint hsr 0xd2000062" in lines
    assert "watchpoint hsr 0xd2000022" in lines
