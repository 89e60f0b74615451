"""A trace: what happened in a guest, one event after the other.

event  what a trace consists of, and what a form of file has to offer
"""

from guestdbg.trace.tracing.event import About, Event, EventKind, EventWriter, Task

__all__ = ["About", "Event", "EventKind", "EventWriter", "Task"]
