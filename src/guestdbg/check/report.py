"""The verdicts as one JSON document, which can be sent to others."""

from __future__ import annotations

import contextlib
import platform
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guestdbg.errors import GuestdbgError
from guestdbg.kvm import constants
from guestdbg.kvm.regs import sys_reg

if TYPE_CHECKING:
    from guestdbg.check.registry import Case
    from guestdbg.check.runner import Result
    from guestdbg.kvm import Kvm

#: The registers that say which cases can be judged: the debug unit, the processor, its extensions.
IDENTITY = (
    "MIDR_EL1",
    "ID_AA64DFR0_EL1",
    "ID_AA64DFR1_EL1",
    "ID_AA64PFR0_EL1",
    "ID_AA64ISAR0_EL1",
    "ID_AA64MMFR0_EL1",
    "ID_AA64MMFR1_EL1",
    "ID_AA64MMFR2_EL1",
)


def context(kvm: Kvm) -> dict[str, Any]:
    """Everything about the KVM and its machine that a reader of the verdicts needs."""
    names = (name for name in vars(constants) if name.startswith("KVM_CAP_"))
    return {
        "provider": kvm.provider,
        "kernel": kvm.linux,
        "kernel_build": platform.version() if kvm.provider == "host" else None,
        "machine": platform.machine(),
        "board": board() if kvm.provider == "host" else None,
        "python": platform.python_version(),
        "guestdbg": _guestdbg_version(),
        "api_version": kvm.api_version(),
        "capabilities": {
            name: answer
            for name in names
            if (answer := kvm.check_extension(getattr(constants, name)))
        },
        "registers": _identity(kvm),
    }


def board(root: Path = Path("/")) -> str | None:
    """The name of this machine in its device tree or firmware, or None if neither has one."""
    for place in ("proc/device-tree/model", "sys/class/dmi/id/product_name"):
        with contextlib.suppress(OSError):
            if name := (root / place).read_bytes().rstrip(b"\0\n ").decode("utf-8", "replace"):
                return name
    return None


def _guestdbg_version() -> str | None:
    try:
        return metadata.version("guestdbg")
    except metadata.PackageNotFoundError:
        return None


def _identity(kvm: Kvm) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    with kvm.create_vm() as vm:
        vcpu = vm.create_vcpu(0)
        vcpu.init(vm.preferred_target())
        for name in IDENTITY:
            try:
                found[name] = f"{vcpu.get_one_reg(sys_reg(name)):#x}"
            except (GuestdbgError, OSError):
                found[name] = None
    return found


def counts(results: Sequence[Result]) -> dict[str, int]:
    """The number of cases with each verdict."""
    seen = Counter(r.verdict for r in results)
    return {verdict: seen[verdict] for verdict in ("pass", "fail", "skip")}


def of_case(case: Case) -> dict[str, Any]:
    """A case for JSON, before it has run."""
    fields: dict[str, Any] = {"name": case.name, "promise": case.promise, "source": case.source}
    if case.until:
        fields["until_linux"] = ".".join(map(str, case.until))
    if case.since:
        fields["since_linux"] = ".".join(map(str, case.since))
    return fields


def of_result(result: Result) -> dict[str, Any]:
    """A verdict for JSON."""
    fields = of_case(result.case) | {"verdict": result.verdict, "reason": result.reason}
    for name in ("expected", "seen", "traceback", "situation"):
        value = getattr(result, name)
        if value is not None:
            fields[name] = value
    fields["seconds"] = round(result.seconds, 4)
    return fields


def document(kvm: Kvm, results: Sequence[Result]) -> dict[str, Any]:
    """``{"provider": …, …, "counts": …, "cases": [{"name", "verdict", "reason", …}]}``."""
    return context(kvm) | {
        "counts": counts(results),
        "seconds": round(sum(r.seconds for r in results), 3),
        "cases": [of_result(r) for r in results],
    }
