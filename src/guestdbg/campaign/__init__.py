"""Many runs of one thing: cases, their results, and what to do when something breaks on the way.

It knows no guest: a campaign runs a ``Job``, which makes a ``Runner`` in each worker, which turns
each ``Case`` into a ``Result``. ``guestdbg.guest_campaign`` has such a job for guests.

errors     what goes wrong
case       a case, and its random numbers
job        what is run, and what comes of it
only_here  what cannot be sent to workers
minimise   delta debugging
schedule   which cases are next
journal    a file of lines that are whole
results    the results, in Parquet files
failures   the same failure once, and counted
deaths     workers that have died, and why
progress   counts, rate and an estimate
worker     what runs in a worker
executors  local processes, a Dask cluster, any executor
directory  the files of a campaign
run        one run of it, until all cases have results
campaign   ``Campaign``, which brings all of this together

There are more than fifteen modules because each form of file has one of its own, and each thing
that can go wrong with workers.
"""

from guestdbg.campaign.campaign import Campaign, Summary
from guestdbg.campaign.case import Case
from guestdbg.campaign.deaths import Death
from guestdbg.campaign.errors import CampaignError, ExecutorLost
from guestdbg.campaign.failures import Failure
from guestdbg.campaign.job import Contents, Job, Minimised, Result, Runner
from guestdbg.campaign.minimise import Budget, simplest_bytes, smallest
from guestdbg.campaign.only_here import OnlyHere
from guestdbg.campaign.progress import Progress

__all__ = [
    "Budget",
    "Campaign",
    "CampaignError",
    "Case",
    "Contents",
    "Death",
    "ExecutorLost",
    "Failure",
    "Job",
    "Minimised",
    "OnlyHere",
    "Progress",
    "Result",
    "Runner",
    "Summary",
    "simplest_bytes",
    "smallest",
]
