"""Random programs find mutants, and a program that shows the difference is shrunk."""

from collections.abc import Iterator
from typing import Any

import pytest

from guestdbg.arm64.loadstore import memory_operand
from guestdbg.check import assembler as asm
from guestdbg.check.differential import campaign
from guestdbg.check.differential.generate import generate
from guestdbg.check.differential.play import Player
from guestdbg.check.differential.program import Debug
from guestdbg.check.differential.show import comparison_lines, program_lines
from guestdbg.kvm import Kvm, open_kvm
from tests.check.differential.mutants import MUTANTS, WnR
from tests.check.mutants import MutantKvm, MutantVcpu

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")


def mutant(kind: type[MutantVcpu]) -> campaign.LocalSide:
    kvm: Any = MutantKvm(kind)
    return side(kvm)


def side(kvm: Kvm) -> campaign.LocalSide:
    return campaign.LocalSide(Player(kvm, full=False), Player(kvm))


@pytest.fixture
def right() -> Iterator[campaign.LocalSide]:
    with open_kvm("soft") as kvm:
        yield side(kvm)


def test_the_same_kvm_is_the_same(right: campaign.LocalSide) -> None:
    with open_kvm("soft") as kvm:
        (report,) = campaign.run(map(generate, range(150)), right, side(kvm))
    assert report.compared == 150
    assert not report.explained
    assert not report.unexplained
    assert not report.unsteady
    assert "150 the same" in str(report)


@pytest.mark.parametrize("kind", MUTANTS, ids=lambda kind: kind.__name__)
def test_mutants_are_found(kind: type[MutantVcpu], right: campaign.LocalSide) -> None:
    (report,) = campaign.run(map(generate, range(200)), right, mutant(kind))
    assert report.unexplained, str(report)
    assert len(report.unexplained) > report.explained.total(), "a rule explains it away"


def test_the_wrong_direction_is_not_explained() -> None:
    """Rules are about the real KVM: they do not excuse the same fault in the software KVM."""
    with open_kvm("soft") as kvm:
        (report,) = campaign.run(map(generate, range(200)), mutant(WnR), side(kvm))
    assert report.unexplained


def test_a_finding_is_shrunk_to_what_shows_it(right: campaign.LocalSide) -> None:
    other = mutant(WnR)
    (report,) = campaign.run(map(generate, range(120)), right, other)
    finding = min(report.unexplained, key=lambda f: f.difference.moment)
    small = campaign.shrink(finding, right, other)
    assert small.difference.signature == finding.difference.signature
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
