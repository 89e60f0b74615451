"""What goes wrong with a campaign."""

from guestdbg.errors import GuestdbgError

__all__ = ["CampaignError", "ExecutorLost", "RunnerNotMade"]


class CampaignError(GuestdbgError):
    """A campaign cannot be made, read or run; the text says why. Its results stay as they are."""


class ExecutorLost(CampaignError):
    """The executor runs nothing any more: it is broken, closed, or cannot be reached.

    What was computed is in the campaign's directory, and the campaign can be resumed.
    """


class RunnerNotMade(CampaignError):
    """``Job.runner`` has raised: no case can be run."""
