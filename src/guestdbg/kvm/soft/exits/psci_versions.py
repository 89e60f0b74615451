"""Versions of PSCI, as KVM_REG_ARM_PSCI_VERSION encodes them (include/kvm/arm_psci.h)."""

from typing import Final

PSCI_0_2: Final = 0x00002
PSCI_1_0: Final = 0x10000
PSCI_1_1: Final = 0x10001
PSCI_1_2: Final = 0x10002
PSCI_1_3: Final = 0x10003
