"""The verdicts of real kernels that are known, as far as they differ from the software KVM's.

`tests/lab/verdicts.json` has a record for each kernel release and way to run it. The software KVM
of the matching version predicts the verdict of every case. A record names the cases whose verdict
is another one, with the reason, and the fault of the kernel with which the others are as predicted.
The file also has the names of the cases that the records are of: others have not been run there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from guestdbg.check import CASES, run_cases, select
from guestdbg.kvm import open_kvm
from guestdbg.kvm.linux_release import is_within, software_options, software_version
from guestdbg.kvm.soft import SoftKvm
from guestdbg.kvm.soft.debug import linux_6_14
from guestdbg.kvm.soft.state import LinuxVersion, VcpuState
from guestdbg.quiet import quiet

FILE = Path(__file__).parents[1] / "tests" / "lab" / "verdicts.json"

Verdicts = dict[str, str]


@dataclass
class Record:
    """What one kernel said.

    Attributes:
        kernel: its release, such as "6.1.0-56-cloud-arm64".
        build: its version, which has Debian's: "#1 SMP Debian 6.1.192-1 (2026-11-01)".
        mode: "nvhe", "vhe" or "pkvm".
        cpu: the processor that QEMU emulated.
        software: the version of the software KVM that predicts its verdicts.
        fault: the name of a fault of the kernel (``FAULTS``) that the prediction includes, or None.
        totals: how many cases had each verdict.
        others: the cases with another verdict than predicted: reason -> verdict -> names. Only
            "pass" and "skip" may be there: what the processor has or lacks.
        not_run: cases that were added since.
    """

    kernel: str
    build: str
    mode: str
    cpu: str
    software: str
    fault: str | None
    totals: dict[str, int]
    others: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    not_run: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """What identifies it among the records."""
        return f"{self.kernel} {self.mode}"

    def verdicts(self) -> Verdicts:
        """Name of a present case -> its verdict, or "not run"."""
        found = dict(predicted(self.software, self.fault))
        others = [*self.others.values(), {"not run": self.not_run}]
        for by_verdict in others:
            for verdict, names in by_verdict.items():
                found |= {name: verdict for name in names if name in found}
        return found


@dataclass(frozen=True)
class Fault:
    """A fault of kernels, and how it predicts what fails.

    Attributes:
        report: the name of its program and report in examples/kernel-reports.
        mode: the mode of KVM that has it.
        since, until: the first release that has it as far as is known, and the first that has not.
        model: the version of the software KVM with the fault; None if it has no such part.
        cases: patterns of the names of cases that fail, besides those that fail on the model.
    """

    report: str
    mode: str
    since: tuple[int, int]
    until: tuple[int, int]
    model: Callable[[LinuxVersion], LinuxVersion] | None = None
    cases: tuple[str, ...] = ()


def _without_external_mdscr(version: LinuxVersion) -> LinuxVersion:
    def load(vcpu: VcpuState) -> None:
        linux_6_14.vcpu_load_debug(vcpu)
        vcpu.external_mdscr_el1 = 0

    def os_lock_trapped(vcpu: VcpuState) -> None:
        linux_6_14.os_lock_trapped(vcpu)
        vcpu.external_mdscr_el1 = 0

    return version._replace(load=load, os_lock_trapped=os_lock_trapped)


FAULTS = {
    "external-mdscr": Fault(
        "pkvm_guest_debug", "pkvm", (6, 14), (7, 3), model=_without_external_mdscr
    ),
    "later-vcpu": Fault("pkvm_later_vcpu", "pkvm", (6, 2), (6, 14), cases=("vcpus.added-*",)),
}


def fault_of(release: str, mode: str) -> str | None:
    """The known fault of a kernel in a mode of KVM, or None."""
    return next(
        (n for n, f in FAULTS.items() if f.mode == mode and is_within(release, f.since, f.until)),
        None,
    )


@contextmanager
def software_kvm(software: str, fault: str | None) -> Iterator[SoftKvm]:
    """The software KVM of a version, with a fault of kernels or without."""
    cpu = software_options(software)["cpu"]
    with open_kvm("soft", linux=software, psci_smc=None, cpu=cpu) as kvm:
        assert isinstance(kvm, SoftKvm)
        model = FAULTS[fault].model if fault is not None else None
        if model is not None:
            kvm.linux_version = model(kvm.linux_version)
        yield kvm


_predictions: dict[tuple[str, str | None], Verdicts] = {}


def predicted(software: str, fault: str | None) -> Verdicts:
    """The verdicts of the software KVM of a version, with a fault of kernels or without."""
    known = _predictions.get((software, fault))
    if known is None:
        # Where nothing stops, guests run on to instructions that are not implemented.
        with quiet(), software_kvm(software, fault) as kvm:
            known = {r.case.name: r.verdict for r in run_cases(select(), kvm)}
        if fault is not None:
            named = [c.name for c in select(FAULTS[fault].cases)] if FAULTS[fault].cases else []
            known |= dict.fromkeys(named, "fail")
        _predictions[software, fault] = known
    return known


def record_of(document: dict[str, Any], mode: str, cpu: str) -> Record:
    """The record of a document of `guestdbg check --json`."""
    software = software_version(document["kernel"])
    fault = fault_of(document["kernel"], mode)
    expected = predicted(software, fault)
    others: dict[str, dict[str, list[str]]] = {}
    for case in document["cases"]:
        name, verdict = case["name"], case["verdict"]
        if verdict != expected.get(name, verdict):
            reason = case["reason"] or "judged: the processor has what the software KVM's lacks"
            others.setdefault(reason, {}).setdefault(verdict, []).append(name)
    return Record(
        kernel=document["kernel"],
        build=document["kernel_build"] or "",
        mode=mode,
        cpu=cpu,
        software=software,
        fault=fault,
        totals=dict(sorted(Counter(c["verdict"] for c in document["cases"]).items())),
        others=others,
    )


def wrong(record: Record) -> list[tuple[str, str]]:
    """(name of the case, reason) of each verdict that nothing explains.

    A case that fails where the prediction does not, and one that is predicted to fail and passes.
    A skip says what the processor lacks.
    """
    expected = predicted(record.software, record.fault)
    return [
        (name, f"{verdict} instead of {expected.get(name)}: {reason}")
        for reason, by_verdict in record.others.items()
        for verdict, names in by_verdict.items()
        for name in names
        if verdict == "fail" or (verdict == "pass" and expected.get(name) == "fail")
    ]


def read(path: Path = FILE) -> dict[str, Record]:
    """The known records by key, in the order of the file."""
    file = json.loads(path.read_text())
    records = [Record(**values) for values in file["records"]]
    _add_to_not_run(records, file["cases"])
    return {record.key: record for record in records}


def write(records: dict[str, Record], path: Path = FILE) -> None:
    """Write the known records."""
    file = {"cases": list(CASES), "records": [asdict(record) for record in records.values()]}
    path.write_text(json.dumps(file, indent=1) + "\n")


def _add_to_not_run(records: list[Record], cases: list[str]) -> None:
    """Add the cases that are not in the file."""
    new = [name for name in CASES if name not in set(cases)]
    for record in records:
        record.not_run = [name for name in (*record.not_run, *new) if name in CASES]
