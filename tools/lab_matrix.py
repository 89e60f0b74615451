"""Runs the conformance suite on several kernels in the lab, in all of KVM's modes.

    make lab-matrix
    make lab-matrix LAB_OPTIONS="--only sid-pkvm"
    make lab-matrix LAB_OPTIONS=--admit

The verdicts are compared with those that the software KVM of the same version predicts, and with
the records of `tests/lab/verdicts.json`. A kernel that has no record is reported; --admit writes
it into the file, and also those of kernels that have not run all of the cases. The exit status is
1 if nothing explains a verdict, or if a record is no longer true; otherwise it is 0. A kernel that
does not boot is reported.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from dataclasses import dataclass

import click
from lab import Failed, on_the_real_kvm
from lab_verdicts import FAULTS, FILE, Record, read, record_of, write, wrong

from guestdbg.errors import GuestdbgError
from guestdbg.lab import Lab

_SHOWN = 3


@dataclass(frozen=True)
class Way:
    """A kernel, and KVM's mode."""

    suite: str
    mode: str

    @property
    def name(self) -> str:
        return f"{self.suite}-{self.mode}"

    def lab(self) -> Lab:
        append = "kvm-arm.mode=protected" if self.mode == "pkvm" else ""
        cpu = "vhe" if self.mode == "vhe" else "nvhe"
        return Lab(suite=self.suite, cpu=cpu, append=append)


WAYS = [
    Way(suite, mode) for suite in ("bookworm", "trixie", "sid") for mode in ("nvhe", "vhe", "pkvm")
]


def judge(way: Way) -> Record:
    """Boot a kernel and run the suite. Raises Failed, or GuestdbgError if it does not boot."""
    with way.lab() as lab:
        document = on_the_real_kvm(lab, way.name, [])
        return record_of(document, way.mode, lab.description["cpu"])


def print_record(way: Way, record: Record, known: Record | None) -> bool:
    """Print what a kernel said. Returns whether something is not explained."""
    total = ", ".join(f"{n} {verdict}" for verdict, n in record.totals.items())
    print(f"{way.name}: {record.kernel}, {record.cpu}: {total}")
    if record.fault is not None:
        print(
            f"  as predicted with the fault of examples/kernel-reports/"
            f"{FAULTS[record.fault].report}"
        )
    for reason, by_verdict in record.others.items():
        for verdict, names in by_verdict.items():
            print(f"  {verdict}, {_some(names)}: {reason}")
    unexplained = wrong(record)
    for name, reason in unexplained:
        print(f"  NOT EXPLAINED: {name}: {reason}")
    if known is None or known.not_run:
        what = f"{len(known.not_run)} cases without" if known else "no"
        print(f"  {record.key} has {what} record; --admit writes it to {FILE.name}")
        return bool(unexplained)
    if known != record:
        changed = known.verdicts().items() ^ record.verdicts().items()
        names = sorted({name for name, _ in changed})
        print(f"  NOT AS RECORDED: {_some(names) if names else 'reasons or processor'}")
        return True
    return bool(unexplained)


def print_differences(records: dict[str, Record]) -> None:
    """Print where the verdicts of the kernels differ, in groups of cases that differ alike."""
    groups: dict[tuple[tuple[str, ...], ...], list[str]] = defaultdict(list)
    verdicts = {name: record.verdicts() for name, record in records.items()}
    for case in next(iter(verdicts.values()), {}):
        by_verdict: dict[str, list[str]] = defaultdict(list)
        for name, found in verdicts.items():
            by_verdict[found.get(case, "unknown")].append(name)
        if len(by_verdict) > 1:
            groups[tuple((v, *names) for v, names in sorted(by_verdict.items()))].append(case)
    print(f"\nThe kernels differ in {sum(map(len, groups.values()))} cases:")
    for group, cases in sorted(groups.items(), key=lambda item: -len(item[1])):
        print(f"  {_some(cases)}")
        for verdict, *names in group:
            print(f"    {verdict:8} {', '.join(names)}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


@click.command(help=__doc__.partition("\n")[0])
@click.option("--only", multiple=True, type=click.Choice([way.name for way in WAYS]))
@click.option("--admit", is_flag=True, help="Write the records of kernels that have none.")
def main(only: tuple[str, ...], admit: bool) -> None:
    began = time.monotonic()
    known = read()
    seen: dict[str, Record] = {}
    is_wrong = False
    for way in WAYS:
        if only and way.name not in only:
            continue
        try:
            record = judge(way)
        except (Failed, GuestdbgError) as error:
            print(f"{way.name}: it did not run: {error}")
            continue
        seen[way.name] = record
        is_wrong |= print_record(way, record, known.get(record.key))
        old = known.get(record.key)
        if admit and (old is None or old.not_run) and not wrong(record):
            known[record.key] = record
            write(known)
    print_differences(seen)
    print(f"\n{len(seen)} kernels and modes in {time.monotonic() - began:.0f} seconds")
    sys.exit(1 if is_wrong or not seen else 0)


if __name__ == "__main__":
    main()
