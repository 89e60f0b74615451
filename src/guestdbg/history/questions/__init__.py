"""Questions about all that happened in an interval of the history, and where values came from.

intervals        parts of the history between checkpoints, which are repeated one by one
repeating        repeating such a part with points installed, and what they have seen
ahead            what others find in later parts meanwhile
access_table     accesses, values and calls, as they are given to the user
call_result      one call of a function
as_tables        accesses, values and calls for pandas, Polars and the like
accesses         every access to a variable
values           the value of a variable over time
arrivals         every execution of an instruction
procedure_calls  arguments and results of functions, in registers
calls            every call of a function, with its arguments and what it returned
instructions     the instructions that a vCPU executed before a time
origin_result    where a value came from, as a chain of steps
origin           following a value back
"""

from guestdbg.history.questions.access_table import Accesses, AccessRow, Calls, Value, Values
from guestdbg.history.questions.call_result import Call
from guestdbg.history.questions.origin_result import Origin, OriginStep

__all__ = ["AccessRow", "Accesses", "Call", "Calls", "Origin", "OriginStep", "Value", "Values"]
