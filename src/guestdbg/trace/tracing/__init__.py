"""A trace: what happened in a guest, one event after the other.

errors         the exception
event          what a trace consists of, and what a form of file has to offer
call_stack     calls and returns matched
slices         events as viewers show them
protobuf       protocol buffers
perfetto       slices in Perfetto's form
chrome         slices in the JSON of Chrome's viewer
streamed_file  a file that grows, and can be opened at any time
slice_writer   a file for a viewer of timelines
json_lines     a trace as lines of JSON
flow_records   the provider's records of calls, returns, exceptions and contexts
guest_names    names of functions and tasks, for writers
hit_record     a hit as an event's detail
call_arguments the arguments of calls
event_table    events as a table
places         where a trace begins and ends
tracer         ``guest.trace()``: on, off, and what it has
instruction_tracer  a trace of every instruction, in a file
instructions   what each instruction did: its binary file, and other forms of it
writers        which form a file has, by the ending of its name

There are more than fifteen modules because each form of file and each kind of event has one of
its own.
"""

from guestdbg.trace.tracing.errors import TracingError
from guestdbg.trace.tracing.event import About, Event, EventKind, EventWriter, Task
from guestdbg.trace.tracing.instruction_tracer import InstructionTrace
from guestdbg.trace.tracing.tracer import Trace

__all__ = [
    "About",
    "Event",
    "EventKind",
    "EventWriter",
    "InstructionTrace",
    "Task",
    "Trace",
    "TracingError",
]
