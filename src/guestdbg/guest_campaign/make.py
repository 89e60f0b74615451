"""``guest.campaign``: a campaign whose cases begin where a guest is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from guestdbg.campaign import Campaign, CampaignError
from guestdbg.guest_campaign.job import GuestJob, VaryFromList, start_of
from guestdbg.guest_campaign.limits import Limits
from guestdbg.guest_campaign.rules import FAILURES, Rules

if TYPE_CHECKING:
    from guestdbg.campaign import Case
    from guestdbg.debugger import Guest
    from guestdbg.guest_campaign.changes import Variation
    from guestdbg.guest_campaign.rules import Classifier

__all__ = ["campaign"]


def campaign(
    guest: Guest,
    directory: str | os.PathLike[str],
    vary: Callable[[Case], Variation] | Sequence[Variation],
    cases: int | None = None,
    *,
    seed: int = 0,
    points: Mapping[str | int, str] | None = None,
    watches: Mapping[str, str] | None = None,
    console: Mapping[str, str] | None = None,
    exceptions: bool = False,
    failures: Iterable[str] = FAILURES,
    classify: Classifier | None = None,
    max_instructions: int = 100_000_000,
    guest_seconds: float | None = None,
    timeout: float | None = None,
    options: Mapping[str, Any] | None = None,
    title: str = "",
    worker_seconds: float | None = 60.0,
) -> Campaign:
    """Make a campaign in a new directory: every case begins where the guest is now.

    The guest is not changed, and not needed any more. Its points do not belong to the cases.

    Args:
        guest: the guest, stopped.
        directory: where the campaign is; it must not exist.
        vary: called with each ``Case``, gives what differs in it: a change, or several; or a
            sequence of these, one for each case.
        cases: how many; None: as many as the sequence has; or, for a function, no end.
        seed: of all that is random.
        points: locations of code (``"parse_error if x0 == 3"``), and the outcome if one is
            reached; see ``Rules`` for this and the next ones.
        watches: watches (``"queue.tail:w"``), and the outcome.
        console: regular expressions, and the outcome if what was printed matches.
        exceptions: a synchronous exception from EL1 is the outcome ``"exception"``.
        failures: the outcomes that are failures.
        classify: a function that has the last word: called with a ``CaseRun``, it returns an
            outcome (a str or an ``Outcome``), or None.
        max_instructions, guest_seconds, timeout: see ``Limits``; ``timeout`` is its ``seconds``.
        options: what a snapshot does not have and its guest needs again: ``semihosting``,
            ``drives``, ``net``, ``devices``, ``vmlinux``, ``modules``, as for ``guestdbg.load``.
        title: for people.
        worker_seconds: a worker that takes longer for one case is ended.

    Raises:
        CampaignError: the directory exists or cannot be written, or an argument cannot be. What it
            says of points, names and expressions comes here, and not in each worker.
        BadSnapshot, Unsupported, ContainerError: the guest cannot be saved: see ``Guest.save``.
    """
    if not callable(vary):
        if not isinstance(vary, Sequence):
            raise CampaignError(
                f"vary is {vary!r:.80}: it must be a function, or a sequence of variations"
            )
        cases = len(vary) if cases is None else cases
        if cases > len(vary):
            raise CampaignError(f"{cases} cases, and {len(vary)} variations: give one for each")
        vary = VaryFromList(vary)
    rules = Rules(
        dict(points or {}),
        dict(watches or {}),
        dict(console or {}),
        exceptions,
        frozenset(failures),
        classify,
    )
    limits = Limits(max_instructions, guest_seconds, timeout)
    start = start_of(guest)
    made = GuestJob("", vary, limits, rules, options or {})
    # What is wrong with it is said now.
    from guestdbg.campaign.worker import digest_of

    made.start = digest_of(start)
    with made.load(lambda digest: start) as loaded:
        made.runner(loaded).close()
    about = {
        "guest": ", ".join(image.path.name for image in guest.images) or "no symbols",
        "start": str(guest.cpu.location),
    }
    return Campaign.create(
        directory,
        made,
        cases,
        seed=seed,
        files=[start],
        title=title,
        about=about,
        seconds=worker_seconds,
    )
