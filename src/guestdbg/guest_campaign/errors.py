"""What goes wrong with the cases of a guest."""

from guestdbg.campaign import CampaignError

__all__ = ["CampaignFileError", "DoesNotFit", "VariationError"]


class DoesNotFit(CampaignError):
    """A variation cannot be applied to this guest: too many bytes, no such register, no memory."""


class VariationError(CampaignError):
    """A change has raised what is no error of the debugger; that is its cause."""


class CampaignFileError(CampaignError):
    """A file that describes a campaign cannot be used; the text says where and why."""
