"""The soft provider against real kernels, experiment by experiment.

``answers/*.json`` are what the experiments of scenarios.py saw on /dev/kvm of real kernels: those
of Debian, in nVHE mode, on QEMU 7.2's model of the processor that the file names. Where the soft
provider of the matching version answers otherwise, the reason is below; nothing else may differ.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from guestdbg.kvm import open_kvm
from guestdbg.kvm.linux_release import software_options, software_version, version_of

from .scenarios import SCENARIOS
from .seam_machine import SeamMachine

ANSWERS: dict[str, dict[str, Any]] = {
    path.stem.removeprefix("linux-"): json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "answers").glob("linux-*.json"))
}

SIGN = "Linux 6.1 sign-extends the syndrome that it injects: the upper half of ESR_EL1 is RES0"
OTHER_CPU = "an ID register of another processor"
NOT_IN_QEMU = "QEMU 7.2 has no such register, and gives the guest UNDEFINED before the kernel traps"

#: Where the soft provider differs on every kernel, and why.
EVERYWHERE = {
    "guest_reads_ID_AA64PFR0_EL1": OTHER_CPU,
    "guest_reads_ID_AA64MMFR0_EL1": OTHER_CPU,
    "guest_reads_DBGAUTHSTATUS_EL1": NOT_IN_QEMU,
    "guest_reads_DBGPRCR_EL1": NOT_IN_QEMU,
    "guest_reads_DBGCLAIMSET_EL1": NOT_IN_QEMU,
    "guest_writes_DBGCLAIMSET_EL1": NOT_IN_QEMU,
}
CACHE_LEVELS = "since Linux 6.3 CLIDR_EL1 is the kernel's own, and describes fewer levels"
INJECTED = (
    "jump_into_nothing",
    "load_beyond_the_machine",
    "jump_beyond_the_machine",
    "external_abort_for_an_access",
)


def otherwise(kernel: str) -> dict[str, str]:
    """Where the soft provider differs from this kernel, and why."""
    version = version_of(kernel)
    found = dict(EVERYWHERE)
    if version < (6, 3):
        found |= dict.fromkeys(INJECTED, SIGN)
    else:
        found["guest_reads_CLIDR_EL1"] = CACHE_LEVELS
    return found


def test_there_are_answers_of_both_versions() -> None:
    assert {software_version(kernel) for kernel in ANSWERS} == {"6.1", "6.14"}


@pytest.mark.parametrize("kernel", ANSWERS)
def test_every_experiment_has_an_answer(kernel: str) -> None:
    assert set(SCENARIOS) == set(ANSWERS[kernel])
    assert set(otherwise(kernel)) < set(ANSWERS[kernel])
    assert len(ANSWERS[kernel]) > 140


@pytest.mark.parametrize("name", sorted(SCENARIOS))
@pytest.mark.parametrize("kernel", ANSWERS)
def test_answers_as_linux(kernel: str, name: str) -> None:
    machine = SeamMachine(open_kvm("soft", **software_options(kernel)))
    seen = json.loads(json.dumps(SCENARIOS[name](machine)))
    if name in otherwise(kernel):
        assert seen != ANSWERS[kernel][name], "it answers the same: take it off the list"
    else:
        assert seen == ANSWERS[kernel][name]
