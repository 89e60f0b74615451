"""Debian's packages by apt, on a machine of any architecture.

apt gets its own state (lists, cache, an empty status file), so that the machine's packages and
architectures are neither changed nor used, and root is not needed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from guestdbg.lab.errors import LabError
from guestdbg.lab.fetch.debian_archive import distributions, parse

if TYPE_CHECKING:
    from guestdbg.lab.fetch.debian_archive import Package

MIRROR = "http://deb.debian.org"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SECONDS = 600


def available() -> bool:
    """Whether this machine has apt, with the keys to check Debian's signatures."""
    return bool(shutil.which("apt-get") and shutil.which("apt-cache")) and _KEYRING.exists()


class Apt:
    """An apt of its own for one Debian release (``suite``) and architecture."""

    def __init__(self, suite: str, state: Path, architecture: str = "arm64") -> None:
        for directory in ("lists/partial", "cache/archives/partial", "parts"):
            (state / directory).mkdir(parents=True, exist_ok=True)
        sources = state / "sources.list"
        if not _is_this_debian(suite):
            sources.write_text(_sources(suite))
        options: dict[str, str | Path] = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "false",
            "Dir::State::Lists": state / "lists",
            "Dir::Cache": state / "cache",
            "Dir::State::status": "/dev/null",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        if os.geteuid() == 0:
            options["APT::Sandbox::User"] = "root"
        if sources.exists():
            options["Dir::Etc::SourceList"] = sources
            options["Dir::Etc::SourceParts"] = state / "parts"
        self._options = [f"-o{key}={value}" for key, value in options.items()]

    def update(self) -> None:
        """Downloads the package lists. Raises LabError if apt takes too long."""
        # A source of this machine that has nothing for arm64, or is down, does not matter as long
        # as the packages are found afterwards. So a failure here is not an error.
        self._run("apt-get", "update", check=False)

    def depends(self, package: str) -> list[str]:
        """What ``package`` depends on directly, alternatives included."""
        text = self._run("apt-cache", "depends", package)
        return re.findall(r"^\s*\|?(?:Pre)?Depends: ([a-z0-9][a-z0-9+.-]+)", text, re.MULTILINE)

    def needed(self, packages: list[str]) -> list[str]:
        """``packages`` and everything that they depend on, as for an empty system."""
        text = self._run("apt-get", "install", "--simulate", *packages)
        return re.findall(r"^Inst ([a-z0-9][a-z0-9+.-]+)", text, re.MULTILINE)

    def download(self, packages: list[str], directory: Path) -> None:
        """Puts the packages' files into ``directory``; apt checks signatures and hashes."""
        self._run("apt-get", "download", *packages, cwd=directory)

    def find(self, package: str, version: str | None = None) -> Package:
        """Where a package is. Raises LabError if the lists do not have it, or not this version."""
        name = package if version is None else f"{package}={version}"
        shown = parse(self._run("apt-cache", "show", name), "")
        uris = self._run("apt-get", "download", "--print-uris", name)
        url = re.match(r"'([^']+)'", uris)
        if url is None or package not in shown:
            raise LabError(f"Debian's lists have no package {name}")
        return replace(shown[package], url=url[1])

    def _run(
        self, program: str, *arguments: str, cwd: Path | None = None, check: bool = True
    ) -> str:
        command = [program, *self._options, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                env={**os.environ, "LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{program} {arguments[0]} took more than {_SECONDS} seconds") from error
        if check and done.returncode:
            raise LabError(
                f"{program} {' '.join(arguments)} failed (is there a network?):\n"
                f"{done.stderr.strip()[-1500:]}"
            )
        return done.stdout


def _is_this_debian(suite: str) -> bool:
    """Whether this machine runs that release, so that its own sources and mirrors can be used."""
    try:
        release = Path("/etc/os-release").read_text()
    except OSError:
        return False
    words = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    return words.get("ID") == "debian" and words.get("VERSION_CODENAME", "").strip('"') == suite


def _sources(suite: str) -> str:
    signed = f"[signed-by={_KEYRING}]"
    lines = (f"deb {signed} {MIRROR}/{part} {name} main\n" for part, name in distributions(suite))
    return "".join(lines)
