"""One client's session: packets in, replies out, the guest let go and stopped as they say.

Everything here happens in the one thread that runs the guest. What the packets mean is in
``groups``, one file for each group of them.
"""

from __future__ import annotations

import errno
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from guestdbg.debugger import Stop, Watch
from guestdbg.debugger.execution.scheduler import ResumeAction
from guestdbg.errors import GuestdbgError
from guestdbg.gdb import threads
from guestdbg.gdb.breakpoints import Inserted
from guestdbg.gdb.connection import Hangup, Link
from guestdbg.gdb.end_reason import Ending
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import handlers
from guestdbg.gdb.packet_channel import Conversation
from guestdbg.gdb.packets import frame
from guestdbg.gdb.registers import Registers
from guestdbg.gdb.stop_reply import NONE, SIGINT, SIGTRAP, Event, event_of

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["Session"]

log = logging.getLogger(__name__)

# Packets of these letters are named by a word, the others by the letter alone. LLDB writes one word
# with its number together.
_WORD = re.compile(rb"qRegisterInfo|[qQvj][A-Za-z0-9_-]*\??")
_WORDY = frozenset(b"qQvj")
_OUTPUT_AT_ONCE = 512
# What a client may still say that has detached from the guest and not hung up.
_WITHOUT_GUEST = frozenset(
    b"qSupported QStartNoAckMode ! vMustReplyEmpty qSymbol ? vAttach vRun R k QNonStop vStopped "
    b"vCont? qfThreadInfo qsThreadInfo qXfer qRcmd qHostInfo qGDBServerVersion".split()
)


class Session(Conversation):
    """What one client has said and wants.

    Attributes:
        guest: the guest.
        inserted: the client's breakpoints and watchpoints.
        watches: those of `monitor watch`, by the number that the client was told.
        registers: the register file's layout.
        general: the vCPU (its place) that registers and memory are those of (``Hg``).
        resumed: the vCPUs that old packets resume (``Hc``): a place, or threads.ALL.
        moves: the vCPUs that are let go, by place; empty while the guest stands.
        events: the last stop of each vCPU that stands.
        queue: stops that a non-stop client has not fetched yet; the first has been told it.
        files: the guest's files that the client has open, by descriptor.
        last_hit: the last stop at one of the client's points.
        printed: gives what the guest has printed last.
        news: stops that it is to be told once it has fetched the one that it asked for.
        heard: whether the client has said anything yet.
        detached: the client has left the guest, which runs, and may attach to it again.
        client: the features that the client named in qSupported.
    """

    def __init__(
        self,
        guest: Guest,
        link: Link,
        *,
        before_run: Callable[[], bool] = lambda: False,
        printed: Callable[[], bytes] = lambda: b"",
        greeted: Callable[[], object] = lambda: None,
        announce: Callable[[str], object] = lambda text: None,
    ) -> None:
        super().__init__(link)
        self.guest = guest
        self.watches: dict[int, Watch] = {}
        self.registers = Registers(guest)
        self.inserted = Inserted(guest, self.told, self.registers.name)
        self.general = guest.cores.index(guest.runloop.current)
        self.resumed = threads.ALL
        self.non_stop = False
        self.multiprocess = False
        self.extended = False
        self.forward_console = False
        self.files: dict[int, bytes] = {}
        self.client: frozenset[str] = frozenset()
        self.moves: dict[int, ResumeAction] = {}
        self.events: dict[int, Event] = {n: Event(n, SIGTRAP) for n in range(len(guest.cores))}
        self.queue: deque[Event] = deque()
        self.news: list[Event] = []
        self.exit_reply: bytes | None = None
        self.exit_stop: Stop | None = None
        self.killed = False
        self.detached = False
        self.ending: Ending | None = None
        self.last_hit: Stop | None = None
        self.printed = printed
        self.heard = False
        self._greeted = greeted
        self._before_run = before_run
        self.announce = announce
        self._handlers = handlers()
        self._break_in = False

    @property
    def core(self) -> VcpuContext:
        """The vCPU that registers and memory are those of."""
        return self.guest.cores[self.general]

    @property
    def of_process(self) -> bytes:
        """What an exit reply ends with for a client that knows processes."""
        return b";process:%x" % threads.PROCESS if self.multiprocess else b""

    # ---- the loop ----------------------------------------------------------------------------

    def serve(self) -> Ending:
        """Serve the client until it leaves."""
        try:
            while self.ending is None:
                if self.moves:
                    self._run()
                else:
                    self._take(self.link.receive())
        except Hangup:
            self.ending = Ending.DETACHED if self.detached else Ending.VANISHED
            if self.exit_reply is not None:
                self.ending = Ending.KILLED if self.killed else Ending.EXITED
        finally:
            self.take_out()
        return self.ending

    def _take(self, data: bytes) -> None:
        """Answer what the client has sent."""
        if not self.heard:
            self.heard = True
            self._greeted()
            self.inserted.replace_left()
        self.take(data)

    @property
    def over(self) -> bool:
        """Whether the client has left, or is to be left."""
        return self.ending is not None

    def execute(self, packet: bytes) -> bytes | None:
        """The reply to a packet; None where there is none, or it comes later."""
        name = packet[:1]
        if packet and packet[0] in _WORDY:
            word = _WORD.match(packet)
            assert word is not None
            name = word[0]
        handler = self._handlers.get(name)
        if handler is None:
            return b""
        try:
            if self.detached and name not in _WITHOUT_GUEST:
                raise Refused("detached from the guest: attach to process 1 again", errno.ESRCH)
            return handler(self, packet[len(name) :])
        except Refused as refused:
            log.debug("%r refused: %s", packet[:64], refused)
            return self.error(refused)
        except GuestdbgError as error:
            log.debug("%r refused: %s", packet[:64], error)
            return self.error(Refused(str(error)))
        except Hangup:
            raise
        except Exception:
            # A defect must not take the guest of a day's work down with it.
            log.exception("this is a defect of guestdbg: the packet %r", packet[:256])
            return self.error(Refused("this is a defect of guestdbg: its log has more", errno.EIO))

    def interrupted(self) -> None:
        """Ctrl-C; one that crossed a stop on its way has what it wanted."""
        self._break_in = bool(self.moves) and not self.detached

    # ---- running -----------------------------------------------------------------------------

    def resume(self, moves: dict[int, ResumeAction]) -> None:
        """Let vCPUs go once the packet has been answered."""
        for place in moves:
            self.events.pop(place, None)
        self.moves.update(moves)
        self._break_in = False
        count = len(self.guest.cores)
        if count > 1 and not any(go.step for go in self.moves.values()):
            # A client stops often: the vCPU that stopped last would come to its next stop before
            # the others had their turn.
            runloop = self.guest.runloop
            runloop.select((runloop.current.number + 1) % count)

    def _run(self) -> None:
        """Let the guest go until something stops it or the client has sent something."""
        if self._break_in:
            self._break_in = False
            self.halt_all()
            return
        guest = self.guest
        if self._before_run():
            raise Hangup
        try:
            in_memory = self.inserted.in_memory
            if in_memory:
                self.inserted.look_after()
            with self.link.watched(look_in=in_memory):
                stop = guest.resume(self.moves)
        except GuestdbgError as error:
            stop = guest.runloop.current.stop("error", str(error))
        if stop.reason == "interrupt":
            if self.link.has_input:
                self._take(self.link.receive())
        elif stop.reason == "idle":
            # As hardware would: it waits until somebody wants something of it.
            self.link.wait()
            if self.link.has_input:
                self._take(self.link.receive())
        else:
            self._stopped(stop)

    def _broken_into(self) -> None:
        """Ctrl-C."""
        guest = self.guest
        place = guest.cores.index(guest.runloop.current)
        if place not in self.moves:
            place = min(self.moves)
            guest.runloop.select(place)
        self._tell(event_of(self, guest.runloop.current.stop("interrupt")))

    def _stopped(self, stop: Stop) -> None:
        if stop.reason == "exit":
            self._exited(stop)
            return
        if stop.reason == "error":
            self.told(f"guestdbg: {stop.detail}\n".encode())
        for number, watch in self.watches.items():
            for hit in stop.hits:
                if hit.point is watch:
                    self.told(f"watch {number}: {hit}\n".encode())
        if stop.hits:
            self.last_hit = stop
        if self.detached:
            if stop.reason == "error":
                self.moves.clear()
            return
        self._tell(event_of(self, stop))

    def _tell(self, event: Event) -> None:
        """Report a stop: at once, or as a notification where the others run on."""
        self.events[event.place] = event
        if not self.non_stop:
            self.moves.clear()
            # The client takes this thread for the chosen one now.
            self.general = event.place
            self.say(event.reply(self))
            return
        self.moves.pop(event.place, None)
        self.notify(event)

    def notify(self, event: Event) -> None:
        """Tell a non-stop client of a stop, or keep it until it has fetched those before."""
        self.queue.append(event)
        if len(self.queue) == 1:
            self.link.send(b"%" + frame(b"Stop:" + event.reply(self))[1:])

    def halt(self, places: Iterable[int], signal: int = NONE) -> None:
        """Stop vCPUs of a non-stop client, because it asks for it."""
        for place in places:
            if place in self.moves:
                self._tell(Event(place, signal))

    def halt_all(self) -> None:
        """Stop what runs, as Ctrl-C does."""
        if self.non_stop:
            self.halt(sorted(self.moves), SIGINT)
        elif self.moves:
            self._broken_into()

    def _exited(self, stop: Stop) -> None:
        self.moves.clear()
        self.exit_reply = b"W00" + self.of_process
        self.exit_stop = stop
        log.info("the guest has ended: %s", stop.detail)
        if self.detached:
            self.announce(f"the guest has ended: {stop.detail}")
        elif self.non_stop:
            self.link.send(b"%" + frame(b"Stop:" + self.exit_reply)[1:])
        else:
            self.say(self.exit_reply)

    def output(self, text: bytes) -> None:
        """Text for the client's user, while the guest runs (``O`` packets)."""
        for at in range(0, len(text), _OUTPUT_AT_ONCE):
            self.link.send(frame(b"O" + text[at : at + _OUTPUT_AT_ONCE].hex().encode()))

    def told(self, text: bytes) -> None:
        """What the client has asked to be told while the guest runs; where it can be told so."""
        if self.moves and not (self.non_stop or self.detached or self.ending):
            self.output(text)
        else:
            self.announce(text.decode("utf-8", "replace").rstrip("\n"))

    def take_out(self) -> None:
        """Nothing of the client's stops the guest any more."""
        stays = self.detached or self.ending in (Ending.DETACHED, Ending.VANISHED)
        self.inserted.clear(self.told if stays else None)
        for watch in self.watches.values():
            watch.delete()
        self.watches.clear()

    def console_output(self, data: bytes) -> None:
        """The guest has printed something."""
        if self.forward_console and self.moves and not (self.non_stop or self.detached):
            self.output(data)

    # ---- for the groups ----------------------------------------------------------------------

    def restarted(self) -> None:
        """The guest has been reset: all its threads stand at their beginning."""
        self.exit_reply = self.exit_stop = None
        self.killed = self.detached = False
        self.moves.clear()
        self.queue.clear()
        self.general = 0
        self.events = {n: Event(n, SIGTRAP) for n in range(len(self.guest.cores))}
