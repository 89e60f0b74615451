"""The state of one client's session, and what packet handlers can do with it.

``handlers`` call the methods here: resume, halt, detach, and so on. The loop that receives packets
and runs the guest is in ``session``, above the handlers.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from guestdbg.debugger.execution import ResumeAction
from guestdbg.gdb import thread_id
from guestdbg.gdb.breakpoints import ClientBreakpoints
from guestdbg.gdb.end_reason import EndReason
from guestdbg.gdb.packet_channel import PacketChannel
from guestdbg.gdb.register_file import RegisterFile
from guestdbg.gdb.step_flags import StepFlags
from guestdbg.gdb.stop_reply import NO_SIGNAL, SIGINT, SIGTRAP, StopEvent, stop_event
from guestdbg.gdb.task_threads import TaskThreads
from guestdbg.gdb.thread_states import ThreadStates

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, GuestSnapshot, Stop, Watch
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.gdb.connection import Connection
    from guestdbg.gdb.file_io_request import FileIoRequest
    from guestdbg.gdb.task_threads import TaskThread
    from guestdbg.machine import Time

__all__ = ["Handler", "SessionState"]

log = logging.getLogger(__name__)

#: Tracebacks that one client can put into the log.
_MAX_LOGGED_DEFECTS = 20
#: Refused breakpoints of one client that the server's user hears of.
_MAX_REFUSALS = 100


class SessionState(PacketChannel):
    """The session of one client.

    Everything happens in the thread that runs the guest.

    Args:
        guest: the guest.
        connection: the connection to the client.
        console_history: gives the last output of the guest's console.
        announce: called with a line of text for the user of the server.
        stopped: why the guest stopped while no client was attached.

    Attributes:
        guest: the guest.
        execution: the guest's vCPUs.
        registers: the register file.
        breakpoints: the client's breakpoints and watchpoints.
        monitor_watches: the watches of `monitor watch`, by their numbers.
        threads: which vCPUs run, which are stopped, and which are selected.
        tasks: the tasks of a Linux guest, as threads where the user wants that.
        task: the task whose registers and memory packets access, instead of those of a vCPU.
        open_files: the contents of the files that the client has open (vFile), by descriptor.
        features: the features that the client named in qSupported, such as ``"swbreak+"``.
        multiprocess: the client knows the multiprocess extension.
        access_undone_at: the time of the access that was reported as undone, and is undone by the
            next step back.
        end_reported: the client knows that the history ends, where the guest has powered off.
        extended: the client has selected extended mode (``!``, `target extended-remote`).
        forward_console: the guest's console output is shown to the client's user as well.
        last_hit: the last stop at a breakpoint or watchpoint.
        detached: the client has detached from the guest, which runs, and has kept the connection.
        exit_reply: the stop reply for the end of the guest, once it has ended or was killed.
        exit_stop: the Stop with which the guest ended.
        physical_memory: memory packets take physical addresses (``qemu.PhyMemMode``).
        step_flags: what a single step does (``qemu.sstep``).
        snapshots: the snapshots of `monitor snapshot`, by name; later clients have them too.
        stopped: why the guest stopped last: it ended, cannot run on, or hit something. None if it
            only was interrupted, or is resumed.
        interrupt_requested: the client has sent Ctrl-C while the guest ran.
        file_io_request: the File-I/O request that the client performs now.
        is_lldb: the client is LLDB.
        end_reason: how the session ended; None while it goes on.
    """

    def __init__(
        self,
        guest: Guest,
        connection: Connection,
        *,
        console_history: Callable[[], bytes] = lambda: b"",
        announce: Callable[[str], object] = lambda text: None,
        stopped: Stop | None = None,
        snapshots: dict[str, GuestSnapshot] | None = None,
    ) -> None:
        super().__init__(connection)
        self.guest = guest
        self.execution = guest.execution
        self.registers = RegisterFile(guest)
        self.breakpoints = ClientBreakpoints(guest, self.notify_user, self.registers.name)
        self.monitor_watches: dict[int, Watch] = {}
        self.threads = ThreadStates(len(self.execution.vcpus), self.execution.current)
        self.tasks = TaskThreads(guest)
        self.task: TaskThread | None = None
        self._named_task: tuple[int, int] | None = None
        self.open_files: dict[int, bytes] = {}
        self.features: frozenset[str] = frozenset()
        self.multiprocess = False
        self.extended = False
        self.access_undone_at: Time | None = None
        self.end_reported = False
        self.forward_console = False
        self.last_hit: Stop | None = None
        self.detached = False
        self.exit_reply: bytes | None = None
        self.exit_stop: Stop | None = None
        self.end_reason: EndReason | None = None
        self.console_history = console_history
        self.announce = announce
        self.physical_memory = False
        self.step_flags = StepFlags.ALL
        self.snapshots = {} if snapshots is None else snapshots
        self.stopped = stopped
        self._refusals = 0
        self._killed = False
        self._logged_defects = 0
        self.interrupt_requested = False
        self.file_io_request: FileIoRequest | None = None
        self.is_lldb = False
        if stopped is not None:
            # In all-stop mode the event of the current vCPU is the reply to "?".
            event = stop_event(stopped, self.execution.current, self.breakpoints, ())
            self.threads.stop_events[event.index] = event
            if stopped.hits:
                self.last_hit = stopped

    @property
    def context(self) -> VcpuContext:
        """The vCPU whose registers and memory packets access."""
        return self.execution.vcpus[self.threads.general]

    @property
    def ended(self) -> bool:
        """Whether the session has ended."""
        return self.end_reason is not None

    @abstractmethod
    def server_features(self) -> list[bytes]:
        """The features of the packet handlers, for the reply to qSupported."""

    def negotiate(self, features: Iterable[str]) -> None:
        """The client has named its features (qSupported)."""
        self.features = frozenset(features)
        self.multiprocess = "multiprocess+" in self.features
        self.error_messages = "error-message+" in self.features

    # ---- resuming and stopping ---------------------------------------------------------------

    def resume(self, actions: Mapping[int, ResumeAction]) -> None:
        """Resume vCPUs, once the packet has been answered."""
        threads = self.threads
        if not self.step_flags & StepFlags.ENABLE:
            actions = dict.fromkeys(actions, ResumeAction())
        threads.resumed(actions)
        self._forget_tasks()
        self.stopped = None
        self.interrupt_requested = False
        if threads.count > 1 and not any(go.step for go in threads.resume_actions.values()):
            # The next vCPU gets the first turn. Otherwise, with a client that resumes often, the
            # vCPU that stopped last would reach its next stop before the others had a turn.
            self.execution.select((self.execution.current + 1) % threads.count)

    def _forget_tasks(self) -> None:
        """The guest runs, or is at another time."""
        self.tasks.forget()
        self.task = None

    def set_step_flags(self, flags: StepFlags) -> None:
        """Set what a single step does."""
        self.step_flags = flags
        self.execution.step_into_interrupts = not flags & StepFlags.NOIRQ

    def halt(self, indices: Iterable[int], signal: int = NO_SIGNAL) -> None:
        """Stop vCPUs in non-stop mode, on the client's request."""
        for index in indices:
            if index in self.threads.resume_actions:
                self._report(StopEvent(index, signal))

    def halt_all(self) -> None:
        """Stop all running vCPUs, as Ctrl-C does."""
        running = self.threads.resume_actions
        if self.threads.non_stop:
            self.halt(sorted(running), SIGINT)
        elif running:
            if self.execution.current not in running:
                self.execution.select(min(running))
            self._report_stop(self.execution.stop("interrupt"))

    def handle_stop(self, stop: Stop) -> None:
        """The guest has stopped by itself, or has ended."""
        self.stopped = stop
        if stop.reason == "exit":
            self._handle_exit(stop)
            return
        if stop.reason == "error":
            self.notify_user(f"guestdbg: {stop.detail}\n".encode())
        for line in self.note_hits(stop):
            self.notify_user(line)
        if not self.detached:
            self._name_task(stop)
            self._report_stop(stop)
        elif stop.reason == "error":
            self.threads.none_runs()

    def note_hits(self, stop: Stop) -> list[bytes]:
        """Keep a stop for `monitor hit`; the lines about the hits of `monitor watch`."""
        if stop.hits:
            self.last_hit = stop
        return [
            f"watch {number}: {hit}\n".encode()
            for number, watch in self.monitor_watches.items()
            for hit in stop.hits
            if hit.point is watch
        ]

    def _name_task(self, stop: Stop) -> None:
        """Say in which task the guest has stopped, if tasks are threads: a stop is of a vCPU.

        Only if it is another one than before: a `next` of GDB's has many stops.
        """
        if not self.tasks.enabled or stop.reason == "step":
            return
        self.tasks.forget()
        place = self.execution.current
        task = self.tasks.current(place)
        if task is not None and (place, task.address) != self._named_task:
            self._named_task = place, task.address
            self.show(f"vCPU {self.execution.vcpus[place].vcpu.id} executes {task}")

    def _report_stop(self, stop: Stop) -> None:
        self._report(stop_event(stop, self.execution.current, self.breakpoints, self.features))

    def _report(self, event: StopEvent) -> None:
        """Report a stop: by a stop reply, or in non-stop mode by a notification."""
        self._forget_tasks()
        self.threads.stopped(event)
        if self.threads.non_stop:
            self.report_later(event)
        else:
            self.send(self.stop_reply(event))

    def report_later(self, event: StopEvent) -> None:
        """Notify the client of a stop event, or queue it if there are events it has to fetch."""
        if self.threads.queue(event):
            self.send_notification(b"Stop:" + self.stop_reply(event))

    def stop_reply(self, event: StopEvent) -> bytes:
        """The stop reply for an event, with the registers as they are now."""
        return event.reply(self.execution.vcpus[event.index], multiprocess=self.multiprocess)

    # ---- the end of the guest, and a new beginning --------------------------------------------

    def process_reply(self, reply: bytes) -> bytes:
        """A reply on the end of the process, which names the process if the client knows them."""
        return reply + b";process:%x" % thread_id.PROCESS if self.multiprocess else reply

    def _handle_exit(self, stop: Stop) -> None:
        if self.guest.has_history and not self.end_reported and not self.detached:
            # The client could not go back from a process that has exited.
            self.end_reported = True
            text = f"guestdbg: {stop.detail}, the end of the history: go back, or continue to exit"
            self.notify_user(f"{text}\n".encode())
            self._report(StopEvent(self.execution.current, SIGTRAP, b"replaylog:end;", stop))
            return
        self.threads.none_runs()
        self.exit_reply = self.process_reply(b"W%02x" % stop.status)
        self.exit_stop = stop
        log.info("the guest has ended: %s", stop.detail)
        if self.detached:
            self.announce(f"the guest has ended: {stop.detail}")
        elif self.threads.non_stop:
            self.send_notification(b"Stop:" + self.exit_reply)
        else:
            self.send(self.exit_reply)

    def kill(self) -> None:
        """End the guest. In extended mode the session goes on: the guest can be started again."""
        if self.extended:
            self.threads.none_runs()
            self._killed = True
            self.exit_reply = self.process_reply(b"X09")
        else:
            self.end_reason = EndReason.KILLED

    def restart(self) -> None:
        """Reset the guest: it is stopped at its entry point."""
        self.guest.reset()
        self.state_replaced(general=0)

    def restore(self, snapshot: GuestSnapshot) -> None:
        """Put the guest back to a snapshot. It is stopped."""
        self.guest.restore(snapshot)
        self.state_replaced(general=self.execution.current)

    def state_replaced(self, general: int) -> None:
        """The guest was reset or restored: it is stopped, at another time."""
        self.last_hit = None
        self.exit_reply = self.exit_stop = self.stopped = None
        self._killed = self.detached = False
        self._forget_tasks()
        self.threads.all_stopped(general)
        self.threads.forget_unfetched()

    # ---- detaching ---------------------------------------------------------------------------

    def detach(self) -> None:
        """Detach from the guest, which runs on. In extended mode the connection stays."""
        if not self.extended:
            self.end_reason = EndReason.DETACHED
            return
        self.detached = True
        self.remove_points()
        self.threads.forget_unfetched()
        if self.exit_reply is None:
            self.threads.none_runs()
            self.resume(self.threads.all_actions())
            self.announce("the debugger has detached and stays connected: the guest runs on")

    def attach(self) -> None:
        """Attach to the guest. It is stopped already, unless the client had detached from it."""
        if not self.detached:
            return
        self.detached = False
        self.announce("the debugger has attached again")
        self.breakpoints.delete_persistent()
        if self.threads.non_stop:
            # It runs on until the client stops it.
            self.threads.resume_actions.update(self.threads.all_actions())
        else:
            self.threads.all_stopped(self.execution.current)

    def hung_up(self) -> None:
        """The client has closed the connection."""
        if self.exit_reply is not None:
            self.end_reason = EndReason.KILLED if self._killed else EndReason.EXITED
        else:
            self.end_reason = EndReason.DETACHED if self.detached else EndReason.DISCONNECTED

    def remove_points(self) -> None:
        """Remove the client's points, but not breakpoints whose commands persist."""
        runs_on = self.detached or self.end_reason in (
            EndReason.DETACHED,
            EndReason.DISCONNECTED,
        )
        self.breakpoints.clear(self.notify_user if runs_on else None)
        for watch in self.monitor_watches.values():
            watch.delete()
        self.monitor_watches.clear()
        self.execution.step_into_interrupts = False

    def log_defect(self, text: str) -> None:
        """Log the current exception; not endlessly, for a client that repeats a packet."""
        self._logged_defects += 1
        if self._logged_defects <= _MAX_LOGGED_DEFECTS:
            log.exception("%s", text)

    # ---- text for the users ------------------------------------------------------------------

    @property
    def _can_send_output(self) -> bool:
        """Whether the client expects console output now: it waits for a stop reply."""
        threads = self.threads
        return bool(threads.resume_actions) and not (threads.non_stop or self.detached)

    def notify_user(self, text: bytes) -> None:
        """Show text to the client's user if that is possible now, or to the server's."""
        if self._can_send_output and not self.ended:
            self.send_console_output(text)
        else:
            self.announce(text.decode("utf-8", "replace").rstrip("\n"))

    def refused(self, text: str) -> None:
        """Tell the server's user why a packet was refused; not endlessly, for one client."""
        self._refusals += 1
        if self._refusals <= _MAX_REFUSALS:
            self.announce(f"refused: {text}")
        elif self._refusals == _MAX_REFUSALS + 1:
            self.announce("refused: more than these, which are not shown")

    def show(self, text: str) -> None:
        """Show a line of text to the client's user, if that is possible now."""
        if self._can_send_output and not self.ended:
            self.send_console_output(f"guestdbg: {text}\n".encode())

    def console_output(self, data: bytes) -> None:
        """The guest's console has printed something."""
        if self.forward_console and self._can_send_output:
            self.send_console_output(data)


#: Answers a packet: takes the session and what follows the packet's name. The result is the reply;
#: ``b""`` if the packet is not supported, None if there is no reply or it is sent later. Raises
#: PacketError for an error reply.
Handler = Callable[[SessionState, bytes], bytes | None]
