"""Compares many programs on two KVMs: a campaign, with a case for each program."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guestdbg.arm64.disassembly import instruction
from guestdbg.campaign import (
    Campaign,
    CampaignError,
    Job,
    Minimised,
    Result,
    Runner,
)
from guestdbg.check.differential.findings import Finding, Side, judge, shrink
from guestdbg.check.differential.generate import generate
from guestdbg.check.differential.program import Program, ProgramError
from guestdbg.check.differential.report import Report, Unexplained
from guestdbg.check.differential.show import comparison_lines, program_lines
from guestdbg.check.differential.trace import Where
from guestdbg.tables import Column

if TYPE_CHECKING:
    from guestdbg.campaign import (
        Case,
        Progress,
    )
    from guestdbg.check.differential.trace import TraceLine

__all__ = ["DifferentialJob", "Programs", "compare", "make", "make_or_resume", "report_of"]

SAME, EXPLAINED, UNEXPLAINED, UNSTEADY = "same", "explained", "unexplained", "unsteady"

#: Makes the two KVMs, the software KVM first.
Sides = Callable[[], AbstractContextManager[tuple[Side, Side]]]


@dataclass(frozen=True, slots=True)
class Programs(Sequence[Program]):
    """Random programs of the seeds from ``first`` on.

    Attributes:
        first: the first seed.
        number: how many.
        with_interrupts: how many more with interrupts, from the same seed on.
    """

    first: int
    number: int
    with_interrupts: int = 0

    def __len__(self) -> int:
        return self.number + self.with_interrupts

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        if number < self.number:
            return generate(self.first + number)
        return generate(self.first + number - self.number, with_interrupts=True)


class DifferentialJob(Job):
    """Programs on two KVMs."""

    columns = (
        Column("program", "text", "name of the program: its seed"),
        Column("exits", "u64", "exits on the first KVM"),
        Column("kicked", "u8", "1: it did not stop by itself"),
        Column("rule", "text", "the rule that explains the difference"),
        Column("a", "text", "the first KVM: provider, kernel, MIDR_EL1"),
        Column("b", "text", "the second one"),
    )

    def __init__(self, programs: Programs, sides: Sides) -> None:
        self.programs = programs
        self.sides = sides

    def runner(self, loaded: Any) -> Runner:
        return DifferentialRunner(self)


class DifferentialRunner(Runner):
    """Plays programs on both. A KVM that is far away plays several at a time."""

    def __init__(self, job: DifferentialJob) -> None:
        self._programs = job.programs
        self._found: dict[int, tuple[Result, Finding | None]] = {}
        with contextlib.ExitStack() as stack:
            self._a, self._b = stack.enter_context(job.sides())
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Closes both."""
        self._stack.close()

    def prepare(self, cases: Sequence[Case]) -> None:
        numbers = [case.number for case in cases]
        self._found = dict(zip(numbers, self._compare(numbers), strict=True))

    def run(self, case: Case) -> Result:
        return self._case(case)[0]

    def _case(self, case: Case) -> tuple[Result, Finding | None]:
        found = self._found.pop(case.number, None)
        if found is None:
            (found,) = self._compare([case.number])
        return found

    def _compare(self, numbers: Sequence[int]) -> list[tuple[Result, Finding | None]]:
        programs = [self._programs[number] for number in numbers]
        lines = list(zip(self._a.brief(programs), self._b.brief(programs), strict=True))
        differ = [p for p, (x, y) in zip(programs, lines, strict=True) if x.digest != y.digest]
        findings = dict(zip((p.name for p in differ), judge(differ, self._a, self._b), strict=True))
        return [
            self._result(program, x, y, findings.get(program.name))
            for program, (x, y) in zip(programs, lines, strict=True)
        ]

    def _result(
        self, program: Program, x: TraceLine, y: TraceLine, found: Finding | str | None
    ) -> tuple[Result, Finding | None]:
        finding = found if isinstance(found, Finding) else None
        rule = finding.rule.name if finding is not None and finding.rule is not None else ""
        kicked = int(x.kicked or y.kicked)
        values = (program.name, x.exits, kicked, rule, _text(x.where), _text(y.where))
        if finding is None:
            return Result(UNSTEADY if found else SAME, values=values), None
        if rule:
            return Result(EXPLAINED, detail=rule, values=values), None
        signature = finding.difference.signature
        result = Result(UNEXPLAINED, True, signature, program.name, values, lambda: shown(finding))
        return result, finding

    def minimise(self, case: Case, result: Result) -> Minimised | None:
        _, finding = self._case(case)
        if finding is None or finding.difference.signature != result.signature:
            return None
        small = shrink(finding, self._a, self._b)
        return Minimised(shown(small), small.dumps())


def shown(finding: Finding) -> str:
    """A program, and the two traces where they differ."""
    names = (finding.a.where.provider, finding.b.where.provider)
    lines = [*program_lines(finding.program, instruction), ""]
    lines += comparison_lines(finding.a, finding.b, names, finding.difference)
    return "\n".join(lines)


def _text(where: Where) -> str:
    return f"{where.provider} {where.linux} {where.midr:#x}"


def _where(text: str) -> Where:
    provider, linux, midr = text.rsplit(" ", 2)
    return Where(provider, linux, int(midr, 16))


def make(
    directory: Path, programs: Programs, sides: Sides, options: Mapping[str, object] | None = None
) -> Campaign:
    """A campaign in a new directory. ``options``: those of the KVMs, for people.

    Raises CampaignError: the directory exists, or cannot be written.
    """
    title = f"{len(programs)} random programs from seed {programs.first} on, on two KVMs"
    job = DifferentialJob(programs, sides)
    about = _about(programs, options or {})
    return Campaign.create(directory, job, len(programs), title=title, about=about, seconds=None)


def make_or_resume(
    directory: Path, programs: Programs, sides: Sides, options: Mapping[str, object]
) -> Campaign:
    """The campaign in a directory, or a new one if there is none.

    Raises CampaignError: the one that is there has other programs, or other KVMs.
    """
    if not directory.exists():
        return make(directory, programs, sides, options)
    campaign = Campaign(directory)
    about = _about(programs, options)
    if campaign.manifest.about != about:
        raise CampaignError(
            f"{directory}: the campaign in it is another one: {dict(campaign.manifest.about)}, "
            f"not {about}"
        )
    return campaign


def _about(programs: Programs, options: Mapping[str, object]) -> dict[str, str]:
    chosen = ", ".join(f"{name}={value}" for name, value in sorted(options.items()) if value)
    return {"programs": repr(programs), "options": chosen}


def compare(
    programs: Programs,
    sides: Sides,
    *,
    shrink: int = 0,
    on_progress: Callable[[Progress], object] | None = None,
) -> Report:
    """Compare programs in this process, and keep nothing.

    ``shrink``: so many unexplained differences are made small, which the report then has.

    Raises:
        ProgramError: a program could not be played.
    """
    with tempfile.TemporaryDirectory(prefix="guestdbg-differential-") as directory:
        campaign = make(Path(directory) / "campaign", programs, sides)
        campaign.run(workers=0, minimise=shrink, on_progress=on_progress)
        return report_of(campaign)


def report_of(campaign: Campaign) -> Report:
    """What a campaign has found so far.

    Raises:
        ProgramError: a program could not be played; the others have results.
    """
    report = Report()
    summary = campaign.summary()
    small = {each.case: each.minimised for each in summary.failures}
    for row in campaign.to_arrow().to_pylist():
        if row["outcome"] not in (SAME, EXPLAINED, UNEXPLAINED, UNSTEADY):
            broken = next(each for each in summary.failures if each.outcome == row["outcome"])
            raise ProgramError(
                f"{broken.count} programs were not compared: {broken.detail}\n{broken.evidence}"
            )
        report.sides = _where(row["a"]), _where(row["b"])
        report.compared += 1
        report.exits += row["exits"]
        if row["kicked"]:
            report.kicked.append(row["program"])
        if row["rule"]:
            report.explained[row["rule"]] += 1
        if row["outcome"] == UNSTEADY:
            report.unsteady.append(row["program"])
        if row["outcome"] == UNEXPLAINED:
            found = small.get(row["case"])
            data = found.data if found is not None else None
            finding = Finding.loads(data) if data is not None else None
            report.unexplained.append(Unexplained(row["program"], row["signature"], finding))
    return report
