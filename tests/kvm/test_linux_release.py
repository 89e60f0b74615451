"""Which kernel version the software KVM answers as for a release."""

import pytest

from guestdbg.kvm.linux_release import (
    SOFTWARE_VERSIONS,
    software_options,
    software_version,
    version_of,
)
from guestdbg.kvm.soft.linux_versions import LINUX_VERSIONS

from .support import SoftKvm


@pytest.mark.parametrize(
    ("release", "version", "software"),
    [
        ("6.1.0-31-cloud-arm64", (6, 1), "6.1"),
        ("6.12.9", (6, 12), "6.1"),
        ("6.14", (6, 14), "6.14"),
        ("7.2.13+deb14-cloud-arm64", (7, 2), "6.14"),
        ("5.10.0", (5, 10), "6.1"),
        ("rolling", (0, 0), "6.1"),
    ],
)
def test_of_a_release(release: str, version: tuple[int, int], software: str) -> None:
    assert version_of(release) == version
    assert software_version(release) == software


def test_options_for_a_release() -> None:
    a57 = {"cpu": "cortex-a57"}
    assert software_options("6.1.0-56") == {"linux": "6.1", "psci_smc": False} | a57
    assert software_options("6.12.118") == {"linux": "6.1", "psci_smc": True} | a57
    later = {"linux": "6.14", "psci_smc": True}
    assert software_options("7.2") == later | {"cpu": "cortex-a72"}
    assert software_options("7.2", "cortex-a57") == later | a57
    assert software_options("7.2", "max,pauth-impdef=on,sve=off") == later | a57


def test_the_provider_has_each() -> None:
    assert tuple(LINUX_VERSIONS) == SOFTWARE_VERSIONS
    assert all(LINUX_VERSIONS[name].name == name for name in SOFTWARE_VERSIONS)
    assert SoftKvm().linux == SOFTWARE_VERSIONS[-1]
    assert SoftKvm(linux="6.1").linux == "6.1"
