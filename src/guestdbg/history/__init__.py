"""The past of a guest: going back to it, and asking who did what there.

``guest.history`` gives it. The software provider's guests are deterministic: from a snapshot, with
the same inputs and the same turns of the vCPUs, a guest does the same again. So what is kept is
little, and everything else is computed when it is asked for.

errors           the exceptions
turns            which vCPU ran how long, in its order
recorded_inputs  what came in from outside
thinning         which snapshots to do without
checkpoints      snapshots of the run, within a budget
aside            where the guest is left when it goes elsewhere
recorded_run     what was noted of a run, apart from the guest
filling          snapshots of a run from a file, taken as it is repeated
recorder         what is noted while the guest runs
waypoints        snapshots on the way to where something was looked for
travel           going to a time
run_file         a run in a file: writing it, and a guest that repeats it
search           the last and the next hit of a point
questions        all that happened in an interval, and where values came from
frame_walk       back through what a vCPU executed, over calls and handlers
side_by_side     questions answered by several processes
reverse_steps    back by line, over calls, and out of functions
history          ``History``, which brings all of this together

There are more than fifteen modules because what is noted, what is kept of it, how it is repeated
and what is asked have their own.
"""

from typing import TYPE_CHECKING

from guestdbg.history.errors import (
    BudgetTooSmall,
    HistoryError,
    HistoryInterrupted,
    HistoryUnavailable,
    InThePast,
    NotRecorded,
    OutsideHistory,
)
from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.history.history import History
    from guestdbg.history.questions import (
        Accesses,
        AccessRow,
        Call,
        Calls,
        Origin,
        OriginStep,
        Value,
        Values,
    )

__all__ = [
    "AccessRow",
    "Accesses",
    "BudgetTooSmall",
    "Call",
    "Calls",
    "History",
    "HistoryError",
    "HistoryInterrupted",
    "HistoryUnavailable",
    "InThePast",
    "NotRecorded",
    "Origin",
    "OriginStep",
    "OutsideHistory",
    "Value",
    "Values",
]

# Servers and the command line need the errors; most guests have no history.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.history.history": ("History",),
        "guestdbg.history.questions": (
            "AccessRow",
            "Accesses",
            "Call",
            "Calls",
            "Origin",
            "OriginStep",
            "Value",
            "Values",
        ),
    },
)
