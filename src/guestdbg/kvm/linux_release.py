"""Releases of Linux, as far as KVM's behaviour depends on them."""

from __future__ import annotations

import re
from typing import Final

#: The kernel versions that the software provider answers as, oldest first. Each holds until the
#: next one.
SOFTWARE_VERSIONS: Final = ("6.1", "6.14")


def version_of(release: str) -> tuple[int, int]:
    """The version of a release: (6, 1) of "6.1.0-31-arm64". (0, 0) if it begins with none."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def software_version(release: str) -> str:
    """The version of the software provider that answers as this release does.

    For a release before the first one it is the first.
    """
    version = version_of(release)
    known = [name for name in SOFTWARE_VERSIONS if version_of(name) <= version]
    return known[-1] if known else SOFTWARE_VERSIONS[0]
