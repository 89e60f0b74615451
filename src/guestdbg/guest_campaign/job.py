"""The cases of a guest as the job of a campaign."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from guestdbg.campaign import CampaignError, Job
from guestdbg.container import container_bytes
from guestdbg.debugger import SavedGuest
from guestdbg.debugger.guest_file import guest_sections
from guestdbg.guest_campaign.console import CaseConsole
from guestdbg.guest_campaign.runner import GuestRunner
from guestdbg.machine import Console
from guestdbg.tables import Column

if TYPE_CHECKING:
    from guestdbg.campaign import Case, Contents
    from guestdbg.debugger import Guest
    from guestdbg.guest_campaign.changes import Variation
    from guestdbg.guest_campaign.limits import Limits
    from guestdbg.guest_campaign.rules import Rules
    from guestdbg.guest_campaign.runner import Vary

__all__ = ["GuestJob", "VaryFromList", "start_of"]

_LINUX_FILES = ("vmlinux", "modules")


class VaryFromList:
    """The variation of each case from a sequence, by the case's number."""

    def __init__(self, variations: Sequence[Variation]) -> None:
        self.variations = variations

    def __call__(self, case: Case) -> Variation:
        return self.variations[case.number]


class GuestJob(Job):
    """Runs each case from the same snapshot of a guest.

    Args:
        start: digest of the file with the snapshot, among the files of the campaign.
        vary: gives what differs in a case.
        limits: how long it may run.
        rules: what its outcome is called.
        options: arguments of ``SavedGuest.guest`` for what the snapshot does not have, such as
            ``semihosting``; and ``vmlinux`` and ``modules``, as for ``guestdbg.load``.
    """

    columns: ClassVar[Sequence[Column]] = (
        Column("instructions", "u64", "how many the case has retired", "instructions"),
        Column("pc", "u64", "where the guest stopped", "address"),
        Column("location", "text", "the same by name"),
    )

    def __init__(
        self,
        start: str,
        vary: Vary,
        limits: Limits,
        rules: Rules,
        options: Mapping[str, Any],
    ) -> None:
        self.start = start
        self.vary = vary
        self.limits = limits
        self.rules = rules
        self.options = dict(options)

    def load(self, contents: Contents) -> SavedGuest:
        """The snapshot, expanded: the guests of one process share its memory."""
        return SavedGuest(contents(self.start))

    def runner(self, loaded: SavedGuest) -> GuestRunner:
        return self.runner_with(loaded)

    def runner_with(
        self, loaded: SavedGuest, also: Callable[[bytes], object] | None = None
    ) -> GuestRunner:
        """A runner whose guest's output goes to ``also``, too."""
        console = CaseConsole(self.rules.patterns())

        def printed(data: bytes) -> None:
            console.feed(data)
            if also is not None:
                also(data)

        options = {k: v for k, v in self.options.items() if k not in _LINUX_FILES}
        guest = loaded.guest(console=Console(printed), **options)
        try:
            for name in _LINUX_FILES:
                if self.options.get(name) is not None:
                    getattr(guest.linux, f"use_{name}")(self.options[name])
            return self.make_runner(guest, console)
        except BaseException:
            guest.close()
            raise

    def make_runner(self, guest: Guest, console: CaseConsole) -> GuestRunner:
        """The runner of a guest, for jobs that have one of their own."""
        return GuestRunner(guest, console, self.vary, self.limits, self.rules)


def start_of(guest: Guest) -> bytes:
    """The guest as it is, as the contents of a file: with its symbols, so that it can travel.

    Raises:
        BadSnapshot, Unsupported, ContainerError: see ``Guest.save``.
        CampaignError: it has ended.
    """
    if guest.ended is not None:
        raise CampaignError(
            f"the guest has ended ({guest.ended}): stop it where the cases are to begin"
        )
    sections = guest_sections(guest, guest.snapshot(), guest.origin, with_images=True)
    return container_bytes(sections)
