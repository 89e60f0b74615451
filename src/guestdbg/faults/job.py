"""The cases of a fault campaign as its job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from guestdbg.guest_campaign import GuestJob
from guestdbg.guest_campaign.runner import GuestRunner, Played
from guestdbg.tables import Column

if TYPE_CHECKING:
    from guestdbg.campaign import Case, Minimised, Result
    from guestdbg.debugger import Guest
    from guestdbg.faults.space import Fault, FaultSpace
    from guestdbg.guest_campaign import CaseRun, Limits, Outcome, Rules, Variation
    from guestdbg.guest_campaign.console import CaseConsole

__all__ = ["FAULT_COLUMNS", "FaultJob"]

#: What the results have of each fault, beside the columns of all cases of a guest.
FAULT_COLUMNS = (
    Column(
        "fault_at", "u64", "instructions from the guest's start up to the fault", "instructions"
    ),
    Column("fault_pc", "u64", "the instruction with the fault", "address"),
    Column("symbol", "text", "the same by name"),
    Column("file", "text", "its source file", optional=True),
    Column("line", "u32", "its source line", optional=True),
    Column("instruction", "text", "its disassembly"),
    Column("model", "text", "the fault model"),
    Column("target", "text", "the register, variable or instruction that is changed"),
    Column("bit", "u32", "the bit that is inverted", optional=True),
)


class _Vary:
    """The variation of each case: its fault."""

    def __init__(self, space: FaultSpace) -> None:
        self.space = space

    def __call__(self, case: Case) -> Variation:
        return self.space.fault(case.number).variation


class FaultJob(GuestJob):
    """Runs each case from the same snapshot of a guest, with one fault.

    Args:
        space: the faults.
        base: instructions from where the user's guest was to where the cases begin.
        others: as of ``GuestJob``.
    """

    columns: ClassVar[Sequence[Column]] = (*GuestJob.columns, *FAULT_COLUMNS)

    def __init__(
        self,
        start: str,
        space: FaultSpace,
        limits: Limits,
        rules: Rules,
        options: Mapping[str, Any],
        base: int,
    ) -> None:
        super().__init__(start, _Vary(space), limits, rules, options)
        self.space = space
        self.base = base

    def make_runner(self, guest: Guest, console: CaseConsole) -> FaultRunner:
        return FaultRunner(
            self.space, self.base, guest, console, self.vary, self.limits, self.rules
        )


class FaultRunner(GuestRunner):
    """Runs cases, and says of each what its fault was."""

    def __init__(self, space: FaultSpace, base: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._space = space
        self._base = base

    def play(
        self,
        case: Case,
        variation: Variation | None = None,
        begin: Callable[[], None] | None = None,
    ) -> Played:
        run, result = super().play(case, variation, begin)
        values = (*result.values, *self._values(self._space.fault(case.number)))
        return Played(run, result._replace(values=values))

    def _values(self, fault: Fault) -> tuple[object, ...]:
        model, (when, site, _), (target, bit) = fault
        return (
            self._base + when,
            site.pc,
            site.symbol,
            site.file,
            site.line,
            site.text,
            model.name,
            target,
            bit,
        )

    def _signature(self, run: CaseRun, outcome: Outcome) -> str:
        """The class, the model, and where the fault was: not where that led."""
        fault = self._space.fault(run.case.number)
        return f"{outcome.name}: {fault.model.name} at {fault.place.site}"

    def minimise(self, case: Case, result: Result) -> Minimised | None:
        """There is nothing smaller than one fault."""
        return None
