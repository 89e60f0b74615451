"""Power State Coordination Interface: function ids, return codes, states (Arm DEN 0022).

Also the few SMC Calling Convention ids that guests probe for (Arm DEN 0028).
"""

from __future__ import annotations

from enum import IntEnum

from guestdbg.arm64.errors import ArchitectureError

#: Bit 31: a fast call; bit 30: the 64-bit convention; bits 29 to 24: the owner.
FAST_CALL = 1 << 31
CALL_64 = 1 << 30
OWNER_SHIFT = 24
OWNER_ARM_ARCHITECTURE = 0
OWNER_STANDARD_SECURE = 4
OWNER_STANDARD_HYPERVISOR = 5
OWNER_VENDOR_HYPERVISOR = 6


class Function(IntEnum):
    """Function ids, as they come in W0. The 64-bit forms end in _64."""

    PSCI_VERSION = 0x84000000
    CPU_SUSPEND = 0x84000001
    CPU_SUSPEND_64 = 0xC4000001
    CPU_OFF = 0x84000002
    CPU_ON = 0x84000003
    CPU_ON_64 = 0xC4000003
    AFFINITY_INFO = 0x84000004
    AFFINITY_INFO_64 = 0xC4000004
    MIGRATE = 0x84000005
    MIGRATE_64 = 0xC4000005
    MIGRATE_INFO_TYPE = 0x84000006
    MIGRATE_INFO_UP_CPU = 0x84000007
    MIGRATE_INFO_UP_CPU_64 = 0xC4000007
    SYSTEM_OFF = 0x84000008
    SYSTEM_RESET = 0x84000009
    PSCI_FEATURES = 0x8400000A
    CPU_FREEZE = 0x8400000B
    CPU_DEFAULT_SUSPEND = 0x8400000C
    CPU_DEFAULT_SUSPEND_64 = 0xC400000C
    NODE_HW_STATE = 0x8400000D
    NODE_HW_STATE_64 = 0xC400000D
    SYSTEM_SUSPEND = 0x8400000E
    SYSTEM_SUSPEND_64 = 0xC400000E
    PSCI_SET_SUSPEND_MODE = 0x8400000F
    PSCI_STAT_RESIDENCY = 0x84000010
    PSCI_STAT_RESIDENCY_64 = 0xC4000010
    PSCI_STAT_COUNT = 0x84000011
    PSCI_STAT_COUNT_64 = 0xC4000011
    SYSTEM_RESET2 = 0x84000012
    SYSTEM_RESET2_64 = 0xC4000012
    MEM_PROTECT = 0x84000013
    MEM_PROTECT_CHECK_RANGE = 0x84000014
    MEM_PROTECT_CHECK_RANGE_64 = 0xC4000014
    SYSTEM_OFF2 = 0x84000015
    SYSTEM_OFF2_64 = 0xC4000015


class Result(IntEnum):
    """What a call returns in X0 (or W0), as a signed number."""

    SUCCESS = 0
    NOT_SUPPORTED = -1
    INVALID_PARAMETERS = -2
    DENIED = -3
    ALREADY_ON = -4
    ON_PENDING = -5
    INTERNAL_FAILURE = -6
    NOT_PRESENT = -7
    DISABLED = -8
    INVALID_ADDRESS = -9


class Affinity(IntEnum):
    """The states of a processing element, as AFFINITY_INFO returns them."""

    ON = 0
    OFF = 1
    ON_PENDING = 2


class Smccc(IntEnum):
    """SMC Calling Convention calls that kernels make while they start."""

    VERSION = 0x80000000
    ARCH_FEATURES = 0x80000001
    ARCH_SOC_ID = 0x80000002
    ARCH_WORKAROUND_1 = 0x80008000
    ARCH_WORKAROUND_2 = 0x80007FFF
    ARCH_WORKAROUND_3 = 0x80003FFF
    TRNG_VERSION = 0x84000050
    TRNG_FEATURES = 0x84000051
    TRNG_GET_UUID = 0x84000052
    TRNG_RND = 0x84000053
    TRNG_RND_64 = 0xC4000053
    HV_PV_TIME_FEATURES = 0xC5000020
    HV_PV_TIME_ST = 0xC5000021
    VENDOR_HYP_CALL_UID = 0x8600FF01


#: MIGRATE_INFO_TYPE: no trusted OS that would need migration.
TOS_NOT_PRESENT_OR_NOT_NEEDED = 2
#: The highest affinity level of a call.
MAX_AFFINITY_LEVEL = 3


def version(major: int, minor: int) -> int:
    """A version as PSCI_VERSION and SMCCC_VERSION return it.

    Raises ArchitectureError for a part that does not fit.
    """
    if not (0 <= major < 1 << 15 and 0 <= minor < 1 << 16):
        raise ArchitectureError(f"{major}.{minor} is not a version: the parts have 15 and 16 bits")
    return major << 16 | minor


def name_of(function: int) -> str:
    """The name of a PSCI or SMCCC function, or its number in hex."""
    for kind in (Function, Smccc):
        if function in kind.__members__.values():
            return str(kind(function).name)
    return f"{function:#x}"
