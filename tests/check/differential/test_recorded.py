"""Random programs recorded on a real kernel: the software KVM gives the same traces, without a lab.

Programs with a difference that a rule explains are not in the file. If the generator changes, the
programs change too; record them again with
``guestdbg lab -- differential run -n 600 --seed 100000 --provider host``.
"""

import json
from pathlib import Path

import pytest

from guestdbg.check.differential.generate import generate
from guestdbg.check.differential.play import Player
from guestdbg.kvm import open_kvm
from guestdbg.kvm.linux_release import software_options

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

ANSWERS = sorted((Path(__file__).parent / "answers").glob("*.json"))


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.stem)
def test_the_software_kvm_sees_the_same(path: Path) -> None:
    recorded = json.loads(path.read_text())
    digests: dict[str, str] = recorded["digests"]
    first, end = recorded["seeds"]
    assert len(digests) > 0.85 * (end - first), "too much is left out"
    with open_kvm("soft", **software_options(path.stem)) as kvm:
        player = Player(kvm, full=False)
        try:
            seen = {name: player.play(generate(int(name))).digest for name in digests}
        finally:
            player.close()
    assert seen == digests, f"recorded from {recorded['kernel']}"


def test_there_are_answers() -> None:
    assert ANSWERS
