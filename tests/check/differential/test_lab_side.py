"""The lab as one of two sides, with a command of this machine in place of the lab's."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from guestdbg.campaign import OnlyHere
from guestdbg.check.differential.campaign import Programs, compare
from guestdbg.check.differential.findings import LocalSide, Side
from guestdbg.check.differential.generate import generate
from guestdbg.check.differential.lab_side import LabPlayer, LabSide, LabSides
from guestdbg.check.differential.play import Player
from guestdbg.check.differential.program import (
    ProgramError,
    dumps,
    dumps_request,
    loads,
    loads_request,
)
from guestdbg.lab import Lab, Live
from tests.check.differential.mutants import WnR
from tests.check.mutants import MutantKvm

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")


class LocalLab(Lab):
    """Runs commands here, on the software KVM."""

    description: ClassVar[dict[str, Any]] = {"kernel": "6.1.0-56-cloud-arm64", "cpu": "cortex-a57"}  # type: ignore[assignment]

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def run(self, argv: Sequence[str], *, live: Live, **_: Any) -> Any:
        words = ["soft" if word == "host" else word for word in argv[1:]]
        self.commands.append(words)
        options = ["--linux", "6.1", "--cpu", "cortex-a57"]
        program = "from guestdbg.cli import main; main(prog_name='guestdbg')"
        with subprocess.Popen(
            [sys.executable, "-c", program, *words, *options],
            stdin=live.stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            while data := process.stdout.read1(65536):  # type: ignore[attr-defined]
                live.stdout(data)
            live.stderr(process.stderr.read())


def test_digests_and_traces_come_from_one_command() -> None:
    lab = LocalLab()
    report = compare(Programs(40, 30, with_interrupts=5), LabSides(lab))
    assert report.compared == 35
    assert "35 the same" in report.counts
    with LabSide(lab) as there:
        for _ in range(2):
            (brief,) = there.brief([generate(7)])
            (full,) = there.full([generate(7)])
            assert brief.trace is None
            assert full.trace is not None
            assert full.digest == full.trace.digest
        assert list(there.brief([])) == []
    assert len(lab.commands) == 2, "one for the campaign, one for the side"


class MutantHere:
    """A mutant, and the lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = OnlyHere(lab)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[tuple[Side, Side]]:
        kvm: Any = MutantKvm(WnR)
        with LabSide(self.lab.thing) as there:
            yield LocalSide(Player(kvm, full=False), Player(kvm)), there


def test_a_difference_to_the_lab_is_made_small() -> None:
    lab = LocalLab()
    report = compare(Programs(0, 60), MutantHere(lab), shrink=1)
    assert len(lab.commands) == 1
    (small,) = [each.finding for each in report.unexplained if each.finding is not None]
    assert small.program.variant.startswith("shrunk")


def test_a_command_that_ends_is_reported() -> None:
    with LabPlayer(LocalLab()) as player:
        (found,) = player.play_all([generate(1)])
        assert found.name == "1"
        player.close()
        with pytest.raises(ProgramError, match="ended"):
            list(player.play_all([generate(2)]))


def test_requests() -> None:
    program = generate(5)
    assert loads_request(dumps(program)) == (program, None)
    for full in (True, False):
        assert loads_request(dumps_request(program, full=full)) == (program, full)
        assert loads(dumps_request(program, full=full)) == program
    for wrong in ("", "[]", "5", '{"full":1}', dumps(program)[:-1], '{"full":true}'):
        with pytest.raises(ProgramError, match="not a program of the differential"):
            loads_request(wrong)
