"""A case of a campaign again, with its guest where it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from guestdbg.campaign import CampaignError
from guestdbg.closing import Closing
from guestdbg.guest_campaign.job import GuestJob
from guestdbg.guest_campaign.minimising import unpickled

if TYPE_CHECKING:
    from guestdbg.campaign import Campaign, Case
    from guestdbg.debugger import Guest, SavedGuest
    from guestdbg.guest_campaign.runner import GuestRunner

__all__ = ["Replay"]


class Replay(Closing):
    """Runs a case of a campaign again, in this process.

    This executes the functions that the campaign has. The guest is where the case ended, with its
    history: it can go back.

    Args:
        campaign: the campaign.
        number: of the case.
        minimised: with what remains of the case when it was minimised.
        history: whether the guest can go back.
        console: gets what the guest prints, while it runs and afterwards.

    Attributes:
        case: the case.
        run: how it ended; None: its variation could not be made.
        result: what came of it, as the results of the campaign have it.
        guest: where the case ended.

    Raises:
        CampaignError: there is no such case, or it is none of a guest; it was not minimised.
    """

    def __init__(
        self,
        campaign: Campaign,
        number: int,
        *,
        minimised: bool = False,
        history: bool = True,
        console: Callable[[bytes], object] | None = None,
    ) -> None:
        self.case: Case = campaign.case(number)
        self._campaign = campaign
        job = campaign.job
        if not isinstance(job, GuestJob):
            raise CampaignError(f"{campaign.directory}: the cases are none of a guest")
        self._job = job
        variation = None
        if minimised:
            variation = self._minimised(number)
        self._loaded: SavedGuest = job.load(campaign.contents)
        try:
            self._runner: GuestRunner = job.runner_with(self._loaded, console)
        except BaseException:
            self._loaded.close()
            raise
        self.guest: Guest = self._runner.guest
        try:
            begin = self.guest.history.start if history else None
            self.run, self.result = self._runner.play(self.case, variation, begin)
        except BaseException:
            self.close()
            raise

    def _minimised(self, number: int) -> Any:
        for failure in self._campaign.summary().failures:
            if failure.case == number and failure.minimised is not None:
                if failure.minimised.data is None:
                    raise CampaignError(f"case {number}: {failure.minimised.text}")
                return unpickled(failure.minimised.data)
        raise CampaignError(
            f"case {number} was not minimised: of each failure that is the first case with it"
        )

    @property
    def differences(self) -> Mapping[str, tuple[Any, Any]]:
        """By column, what the campaign has found and what came of it now, where that differs.

        Empty if it has no result yet. There should be none: what a case does follows from its
        seed. The wall time, or a classifier that keeps something, may change it.
        """
        kept = self._campaign.result(self.case.number)
        if kept is None:
            return {}
        now = {
            "outcome": self.result.outcome,
            "failure": int(self.result.failure),
            **dict(zip((c.name for c in self._job.columns), self.result.values, strict=True)),
        }
        return {name: (kept[name], now[name]) for name in now if kept[name] != now[name]}

    def close(self) -> None:
        """Close the guest. Closing twice does nothing."""
        self._runner.close()
        self._loaded.close()
