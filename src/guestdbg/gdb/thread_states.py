"""Which vCPUs run and which are stopped, as the client knows it; stop events it has not seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from guestdbg.debugger.execution import ResumeAction
from guestdbg.gdb import thread_id
from guestdbg.gdb.stop_reply import NO_SIGNAL, SIGTRAP, StopEvent

__all__ = ["ThreadStates"]


class ThreadStates:
    """The states of a guest's vCPUs. A vCPU is named by its index, counted from 0.

    In all-stop mode all vCPUs stop together, and the client gets one stop reply. In non-stop mode
    each stops by itself. The client is then notified of the first stop event, and fetches the
    others one by one with vStopped ("Debugging with GDB", appendix E.11).

    Attributes:
        count: the number of vCPUs.
        general: the vCPU whose registers and memory packets access (``Hg``).
        resumed_by_c: the vCPU that ``c`` and ``s`` resume (``Hc``), or ``thread_id.ALL``.
        non_stop: the client has selected non-stop mode.
        resume_actions: the vCPUs that run, each with its action. Empty: the guest is stopped.
        stop_events: the last stop event of each stopped vCPU.
        stop_queue: the stop events that the client has not fetched; it was sent the first one.
        pending_events: stop events that join the queue when the client has fetched all in it.
    """

    def __init__(self, count: int, general: int) -> None:
        self.count = count
        self.general = general
        self.resumed_by_c = thread_id.ALL
        self.non_stop = False
        self.resume_actions: dict[int, ResumeAction] = {}
        self.stop_events = self._all_stopped()
        self.stop_queue: deque[StopEvent] = deque()
        self.pending_events: list[StopEvent] = []

    def _all_stopped(self) -> dict[int, StopEvent]:
        return {index: StopEvent(index, SIGTRAP) for index in range(self.count)}

    def all_actions(self) -> dict[int, ResumeAction]:
        """The actions that let all vCPUs run."""
        return dict.fromkeys(range(self.count), ResumeAction())

    def resumed(self, actions: Mapping[int, ResumeAction]) -> None:
        """These vCPUs are resumed; the others stay as they are."""
        for index in actions:
            self.stop_events.pop(index, None)
        self.resume_actions.update(actions)

    def stopped(self, event: StopEvent) -> None:
        """One vCPU has stopped; in all-stop mode the others with it."""
        self.stop_events[event.index] = event
        if self.non_stop:
            self.resume_actions.pop(event.index, None)
        else:
            self.resume_actions.clear()
            # From a stop reply on, the client takes its thread as the selected one.
            self.general = event.index

    def all_stopped(self, general: int) -> None:
        """All vCPUs are stopped, and none has a reason: the client has attached, or the guest was
        reset."""
        self.resume_actions.clear()
        self.general = general
        self.stop_events = self._all_stopped()

    def none_runs(self) -> None:
        """No vCPU runs any more, and the client gets no stop events: the guest has ended."""
        self.resume_actions.clear()

    def stop_reason_event(self) -> StopEvent:
        """What ``?`` reports in all-stop mode.

        A vCPU that stopped because another one did may have no event: then it is the newest one.
        """
        return self.stop_events.get(self.general) or [*self.stop_events.values()][-1]

    # ---- non-stop mode -----------------------------------------------------------------------

    def set_non_stop(self, on: bool) -> None:
        """Select non-stop or all-stop mode."""
        self.non_stop = on
        if not on:
            self.stop_queue.clear()

    def queue(self, event: StopEvent) -> bool:
        """Queue a stop event; whether the client is to be notified now.

        The queue has one event of a vCPU at most, besides the first, which was sent already: a
        client may stop and resume a vCPU without ever fetching.
        """
        sent, later = list(self.stop_queue)[:1], list(self.stop_queue)[1:]
        self.stop_queue = deque(sent + [one for one in later if one.index != event.index])
        self.stop_queue.append(event)
        return len(self.stop_queue) == 1

    def fetched(self) -> StopEvent | None:
        """The client has fetched the first event of the queue: the next one, if there is one."""
        if self.stop_queue:
            self.stop_queue.popleft()
        return self.stop_queue[0] if self.stop_queue else None

    def take_pending(self) -> list[StopEvent]:
        """The pending events, which are pending no more."""
        events, self.pending_events = self.pending_events, []
        return events

    def requeue_all(self) -> StopEvent | None:
        """Queue the events of all stopped vCPUs anew, for ``?``; the first, if there is one.

        GDB 13.1 stops with an internal error if ``?`` and the vStopped after it give it more than
        one event. The others are therefore pending, and are notified separately.
        """
        events = [self.stop_events[index] for index in sorted(self.stop_events)]
        self.stop_queue.clear()
        self.stop_queue.extend(events[:1])
        self.pending_events = [
            event if event.stop is not None else StopEvent(event.index, NO_SIGNAL)
            for event in events[1:]
        ]
        return events[0] if events else None

    def forget_unfetched(self) -> None:
        """Drop the stop events that the client has not fetched."""
        self.stop_queue.clear()
        self.pending_events.clear()
