"""Releases of Linux, as far as KVM's behaviour depends on them."""

from __future__ import annotations

import re
from typing import Any, Final

from guestdbg.arm64.cpu_models import CPU_MODELS

#: The kernel versions that the software provider answers as, oldest first. Each holds until the
#: next one.
SOFTWARE_VERSIONS: Final = ("6.1", "6.14")

#: The first kernel that the lab does not run on a Cortex-A57 (lab.machine.qemu.processor).
_ON_A72: Final = (6, 14)


def version_of(release: str) -> tuple[int, int]:
    """The version of a release: (6, 1) of "6.1.0-31-arm64". (0, 0) if it begins with none."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def dotted(version: tuple[int, int]) -> str:
    """A version as it is written: "6.14" of (6, 14)."""
    return f"{version[0]}.{version[1]}"


def is_within(release: str, since: tuple[int, int] | None, until: tuple[int, int] | None) -> bool:
    """Whether a release is not before ``since``, and is before ``until``; None: no limit."""
    version = version_of(release)
    return (since is None or since <= version) and (until is None or version < until)


def software_version(release: str) -> str:
    """The version of the software provider that answers as this release does.

    For a release before the first one it is the first.
    """
    version = version_of(release)
    known = [name for name in SOFTWARE_VERSIONS if version_of(name) <= version]
    return known[-1] if known else SOFTWARE_VERSIONS[0]


def software_options(release: str, processor: str | None = None) -> dict[str, Any]:
    """The options of the software provider with which it answers most like this release.

    Between its versions it differs from the kernels in this: since 6.4 they answer SMC as they do
    HVC.

    processor: what the kernel runs on, as QEMU calls it; None: what the lab chooses for it. For one
    that is no model of the software provider, it is the smallest.
    """
    if processor is None:
        processor = "cortex-a72" if version_of(release) >= _ON_A72 else "cortex-a57"
    cpu = processor if processor in CPU_MODELS and processor != "max" else "cortex-a57"
    linux = software_version(release)
    return {"linux": linux, "psci_smc": version_of(release) >= (6, 4), "cpu": cpu}
