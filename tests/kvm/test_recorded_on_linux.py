"""The soft provider against a real kernel, experiment by experiment.

``answers/*.json`` are what the experiments of scenarios.py saw on /dev/kvm of a real kernel:
Debian's Linux 6.1.192 in nVHE mode, on QEMU 7.2's model of a Cortex-A57 with EL2. Where the soft
provider answers otherwise, the reason is below; nothing else may differ.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from guestdbg.kvm import open_kvm

from .scenarios import SCENARIOS
from .seam_machine import SeamMachine

ANSWERS = Path(__file__).parent / "answers" / "linux-6.1.192-cortex-a57.json"
LINUX: dict[str, Any] = json.loads(ANSWERS.read_text())

SIGN = "the kernel sign-extends the syndrome that it injects: the upper half of ESR_EL1 is RES0"
OTHER_CPU = "an ID register of another processor"
NOT_IN_QEMU = "QEMU 7.2 has no such register, and gives the guest UNDEFINED before the kernel traps"

#: Where the soft provider differs, and why.
OTHERWISE = {
    "jump_into_nothing": SIGN,
    "load_beyond_the_machine": SIGN,
    "jump_beyond_the_machine": SIGN,
    "external_abort_for_an_access": SIGN,
    "guest_reads_ID_AA64PFR0_EL1": OTHER_CPU,
    "guest_reads_ID_AA64MMFR0_EL1": OTHER_CPU,
    "guest_reads_ID_AA64ISAR0_EL1": OTHER_CPU,
    "guest_reads_DBGAUTHSTATUS_EL1": NOT_IN_QEMU,
    "guest_reads_DBGPRCR_EL1": NOT_IN_QEMU,
    "guest_reads_DBGCLAIMSET_EL1": NOT_IN_QEMU,
    "guest_writes_DBGCLAIMSET_EL1": NOT_IN_QEMU,
}


def test_every_experiment_has_an_answer() -> None:
    assert set(SCENARIOS) == set(LINUX)
    assert set(OTHERWISE) < set(LINUX)
    assert len(LINUX) > 140


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_answers_as_linux_6_1(name: str) -> None:
    machine = SeamMachine(open_kvm("soft", linux="6.1", psci_smc=None))
    seen = json.loads(json.dumps(SCENARIOS[name](machine)))
    if name in OTHERWISE:
        assert seen != LINUX[name], "it answers the same: take it off the list"
    else:
        assert seen == LINUX[name]
