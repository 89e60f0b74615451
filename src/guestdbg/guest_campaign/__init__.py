"""Thousands of runs of one guest from one place, each a little different: ``guest.campaign``.

errors        what cannot be done
changes       what differs from case to case: memory, registers, console, disks; now or later
limits        how long a case may run
rules         what an outcome is called
console       what a guest prints during a case
minimising    the smallest change that fails in the same way
runner        runs one case after the other on one guest
job           the same as the job of a campaign (``guestdbg.campaign``)
make          ``guest.campaign``
replay        a case again, with its guest
generators    random bytes and mutations, for those who write no program
toml_file     a campaign as TOML
campaign_file a campaign as a file, of Python or TOML
"""

from guestdbg.guest_campaign.changes import (
    At,
    BytesChange,
    Change,
    ConsoleInput,
    DiskData,
    Memory,
    Registers,
    Variation,
)
from guestdbg.guest_campaign.errors import CampaignFileError, DoesNotFit
from guestdbg.guest_campaign.job import GuestJob
from guestdbg.guest_campaign.limits import Limits
from guestdbg.guest_campaign.make import campaign
from guestdbg.guest_campaign.replay import Replay
from guestdbg.guest_campaign.rules import FAILURES, CaseRun, Outcome, Rules

__all__ = [
    "FAILURES",
    "At",
    "BytesChange",
    "CampaignFileError",
    "CaseRun",
    "Change",
    "ConsoleInput",
    "DiskData",
    "DoesNotFit",
    "GuestJob",
    "Limits",
    "Memory",
    "Outcome",
    "Registers",
    "Replay",
    "Rules",
    "Variation",
    "campaign",
]
