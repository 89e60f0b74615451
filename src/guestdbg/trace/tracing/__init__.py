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
writers        which form a file has, by the ending of its name
"""

from guestdbg.trace.tracing.errors import TracingError
from guestdbg.trace.tracing.event import About, Event, EventKind, EventWriter, Task

__all__ = ["About", "Event", "EventKind", "EventWriter", "Task", "TracingError"]
