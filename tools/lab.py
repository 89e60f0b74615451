"""Runs the conformance suite and random programs on the lab's real KVM and on the software KVM.

    make lab                           nVHE, as on Cortex-A57
    make lab LAB_OPTIONS="--cpu vhe"   with the Virtualization Host Extensions
    make lab LAB_OPTIONS="--debian sid --qemu /opt/qemu/qemu"
    make lab LAB_OPTIONS="--programs 2000 --seed 500000"
    python tools/lab.py -k watchpoint  only these cases, and no programs

Both reports are written to build/lab. The exit status is 1 if a case failed on either side or is
unknown to one of them, or if a program differed and no rule explains the difference; otherwise it
is 0. A case that passes on one side may be skipped on the other, if the processor there lacks what
the case needs: these cases are listed with the reason.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from guestdbg.arm64.disassembly import instruction
from guestdbg.check.differential.campaign import Programs
from guestdbg.check.differential.campaign import compare as compare_programs
from guestdbg.check.differential.lab_side import LabSides
from guestdbg.check.differential.report import Report
from guestdbg.check.differential.show import comparison_lines, program_lines
from guestdbg.check.registry import select
from guestdbg.cli.group import describe
from guestdbg.cli.lab_options import lab_options
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.linux_release import software_options, software_version
from guestdbg.lab import Lab
from guestdbg.lab.fetch.packages import SUITE

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "build" / "lab"
SECONDS = 1800
#: The default number of random programs, and the seed of the first. They are always the same, so
#: that a new failure comes from a change.
PROGRAMS = 500
SEED = 200_000
_SHRUNK = 20  # of the unexplained differences, those that are made small and printed


class Failed(Exception):
    """The suite gave no report on one side. The text has its output."""


@dataclass(frozen=True)
class Judged:
    """One case on both sides; None if a side does not know it."""

    name: str
    real: dict[str, Any] | None
    soft: dict[str, Any] | None

    @staticmethod
    def verdict(case: dict[str, Any] | None) -> str:
        return str(case["verdict"]) if case else "unknown"

    @property
    def verdicts(self) -> set[str]:
        return {self.verdict(self.real), self.verdict(self.soft)}

    @property
    def is_wrong(self) -> bool:
        """Whether it failed on a side, or a side does not know it."""
        return not self.verdicts <= {"pass", "skip"}

    @property
    def is_one_sided(self) -> bool:
        """Whether only one side's processor has what the case needs."""
        return self.verdicts == {"pass", "skip"}


def compare(real: dict[str, Any], soft: dict[str, Any]) -> list[Judged]:
    """The cases of two reports of `guestdbg check --json`, in the order of the first."""
    here = {case["name"]: case for case in real["cases"]}
    there = {case["name"]: case for case in soft["cases"]}
    names = [*here, *(name for name in there if name not in here)]
    return [Judged(name, here.get(name), there.get(name)) for name in names]


def report_of(side: str, status: int, stdout: bytes, stderr: bytes) -> dict[str, Any]:
    """The report that a suite printed. Raises Failed if it printed none, or ran no case."""
    try:
        found = json.loads(stdout)
        if status not in (0, 1) or not found["cases"]:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        output = (stderr or stdout).decode("utf-8", "replace").strip()[-2000:]
        raise Failed(f"the suite gave no report on {side} (status {status}):\n{output}") from None
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / f"{side}.json").write_bytes(stdout)
    assert isinstance(found, dict)
    return found


def on_the_real_kvm(lab: Lab, side: str, words: list[str]) -> dict[str, Any]:
    """The suite's report on the lab's KVM. Raises Failed."""
    kernel, cpu = lab.description["kernel"], lab.description["cpu"]
    print(f"lab: {side}: KVM of Linux {kernel} on {cpu}: running the suite", flush=True)
    argv = ["guestdbg", "check", "--provider", "host", "--json", *words]
    result = lab.run(argv, timeout=SECONDS)
    return report_of(side, result.status, result.stdout, result.stderr)


def on_the_software_kvm(linux: str, words: list[str]) -> dict[str, Any]:
    """The suite's report on the software KVM, as this kernel version. Raises Failed."""
    print(f"lab: soft: the software KVM as Linux {linux}: running the suite", flush=True)
    words = ["--linux", linux, "--cpu", software_options(linux)["cpu"], *words]
    program = "from guestdbg.cli import main; main(prog_name='guestdbg')"
    command = [sys.executable, "-c", program, "check", "--provider", "soft", "--json", *words]
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS
    )
    return report_of("soft", done.returncode, done.stdout, done.stderr)


def random_programs(lab: Lab, side: str, number: int, seed: int) -> Report:
    """Plays random programs from a seed on, on both sides, and a quarter more with interrupts.

    Prints unexplained differences.
    """
    last = seed + number - 1
    print(f"lab: {side} and soft: random programs of seeds {seed} to {last}", flush=True)
    programs = Programs(seed, number, with_interrupts=number // 4)
    report = compare_programs(programs, LabSides(lab), shrink=_SHRUNK)
    for each in report.unexplained:
        if (found := each.finding) is None:
            continue
        print("\n".join(program_lines(found.program, instruction)))
        print(
            "\n".join(comparison_lines(found.a, found.b, ("soft", side), found.difference)) + "\n"
        )
    print(f"lab: {report.counts}", flush=True)
    return report


def print_verdicts(cases: list[Judged], real: str) -> int:
    """Prints cases with a failure or a skip on one side, and totals. Returns the exit status."""
    for case in cases:
        if case.is_wrong or case.is_one_sided:
            for side, found in ((real, case.real), ("soft", case.soft)):
                reason = found["reason"] if found else ""
                print(f"  {case.name:44} {side:10} {case.verdict(found):8} {reason}".rstrip())
    for side, verdicts in (
        (real, Counter(case.verdict(case.real) for case in cases)),
        ("soft", Counter(case.verdict(case.soft) for case in cases)),
    ):
        total = ", ".join(f"{n} {verdict}" for verdict, n in sorted(verdicts.items()))
        print(f"lab: {side}: {total}")
    wrong = sum(case.is_wrong for case in cases)
    one_sided = sum(case.is_one_sided for case in cases)
    print(
        f"lab: {len(cases)} cases: {wrong} failed or differ, {one_sided} could be judged on one "
        f"side only; reports are in {REPORTS.relative_to(ROOT)}"
    )
    return 1 if wrong or not cases else 0


@click.command(help=__doc__.partition("\n")[0])
@lab_options
@click.option("--programs", type=click.IntRange(min=0), help="Number of random programs.")
@click.option("--seed", default=SEED, show_default=True, help="Seed of the first random program.")
@click.option("-k", "patterns", multiple=True, metavar="PATTERN", help="Only these cases.")
def command(
    chosen: dict[str, Any], programs: int | None, seed: int, patterns: tuple[str, ...]
) -> int:
    is_other = is_other_machine(chosen)
    if programs is None:
        # The rules are written for Debian's kernels in nVHE and VHE mode, on QEMU's usual machine.
        programs = 0 if patterns or is_other else PROGRAMS
    words = [word for pattern in patterns for word in ("-k", pattern)]
    side = side_name(chosen)
    began = time.monotonic()
    try:
        select(patterns)
        with Lab(**chosen) as lab:
            real = on_the_real_kvm(lab, side, words)
            soft = on_the_software_kvm(software_version(lab.description["kernel"]), words)
            report = random_programs(lab, side, programs, seed) if programs else None
    except (Failed, GuestdbgError, subprocess.TimeoutExpired) as error:
        said = describe(error) if isinstance(error, GuestdbgError) else str(error)
        print(f"lab: {said}", file=sys.stderr)
        return 1
    status = print_verdicts(compare(real, soft), side)
    if report is not None and report.unexplained:
        status = 1
    print(f"lab: {time.monotonic() - began:.0f} seconds")
    return status


def is_other_machine(chosen: dict[str, Any]) -> bool:
    """Whether this is not a machine that the rules for random programs describe."""
    return any(chosen[n] for n in ("append", "machine", "qemu"))


def side_name(chosen: dict[str, Any]) -> str:
    """The name of the lab's side, which its report has too: "host-nvhe", "host-vhe-trixie"."""
    words = ["host", chosen["cpu"]]
    if chosen["suite"] != SUITE:
        words.append(chosen["suite"])
    words += [chosen[name] for name in ("machine", "append") if chosen[name]]
    if chosen["qemu"]:
        words.append(Path(chosen["qemu"]).name)
    return re.sub(r"[^A-Za-z0-9=.,_-]+", "_", "-".join(words))


def main() -> int:
    """Runs the command. Returns its exit status."""
    try:
        status: int = command.main(prog_name="tools/lab.py", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return status


if __name__ == "__main__":
    sys.exit(main())
