"""Random programs on the real KVM and the software KVM: every difference is explained."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from guestdbg.check.differential.campaign import Programs, compare
from guestdbg.check.differential.generate import generate
from guestdbg.check.differential.lab_side import LabPlayer, LabSides
from guestdbg.check.differential.players import playing_on
from guestdbg.check.differential.program import ProgramError
from guestdbg.cli import main
from guestdbg.kvm.linux_release import software_options
from guestdbg.lab import Lab

#: Other seeds than in docs/conformance.md, as further evidence.
FIRST, NUMBER = 700_000, 200


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_random_programs_on_both(lab: Lab) -> None:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
    report = compare(Programs(FIRST, NUMBER), LabSides(lab))
    # The lab's KVM runs by the time of a loaded host, and seldom gives a program another answer
    # than when it is played again. The software KVM always gives the same.
    options = software_options(lab.description["kernel"])
    with playing_on("soft", full=False, **options) as player:
        for name in report.unsteady:
            digests = {player.play(generate(int(name))).digest for _ in range(5)}
            assert len(digests) == 1, f"program {name}: the software KVM is not deterministic"
    assert len(report.unsteady) <= NUMBER // 100, str(report)
    assert report.compared == NUMBER
    assert report.exits > 3 * NUMBER
    assert not report.unexplained, str(report)
    assert report.explained.total() < NUMBER / 5, "too much is explained away"


@pytest.mark.slow
def test_a_command_that_ends_is_reported(lab: Lab) -> None:
    with LabPlayer(lab) as player:
        (told,) = player.play_all([generate(1)])
        assert told.name == "1"
        assert told.trace is None
        player.close()
        with pytest.raises(ProgramError, match="ended"):
            list(player.play_all([generate(2)]))


@pytest.mark.slow
def test_the_command(lab_root: Path) -> None:
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
    arguments = ["differential", "lab", "-n", "10", "--seed", str(FIRST)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "10 programs, " in result.output
    assert "0 unexplained" in result.output
