"""The kernel versions that the provider answers as, side by side.

What they do alike is in the modules that follow the kernel's files. ``LinuxVersion`` (state.py)
describes each entry.
"""

from __future__ import annotations

from typing import Final

from guestdbg.kvm.soft.debug import linux_6_1, linux_6_14
from guestdbg.kvm.soft.exits.psci_versions import PSCI_0_2, PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3
from guestdbg.kvm.soft.registers.id_regs import HIDDEN_6_1, HIDDEN_6_14
from guestdbg.kvm.soft.state import LinuxVersion

LINUX_6_1: Final = LinuxVersion(
    name="6.1",
    # debug_ptr and a dirty flag: decided at every entry, given back at every exit.
    load=None,
    put=None,
    enter=linux_6_1.enter,
    leave=linux_6_1.leave,
    step_taken=linux_6_1.step_taken,
    debug_register_trapped=linux_6_1.debug_register_trapped,
    os_lock_trapped=linux_6_1.os_lock_trapped,
    debug_owner=linux_6_1.debug_owner,
    debug_ptr=linux_6_1.debug_ptr,
    psci_versions=(PSCI_0_2, PSCI_1_0, PSCI_1_1),
    smc_calls=False,
    generic_target=False,
    hidden_id_fields=HIDDEN_6_1,
    debug_version=6,  # Armv8.0
    features_of_machine=False,
    writable_debug_features=False,
)

LINUX_6_14: Final = LinuxVersion(
    name="6.14",
    # Three owners: decided when a run begins, and at trapped accesses.
    load=linux_6_14.vcpu_load_debug,
    put=linux_6_14.vcpu_put_debug,
    enter=linux_6_14.enter,
    leave=linux_6_14.leave,
    step_taken=linux_6_14.step_taken,
    debug_register_trapped=linux_6_14.debug_register_trapped,
    os_lock_trapped=linux_6_14.os_lock_trapped,
    debug_owner=linux_6_14.debug_owner,
    debug_ptr=linux_6_14.debug_ptr,
    psci_versions=(PSCI_0_2, PSCI_1_0, PSCI_1_1, PSCI_1_2, PSCI_1_3),
    smc_calls=True,
    generic_target=True,
    hidden_id_fields=HIDDEN_6_14,
    debug_version=10,  # Armv8.8
    features_of_machine=True,
    writable_debug_features=True,
)

#: By name.
LINUX_VERSIONS: Final = {version.name: version for version in (LINUX_6_1, LINUX_6_14)}
