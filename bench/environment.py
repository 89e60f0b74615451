"""What a run was taken on: the machine, the commit, and the versions of the other programs."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import qemu

ROOT = Path(__file__).resolve().parent.parent

#: What is noted of a machine; all of it except the time can have an effect on the figures.
MACHINE = ("processor", "cpus", "kernel", "system", "python", "compiler", "guestdbg", "taken")


@dataclass(frozen=True)
class Environment:
    """Where a run was taken.

    Attributes:
        machine: processor, cpus, kernel, system, python, compiler, guestdbg, and `taken`, the time
            (UTC).
        versions: of QEMU, GDB and Unicorn; None for one that is not installed.
        commit: the commit of the tree, in full; None if it is not a git checkout.
        dirty: whether the tree differed from the commit; None if that is not known.
    """

    machine: Mapping[str, str | int | None]
    versions: Mapping[str, str | None]
    commit: str | None
    dirty: bool | None

    @property
    def date(self) -> str:
        """The day on which the run was taken, as 2026-11-29."""
        return str(self.machine["taken"])[:10]

    def document(self) -> dict[str, Any]:
        """The part of the JSON document."""
        return {
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "commit": self.commit,
            "dirty": self.dirty,
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Environment:
        """From a JSON document. Raises KeyError or TypeError if it is malformed."""
        machine, versions = document["machine"], document.get("versions", {})
        if not isinstance(machine, dict) or not isinstance(versions, dict):
            raise TypeError("not an object")
        machine = dict.fromkeys(MACHINE) | machine
        if not re.fullmatch(r"\d{4}-\d\d-\d\d.*", str(machine["taken"])):
            raise TypeError("taken is not a time")
        commit, dirty = document.get("commit"), document.get("dirty")
        if commit is not None and not re.fullmatch(r"[0-9a-f]{7,64}", str(commit)):
            raise TypeError("commit is not a commit")
        return cls(machine, versions, commit, None if dirty is None else bool(dirty))


def current() -> Environment:
    """Of this process, now."""
    commit = _git("rev-parse", "HEAD")
    changes = None
    if commit is not None:
        # Kept runs do not make the tree dirty: they are what is added after the measuring.
        changes = _git("status", "--porcelain", "--", ".", ":!bench/history")
    return Environment(
        machine={
            "processor": _processor(),
            "cpus": os.cpu_count() or 0,
            "kernel": platform.release(),
            "system": platform.platform(),
            "python": sys.version.split()[0],
            "compiler": _compiler(),
            "guestdbg": _guestdbg_version(),
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        versions={
            "QEMU": _number(_first_line([qemu.QEMU, "--version"])),
            "GDB": _number(_first_line([qemu.GDB, "--version"])),
            "Unicorn": _unicorn_version(),
        },
        commit=commit,
        dirty=None if changes is None else bool(changes),
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _compiler() -> str | None:
    """The C compiler that builds the processor, as its first line of --version."""
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return _first_line([*shlex.split(str(command))[:1], "--version"])


def _guestdbg_version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def _unicorn_version() -> str | None:
    try:
        return metadata.version("unicorn")
    except metadata.PackageNotFoundError:
        return None


def _number(line: str | None) -> str | None:
    """The version number in a line such as "QEMU emulator version 7.2.22 (Debian …)"."""
    match = re.search(r"\d+\.\d[\w.]*", re.sub(r"\([^)]*\)", "", line)) if line else None
    return match[0] if match else line


def _first_line(command: list[str]) -> str | None:
    output = _output(command)
    return output.splitlines()[0] if output else None


def _git(*arguments: str) -> str | None:
    return _output(["git", "-C", str(ROOT), *arguments])


def _output(command: list[str]) -> str | None:
    """What a command prints; None if it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
